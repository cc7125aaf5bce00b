"""``make_mimic``: a made-up MIMIC-CXR in MIMIC's exact layout, with its own RadGraph annotation.

Reports under ``files/p1x/p1xxxxxxx/s5xxxxxxx.txt``, the study and record lists, MIMIC-CXR-JPG's metadata, split,
CheXpert and NegBio tables (both from the facts that the reports state), and with ``images`` a drawn JPEG per image
and ``boxes.csv``. ``synthetic.json`` says that it is made up, and from what. The same seed gives the same bytes;
patient i depends on the seed and i only, so a smaller set is the beginning of a larger one but for its last patient.
Memory does not grow with the studies but for a few numbers each.

Refused: a folder that is not empty and was not made here; one made here from other numbers, unless ``replace``.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from kgbuild.errors import UsageError
from kgbuild.files import sweep, write_text
from kgbuild.synthesis.patients import State
from kgbuild.synthesis.patients import Table as Facts
from kgbuild.synthesis.phrases import shipped
from kgbuild.synthesis.reports import Writer
from kgbuild.synthesis.tables import HEADERS, Gold, Table, gold_file, label_row, tables

if TYPE_CHECKING:
    from kgbuild.synthesis.drawing import Artist

MARKER = "synthetic.json"
MOST_STUDIES = 2_000_000
_PER_PATIENT = 8
_STUDIES_FROM = 3_141_592  # so that no study has the digits of its patient
_IDS = 10_000_000
_COUNT_POWER = 1.67  # 1 + 8 r^1.67, cut off: 3.5 studies a patient, as MIMIC-CXR has
_TWO_VIEWS = (0.8, 0.2, 0.65)  # by illness
_REPORT_EVERY = 500
_SPLITS = ((0.93, "train"), (0.96, "validate"), (1.0, "test"))

Progress = Callable[[str, int, int], None]


class View(NamedTuple):
    """One image of a study."""

    dicom_id: str
    position: str


def plan(out: Path, studies: int, seed: int, *, images: bool = False, replace: bool = False) -> dict[str, Any]:
    """Check the request and the folder; what the marker will say.

    Raises:
        UsageError: numbers out of range, or a folder that must not be written to.
    """
    if not 1 <= studies <= MOST_STUDIES:
        raise UsageError(f"{studies} studies cannot be made", expected=f"1 to {MOST_STUDIES}")
    if not 0 <= seed < 2**63:
        raise UsageError(f"seed {seed} is out of range", expected="0 to 2^63 - 1")
    facts = {"dataset": "synthetic MIMIC-CXR, no patient's data", "made_by": f"kgbuild {version('kgbuild')}"}
    wanted = {**facts, "studies": studies, "seed": seed, "images": images}
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is not a folder", next_step="name another folder with --out")
    if not out.exists() or not any(out.iterdir()):
        return wanted
    try:
        found = json.loads((out / MARKER).read_text(encoding="utf-8"))
        own = isinstance(found, dict) and found.get("dataset") == facts["dataset"]
    except (OSError, ValueError):
        own = False
    if not own:
        raise UsageError(
            f"{out} is not empty and was not made by kgbuild",
            expected=f"an empty folder, or one with {MARKER}",
            next_step="name another folder with --out",
        )
    if {**found, "complete": None} != {**wanted, "complete": None} and not replace:
        raise UsageError(
            f"{out} holds another synthetic set: {found.get('studies')} studies of seed {found.get('seed')}",
            next_step="name another folder with --out, or give --yes to replace it",
        )
    return wanted


def make_mimic(
    out: Path,
    studies: int,
    seed: int,
    *,
    images: bool = False,
    gold: Path | None = None,
    replace: bool = False,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Write the data set; a run that was stopped is begun again by the same call.

    Args:
        out: the folder; made if absent.
        studies: how many.
        seed: the same seed gives the same bytes.
        images: draw 320 px JPEGs from the same facts (needs Pillow) and list what is on them in ``boxes.csv``.
        gold: RadGraph JSON of every study's findings and impression (v1 labels, sorted by study id).
        replace: a set made earlier from other numbers is removed first.
        progress: called with (stage, done, total).

    Returns:
        How many patients, studies, images and boxes there are.

    Raises:
        UsageError: numbers out of range, or a folder or file that must not be written to.
        DependencyMissing: ``images`` without Pillow.
    """
    wanted = plan(out, studies, seed, images=images, replace=replace)
    if gold is not None and gold.is_dir():
        raise UsageError(f"{gold} is a folder", expected="a file for the gold")
    artist = _artist() if images else None
    out.mkdir(parents=True, exist_ok=True)
    sweep(out)
    _clear(out, wanted)
    write_text(out / MARKER, _marker(wanted, complete=False))
    if gold is not None:
        gold.parent.mkdir(parents=True, exist_ok=True)
    names = [name for name in HEADERS if images or name != "boxes.csv"]
    with tables(out, names) as opened, gold_file(gold) as gathered:
        counts = _Maker(out, seed, opened, gathered, artist).run(studies, progress or _silent)
    write_text(out / MARKER, _marker(wanted, complete=True))
    return counts


def _artist() -> Artist:
    from kgbuild.synthesis.drawing import Artist

    return Artist()


def _silent(stage: str, done: int, total: int) -> None:
    pass


def _marker(wanted: dict[str, Any], *, complete: bool) -> str:
    return json.dumps({**wanted, "complete": complete}, indent=1) + "\n"


def _clear(out: Path, wanted: dict[str, Any]) -> None:
    """Remove what an earlier set left, if it was another one."""
    try:
        found = json.loads((out / MARKER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    if {**found, "complete": None} == {**wanted, "complete": None}:
        return
    for name in HEADERS:
        (out / name).unlink(missing_ok=True)
    if (out / "files").is_dir() and not (out / "files").is_symlink():
        shutil.rmtree(out / "files")


class _Maker:
    """Makes patients in the order of their ids, and writes each one's studies."""

    def __init__(
        self, out: Path, seed: int, opened: dict[str, Table], gold: Gold | None, artist: Artist | None
    ) -> None:
        banks, headers, facts = shipped()
        self._facts = Facts(**facts)
        self._writer = Writer(banks, headers, self._facts, annotate=gold is not None)
        self._root = str(out)
        self._seed = seed
        self._tables = list(opened.values())
        self._by_name = opened
        self._gold = gold
        self._artist = artist
        mixed = Random(seed)  # noqa: S311 (made-up data)
        self._multiplier = mixed.randrange(_IDS // 4, _IDS // 2) * 10 + 3  # prime to 10^7: ids do not repeat
        self._shift = mixed.randrange(_IDS)

    def _scattered(self, index: int) -> int:
        return (index * self._multiplier + self._shift) % _IDS

    def _random(self, patient: int) -> Random:
        return Random((self._seed << 32) | patient)  # noqa: S311 (made-up data)

    def run(self, studies: int, progress: Progress) -> dict[str, int]:
        counted = list(self._counted(studies))
        order = sorted((self._scattered(patient), patient) for patient in range(len(counted)))
        counts = {"patients": len(counted), "studies": 0, "images": 0, "boxes": 0}
        for group in range(10):
            os.makedirs(f"{self._root}/files/p1{group}", exist_ok=True)
        progress("studies", 0, studies)
        for scattered, patient in order:
            before = counts["studies"] // _REPORT_EVERY
            self._patient(10_000_000 + scattered, patient, counted[patient], counts)
            if counts["studies"] // _REPORT_EVERY > before:
                progress("studies", counts["studies"], studies)
        if counts["studies"] % _REPORT_EVERY:
            progress("studies", counts["studies"], studies)
        return counts

    def _counted(self, studies: int) -> Iterator[int]:
        """How many studies each patient has; the last one what is left."""
        patient = 0
        while studies > 0:
            count = min(studies, 1 + int(self._random(patient).random() ** _COUNT_POWER * _PER_PATIENT))
            yield count
            studies -= count
            patient += 1

    def _patient(self, subject: int, patient: int, count: int, counts: dict[str, int]) -> None:
        random = self._random(patient)
        draw = random.random
        draw()  # the number of studies
        folder = f"files/p{subject // 1_000_000}/p{subject}"
        with suppress(FileExistsError):
            os.mkdir(f"{self._root}/{folder}")
        share = draw()
        split = next(name for bound, name in _SPLITS if share < bound)
        day = dt.date(2110, 1, 1).toordinal() + int(draw() * 33_000)
        state = self._facts.begin(draw)
        rows: list[tuple[int, list[str]]] = []
        for j in range(count):
            if j:
                state = self._facts.go_on(state, draw)
                day += 1 + int(draw() ** 3 * 500)
            study = 50_000_000 + self._scattered(_STUDIES_FROM + patient * _PER_PATIENT + j)
            rows.append((study, self._study(subject, study, folder, split, day, state, random, counts)))
        counts["studies"] += count
        for _, lines in sorted(rows):
            for table, text in zip(self._tables, lines, strict=True):
                if text:
                    table.add(text)

    def _study(
        self,
        subject: int,
        study: int,
        folder: str,
        split: str,
        day: int,
        state: State,
        random: Random,
        counts: dict[str, int],
    ) -> list[str]:
        """Write one study; its rows for each table, in the tables' order."""
        draw = random.random
        two = draw() < _TWO_VIEWS[state.illness]
        path = f"{folder}/s{study}"
        text = self._writer.report(state, draw, two)
        descriptor = os.open(f"{self._root}/{path}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(descriptor, text.encode())
        os.close(descriptor)
        speaker = self._writer.speaker
        if self._gold is not None:
            self._gold.add(study, f'{{"text": {json.dumps(speaker.text())}, "entities": {speaker.entities()}}}')
        views = sorted(_views(two, random))
        counts["images"] += len(views)
        labels = f"{subject},{study},{label_row(speaker.marks)}"
        date = dt.date.fromordinal(day).strftime("%Y%m%d")
        clock = f"{int(draw() * 24) * 10_000 + int(draw() * 60) * 100 + int(draw() * 60)}.{int(draw() * 1000):03d}"
        shape = (320, 320) if self._artist else (2544, 3056) if draw() < 0.5 else (3056, 2544)
        rows = {
            "cxr-study-list.csv.gz": f"{subject},{study},{path}.txt",
            "cxr-record-list.csv.gz": "\n".join(
                [f"{subject},{study},{view.dicom_id},{path}/{view.dicom_id}.dcm" for view in views]
            ),
            "mimic-cxr-2.0.0-metadata.csv.gz": "\n".join(
                [
                    f"{view.dicom_id},{subject},{study},{_MEANINGS[two]},{view.position},{shape[0]},{shape[1]},{date},"
                    f"{clock},{_MEANINGS[two]},{_CODES[view.position]}"
                    for view in views
                ]
            ),
            "mimic-cxr-2.0.0-split.csv.gz": "\n".join([f"{view.dicom_id},{study},{subject},{split}" for view in views]),
            "mimic-cxr-2.0.0-chexpert.csv.gz": labels,
            "mimic-cxr-2.0.0-negbio.csv.gz": labels,
        }
        if self._artist:
            os.makedirs(f"{self._root}/{path}", exist_ok=True)
            boxes = []
            for view in views:
                file = f"{self._root}/{path}/{view.dicom_id}.jpg"
                boxes += [
                    f"{view.dicom_id},{box}" for box in self._artist.save(state, view.position, view.dicom_id, file)
                ]
            counts["boxes"] += len(boxes)
            rows["boxes.csv"] = "\n".join(boxes)
        return [rows[name] for name in self._by_name]


_MEANINGS = ("CHEST (PORTABLE AP)", "CHEST (PA AND LAT)")
_CODES = {
    "PA": "postero-anterior,Erect",
    "LATERAL": "lateral,Erect",
    "AP": "antero-posterior,Recumbent",
    "": ",",
}


def _views(two: bool, random: Random) -> Iterator[View]:
    """PA and lateral, or AP; now and then one more, or one whose position is not known."""
    draw = random.random
    positions = ["PA", "LATERAL"] if two else ["AP"]
    if draw() < 0.08:
        positions.append("LATERAL" if two else "AP")
    for position in positions:
        bits = f"{random.getrandbits(160):040x}"
        name = "-".join(bits[i : i + 8] for i in range(0, 40, 8))
        yield View(name, position if draw() > 0.03 else "")
