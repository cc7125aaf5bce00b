"""``export radgraph``: one RadGraph JSON object, a line a study, keys = study ids in sorted order (DESIGN §11).

Every study given is there, one without findings as ``{"text": …, "entities": {}}``.
"""

from __future__ import annotations

from pathlib import Path

from kgbuild.exports._sorted import Pairs, in_order, to_json
from kgbuild.files import atomic
from kgbuild.notation.radgraph import Spelling, to_radgraph


def write(path: Path, pairs: Pairs, *, labels: Spelling = "v1", data_source: str | None = None) -> int:
    """Write (annotation, split) pairs, in any order; returns the number of studies.

    Args:
        path: the file; it is there whole or not at all.
        pairs: annotations with the split of their study, or None.
        labels: spelling of the labels; ``v1`` has none for measurements.
        data_source: if given, each entry says it as ``data_source``, and its split as ``data_split``.

    Raises:
        KgbuildError: a study comes twice; nothing is written.
    """
    count = 0
    with atomic(path, private=True) as part, part.open("wb") as file:
        file.write(b"{")
        lines = in_order(
            pairs,
            lambda annotation, split: to_radgraph(
                annotation, labels=labels, data_source=data_source, data_split=split if data_source else None
            ),
            part.parent,
        )
        for study_id, line in lines:
            file.write((b",\n" if count else b"\n") + to_json(study_id) + b": " + line)
            count += 1
        file.write(b"\n}\n" if count else b"}\n")
    return count


PLUGIN = write
