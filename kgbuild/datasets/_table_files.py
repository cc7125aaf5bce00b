"""What a table of studies offers, whichever file it lies in: a header, one pass over its rows, and rows read again.

A pass gives each row a position (a byte offset or a row number) from which ``reader`` reads it again, so that an index
of positions is all that is held of a table. Going forward is cheap in every format; going back may start anew.
"""

from __future__ import annotations

import gzip
import zlib
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

from kgbuild.errors import FileMissing, KgbuildError, UsageError

TRUNCATED = (EOFError, OSError, zlib.error)
_BOM = b"\xef\xbb\xbf"
_WIDE = (b"\xff\xfe", b"\xfe\xff")


class Row(NamedTuple):
    """One row of a pass: where it lies, its cells in the order asked for, and what is wrong with it if anything is."""

    position: int
    line: int
    cells: tuple[Any, ...]
    problem: str | None = None


class Reader(Protocol):
    """Rows by position. Holds the file open; ``close`` may be called twice."""

    def row(self, position: int) -> tuple[Any, ...]:
        """The cells of one row, in the order asked for."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class Table(Protocol):
    """One file of rows. ``name`` is its path relative to the root; ``split`` what the file's name says of its rows."""

    path: Path
    name: str
    columns: tuple[str, ...]
    split: str | None

    def scan(self, columns: Sequence[str]) -> Iterator[Row]:
        """Every row in order, with the cells of these columns; a broken one has a problem."""
        ...

    def reader(self, columns: Sequence[str]) -> Reader:
        """Rows by position, with the cells of these columns."""
        ...

    def where(self, line: int) -> str:
        """File and line, for messages."""
        ...


def open_bytes(path: Path) -> BinaryIO:
    """A file to read and seek in, gzipped or not.

    Raises:
        FileMissing: there is no such file.
    """
    try:
        return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")
    except (FileNotFoundError, IsADirectoryError):
        raise FileMissing(f"there is no file {path.name}", where=str(path)) from None


def cut_short(name: str, offset: int, what: str) -> KgbuildError:
    """The error for a file that ends or breaks in the middle."""
    return KgbuildError(
        f"{name} cannot be read to its end: {what}",
        where=f"{name}, byte {offset:,}",
        next_step="copy or download the file again",
    )


def line_starts(path: Path, name: str) -> array[int]:
    """The byte that each line begins at, and the file's length (unpacked) at the end.

    Raises:
        KgbuildError: a gzipped file that is cut short; names the offset.
    """
    starts = array("Q")
    try:
        with open_bytes(path) as file:
            starts.extend(accumulate(map(len, file), initial=0))
    except TRUNCATED as error:
        raise cut_short(name, starts[-1] if starts else 0, f"{type(error).__name__} while unpacking") from None
    return starts


class Lines:
    """Decoded lines of an open file and where each lies.

    Attributes:
        offset: byte (of the unpacked file) that the next line starts at.
        number: lines delivered so far.
        bad: the first byte since ``mark`` that the encoding does not know, or a NUL.
    """

    def __init__(self, file: BinaryIO, name: str, encoding: str = "utf-8", offset: int = 0, number: int = 0) -> None:
        self.file, self.name, self.encoding = file, name, encoding
        self.offset, self.number = offset, number
        self.bad: str | None = None

    def mark(self) -> tuple[int, int]:
        """Begin a record here; gives its offset and line number."""
        self.bad = None
        return self.offset, self.number + 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            raw = self.file.readline()
        except TRUNCATED as error:
            raise cut_short(self.name, self.offset, f"{type(error).__name__} while unpacking") from None
        if not raw:
            raise StopIteration
        start = self.offset
        self.offset += len(raw)
        self.number += 1
        if not start and raw.startswith(_BOM):
            raw, start = raw[3:], 3
        try:
            text = raw.decode(self.encoding)
        except UnicodeDecodeError as error:
            self._note(raw[error.start], start + error.start, f"is not {self.encoding.upper()}")
            return raw.decode(self.encoding, "surrogateescape")
        if "\0" in text:
            self._note(0, start + raw.index(b"\0"), "is NUL")
        return text

    def _note(self, byte: int, offset: int, what: str) -> None:
        if self.bad is None:
            self.bad = f"byte 0x{byte:02x} at offset {offset} (line {self.number}) {what}"


def check_encoding(path: Path, name: str, encoding: str) -> None:
    """Refuse what lines of bytes cannot be: an unknown encoding, or one of two bytes a character.

    Raises:
        UsageError: no such encoding, or lines cannot be told apart in it.
        KgbuildError: the file is UTF-16 (what some programs call Unicode).
    """
    try:
        plain = "a\n,".encode(encoding) == b"a\n,"
    except LookupError:
        plain = False
    if not plain:
        raise UsageError(f"encoding {encoding!r} cannot be used", expected="utf-8, cp1252, latin-1 or another of bytes")
    with open_bytes(path) as file:
        try:
            start = file.read(2)
        except TRUNCATED as error:
            raise cut_short(name, 0, f"{type(error).__name__} while unpacking") from None
    if start in _WIDE:
        raise KgbuildError(f"{name} is UTF-16", where=f"{name}, byte 0", next_step="save it as UTF-8 (CSV UTF-8)")
