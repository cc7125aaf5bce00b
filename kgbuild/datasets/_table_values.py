"""What a cell says, whatever type its table gives it: texts, ids, image paths, dates. No files are opened here."""

from __future__ import annotations

import ast
import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

_ID = re.compile(r"[^\s\"'<>\\^`{|}\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,120}")
_BETWEEN = re.compile(r"[|;\n]")
_ISO = re.compile(r"(\d{4})[-/.]?(\d{2})[-/.]?(\d{2})(?:[T ]\d{1,2}:\d\d.*|\.0)?")
_EITHER = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?:[T ]\d{1,2}:\d\d.*)?")
_WORDY = ("%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y")

Order = Literal["day", "month"]


def as_text(value: Any) -> str:
    """A cell as text: nothing and NaN are empty, whole floats have no ``.0``, a list's items stand on lines."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | tuple):
        return "\n".join(as_text(item) for item in value)
    if isinstance(value, Mapping):
        return as_text(value.get("path"))
    if isinstance(value, bytes):
        return ""
    return str(value)


def is_id(text: str) -> bool:
    """Whether a text can be a study's or a patient's own id: one word of at most 120 characters that fits an IRI."""
    return _ID.fullmatch(text) is not None


def image_names(value: Any) -> list[str]:
    """The image paths of a cell: a list, or a text with ``|``, ``;`` or a printed list; an image itself has none.

    >>> image_names("a.png|b.png"), image_names("['a.png', 'b.png']"), image_names(["a.png"])
    (['a.png', 'b.png'], ['a.png', 'b.png'], ['a.png'])
    """
    if isinstance(value, list | tuple):
        return [name for item in value for name in image_names(item)]
    text = as_text(value).strip()
    if text.startswith("[") and text.endswith("]"):
        try:
            listed = ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            listed = None
        if isinstance(listed, list):
            return [item.strip() for item in listed if isinstance(item, str) and item.strip()]
    return [name.strip() for name in _BETWEEN.split(text) if name.strip()]


def date_orders(value: Any) -> frozenset[Order]:
    """The orders in which ``03/04/2020`` can be read: both; ``13/04/2020`` has one; other forms have none."""
    found = _EITHER.fullmatch(as_text(value).strip())
    if not found or found[2] == ".":
        return frozenset()
    first, second = int(found[1]), int(found[3])
    orders: Iterable[tuple[Order, int]] = (("day", second), ("month", first))
    return frozenset(order for order, month in orders if month <= 12)


def parse_date(value: Any, order: Order | None = None, form: str | None = None) -> dt.date | None:
    """The day a cell names, None where it names none.

    Args:
        value: a date, a time stamp or a text: ISO (without dashes, with a time too), ``31.12.2020``, ``3-Jan-2020``.
        order: which number comes first in ``03/04/2020``; None reads no such date.
        form: a ``strptime`` format; only dates of this form are read.
    """
    if isinstance(value, dt.datetime):
        return value.date()
    if isinstance(value, dt.date):
        return value
    return _parse(as_text(value).strip(), order, form)


@lru_cache(maxsize=65536)
def _parse(text: str, order: Order | None, form: str | None) -> dt.date | None:
    try:
        if form:
            return dt.datetime.strptime(text, form).date()
        if found := _ISO.fullmatch(text):
            return dt.date(int(found[1]), int(found[2]), int(found[3]))
        if found := _EITHER.fullmatch(text):
            first, second, year = int(found[1]), int(found[3]), int(found[4])
            if found[2] == "." or order == "day":
                return dt.date(year, second, first)
            return dt.date(year, first, second) if order == "month" else None
    except ValueError:
        return None
    for wordy in _WORDY:
        try:
            return dt.datetime.strptime(text, wordy).date()
        except ValueError:
            continue
    return None
