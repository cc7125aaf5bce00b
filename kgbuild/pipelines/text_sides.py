"""The sides of ``evaluate text``: what can stand behind ``--reference``, ``--predicted`` and ``--baseline``.

A side is a run, an annotation file (RadGraph JSON, DyGIE++ lines), JSON Lines with ``study_id`` and ``output`` or
``completion``, or plain text with one report's triplets a line. Its entries are put into a temporary table on disk, so
that memory does not grow with their number and two sides can be met by study.
"""

from __future__ import annotations

import io
import json
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple

from kgbuild.domain import Annotation, Entity, Failure, Relation
from kgbuild.errors import KgbuildError, UsageError
from kgbuild.labels import EntityType, Presence, RelationType
from kgbuild.metrics.text_counting import Written
from kgbuild.notation import read_annotations
from kgbuild.notation.json_stream import UNREADABLE, open_text
from kgbuild.notation.triplets import Certainty, encode
from kgbuild.pipelines import records, runs
from kgbuild.pipelines.runs import Run
from kgbuild.pipelines.workspace import Workspace

Form = Literal["outputs", "graph"]
_TEXT_KEYS = ("output", "completion")
_START = 1 << 22  # characters of a first line that are looked at to tell what a file is
Entry = tuple[str | None, Written | Failure]
"""A study's key, or None for a line of plain text, and what is written there."""


class Reading(NamedTuple):
    """How sides become texts: which string form an annotation has, and whether a model's own words come first."""

    certainty: Certainty = "none"
    form: Form = "outputs"
    workspace: Path | None = None


def entries(what: str, reading: Reading, labeler: int | None = None) -> Iterator[Entry]:
    """Every entry of a file or run, in its own order.

    A run's quarantined study is a failure, one that was skipped is no entry: neither says that nothing was found.

    Raises:
        FileMissing, UsageError: neither a file of that name nor a run of the workspace; or a link run.
        UsageError, KgbuildError: a line that cannot be read, named.
    """
    path, workspace = Path(what), reading.workspace
    if path.is_file():
        kind = _kind(path)
        if kind == "annotations":
            for _, item in read_annotations(path, labeler=labeler):
                yield item.study_id, item if isinstance(item, Failure) else _written(item, reading)
        else:
            yield from _json_lines(path) if kind == "json lines" else _plain_lines(path)
    elif workspace is not None and (workspace / "runs" / what / "run.json").is_file():
        run = runs.find(Workspace.open(workspace), what)
        for (annotation, _), (status, failure) in zip(records.read(run), _statuses(run), strict=True):
            if status != "skipped":
                yield annotation.study_id, failure if status == "failed" else _written(annotation, reading)
    else:
        expected = "RadGraph JSON, DyGIE++ or triplet JSON Lines, a text of one report a line, or a run id"
        raise runs.unknown_side(what, workspace, expected)


def size(what: str, workspace: Path | None) -> int | None:
    """How many studies a run has; null for a file, which says so only at its end."""
    if Path(what).is_file() or workspace is None or not (workspace / "runs" / what / "run.json").is_file():
        return None
    return runs.find(Workspace.open(workspace), what).manifest.n_studies


def listed(run: Run) -> list[str]:
    """Ids of the studies that an annotation run was asked for, whatever became of them."""
    return [failure.study_id for _, failure in _statuses(run)]


def quarantined_of(what: str, workspace: Path | None) -> int:
    """How many studies of a run failed; 0 of a file."""
    if workspace is None or Path(what).is_file():
        return 0
    return sum(status == "failed" for status, _ in _statuses(runs.find(Workspace.open(workspace), what)))


def _statuses(run: Run) -> Iterator[tuple[str, Failure]]:
    """Status of every listed study in listing order, and what is said of it should it have failed."""
    for number, _ in run.chunks():
        table = run.table(number, columns=["study_id", "status", "stage", "reason", "where"])
        for row in table.to_pylist():
            if row["status"] != "rejected":
                known = row["stage"] or "extract", row["reason"] or "no reason was kept", row["where"]
                yield row["status"], Failure(row["study_id"], *known)


def _kind(path: Path) -> str:
    with open_text(path) as file:
        try:
            first = file.readline(_START)
            while first.isspace():
                first = file.readline(_START)
        except UNREADABLE:
            return "plain"  # whose reader says where
    if not first.startswith("{"):
        if first.startswith("[") and path.name.removesuffix(".gz").endswith(".json"):
            raise UsageError(f"{path} is a JSON list", expected="a JSON object, JSON Lines, or one report a line")
        return "plain"
    try:
        row = json.loads(first)
    except ValueError:
        return "annotations"
    if not isinstance(row.get("study_id"), str):
        return "annotations"
    if not any(key in row for key in _TEXT_KEYS):
        raise UsageError(f"{path} cannot be read", where="line 1", expected=f"study_id and {' or '.join(_TEXT_KEYS)}")
    return "json lines"


def has_keys(what: str) -> bool:
    """Whether a side's entries name their studies, as all do but lines of plain text."""
    return not Path(what).is_file() or _kind(Path(what)) != "plain"


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    with open_text(path) as file:
        if isinstance(file, io.TextIOWrapper):
            file.reconfigure(newline=None)
        try:
            for number, line in enumerate(file, 1):
                yield number, line.rstrip("\n")
        except UNREADABLE as error:
            raise UsageError(
                f"{path} cannot be read ({type(error).__name__})", where=f"after line {number}", expected="UTF-8 text"
            ) from None


def _plain_lines(path: Path) -> Iterator[Entry]:
    for _, line in _lines(path):
        yield None, Written(line)


def _json_lines(path: Path) -> Iterator[Entry]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            text = next((row[key] for key in _TEXT_KEYS if key in row), None)
            key = row["study_id"]
        except (ValueError, KeyError, TypeError):
            row = text = key = None
        if not isinstance(text, str) or not isinstance(key, str):
            raise UsageError(
                f"{path} cannot be read",
                where=f"line {number}",
                expected="a JSON object with the strings study_id and output (or completion)",
            )
        yield key, Written(text)


def _written(annotation: Annotation, reading: Reading) -> Written:
    own = annotation.output if reading.form == "outputs" else None
    text = encode(annotation, reading.certainty) if own is None else own
    return Written(text, annotation.text if annotation.tokens else None, annotation, encoded=own is None)


class Sides:
    """Entries of up to three sides, on disk. Report text lies in them: the file has no name and is gone when closed."""

    def __init__(self) -> None:
        self._base = sqlite3.connect("")  # a temporary file that SQLite keeps to itself
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -65536"):
            self._base.execute(f"PRAGMA {pragma}")
        self._base.execute("CREATE TABLE entries (side INT, key BLOB, place INT, value BLOB)")
        self._base.execute("CREATE UNIQUE INDEX entry ON entries (side, key)")

    def __enter__(self) -> Sides:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    def fill(self, side: int, items: Iterator[Entry], name: str) -> tuple[int, list[Failure]]:
        """Store a side; returns how many entries it has, and what could not be read.

        Raises:
            KgbuildError: a key comes twice, or nothing can be read.
        """
        failures: list[Failure] = []
        place = 0

        def values() -> Iterator[tuple[int, bytes, int, bytes]]:
            nonlocal place
            for place, (key, item) in enumerate(items, 1):
                if isinstance(item, Failure):
                    failures.append(item)
                else:
                    yield side, _key(f"{place:012d}" if key is None else key), place, _pack(item)

        try:
            self._base.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", values())
        except sqlite3.IntegrityError:
            raise KgbuildError(f"{name} holds a study twice", where=f"entry {place}") from None
        if failures and len(failures) == place:
            raise KgbuildError(f"no entry of {name} can be read: {failures[0].reason}", where=failures[0].where)
        return place, failures

    def rename(self, side: int, like: int) -> None:
        """Give the lines of a side without keys the keys of another side, place by place."""
        with closing(self._base.cursor()) as cursor:
            cursor.execute("CREATE TEMP TABLE keys AS SELECT place, key FROM entries WHERE side = ?", (like,))
            cursor.execute("CREATE UNIQUE INDEX place ON keys (place)")
            cursor.execute(
                "UPDATE entries SET key = (SELECT keys.key FROM keys WHERE keys.place = entries.place) WHERE side = ?",
                (side,),
            )
            cursor.execute("DROP TABLE keys")

    def keep(self, studies: Sequence[str], name: str) -> None:
        """Leave only these studies in side 0, and of the other studies none anywhere.

        Raises:
            UsageError: side 0 has none of them.
        """
        self._base.execute("CREATE TEMP TABLE chosen (key BLOB PRIMARY KEY)")
        self._base.executemany("INSERT OR IGNORE INTO chosen VALUES (?)", ((_key(study),) for study in studies))
        self._base.execute("DELETE FROM entries WHERE key NOT IN (SELECT key FROM chosen)")
        if not self.count(0):
            raise UsageError(
                f"none of the {len(studies)} ids of --studies is in {name}", expected="study ids, as s50414267"
            )

    def count(self, side: int, *, outside: int | None = None) -> int:
        """Readable entries of a side; with ``outside``, those whose keys another side lacks."""
        lacking = "" if outside is None else f" AND key NOT IN (SELECT key FROM entries WHERE side = {outside:d})"
        found = self._base.execute(f"SELECT count(*) FROM entries WHERE side = ?{lacking}", (side,)).fetchone()
        return int(found[0])

    def rows(self) -> Iterator[tuple[Written, Written | None, Written | None]]:
        """Side 0's entries by key, each with those of sides 1 and 2."""
        query = "SELECT key, value, {}, {} FROM entries AS a WHERE side = 0 ORDER BY key".format(
            *(f"(SELECT value FROM entries AS b WHERE b.side = {n} AND b.key = a.key)" for n in (1, 2))
        )
        for _, reference, *others in self._base.execute(query):
            predicted, baseline = (None if value is None else _unpack(value) for value in others)
            yield _unpack(reference), predicted, baseline


def _key(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _pack(side: Written) -> bytes:
    graph = side.annotation and (
        [(e.start, e.end, e.text, e.type.value, e.presence.value, e.is_measurement) for e in side.annotation.entities],
        [(r.source, r.target, r.type.value) for r in side.annotation.relations],
    )
    return zlib.compress(json.dumps((side.text, side.report, graph, side.encoded)).encode(), 1)


def _unpack(value: bytes) -> Written:
    text, report, graph, encoded = json.loads(zlib.decompress(value))
    if graph is None:
        return Written(text, report, None, encoded)
    entities = (Entity(a, b, words, _TYPE[kind], _PRESENCE[p], m) for a, b, words, kind, p, m in graph[0])
    relations = (Relation(a, b, _RELATION[kind]) for a, b, kind in graph[1])
    return Written(text, report, Annotation("", (), tuple(entities), tuple(relations)), encoded)


_TYPE = {member.value: member for member in EntityType}
_PRESENCE = {member.value: member for member in Presence}
_RELATION = {member.value: member for member in RelationType}
