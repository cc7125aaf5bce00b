"""Studies in, lines out in the order of their ids, whatever the order in: the same graph gives the same bytes.

Encoded studies wait in an unnamed file beside the output (report text stays in that folder, and is gone with the
process); only ids and offsets are held in memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from kgbuild.domain import Annotation
from kgbuild.errors import KgbuildError

Pairs = Iterable[tuple[Annotation, str | None]]


def to_json(value: Any) -> bytes:
    """One line of JSON in UTF-8; lone surrogates, which UTF-8 has no bytes for, as JSON's own escapes."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


def in_order(
    pairs: Pairs, encode: Callable[[Annotation, str | None], Any], folder: Path
) -> Iterator[tuple[str, bytes]]:
    """(study id, its line) sorted by id.

    Raises:
        KgbuildError: a study comes twice.
    """
    places: dict[str, tuple[int, int]] = {}
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder) as spill:
        at = 0
        for annotation, split in pairs:
            if annotation.study_id in places:
                raise KgbuildError(f"study {annotation.study_id} comes twice; nothing was written")
            size = spill.write(to_json(encode(annotation, split)))
            places[annotation.study_id] = (at, size)
            at += size
        for study_id in sorted(places):
            start, size = places[study_id]
            spill.seek(start)
            yield study_id, spill.read(size)


def write_lines(pairs: Pairs, encode: Callable[[Annotation, str | None], Any], part: Path) -> int:
    """JSON Lines into ``part``; returns the number of studies."""
    count = 0
    with part.open("wb") as file:
        for count, (_, line) in enumerate(in_order(pairs, encode, part.parent), 1):  # noqa: B007 (told at the end)
            file.write(line + b"\n")
    return count
