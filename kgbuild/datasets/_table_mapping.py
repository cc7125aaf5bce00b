"""Which column of a user's table is what: read from YAML or ``key=column`` pairs, written as YAML, checked on a header.

::

    study: accession            # the study's own id; "#" numbers the rows
    patient: mrn
    date: exam_date             # date_format: "%d/%m/%Y" where 03/04/2020 could be either
    split: fold
    text: report_text           # the whole report, cut into sections by its headers; or, column by column:
    sections: {findings: befund, impression: beurteilung}
    images: [image_1, image_2]  # paths under the root (or --images); one cell may hold several, joined by | or ;

A YAML is the whole mapping: nothing is guessed beside it. Pairs change single entries, of the YAML or of the guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kgbuild.errors import ColumnMissing, UsageError

FIELDS = ("study", "patient", "date", "split", "view", "text")
SETTINGS = ("date_format", "encoding", "delimiter")
SECTIONS = (
    "findings",
    "impression",
    "indication",
    "history",
    "comparison",
    "technique",
    "examination",
    "recommendations",
    "addendum",
)
ROW_NUMBER = "#"
_PREFIX = "sections."


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """The columns of a table.

    Attributes:
        fields: column by ``study``, ``patient``, ``date``, ``split``, ``view``, ``text``; absent ones are not there.
        sections: column by section name, in the order that a study carries them.
        images: columns of image paths.
        settings: ``date_format``, ``encoding``, ``delimiter``.
        guessed: the entries that no user gave (section names and ``images`` among them).
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    sections: Mapping[str, str] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    guessed: frozenset[str] = frozenset()

    def columns(self) -> tuple[str, ...]:
        """Every mapped column once, the row number aside."""
        named = (*self.fields.values(), *self.sections.values(), *self.images)
        return tuple(dict.fromkeys(column for column in named if column != ROW_NUMBER))

    def entries(self) -> list[tuple[str, str]]:
        """(entry, column) pairs in a fixed order; ``images`` once a column."""
        found = [(name, self.fields[name]) for name in FIELDS if name in self.fields]
        return [*found, *self.sections.items(), *(("images", column) for column in self.images)]

    def to_yaml(self) -> str:
        """The mapping as YAML on one line: save it as a file, and it says the same."""
        import yaml

        value: dict[str, Any] = {name: self.fields[name] for name in FIELDS if name in self.fields}
        if self.sections:
            value["sections"] = dict(self.sections)
        if self.images:
            value["images"] = list(self.images)
        value |= self.settings
        dumped: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True)
        return dumped.strip()


@dataclass(frozen=True, slots=True)
class Given:
    """What a user said: a mapping, the entries taken away (``images=``), and whether it is all there is to say."""

    map: ColumnMap = ColumnMap()
    removed: frozenset[str] = frozenset()
    complete: bool = False

    def over(self, guess: ColumnMap) -> ColumnMap:
        """The mapping to use: what was given, on top of the guess unless it is complete."""
        if self.complete:
            return self.map
        gone = set(self.removed)
        if "text" in self.map.fields:
            gone |= set(guess.sections)
        if self.map.sections:
            gone.add("text")
        fields = {name: column for name, column in guess.fields.items() if name not in gone}
        sections = {name: column for name, column in guess.sections.items() if name not in gone}
        images = () if "images" in gone else guess.images
        given = {*self.map.fields, *self.map.sections, *(("images",) if self.map.images else ())}
        guessed = frozenset({*fields, *sections, *(("images",) if images else ())}) - given
        return ColumnMap(
            fields=fields | dict(self.map.fields),
            sections=sections | dict(self.map.sections),
            images=self.map.images or images,
            settings=self.map.settings,
            guessed=guessed,
        )


def read_given(yaml_text: str | None, pairs: str | None) -> Given:
    """Read both ways of saying it.

    Args:
        yaml_text: content of a mapping file.
        pairs: ``key=column``, one a line.

    Raises:
        UsageError: no YAML, an entry that does not exist, a value that is no column name.
    """
    given = _from_yaml(yaml_text) if yaml_text is not None else Given()
    for line in (pairs or "").splitlines():
        key, equals, column = (part.strip() for part in line.partition("="))
        if not equals or not key:
            raise UsageError(f"--map {line!r} cannot be read", expected="--map study=COLUMN")
        given = _with_pair(given, key, column)
    return given


def _from_yaml(text: str) -> Given:
    import yaml

    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else None
        raise UsageError("the mapping is not valid YAML", where=where, expected=_example()) from None
    if not isinstance(loaded, dict):
        raise UsageError("the mapping is not a list of entries", expected=_example())
    given = Given(complete=True)
    for key, value in loaded.items():
        if key == "sections":
            if not isinstance(value, dict):
                raise UsageError("sections of the mapping cannot be read", expected="sections: {findings: COLUMN}")
            for name, column in value.items():
                given = _with_pair(given, f"{_PREFIX}{name}", _column(key, column))
        elif key == "images" and isinstance(value, list):
            images = tuple(_column(key, column) for column in value)
            given = replace(given, map=replace(given.map, images=images))
        elif value is not None:
            given = _with_pair(given, str(key), _column(key, value))
    return given


def _column(key: object, value: object) -> str:
    if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value):
        return str(value)
    raise UsageError(f"{key} of the mapping is no column name", expected=f"{key}: COLUMN")


def _with_pair(given: Given, key: str, column: str) -> Given:
    """One entry more; one with an empty column takes the entry away."""
    section = key.removeprefix(_PREFIX).lower() if key.startswith(_PREFIX) or key in SECTIONS else None
    known = section or key in FIELDS or key in SETTINGS or key == "images"
    if not known:
        raise UsageError(f"unknown entry {key!r} of the mapping", expected=_expected())
    now = given.map
    if not column:
        name = section or key
        kept = {k: v for k, v in now.fields.items() if k != name}
        parts = {k: v for k, v in now.sections.items() if k != name}
        images = () if name == "images" else now.images
        left = replace(now, fields=kept, sections=parts, images=images)
        return replace(given, map=left, removed=given.removed | {name})
    if section:
        new = replace(now, sections={**now.sections, section: column})
    elif key == "images":
        new = replace(now, images=tuple(name.strip() for name in column.split(",") if name.strip()))
    elif key in SETTINGS:
        new = replace(now, settings={**now.settings, key: column})
    else:
        new = replace(now, fields={**now.fields, key: column})
    return replace(given, map=new)


def _expected() -> str:
    return f"{', '.join((*FIELDS, 'images', *SETTINGS))}, a section ({', '.join(SECTIONS)}), or sections.NAME"


def _example() -> str:
    return "lines such as study: COLUMN and text: COLUMN"


def check_columns(found: ColumnMap, columns: Sequence[str], name: str, names: Mapping[str, Iterable[str]]) -> None:
    """Refuse a mapping that the table cannot serve.

    Args:
        found: the mapping.
        columns: the table's header.
        name: the file, for the message.
        names: the column names that each entry is guessed by.

    Raises:
        ColumnMissing: a mapped column is absent, or there is no id, or no text.
    """
    header = shown_header(columns)
    absent = [f"{column} ({entry})" for entry, column in found.entries() if column not in (*columns, ROW_NUMBER)]
    if absent:
        raise ColumnMissing(
            f"{name} has no column {', '.join(absent)}",
            where=name,
            expected=f"its own columns: {header}",
            next_step="name the columns with --map entry=COLUMN, or correct the --mapping file",
        )
    for entry, there in (("study", "study" in found.fields), ("text", "text" in found.fields or found.sections)):
        if not there:
            what = "the study id" if entry == "study" else "the report"
            also = "; or section columns such as findings, impression" if entry == "text" else ""
            raise ColumnMissing(
                f"{name}: no column is known to hold {what}: its columns are {header}",
                where=name,
                expected=f"one of {', '.join(names[entry])}{also}",
                next_step=f"say which it is: --map {entry}=COLUMN (or a --mapping file)",
            )


def shown_header(columns: Sequence[str]) -> str:
    """The header for a message, unless it is none: a file without one begins with a report, which must not be shown."""
    if all(len(column) <= 40 and column.count(" ") <= 3 and not column[:1].isdigit() for column in columns):
        return ", ".join(columns) or "none"
    return f"not names ({len(columns)} fields, at least one too long or a number): is the header line there?"
