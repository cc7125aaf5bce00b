"""RadGraph 1.0's release as studies: the tokenised texts of its five files, with their splits.

No annotation is read here: ``kgbuild import radgraph`` brings those in. The text is one section, ``report``, for it is
already cut into tokens and its headers with it: use ``--sections report``.

A path key of MIMIC-CXR gives study and patient of MIMIC (``s58821758``, ``p18004941``); another key is
``radgraph:<key>``. The 220,763 inference graphs are streamed once to list them and never held; a text is read again
from its place in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kgbuild.datasets._table_check import check_tables
from kgbuild.datasets._table_images import ImageFolders
from kgbuild.datasets._table_json import JsonTable
from kgbuild.datasets._table_mapping import ColumnMap
from kgbuild.datasets._table_studies import TableStudies
from kgbuild.datasets.base import FileCheck, Listing
from kgbuild.domain import Failure, Study
from kgbuild.errors import ColumnMissing, RootMissing, UsageError

SECTION = "report"
#: Split and published number of entries by file.
FILES = {
    "train.json": ("train", 425),
    "dev.json": ("dev", 75),
    "test.json": ("test", 100),
    "MIMIC-CXR_graphs.json": ("inference", 220763),
    "CheXpert_graphs.json": ("inference", 500),
}
_MIMIC = re.compile(r"(?:files/)?p\d\d/(?P<patient>p\d+)/(?P<study>s\d+)(?:\.txt)?|(?P<bare>s\d{8})(?:\.txt)?")
_CHEXPERT = re.compile(r"(?:.*/)?(?P<patient>patient\d+)/study\d+.*")
_IS_MIMIC = re.compile(r"s\d+")
_IS_MIMIC_PATIENT = re.compile(r"p\d+")
_COLUMNS = ("study", "patient", "split", "text")
_MAP = ColumnMap(fields={"study": "study", "patient": "patient", "split": "split"}, sections={SECTION: "text"})


class RadGraph:
    """The data set behind ``--dataset radgraph``.

    Args:
        root: the release's folder, or one of its files (gzipped or not).
        images: has none; must not be given.
        **options: none.

    Raises:
        UsageError: an option, or ``images``, was given.
        RootMissing: the root is absent or holds none of the files.
    """

    name = "radgraph"
    title = "RadGraph 1.0 release (PhysioNet): its tokenised reports; read with --sections report"
    options: tuple[str, ...] = ()

    def __init__(self, root: Path, images: Path | None = None, **options: str) -> None:
        if options or images is not None:
            given = sorted(options) or ["images"]
            raise UsageError(f"unknown option {', '.join(given)} of radgraph", expected="no options, no images")
        root = Path(root)
        self.base = root if root.is_dir() else root.parent
        tables = [JsonTable(path, path.name, _COLUMNS, _cells, split=split) for path, split in _find(root)]
        folders = ImageFolders(self.base, None)
        self.source = TableStudies(self.name, tables, _MAP, folders, study_key=_study_id, patient_key=_patient_id)

    def fingerprint(self) -> str:
        """SHA-256 of every entry's key, split and text."""
        self.listing()
        return self.source.fingerprint()

    def listing(self) -> Listing:
        """Studies in the order of the files: train, dev, test, the inference graphs.

        Raises:
            ColumnMissing: no entry is an object with a text: another JSON.
            KgbuildError: the JSON breaks off or is none; names file, key and offset.
        """
        listing = self.source.listing()
        if listing.studies and listing.counts["studies without text"] == len(listing.studies):
            raise ColumnMissing(
                f"{self.source.tables[0].name} is no file of RadGraph: no entry has a text",
                where=str(self.base),
                expected='{"p18/p18004941/s58821758.txt": {"text": …, "entities": …}, …}',
            )
        return listing

    def studies(self, ids: Sequence[str] | None = None) -> Iterator[Study | Failure]:
        """Studies with their one section; an entry without text or an unknown id is a Failure."""
        self.listing()
        return self.source.studies(ids)

    def check(self) -> list[FileCheck]:
        """Each file of the release, with the published number of entries."""
        self.listing()
        checks = check_tables(self.source, sections=(SECTION,), fixed=True)
        found = {check.path.removesuffix(".gz"): check for check in checks}
        lines = []
        for name, (_, expected) in FILES.items():
            check = found.pop(name, None)
            lines.append(
                replace(check, needed=False, expected=expected)
                if check
                else FileCheck(name, False, False, None, expected)
            )
        note = "the text is one section: read it with --sections report"
        sections = [replace(check, note=f"{check.note}; {note}") for name, check in found.items() if name == "sections"]
        return [*lines, *(check for name, check in found.items() if name != "sections"), *sections]


def _cells(key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    found = _MIMIC.fullmatch(key)
    other = _CHEXPERT.fullmatch(key)
    patient = found["patient"] if found else other["patient"] if other else None
    study = (found["study"] or found["bare"]) if found else key
    return {"study": study, "patient": patient, "split": entry.get("data_split"), "text": entry.get("text")}


def _study_id(own: str) -> str:
    return own if _IS_MIMIC.fullmatch(own) else f"{RadGraph.name}:{own}"


def _patient_id(own: str) -> str:
    return own if _IS_MIMIC_PATIENT.fullmatch(own) else f"{RadGraph.name}:{own}"


def _find(root: Path) -> list[tuple[Path, str | None]]:
    """The files that are there, in the order of the release, with the split of each."""
    if root.is_file():
        return [(root, FILES.get(root.name.removesuffix(".gz"), (None, 0))[0])]
    found: list[tuple[Path, str | None]] = []
    for name, (split, _) in FILES.items():
        path = next((root / file for file in (name, f"{name}.gz") if (root / file).is_file()), None)
        if path is not None:
            found.append((path, split))
    if not found:
        raise RootMissing(
            f"radgraph root {root} " + ("holds none of its files" if root.is_dir() else "does not exist"),
            where=str(root),
            expected=", ".join(FILES),
            next_step="get it from physionet.org/content/radgraph/1.0.0 (credentialed); give its folder as --root",
        )
    return found


PLUGIN = RadGraph
