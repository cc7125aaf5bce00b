"""One study, word by word: its tokens, entities, relations and links, each with the rule or score behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kgbuild.errors import UsageError
from kgbuild.pipelines import records, runs
from kgbuild.pipelines.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Explanation:
    """Rows as dicts, ready to print: the column names are the keys.

    ``written`` is a language model's ``output``, what of it was ``rejected``, and ``notes``; empty for others.
    """

    study: str
    run: str
    status: str
    reason: str | None
    tokens: list[dict[str, Any]]
    entities: list[dict[str, Any]]
    relations: list[dict[str, Any]]
    links: list[dict[str, Any]]
    written: dict[str, Any] = field(default_factory=dict)


def explain(workspace: Path, study_id: str, run_id: str | None = None) -> Explanation:
    """Look a study up in a run, or in the newest run of each data set, with its links if it was linked.

    Raises:
        UsageError: no such run, or no run has the study.
        FileMissing: nothing generated yet.
    """
    space = Workspace.open(workspace)
    candidates = [run_id] if run_id else [newest for _, newest in space.newest()]
    for candidate in candidates:
        run = runs.find_annotations(space, candidate)
        for number, _ in run.chunks():
            rows = run.table(number, filters=[("study_id", "=", study_id)]).to_pylist()
            found = next((row for row in rows if row["status"] != "rejected"), None)
            if found is not None:
                link_run = space.pointers(run.manifest.dataset)["links"].get(run.id)
                links = _links(runs.find(space, link_run), number, study_id) if link_run else []
                return _explain(found, run.id, links)
    raise _unknown(space, study_id, [runs.find(space, candidate) for candidate in candidates])


def _unknown(space: Workspace, study_id: str, looked: list[runs.Run]) -> UsageError:
    """Of an id that no run has: the id that was meant, where a data set's prefix or its case makes it one."""
    told = f"no study {study_id!r} in {', '.join(run.id for run in looked)}"
    meant = {form.lower() for run in looked for form in (study_id, f"{run.manifest.dataset}:{study_id}")}
    bad: str | None = None
    for run in looked:
        for number, _ in run.chunks():
            for row in run.table(number, columns=["study_id", "status"]).to_pylist():
                if str(row["study_id"]).lower() not in meant:
                    continue
                if row["status"] == "rejected":  # another row of the same id may be good
                    bad = f"study {row['study_id']!r} of {run.id} was quarantined: it could not be read"
                    continue
                step = f"kgbuild explain {row['study_id']} -w {space.path}"
                return UsageError(told, expected=f"did you mean {row['study_id']}?", next_step=step)
    if bad:
        return UsageError(bad, next_step=f"kgbuild status --failures -w {space.path} says why")
    return UsageError(told, expected="an id as in the graph: CXR1, s50414267, reports:A001, …")


def _links(run: runs.Run, number: int, study_id: str) -> list[dict[str, Any]]:
    run.require()
    rows = run.table(number, filters=[("study_id", "=", study_id)]).to_pylist()
    return [
        {
            "mention": f"{row['start']}-{row['end']}",
            "concept": row["concept_id"],
            "name": row["name"],
            "method": row["method"],
            "score": row["score"],
            "covers": [mention.rpartition(":")[2] for mention in row["covers"]],
        }
        for row in rows
    ]


def _explain(row: dict[str, Any], run_id: str, links: list[dict[str, Any]]) -> Explanation:
    parsed = records.to_annotation(row)
    tokens = [
        {"token": i, "text": t.text, "section": t.section, "char_start": t.char_start, "char_end": t.char_end}
        for i, t in enumerate(parsed.tokens)
    ]
    entities = [
        {
            "span": f"{e.start}-{e.end}",
            "text": e.text,
            "type": e.type.value,
            "presence": e.presence.value,
            "measurement": e.is_measurement,
            "section": parsed.tokens[e.start].section,
            "rule": e.rule,
            "score": e.score,
        }
        for e in parsed.entities
    ]
    relations = [
        {
            "source": f"{entities[r.source]['span']} {entities[r.source]['text']}",
            "relation": r.type.value,
            "target": f"{entities[r.target]['span']} {entities[r.target]['text']}",
            "rule": r.rule,
            "score": r.score,
        }
        for r in parsed.relations
    ]
    told = {"output": parsed.output, "rejected": list(parsed.rejected), "notes": list(parsed.notes)}
    written = told if parsed.output is not None else {}
    return Explanation(
        row["study_id"], run_id, row["status"], row["reason"], tokens, entities, relations, links, written
    )
