"""Studies → annotation chunks. One row a study, whether annotated, empty or failed; nothing is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa

from kgbuild import plugins
from kgbuild.datasets.base import Dataset
from kgbuild.domain import Annotation, Failure, Study, StudyRef
from kgbuild.errors import KgbuildError, StudyError, UsageError
from kgbuild.extractors.base import Extractor
from kgbuild.pipelines import runs
from kgbuild.pipelines.catalog import Catalog
from kgbuild.pipelines.runs import Manifest, Progress, Run, silent
from kgbuild.pipelines.source import Source
from kgbuild.pipelines.workspace import Workspace
from kgbuild.tables import ANNOTATIONS
from kgbuild.text import DEFAULT_SECTIONS

CHUNK = 512
SKIP = "skip"  # the stage of a Failure that is none: left out as asked


@dataclass(frozen=True, slots=True)
class Annotate:
    """The generate stage's Job: what to read and what to extract with."""

    source: Source
    extractor: str = "rules"
    sections: tuple[str, ...] = DEFAULT_SECTIONS
    chunk_size: int | None = None  # null: the extractor's own, else CHUNK
    options: tuple[tuple[str, str], ...] = ()  # the extractor's

    def manifest(self) -> Manifest:
        """The run that this job makes."""
        tools = _tools(self)
        return Manifest(
            kind="annotations",
            name=tools.extractor.name,
            dataset=tools.dataset.name,
            data=tools.dataset.fingerprint(),
            code=tools.extractor.fingerprint(),
            options={"sections": list(self.sections), **self.source.selection()},
            chunk_size=self._size(tools),
            n_studies=len(tools.refs),
            counts=tools.counts,
        )

    def table(self, number: int) -> pa.Table:
        """Read and annotate one chunk's studies. Rows that give no study stand in the first chunk."""
        tools = _tools(self)
        size = self._size(tools)
        refs = tools.refs[number * size : (number + 1) * size]
        rows = [_rejected(failure, self.source.dataset) for failure in tools.rejected] if number == 0 else []
        rows += _rows(tools, refs)
        return pa.Table.from_pylist(rows, schema=ANNOTATIONS)

    def _size(self, tools: _Tools) -> int:
        return self.chunk_size if self.chunk_size is not None else int(getattr(tools.extractor, "chunk", CHUNK))

    @property
    def hints(self) -> tuple[str, ...]:
        """What the extractor has to say of the run so far."""
        return tuple(getattr(_tools(self).extractor, "hints", ()))


@dataclass(frozen=True, slots=True)
class _Tools:
    dataset: Dataset
    extractor: Extractor
    refs: list[StudyRef]
    rejected: list[Failure]
    counts: dict[str, int]


@lru_cache(maxsize=2)
def _tools(job: Annotate) -> _Tools:
    """Open data set and extractor once a process."""
    extractor: Extractor = plugins.find("extractors", job.extractor)(job.sections, **dict(job.options))
    dataset = job.source.open()  # after the extractor, whose options are judged before anything is read
    listing = dataset.listing()
    refs, rejected = job.source.choose(listing)
    if hasattr(extractor, "use_images"):
        extractor.use_images(job.source.find_image)
    return _Tools(dataset, extractor, refs, rejected, dict(listing.counts))


def run_annotate(
    workspace: Workspace,
    job: Annotate,
    *,
    shard: tuple[int, int] = (0, 1),
    workers: int = 1,
    progress: Progress = silent,
    command: str | None = None,
) -> tuple[Run, dict[str, int], int]:
    """Annotate the studies of ``job`` that are not annotated yet, and make the run its data set's newest.

    Returns:
        The run, its counts so far (all shards that have finished), and how many chunks were done now.
    """
    manifest = job.manifest()
    run = runs.start(workspace, manifest)
    extractor = _tools(job).extractor
    workers = min(workers, getattr(extractor, "workers", workers))
    within = _Within(progress)
    if workers == 1:  # in this process
        if hasattr(extractor, "use_cache"):
            extractor.use_cache(workspace.path / "cache")
        if hasattr(extractor, "watch"):
            extractor.watch(within.part)
    catalog = Catalog(workspace.path)
    try:
        _note(catalog, run, command, str(job.source.root) if job.source.root else None)
        done = runs.work(run, job, catalog, shard=shard, workers=workers, progress=within)
        totals = runs.describe(run, catalog)
    finally:
        catalog.close()
    if run.complete():
        workspace.point(manifest.dataset, annotations=run.id)
    return run, totals, done


class _Within:
    """A Progress that moves within a chunk too, for extractors that tell how far they are."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._last = progress, ("", 0, 0)

    def __call__(self, stage: str, done: int, total: int) -> None:
        self._last = (stage, done, total)
        self._progress(stage, done, total)

    def part(self, done: int, of: int) -> None:
        """So many of the studies given to the extractor are done."""
        stage, before, total = self._last
        if stage:
            self._progress(stage, min(before + done, total), total)


def _note(catalog: Catalog, run: Run, command: str | None, root: str | None) -> None:
    m = run.manifest
    row = {"id": run.id, "kind": m.kind, "dataset": m.dataset, "n_studies": m.n_studies, "n_chunks": m.n_chunks}
    catalog.add_run(row, command, root)


def parse_sections(text: str) -> tuple[str, ...]:
    """``findings,impression`` → names, lower case, in that order.

    Raises:
        UsageError: no name is left.
    """
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    if not names:
        raise UsageError("--sections names no section", expected="names joined by commas, as findings,impression")
    return names


def _rows(tools: _Tools, refs: Sequence[StudyRef]) -> list[dict[str, Any]]:
    """One row a listed study, in listing order."""
    by_id: dict[str, dict[str, Any]] = {}
    good: list[Study] = []
    for item in tools.dataset.studies([ref.id for ref in refs]):
        if isinstance(item, Failure):
            by_id[item.study_id] = failed_row(item, tools.dataset.name)
        else:
            good.append(item)
    for study, result in zip(good, _extract(tools.extractor, good), strict=True):
        by_id[study.id] = study_row(study, result)
    for ref in refs:
        if ref.id not in by_id:
            lost = Failure(ref.id, "read", "listed, but the data set gave nothing for it")
            by_id[ref.id] = failed_row(lost, tools.dataset.name)
        row = by_id[ref.id]
        row["split"] = row.get("split") or ref.split
        row["patient_id"] = row.get("patient_id") or ref.patient_id
    return [by_id[ref.id] for ref in refs]


def _extract(extractor: Extractor, studies: Sequence[Study]) -> Iterator[Annotation | Failure]:
    """Results in order; where a study breaks the extractor, it alone is quarantined and the rest go on."""
    position = 0
    while position < len(studies):
        try:
            for result in extractor.extract(studies[position:]):
                yield result
                position += 1
        except StudyError as error:
            yield Failure(studies[position].id, "extract", error.reason)
            position += 1
        except KgbuildError:  # a package or a checkpoint that is no good is no study's fault
            raise
        except Exception as error:  # one study must not stop the others; it is counted and named
            yield Failure(studies[position].id, "extract", f"{type(error).__name__} in the extractor")
            position += 1


def _rejected(failure: Failure, dataset: str) -> dict[str, Any]:
    return {**failed_row(failure, dataset), "status": "rejected"}


def failed_row(failure: Failure, dataset: str) -> dict[str, Any]:
    """A chunk row of a study that could not be used, with what is known of it beside its text."""
    why = {"stage": failure.stage, "reason": failure.reason, "where": failure.where}
    known = _listed(failure.study) if failure.study is not None else {"study_id": failure.study_id, "dataset": dataset}
    return {**known, "status": "failed", **why}


def _listed(study: Study) -> dict[str, Any]:
    return {
        "study_id": study.id,
        "dataset": study.dataset,
        "patient_id": study.patient_id,
        "split": study.split,
        "date": study.date,
        "time": study.time,
        "path": study.report.path if study.report else None,
        "sections": [section.name for section in study.report.sections] if study.report else [],
        "images": [
            {"id": i.id, "view": i.view, "path": i.path, "rows": i.rows, "columns": i.columns} for i in study.images
        ],
    }


def study_row(study: Study, result: Annotation | Failure) -> dict[str, Any]:
    """A chunk row of a study and its annotation; unknown places of imported tokens are null."""
    row = _listed(study)
    if isinstance(result, Failure):
        return {
            **row,
            "status": "skipped" if result.stage == SKIP else "failed",
            "stage": result.stage,
            "reason": result.reason,
            "where": result.where,
        }
    tokens = result.tokens
    row["status"] = "annotated" if tokens else "empty"
    row["output"], row["rejected"], row["notes"] = result.output, list(result.rejected), list(result.notes)
    row["tokens"] = [token.text for token in tokens]
    row["token_sections"] = [token.section or None for token in tokens]
    row["token_starts"] = [_place(token.char_start) for token in tokens]
    row["token_ends"] = [_place(token.char_end) for token in tokens]
    row["entities"] = [
        {
            "start": e.start,
            "end": e.end,
            "text": e.text,
            "type": e.type.value,
            "presence": e.presence.value,
            "is_measurement": e.is_measurement,
            "section": tokens[e.start].section or None,
            "char_start": _place(tokens[e.start].char_start),
            "char_end": _place(tokens[e.end - 1].char_end),
            "rule": e.rule,
            "score": e.score,
        }
        for e in result.entities
    ]
    row["relations"] = [
        {"source": r.source, "target": r.target, "type": r.type.value, "rule": r.rule, "score": r.score}
        for r in result.relations
    ]
    return row


def _place(offset: int) -> int | None:
    return offset if offset >= 0 else None
