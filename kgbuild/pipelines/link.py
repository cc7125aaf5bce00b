"""Mentions → concepts: link chunks that stand beside the annotation chunks they were made from.

A head's longer readings are tried first ("left pleural effusion", "pleural effusion", "effusion"): what the report
spreads over several entities is one concept. The head carries the phrase's link, and ``covers`` names the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from kgbuild import plugins
from kgbuild.domain import Mention, mention_id
from kgbuild.errors import FileMissing
from kgbuild.labels import EntityType
from kgbuild.linkers.base import Linker
from kgbuild.pipelines import runs
from kgbuild.pipelines.catalog import Catalog
from kgbuild.pipelines.runs import Manifest, Progress, Run, silent
from kgbuild.pipelines.workspace import Workspace
from kgbuild.tables import LINKS

_TYPE = {member.value: member for member in EntityType}


@dataclass(frozen=True, slots=True)
class LinkMentions:
    """The link stage's Job: an annotation run and a linker."""

    annotations: Run
    linker: str = "lexical"
    concepts: Path | None = None

    def manifest(self) -> Manifest:
        """The run that this job makes; its data is the annotation run."""
        m = self.annotations.manifest
        tool = _linker(self.linker, self.concepts)
        return Manifest(
            kind="links",
            name=tool.name,
            dataset=m.dataset,
            data=self.annotations.id,
            code=tool.fingerprint() + _own_code(),
            options={},
            chunk_size=m.chunk_size,
            n_studies=m.n_studies,
        )

    def table(self, number: int) -> pa.Table:
        """Links of one chunk's mentions, in study and token order."""
        linker = _linker(self.linker, self.concepts)
        table = self.annotations.table(number, columns=["study_id", "status", "tokens", "entities", "relations"])
        rows: list[dict[str, Any]] = []
        for row in table.to_pylist():
            if row["status"] == "annotated":
                rows += _links(linker, row)
        return pa.Table.from_pylist(rows, schema=LINKS)


def check_linker(name: str, concepts: Path | None) -> None:
    """See that a linker can be had, before anything is worked for it.

    Raises:
        UsageError: there is none of that name.
        FileMissing: the concept base is absent.
    """
    plugins.find("linkers", name)
    if concepts is not None and not concepts.is_dir():
        raise FileMissing(f"{concepts} is absent", where="--concepts", expected="a folder with a concept base")


@lru_cache(maxsize=2)
def _linker(name: str, concepts: Path | None) -> Linker:
    """Open the linker once a process."""
    check_linker(name, concepts)
    linker: Linker = plugins.find("linkers", name)(concepts)
    return linker


def _own_code() -> str:
    """The composition of phrases decides links as much as the linker does."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]


def run_link(
    workspace: Workspace,
    job: LinkMentions,
    *,
    workers: int = 1,
    progress: Progress = silent,
    command: str | None = None,
) -> tuple[Run, dict[str, int], int]:
    """Link every mention of a complete annotation run; returns the link run, its counts, and chunks done now."""
    job.annotations.require()
    manifest = job.manifest()
    run = runs.start(workspace, manifest)
    catalog = Catalog(workspace.path)
    try:
        row = {"id": run.id, "kind": "links", "dataset": manifest.dataset}
        catalog.add_run({**row, "n_studies": manifest.n_studies, "n_chunks": manifest.n_chunks}, command)
        done = runs.work(run, job, catalog, workers=workers, progress=progress)
        totals = runs.describe(run, catalog)
    finally:
        catalog.close()
    workspace.point(manifest.dataset, links=(job.annotations.id, run.id))
    return run, totals, done


def _links(linker: Linker, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    study = row["study_id"]
    entities = row["entities"]
    keys = {mention_id(study, e["start"], e["end"]): e for e in entities}
    for found in linker.link(mentions(study, row["tokens"], entities, row["relations"])):
        entity = keys[found.mention_id]
        concept = linker.concept(found.concept_id)
        yield {
            "study_id": study,
            "start": entity["start"],
            "end": entity["end"],
            "type": entity["type"],
            "concept_id": concept.id,
            "score": found.score,
            "method": found.method,
            "covers": list(found.covers),
            "name": concept.name,
            "kind": concept.kind,
            "source": concept.source,
            "semantic_types": list(concept.semantic_types),
        }


def mentions(
    study: str, tokens: list[str], entities: list[dict[str, Any]], relations: list[dict[str, Any]]
) -> Iterator[Mention]:
    """The entities of one study as a linker sees them, with the phrases their relations make, longest first."""
    parts: dict[int, set[int]] = {}
    sites: dict[int, list[int]] = {}
    for relation in relations:
        if relation["type"] == "modify":
            parts.setdefault(relation["target"], set()).add(relation["source"])
        elif relation["type"] == "located_at":
            sites.setdefault(relation["source"], []).append(relation["target"])
    key = [mention_id(study, e["start"], e["end"]) for e in entities]
    for i, entity in enumerate(entities):
        near = set(parts.get(i, ()))
        for site in sites.get(i, ()):
            near |= {site} | parts.get(site, set())
        near.discard(i)
        phrases: list[tuple[str, tuple[str, ...]]] = []
        if near:
            readings = _readings(entities, i, near)
            phrases += [(" ".join(tokens[a:b]), tuple(key[c] for c in others)) for a, b, others in readings]
            phrases += [(f"{entities[site]['text']} {entity['text']}", (key[site],)) for site in sites.get(i, ())]
        yield Mention(key[i], entity["text"], _TYPE[entity["type"]], tuple(phrases))


def _readings(entities: list[dict[str, Any]], i: int, near: set[int]) -> list[tuple[int, int, list[int]]]:
    """Neighbouring entities around entity ``i`` that all belong to it: (start, end, the others), longest first."""
    left, right = i, i
    while left - 1 in near and entities[left - 1]["end"] == entities[left]["start"]:
        left -= 1
    while right + 1 in near and entities[right + 1]["start"] == entities[right]["end"]:
        right += 1
    spans = [(a, b) for a in range(left, i + 1) for b in range(i, right + 1) if (a, b) != (i, i)]
    spans.sort(key=lambda span: (span[0] - span[1], span[0]))
    return [(entities[a]["start"], entities[b]["end"], [c for c in range(a, b + 1) if c != i]) for a, b in spans]


def newest_links(workspace: Workspace, annotations: Run) -> Run:
    """The newest link run of an annotation run.

    Raises:
        FileMissing: it was never linked.
    """
    run_id = workspace.pointers(annotations.manifest.dataset)["links"].get(annotations.id)
    if run_id is None:
        raise FileMissing(
            f"run {annotations.id} has no links", next_step=f"kgbuild link --run {annotations.id} -w {workspace.path}"
        )
    return runs.find(workspace, run_id)
