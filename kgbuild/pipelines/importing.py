"""Other people's annotations as a run: RadGraph 1.0, RadGraph-XL, the ``radgraph`` package's output, DyGIE++ lines.

The files are read once, entry by entry, into a spool beside the run (checked, in one form, removed at the end), so
that a file of any size can be joined to a data set's studies in the data set's order. Without a data set the entries'
own keys are the studies. Imported annotations keep their own tokens.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from kgbuild import files
from kgbuild.datasets.base import Dataset
from kgbuild.domain import Annotation, Entity, Failure, Relation, Report, Study
from kgbuild.errors import FileMissing
from kgbuild.notation import read_annotations, read_radgraph_entry, to_radgraph
from kgbuild.notation.aligning import align
from kgbuild.pipelines import runs
from kgbuild.pipelines.catalog import Catalog
from kgbuild.pipelines.generate import CHUNK, failed_row, study_row
from kgbuild.pipelines.runs import Manifest, Progress, silent
from kgbuild.pipelines.source import Source
from kgbuild.pipelines.stages import Summary
from kgbuild.pipelines.workspace import Workspace
from kgbuild.tables import ANNOTATIONS

NAME = "radgraph"


@dataclass
class _Spool:
    """Checked entries on disk, and where each study's lies. Ids and offsets only are held in memory."""

    path: Path
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    repeated: list[Failure] = field(default_factory=list)

    def fill(self, inputs: Sequence[Path], labeler: int | None) -> None:
        """Read every file. A study that comes twice, in one file or two, is kept once and quarantined after that."""
        with self.path.open("wb") as spool:
            at = 0
            for path in inputs:
                for key, item in read_annotations(path, labeler=labeler):
                    study_id = item.study_id
                    if study_id in self.places or study_id in self.failures:
                        twice = Failure(study_id, "read", "comes twice; the first was kept", f"{path.name}, key {key}")
                        self.repeated.append(item if isinstance(item, Failure) else twice)
                    elif isinstance(item, Failure):
                        self.failures[study_id] = item
                    else:
                        scores = [[e.score for e in item.entities], [r.score for r in item.relations]]
                        line = json.dumps([to_radgraph(item, labels="xl"), scores]).encode("utf-8", "backslashreplace")
                        self.places[study_id] = (at, spool.write(line))
                        at += len(line)

    def ids(self) -> list[str]:
        """Studies in sorted order: files of equal content in another order give the same run."""
        return sorted({*self.places, *self.failures})

    def read(self, study_id: str) -> Annotation | Failure | None:
        """One study's entry; null where there is none."""
        if study_id in self.failures:
            return self.failures[study_id]
        if study_id not in self.places:
            return None
        start, size = self.places[study_id]
        with self.path.open("rb") as spool:
            spool.seek(start)
            entry, (entity_scores, relation_scores) = json.loads(spool.read(size))
        annotation, _ = read_radgraph_entry(study_id, entry, NAME)
        entities = map(_scored, annotation.entities, entity_scores)
        relations = map(_scored, annotation.relations, relation_scores)
        return replace(annotation, entities=tuple(entities), relations=tuple(relations))


_Item = TypeVar("_Item", Entity, Relation)


def _scored(item: _Item, score: float | None) -> _Item:
    return item if score is None else replace(item, score=score)


@dataclass(frozen=True)
class _Import:
    """The job: one row a study, from the spool, and from the data set if there is one. Runs in one process."""

    spool: _Spool
    ids: list[str]
    rejected: list[Failure]
    dataset: Dataset | None
    name: str
    chunk_size: int
    keys: dict[str, str]

    def table(self, number: int) -> pa.Table:
        ids = self.ids[number * self.chunk_size : (number + 1) * self.chunk_size]
        rows: list[dict[str, Any]] = []
        if number == 0:
            rows += [{**failed_row(f, self.name), "status": "rejected"} for f in self.rejected]
        if self.dataset is None:
            rows += [self._row(Study(study_id, self.name, Report((), None))) for study_id in ids]
        else:
            for item in self.dataset.studies(ids):
                rows.append(failed_row(item, self.name) if isinstance(item, Failure) else self._row(item))
        return pa.Table.from_pylist(rows, schema=ANNOTATIONS)

    def _row(self, study: Study) -> dict[str, Any]:
        entry = self.spool.read(self.keys.get(study.id, study.id))
        if entry is None:
            return {**study_row(study, Annotation(study.id, ())), "stage": "import", "reason": "no entry in the files"}
        if isinstance(entry, Annotation) and study.report is not None and study.report.sections:
            placed = align(entry.tokens, study.report.sections)
            entry = replace(entry, tokens=placed)
        entry = replace(entry, study_id=study.id)
        return study_row(study, entry)


def import_radgraph(
    inputs: Sequence[Path],
    workspace: Path,
    *,
    source: Source | None = None,
    labeler: int | None = None,
    chunk_size: int = CHUNK,
    progress: Progress = silent,
    command: str | None = None,
) -> Summary:
    """Make a run of published or self-made annotations.

    Args:
        inputs: RadGraph JSON or DyGIE++ JSON Lines, gzipped or not.
        workspace: its folder; made if absent.
        source: a data set to join: every study it lists is in the run, one without an entry as an empty one.
        labeler: which annotator of a RadGraph test file.
        chunk_size: studies a chunk.
        progress: told of studies done.
        command: for the catalog.

    Raises:
        FileMissing: an input is absent.
        KgbuildError: malformed JSON; names file, key and character.
    """
    for path in inputs:
        if not path.is_file():
            raise FileMissing(f"there is no file {path}", expected="RadGraph JSON or DyGIE++ JSON Lines")
    dataset = source.open() if source else None
    listing = dataset.listing() if dataset else None
    space = Workspace.create(workspace)
    files.sweep(space.runs)
    spool = _Spool(files.part_path(space.path / "import.spool"))
    try:
        spool.fill(inputs, labeler)
        refs, rejected = source.choose(listing) if source and listing else ([], [])
        ids = [ref.id for ref in refs] if dataset else spool.ids()
        # a data set's ids carry its name, a file's keys need not: "reports:17" is joined to "17"
        known = set(spool.ids())
        bare = {study_id: study_id.removeprefix(f"{dataset.name}:") for study_id in ids} if dataset else {}
        keys = {study_id: key for study_id, key in bare.items() if study_id not in known and key in known}
        used = {keys.get(study_id, study_id) for study_id in ids}
        others = known - used
        rejected = [
            *rejected,
            *spool.repeated,
            *(spool.failures[other] for other in sorted(others & set(spool.failures))),
        ]
        digests = sorted(files.sha256(path) for path in inputs)
        name = dataset.name if dataset else NAME
        manifest = Manifest(
            kind="annotations",
            name=NAME,
            dataset=name,
            data=hashlib.sha256(json.dumps([digests, dataset.fingerprint() if dataset else None]).encode()).hexdigest(),
            code="import-1",
            options={"labeler": labeler, **(source.selection() if source else {})},
            chunk_size=chunk_size,
            n_studies=len(ids),
            counts={
                "entries of other studies": len(others),
                "studies without an entry": len(used - known),
            },
        )
        run = runs.start(space, manifest)
        job = _Import(spool, ids, rejected, dataset, name, chunk_size, keys)
        catalog = Catalog(space.path)
        try:
            row = {"id": run.id, "kind": manifest.kind, "dataset": name}
            catalog.add_run({**row, "n_studies": len(ids), "n_chunks": manifest.n_chunks}, command)
            done = runs.work(run, job, catalog, progress=progress)
            counts = runs.describe(run, catalog)
            failures = tuple(catalog.failures(run.id))
        finally:
            catalog.close()
        space.point(name, annotations=run.id)
    finally:
        spool.path.unlink(missing_ok=True)
    return Summary("import", (run.id,), {**counts, **manifest.counts}, failures, done, run.complete())
