"""Training pairs (prompt, completion) on disk, from an annotation run or from files of RadGraph's release.

One pass writes every example beside its study, patient and a hash of its text; then the splits are made on those ids
and hashes, and a second pass sorts the examples into one Parquet file a split. So memory holds ids and hashes, never
the texts. The folder holds report text: it belongs into a workspace. ``data.json`` is written last.

What is left out is counted under ``left out: …``. A report that says nothing has an empty completion and stays: a
model must learn to write nothing. By default no text and no patient stands in two splits; with ``paper_split`` the
data set's own split is kept as it is, as the VLM-KG paper did, and the counts say how many rows that repeats.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from kgbuild import files
from kgbuild.domain import Image
from kgbuild.errors import KgbuildError
from kgbuild.pipelines.runs import Progress, Run, silent
from kgbuild.pipelines.splits import TRAIN, Listed, assign
from kgbuild.pipelines.training_examples import EXAMPLE, Form, from_files, from_run, images_digest
from kgbuild.recipes import Recipe
from kgbuild.tables import TRAINING_PAIRS
from kgbuild.trainers.base import TrainingData

FindImage = Callable[[Image], Path | None]
SPLITS = (TRAIN, "validate", "test")
PAPER: dict[str, dict[str, int]] = {
    "mimic": {TRAIN: 230_558, "validate": 1_907},
    "iu-xray": {TRAIN: 2_069, "validate": 296},
}
"""Training and validation examples as the VLM-KG paper states them. It does not say how they were counted."""
COUNTED = ("studies", "sections", "entities", "triplets", "empty completions")
_ROWS = 2048
_VERSION = 3


def prepare(
    source: Run | Sequence[Path],
    recipe: Recipe,
    out: Path,
    *,
    paper_split: bool = False,
    find_image: FindImage | None = None,
    progress: Progress = silent,
) -> TrainingData:
    """Write ``train.parquet``, ``validate.parquet``, ``test.parquet`` (those that have rows) and ``data.json``.

    Args:
        source: a complete annotation run, or files of RadGraph's release (JSON, gzipped or not).
        recipe: its ``data`` part says form, prompt and images.
        out: folder; what it holds of an earlier preparation is replaced.
        paper_split: keep the data set's own split, repeated texts and all.
        find_image: where an image lies on this machine; needed by recipes that train on images.
        progress: told of studies read.

    Raises:
        KgbuildError: no study is left to train on.
    """
    form = Form.of(recipe, find_image)
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    files.sweep(out)
    (out / "data.json").unlink(missing_ok=True)
    counts: Counter[str] = Counter()
    examples = from_run(source, form, counts) if isinstance(source, Run) else from_files(source, form, counts)
    spool = files.part_path(out / "examples.parquet")
    try:
        _write(spool, _told(examples, progress, source.manifest.n_studies if isinstance(source, Run) else 0))
        split = _own(spool, counts) if paper_split else _disjoint(spool, counts)
        _repeats(spool, split, counts)
        fingerprint = _sort(spool, split, out, counts)
    finally:
        spool.unlink(missing_ok=True)
    if not counts[f"{TRAIN}: studies"]:
        left = ", ".join(f"{n:,} {key}" for key, n in sorted(counts.items()) if key.startswith("left out") and n)
        look = f"kgbuild datasets check {recipe.data.dataset} says which images are there: --root DIR, --images DIR"
        raise KgbuildError(
            "no study is left to train on",
            where=left or None,
            expected="studies of the split train",
            next_step=look if counts["left out: no image"] else None,
        )
    name = source.id if isinstance(source, Run) else ", ".join(sorted(path.name for path in source))
    data = TrainingData(out, fingerprint, dict(sorted(counts.items())), name)
    text = json.dumps({"fingerprint": fingerprint, "counts": data.counts, "source": name}, indent=1) + "\n"
    files.write_text(out / "data.json", text)
    return data


def read_prepared(folder: Path) -> TrainingData | None:
    """What ``prepare`` wrote, or null where it has not (or not to the end)."""
    try:
        loaded = json.loads((folder / "data.json").read_text(encoding="utf-8"))
        return TrainingData(folder, loaded["fingerprint"], loaded["counts"], loaded["source"])
    except (OSError, ValueError, KeyError):
        return None


def key(
    source: Run | Sequence[Path],
    recipe: Recipe,
    *,
    paper_split: bool = False,
    root: str = "",
    find_image: FindImage | None = None,
) -> str:
    """Names a preparation: equal for equal input, so that ``--resume`` and other processes find it.

    Files count by name too, since names decide the splits; with ``find_image`` the images as they are on disk now.
    """
    given = [source.id] if isinstance(source, Run) else sorted([path.name, files.sha256(path)] for path in source)
    form = Form.of(recipe, find_image)
    images: list[str] = []
    if find_image is not None:
        images = [form.images, form.no_image, root, images_digest(source, form) if isinstance(source, Run) else ""]
    parts = [_VERSION, given, form.template, form.certainty, images, paper_split]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def beside_paper(dataset: str, counts: Mapping[str, int]) -> list[tuple[str, str, int, int | None]]:
    """(split, what is counted, here, in the paper) in every way of counting; the paper's is null where unknown.

    The VLM-KG paper's 230,558 / 1,907 are more than MIMIC-CXR has studies in those splits; it does not say of what.
    """
    paper = PAPER.get(dataset, {})
    return [
        (split, what, counts.get(f"{split}: {what}", 0), paper.get(split))
        for split in (TRAIN, "validate")
        for what in COUNTED[:-1]
    ]


def _told(examples: Iterable[dict[str, object]], progress: Progress, total: int) -> Iterator[dict[str, object]]:
    for number, example in enumerate(examples, 1):
        yield example
        if number % _ROWS == 0:
            progress("training data", number, max(total, number))


def _write(path: Path, examples: Iterable[dict[str, object]]) -> None:
    with pq.ParquetWriter(path, EXAMPLE, compression="zstd") as writer:
        rows: list[dict[str, object]] = []
        for example in examples:
            rows.append(example)
            if len(rows) == _ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema=EXAMPLE))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema=EXAMPLE))


def _ids(spool: Path) -> Iterator[Listed]:
    columns = ["study_id", "split", "patient_id", "text_key"]
    for batch in pq.ParquetFile(spool).iter_batches(_ROWS, columns=columns):
        for row in batch.to_pylist():
            yield Listed(row["study_id"], row["split"], row["patient_id"], row["text_key"])


def _disjoint(spool: Path, counts: Counter[str]) -> dict[str, str | None]:
    assigned = assign(_ids(spool))
    counts.update(assigned.counts)
    return assigned.split


def _own(spool: Path, counts: Counter[str]) -> dict[str, str | None]:
    """The data set's own splits; studies outside them are left out. A data set without splits gets them as ever."""
    listed = list(_ids(spool))
    if not any(one.split for one in listed):
        return _disjoint(spool, counts)
    counts["left out: not in the data set's own split"] = sum(one.split is None for one in listed)
    return {one.study_id: one.split for one in listed}


def _repeats(spool: Path, split: dict[str, str | None], counts: Counter[str]) -> None:
    """Count evaluation texts that stand in training too (none unless ``paper_split``)."""
    trained = {one.text for one in _ids(spool) if split[one.study_id] == TRAIN}
    for name in SPLITS[1:]:
        counts[f"{name}: texts that stand in training"] = sum(
            one.text in trained for one in _ids(spool) if split[one.study_id] == name
        )


def _sort(spool: Path, split: dict[str, str | None], out: Path, counts: Counter[str]) -> str:
    """Examples into one file a split; returns the fingerprint of what was written, machine paths left out."""
    digest = hashlib.sha256()
    with ExitStack() as stack:
        parts = {name: stack.enter_context(files.atomic(out / f"{name}.parquet")) for name in SPLITS}
        writers = {name: pq.ParquetWriter(part, TRAINING_PAIRS, compression="zstd") for name, part in parts.items()}
        try:
            for batch in pq.ParquetFile(spool).iter_batches(_ROWS):
                rows: dict[str, list[dict[str, object]]] = {name: [] for name in SPLITS}
                for row in batch.to_pylist():
                    name = split[row["study_id"]]
                    if name not in rows:
                        if name is not None:  # those without one have been counted when the splits were made
                            counts[f"left out: split {name}"] += 1
                        continue
                    row["split"] = name
                    for what in COUNTED[1:-1]:
                        counts[f"{name}: {what}"] += row[f"n_{what}"]
                    counts[f"{name}: studies"] += 1
                    counts[f"{name}: empty completions"] += not row["completion"].strip()
                    if row["image_id"] is not None:
                        counts[f"{name}: images"] += 1
                    fields = [row["study_id"], name, row["prompt"], row["completion"], row["image_id"]]
                    digest.update(json.dumps(fields).encode())
                    rows[name].append(row)
                for name, some in rows.items():
                    if some:
                        writers[name].write_table(pa.Table.from_pylist(some, schema=TRAINING_PAIRS))
        finally:
            for writer in writers.values():
                writer.close()
    for name in SPLITS:
        if not counts[f"{name}: studies"]:
            (out / f"{name}.parquet").unlink(missing_ok=True)
    return digest.hexdigest()
