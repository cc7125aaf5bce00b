"""Splits for training that share neither a patient nor a report's text.

Half of R2Gen's IU test findings stand word for word in its training split, so a data set's own split is not enough.
Studies that share a patient or a text are one group. A study keeps its own split, unless it is for training and its
group also holds one for evaluation: then it is left out, so that published test sets stay as they are. Studies
without a split of their own are for training beside others that are, and else get a split by a hash of their group:
80 % train, 10 % validate, 10 % test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from kgbuild.domain import Annotation
from kgbuild.pipelines import records
from kgbuild.pipelines.runs import Run

TRAIN = "train"


@dataclass
class Disjoint:
    """Which split each study of a run goes to; null for those left out, and why, counted."""

    split: dict[str, str | None] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


class _Groups:
    """Union-find over studies, patients and texts."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def find(self, key: str) -> str:
        root = key
        while self._parent.setdefault(root, root) != root:
            root = self._parent[root]
        while self._parent[key] != root:
            self._parent[key], key = root, self._parent[key]
        return root

    def join(self, first: str, second: str) -> None:
        a, b = sorted((self.find(first), self.find(second)))
        self._parent[b] = a  # the smaller name stays the root, so that the order of studies does not matter


class Listed(NamedTuple):
    """What a split hangs on: a study, its own split, its patient (or null) and its text as ``text_key`` gives it."""

    study_id: str
    split: str | None
    patient_id: str | None
    text: str


def text_key(text: str) -> str:
    """Equal for equal texts, whatever their case."""
    return hashlib.sha256(text.lower().encode("utf-8", "replace")).hexdigest()


def disjoint(run: Run) -> Disjoint:
    """Assign every study with a text. Holds ids and hashes of a run in memory, no text."""
    empty: list[str] = []
    result = assign(_listed(run, empty))
    result.split.update(dict.fromkeys(empty))
    result.counts = {"left out: no text": len(empty), **result.counts}
    return result


def assign(studies: Iterable[Listed]) -> Disjoint:
    """Assign studies that have a text."""
    groups = _Groups()
    own: dict[str, str | None] = {}
    result = Disjoint(counts={"left out: shares text or patient with another split": 0})
    for study, split, patient, text in studies:
        own[study] = split
        groups.join(f"study {study}", f"text {text}")
        if patient:
            groups.join(f"study {study}", f"patient {patient}")
    given: dict[str, set[str]] = {}
    for study, split in own.items():
        if split is not None:
            given.setdefault(groups.find(f"study {study}"), set()).add(split)
    for study, split in own.items():
        group = groups.find(f"study {study}")
        theirs = given.get(group, set())
        held = theirs - {split, TRAIN}
        if split in (None, TRAIN) and held:
            result.split[study] = None
            result.counts["left out: shares text or patient with another split"] += 1
        else:
            result.split[study] = split or (TRAIN if theirs else _by_hash(group))
    return result


def _listed(run: Run, empty: list[str]) -> Iterator[Listed]:
    for number, _ in run.chunks():
        columns = ["study_id", "status", "patient_id", "split", "tokens"]
        for row in run.table(number, columns=columns).to_pylist():
            if row["status"] == "rejected":
                continue
            if row["tokens"]:
                yield Listed(row["study_id"], row["split"], row["patient_id"], text_key(" ".join(row["tokens"])))
            else:
                empty.append(row["study_id"])


def _by_hash(group: str) -> str:
    tenth = int(hashlib.sha256(group.encode()).hexdigest(), 16) % 10
    return {8: "validate", 9: "test"}.get(tenth, TRAIN)


def training_pairs(run: Run, assigned: Disjoint) -> Iterator[tuple[Annotation, str | None]]:
    """The run's annotations with their new splits; those left out are not given."""
    for annotation, _ in records.read(run):
        split = assigned.split[annotation.study_id]
        if split is not None:
            yield annotation, split
