"""Read one huge JSON object a member at a time: memory is bounded by the largest member, not by the file.

RadGraph's ``MIMIC-CXR_graphs.json`` is one object of 220,763 members. The standard decoder is given a buffer of the
file and asked for the next value; where the buffer ends inside it, the buffer grows and the value is read again.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from kgbuild.errors import FileMissing, KgbuildError

UNREADABLE = (UnicodeDecodeError, EOFError, OSError, zlib.error)
_CHUNK = 1 << 20
_LIMIT = 1 << 26
_NEAR_END = 8  # a literal or an escape cut by the buffer's end is reported a few characters before it
_SPACE = re.compile(r"[ \t\r\n]*")


def open_text(path: Path) -> TextIO:
    """A UTF-8 file, gzipped or not, with or without a byte order mark.

    Raises:
        FileMissing: there is no such file.
    """
    try:
        if path.suffix == ".gz":
            return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
        return path.open(encoding="utf-8-sig", newline="")
    except (FileNotFoundError, IsADirectoryError):
        raise FileMissing(f"there is no file {path}") from None


class _Cursor:
    """A place in a file's text. ``base`` is the character offset of the buffer's start."""

    def __init__(self, file: TextIO, name: str) -> None:
        self.file, self.name = file, name
        self.buffer, self.pos, self.base = "", 0, 0
        self.ended = False
        self.key: str | None = None
        self.decoder = json.JSONDecoder()

    def fail(self, what: str, at: int) -> KgbuildError:
        after = "before the first key" if self.key is None else f"at or after key {self.key[:120]!r}"
        return KgbuildError(f"{self.name} is not valid JSON: {what}", where=f"{after}, character {self.base + at}")

    def grow(self) -> None:
        if len(self.buffer) - self.pos > _LIMIT:
            raise self.fail(f"a value longer than {_LIMIT:,} characters", self.pos)
        try:
            more = self.file.read(max(_CHUNK, len(self.buffer) - self.pos))
        except UNREADABLE as error:
            raise self.fail(f"unreadable bytes ({type(error).__name__})", len(self.buffer)) from None
        self.ended = not more
        self.base += self.pos
        self.buffer = self.buffer[self.pos :] + more
        self.pos = 0

    def peek(self) -> str:
        """The next character that is not white space; empty at the end of the file."""
        while True:
            self.pos = _SPACE.match(self.buffer, self.pos).end()  # type: ignore[union-attr]
            if self.pos < len(self.buffer):
                return self.buffer[self.pos]
            if self.ended:
                return ""
            self.grow()

    def take(self, char: str) -> None:
        if self.peek() != char:
            raise self.fail(f"expected {char!r}", self.pos)
        self.pos += 1

    def value(self) -> Any:
        self.peek()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.buffer, self.pos)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos >= len(self.buffer) - _NEAR_END
                if self.ended or not cut:
                    raise self.fail(error.msg, error.pos) from None
            except RecursionError:
                raise self.fail("nested too deeply", self.pos) from None
            else:
                if end < len(self.buffer) or self.ended or isinstance(value, str | dict | list):
                    self.pos = end
                    return value
            self.grow()


def object_members(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of a file's one top-level object, in order; a repeated key comes twice.

    Raises:
        FileMissing: there is no such file.
        KgbuildError: it is no JSON object; ``where`` gives the key and the character offset.
    """
    with open_text(path) as file:
        at = _Cursor(file, path.name)
        at.take("{")
        if at.peek() == "}":
            at.take("}")
        else:
            yield from _members(at)
        if at.peek():
            raise at.fail("text after the object's end", at.pos)


def _members(at: _Cursor) -> Iterator[tuple[str, Any]]:
    while True:
        if at.peek() != '"':
            raise at.fail("expected a key", at.pos)
        at.key = at.value()
        at.take(":")
        yield at.key or "", at.value()
        if at.peek() != ",":
            at.take("}")
            return
        at.take(",")
