"""Sections from ``mimic_cxr_sectioned.csv``, for whoever has that file of MIT-LCP's script and not the reports.

One pass finds the row of each study; after it a row is read by its place, and no text is held. Where the file is
gzipped, its bytes are held in blocks packed one by one (about half of its size unpacked), since a gzip file can only be
read from its start. The 54 studies whose text that script sets by hand have no row: it leaves them out. A cell is a
section as it stands; its place in the report is not known.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from kgbuild.datasets._mimic_files import Layout
from kgbuild.datasets._mimic_reports import holds_a_report
from kgbuild.datasets._mimic_tables import shown
from kgbuild.datasets._table_files import TRUNCATED, Row, cut_short, open_bytes
from kgbuild.datasets._table_text import CsvTable
from kgbuild.domain import Failure, Section
from kgbuild.errors import ColumnMissing, StudyError
from kgbuild.sections_mit import COLUMNS

HEADER = ("study", *COLUMNS)
REPEATED = "repeated rows of the sectioned CSV"
DIFFERENT = "repeated rows of the sectioned CSV with other text than the first, which is used"
_STUDY = re.compile(r"s5[0-9]{7}")
_SHAPE = "the study is not s and 8 digits starting with 5"
_BLOCK = 1 << 16


class _Rows(NamedTuple):
    """What the pass leaves.

    Attributes:
        numbers: row by study number.
        starts: the byte that each row begins at; in the end the file's length or more.
        problems: why a study's row cannot be used, and its line, by study number.
        failures: rows that name no study.
        counts: repeated rows.
        total: rows read.
    """

    numbers: dict[int, int]
    starts: array[int]
    problems: dict[int, tuple[str, str]]
    failures: list[Failure]
    counts: dict[str, int]
    total: int


class Sectioned:
    """The file, plain or gzipped; nothing is read before it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name

    @cached_property
    def _table(self) -> CsvTable:
        expected, next_step = ",".join(HEADER), "put the file back as MIT-LCP's script writes it"
        where = f"{self.path} line 1"
        try:
            table = CsvTable(self.path, self.name, {"delimiter": ","})
        except ColumnMissing as error:
            raise ColumnMissing(error.message, where=where, expected=expected, next_step=next_step) from None
        names = [name.lower() for name in table.columns]
        if absent := [name for name in HEADER if name not in names]:
            raise ColumnMissing(
                f"{self.name} has no column {', '.join(absent)}: its header is {shown(table.columns)}",
                where=where,
                expected=expected,
                next_step=next_step,
            )
        return table

    @cached_property
    def _places(self) -> tuple[int, ...]:
        """Where the columns stand, in the order of ``HEADER``."""
        names = [name.lower() for name in self._table.columns]
        return tuple(names.index(name) for name in HEADER)

    @cached_property
    def rows(self) -> _Rows:
        """The one pass.

        Raises:
            ColumnMissing: a column is not in the header; shows it and the one that it should have.
            KgbuildError: a gzipped file that is cut short or damaged.
        """
        table = self._table
        found = _Rows({}, array("Q"), {}, [], {REPEATED: 0, DIFFERENT: 0}, 0)
        contents = array("q")
        counts: Counter[str] = Counter()
        for row in table.scan([table.columns[place] for place in self._places]):
            self._note(row, found, contents, counts)
            found.starts.append(row.position)
            contents.append(hash(row.cells[1:]))
        total = len(found.starts)
        found.starts.append(1 << 62)
        return found._replace(counts=found.counts | counts, total=total)

    def _note(self, row: Row, found: _Rows, contents: array[int], counts: Counter[str]) -> None:
        where = f"{self.name} line {row.line}"
        name = row.cells[0] if row.cells else ""
        if not _STUDY.fullmatch(name):
            found.failures.append(Failure(self.name, "read", row.problem or _SHAPE, where))
            return
        study = int(name[1:])
        if study in found.numbers:
            same = contents[found.numbers[study]] == hash(row.cells[1:])
            counts[REPEATED if same else DIFFERENT] += 1
            return
        found.numbers[study] = len(found.starts)
        if row.problem:
            found.problems[study] = row.problem, where

    def sections(self, study: int) -> tuple[Section, ...] | None:
        """The cells of a study's row that are not empty, or None where it has no row.

        Raises:
            StudyError: its row cannot be read.
        """
        rows = self.rows
        number = rows.numbers.get(study)
        if number is None:
            return None
        if study in rows.problems:
            reason, where = rows.problems[study]
            raise StudyError(f"s{study}", reason, where=where)
        start, end = rows.starts[number : number + 2]
        try:
            text = self._bytes(start, end).decode("utf-8")
            cells = next(csv.reader(io.StringIO(text, newline="\n"), strict=True))
            name, *parts = [cells[place] for place in self._places]
        except (OSError, UnicodeDecodeError, csv.Error, StopIteration, IndexError):
            name, parts = "", []
        if name != f"s{study}":
            reason = f"its row is no longer at byte {start}: the file has changed since it was listed"
            raise StudyError(f"s{study}", reason, where=self.name)
        return tuple(Section(column, part) for column, part in zip(COLUMNS, parts, strict=True) if part.strip())

    def _bytes(self, start: int, end: int) -> bytes:
        if self.path.suffix == ".gz":
            first = start // _BLOCK
            data = b"".join(map(zlib.decompress, self._blocks[first : (end - 1) // _BLOCK + 1]))
            return data[start - first * _BLOCK : end - first * _BLOCK]
        with self.path.open("rb", buffering=0) as file:
            file.seek(start)
            return file.read(end - start if end < 1 << 62 else -1)

    @cached_property
    def _blocks(self) -> list[bytes]:
        return [zlib.compress(block, 1) for block in self._unpacked()]

    def _unpacked(self) -> Iterator[bytes]:
        """The file's bytes, unpacked, in blocks of one size; the last may be shorter."""
        done = 0
        try:
            with open_bytes(self.path) as file:
                while block := file.read(_BLOCK):
                    yield block
                    done += len(block)
        except TRUNCATED as error:
            raise cut_short(self.name, done, f"{type(error).__name__} while unpacking") from None

    def digest(self) -> str:
        """SHA-256 of the content, unpacked."""
        digest = hashlib.sha256()
        for block in self._unpacked():
            digest.update(block)
        return digest.hexdigest()

    def counts(self, listed: set[int]) -> dict[str, int]:
        """What is normal, or at least no study's fault; ``listed`` are the study list's numbers."""
        present = self.rows.numbers.keys()
        return {
            "studies without a row in the sectioned CSV": len(listed - present),
            "rows of the sectioned CSV of no listed study": len(present - listed),
            **self.rows.counts,
        }


def find_sectioned(layout: Layout) -> Sectioned | None:
    """The file, if it is there and no report is: reports say more."""
    path = layout.tables.get("sectioned")
    return Sectioned(path) if path and not holds_a_report(layout) else None
