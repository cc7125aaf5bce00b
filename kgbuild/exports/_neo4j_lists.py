"""Lists in CSV for ``neo4j-admin``: which delimiter, and how an empty list gets there although CSV cannot say it.

The importer drops a property whose list is empty, quoted or not, and reads a lone delimiter as two empty strings
(tried on 5.26.20). So an empty list is left out, and ``after-import.cypher`` sets it on every row that lacks the
property. Where a column has both empty lists and nulls, or a list of one empty string, that would not tell them
apart: there a mark is imported in its place, which the same file turns into what it stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from kgbuild import parquet
from kgbuild.errors import KgbuildError

_STRINGS = pa.list_(pa.string())
# information separators first, then code points for private use
_CANDIDATES = [chr(code) for code in (0x1F, 0x1E, 0x1D, 0x1C, *range(0xE000, 0xE100))]
_FILL_ROWS = 20_000


@dataclass(slots=True)
class _Column:
    nulls: int = 0
    empty: int = 0
    lone: int = 0  # lists of one empty string

    @property
    def marked(self) -> bool:
        return bool(self.lone or (self.empty and self.nulls))


@dataclass(slots=True)
class Lists:
    """What all list columns hold: a delimiter and a mark that none of them has, and each column's oddities."""

    delimiter: str = _CANDIDATES[0]
    mark: str = _CANDIDATES[1]
    columns: dict[tuple[str, str], _Column] = field(default_factory=dict)


def survey(tables: Iterable[tuple[str, Path, pa.Schema]]) -> Lists:
    """Look through every list column of (name, file, schema).

    Raises:
        KgbuildError: every character that could delimit is used.
    """
    free = list(_CANDIDATES)
    columns: dict[tuple[str, str], _Column] = {}
    for table, file, schema in tables:
        names = [entry.name for entry in schema if entry.type == _STRINGS]
        if not names:
            continue
        with parquet.reading(file, parquet.mend_tables(file.parent.parent)), pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(columns=names):
                for name in names:
                    column = pl.Series(name, batch.column(name), dtype=pl.List(pl.String))
                    seen = columns.setdefault((table, name), _Column())
                    flat = column.explode(empty_as_null=False, keep_nulls=False)
                    if flat.null_count():
                        column = column.list.drop_nulls()
                        flat = flat.drop_nulls()
                    sizes = column.list.len()
                    seen.nulls += column.null_count()
                    seen.empty += int((sizes == 0).sum())
                    if (flat == "").any():
                        seen.lone += int(((sizes == 1) & (column.list.first() == "")).sum())
                    free = _unused(flat, free)
    if len(free) < 2:
        raise KgbuildError("no character is left to delimit lists with", where="list columns of the graph")
    return Lists(free[0], free[1], columns)


def _unused(values: pl.Series, free: list[str]) -> list[str]:
    """Characters that no value has; almost always the first search says that none of them is used."""
    pattern = f"[{''.join(free)}]"
    if not values.str.contains(pattern).any():
        return free
    return [character for character in free if not values.str.contains(character, literal=True).any()]


def joined(column: pl.Expr, found: Lists, key: tuple[str, str]) -> pl.Expr:
    """A list column as one text. A null and, where there are no marks, an empty list give what the importer drops."""
    seen = found.columns.get(key, _Column())
    text = column.list.join(found.delimiter, ignore_nulls=True)
    if not seen.marked:
        return text
    size = column.list.drop_nulls().list.len()
    return (
        pl.when(size == 0)
        .then(pl.lit(f"{found.mark}0"))
        .when((size == 1) & (text == ""))
        .then(pl.lit(f"{found.mark}1"))
        .otherwise(text)
        .alias(column.meta.output_name())
    )


def after_import(patterns: Mapping[str, str], found: Lists) -> str:
    """Cypher that sets what CSV could not say; it changes nothing when it is run twice."""
    lines = [
        "// Empty lists: the CSV format of neo4j-admin cannot write them. Run it once after the import, as import.sh",
        "// and import-docker.sh do; running it again changes nothing.",
    ]
    for (table, name), seen in found.columns.items():
        pattern = patterns[table]
        if seen.marked:
            for suffix, value in (("0", "[]"), ("1", "['']")):
                if (seen.empty, seen.lone)[int(suffix)]:
                    mark = "".join(f"\\u{ord(character):04X}" for character in found.mark) + suffix
                    value = f"CASE WHEN x.`{name}` = ['{mark}'] THEN {value} ELSE x.`{name}` END"
                    lines.append(_fill(pattern, name, value))
        elif seen.empty:
            lines.append(_fill(pattern, name, f"coalesce(x.`{name}`, [])"))
    return "\n".join(lines) + "\n"


def _fill(pattern: str, name: str, value: str) -> str:
    # a WHERE on the property that is set would have the server gather every row in memory before the first is written;
    # setting what is there already writes nothing
    return f"MATCH {pattern} CALL (x) {{ SET x.`{name}` = {value} }} IN TRANSACTIONS OF {_FILL_ROWS} ROWS;"


def statements(folder: Path) -> list[str]:
    """The statements of ``after-import.cypher``, one a line."""
    text = (folder / "after-import.cypher").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("//")]
