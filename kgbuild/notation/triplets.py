"""Triplet text, the form that a language model is trained to write (DESIGN §11), and a forgiving parser for it.

``effusion (absent) , located_at , pleural ; pneumothorax (absent)``: triplets joined by `` ; `` in text order of heads,
then of tails. An absent or uncertain end carries a mark; an entity without relation stands alone, in its place among
the heads. ``certainty="none"`` is the VLM-KG paper's form, which drops the marks and the lone entities.

The form does not say: entity types, measurements, offsets, rules, scores. An entity whose own words hold a ``;``, a
comma and a relation's name, or end in a mark cannot be told from the form's own signs, so such text is not read back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple

from kgbuild.domain import Annotation
from kgbuild.labels import Presence, RelationType

Certainty = Literal["full", "none"]


class Triplet(NamedTuple):
    """The words of one relation, or of one entity alone (``relation``, ``tail`` and ``tail_presence`` null)."""

    head: str
    head_presence: Presence
    relation: RelationType | None = None
    tail: str | None = None
    tail_presence: Presence | None = None

    def text(self, certainty: Certainty = "full") -> str:
        """``head , relation , tail`` or ``head``."""
        head = _marked(self.head, self.head_presence, certainty)
        if self.relation is None or self.tail is None:
            return head
        tail = _marked(self.tail, self.tail_presence or Presence.PRESENT, certainty)
        return f"{head} , {self.relation.value} , {tail}"


def _marked(words: str, presence: Presence, certainty: Certainty) -> str:
    plain = certainty == "none" or presence is Presence.PRESENT
    return words if plain else f"{words} ({presence.value})"


def to_triplets(annotation: Annotation) -> list[Triplet]:
    """Triplets and lone entities, by place of head, then of tail, then by relation name."""
    entities = annotation.entities
    related = {end for link in annotation.relations for end in (link.source, link.target)}
    found: list[tuple[tuple[int, int, int, int, str], Triplet]] = []
    for link in annotation.relations:
        head, tail = entities[link.source], entities[link.target]
        key = (head.start, head.end, tail.start, tail.end, link.type.value)
        found.append((key, Triplet(head.text, head.presence, link.type, tail.text, tail.presence)))
    for index, entity in enumerate(entities):
        if index not in related:
            found.append(((entity.start, entity.end, -1, -1, ""), Triplet(entity.text, entity.presence)))
    return [triplet for _, triplet in sorted(found, key=lambda pair: pair[0])]


def format_triplets(triplets: Iterable[Triplet], certainty: Certainty = "full") -> str:
    """The one line of text; ``certainty="none"`` leaves out lone entities and marks."""
    return " ; ".join(
        triplet.text(certainty) for triplet in triplets if certainty == "full" or triplet.relation is not None
    )


def encode(annotation: Annotation, certainty: Certainty = "full") -> str:
    """An annotation's triplet text."""
    return format_triplets(to_triplets(annotation), certainty)


_SPELLINGS = {
    **{kind.value: kind for kind in RelationType},
    "located at": RelationType.LOCATED_AT,
    "modifies": RelationType.MODIFY,
    "suggestive of": RelationType.SUGGESTIVE_OF,
}
_RELATION = re.compile(rf"\s*,\s*({'|'.join(_SPELLINGS)})\s*,\s*", re.IGNORECASE)
_MARK = re.compile(r"\s*\(\s*(present|uncertain|absent)\s*\)$", re.IGNORECASE)


def parse_triplets(text: str) -> tuple[list[Triplet], list[str]]:
    """Read triplet text, also a model's: space, case and line breaks do not matter, a last piece may be cut short.

    Returns:
        the triplets in the order written, and the pieces that are none (an unknown or missing relation or end, more
        than one relation). The pieces are words of a report: count them, do not log them.
    """
    triplets: list[Triplet] = []
    rejected: list[str] = []
    for piece in re.split(r"[;\n]", text):
        piece = piece.strip()
        if not piece:
            continue
        triplet = _read_piece(piece)
        if triplet is None:
            rejected.append(piece)
        else:
            triplets.append(triplet)
    return triplets, rejected


@lru_cache(maxsize=1 << 16)  # reports say the same things: of 200,000 studies most pieces have been read before
def _read_piece(piece: str) -> Triplet | None:
    parts = _RELATION.split(piece)
    ends = [_end(part) for part in parts[::2]]
    if len(parts) == 3 and all(words for words, _ in ends):
        kind = _SPELLINGS[parts[1].lower()]
        return Triplet(ends[0][0], ends[0][1], kind, ends[1][0], ends[1][1])
    if len(parts) == 1 and "," not in piece and ends[0][0]:
        return Triplet(*ends[0])
    return None


def _end(text: str) -> tuple[str, Presence]:
    text = text.strip()
    mark = _MARK.search(text)
    words = " ".join((text[: mark.start()] if mark else text).split())
    return words, Presence(mark.group(1).lower()) if mark else Presence.PRESENT
