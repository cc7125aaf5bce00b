"""Walk one huge JSON file and say where each value lies, so that it can be read again alone.

The file is taken as latin-1: one character is one byte, so places are byte offsets (of the unpacked file, if gzipped),
and what JSON is made of is ASCII. A value whose bytes are not all ASCII is then read once more, as UTF-8.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from kgbuild.errors import FileMissing
from kgbuild.notation.json_stream import _Cursor

_BOM = "\u00ef\u00bb\u00bf"


class Located(NamedTuple):
    """A value and where its bytes are. ``key`` is the member's name. Bytes that are not UTF-8 are lone surrogates."""

    key: str
    value: Any
    start: int
    end: int


def open_bytes(path: Path) -> BinaryIO:
    """A file to read and seek in, gzipped or not.

    Raises:
        FileMissing: there is no such file.
    """
    try:
        return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")
    except (FileNotFoundError, IsADirectoryError):
        raise FileMissing(f"there is no file {path.name}", where=str(path)) from None


def members(path: Path) -> Iterator[Located]:
    """Each member of a file's one top-level object, in order.

    Raises:
        FileMissing: there is no such file.
        KgbuildError: it is no JSON object; ``where`` gives the key and the offset.
    """
    with open_bytes(path) as file, io.TextIOWrapper(file, encoding="latin-1", newline="") as text:
        cursor = _start(text, path)
        for key in _keys(cursor):
            yield _located(cursor, key)


def elements(path: Path) -> Iterator[Located]:
    """Each element of the lists that are the members of a file's one top-level object, under the member's key.

    Raises:
        FileMissing: there is no such file.
        KgbuildError: it is no JSON object of lists; ``where`` gives the key and the offset.
    """
    with open_bytes(path) as file, io.TextIOWrapper(file, encoding="latin-1", newline="") as text:
        cursor = _start(text, path)
        for key in _keys(cursor):
            cursor.take("[")
            more = cursor.peek() != "]"
            while more:
                yield _located(cursor, key)
                more = cursor.peek() == ","
                if more:
                    cursor.take(",")
            cursor.take("]")


def at(file: BinaryIO, start: int, end: int) -> Any:
    """The value that lies there.

    Raises:
        ValueError: it is not JSON, or not UTF-8 (``UnicodeDecodeError``).
    """
    file.seek(start)
    return json.loads(file.read(end - start).decode("utf-8"))


def _located(cursor: _Cursor, key: str) -> Located:
    """The next value."""
    cursor.peek()
    start = cursor.base + cursor.pos
    value = cursor.value()
    raw = cursor.buffer[start - cursor.base : cursor.pos]
    if not raw.isascii():
        value = json.loads(raw.encode("latin-1").decode("utf-8", "surrogateescape"))
    return Located(key, value, start, cursor.base + cursor.pos)


def _start(text: io.TextIOWrapper, path: Path) -> _Cursor:
    cursor = _Cursor(text, path.name)
    cursor.peek()
    if cursor.buffer.startswith(_BOM):
        cursor.pos += len(_BOM)
    return cursor


def _keys(cursor: _Cursor) -> Iterator[str]:
    """The keys of the object that begins here; whoever takes one reads its value before the next."""
    cursor.take("{")
    if cursor.peek() == "}":
        cursor.take("}")
        return
    while True:
        if cursor.peek() != '"':
            raise cursor.fail("expected a key", cursor.pos)
        cursor.key = str(_located(cursor, "").value)
        cursor.take(":")
        yield cursor.key
        if cursor.peek() != ",":
            cursor.take("}")
            break
        cursor.take(",")
    if cursor.peek():
        raise cursor.fail("text after the object's end", cursor.pos)
