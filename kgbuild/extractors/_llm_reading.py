"""What a language model wrote → an Annotation, with care that a denied finding never becomes a present one.

Three things could make it one. A text cut at ``max_new_tokens`` may lack its last mark: the last piece is not used. A
model may copy the denial with the finding (``no effusion``): such a piece is not used. And the triplets of a checkpoint
of certainty ``none`` never say: there the presence is read from the report by the rules, and where these have no
opinion, or are not to be asked, an observation is uncertain. All that is not used is kept in ``rejected``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from kgbuild.domain import Annotation, Entity, Token
from kgbuild.extractors._rules.engine import Engine
from kgbuild.labels import EntityType, Presence
from kgbuild.notation.grounding import decode
from kgbuild.notation.triplets import Triplet, parse_triplets

CUT = "cut at max_new_tokens"
_DENIALS = frozenset({"no", "not", "without", "never", "neither", "nor", "denies"})
_WEAKEST = (Presence.ABSENT, Presence.UNCERTAIN, Presence.PRESENT)


class Reader:
    """Reads outputs of one checkpoint.

    Args:
        extractor: its name, for the annotations.
        presence: ``stated`` in the triplets, by ``rules``, or ``none`` (every observation is uncertain).
    """

    def __init__(self, extractor: str, presence: str) -> None:
        self._extractor, self._presence = extractor, presence
        self._engine = Engine()

    def read(self, text: str, tokens: Sequence[Token], study_id: str, *, finished: bool) -> Annotation:
        """Ground one output in the report that it is about."""
        used, rejected = _usable(text, finished)
        seen = self._rules(tokens)

        def type_of(words: str) -> EntityType | None:
            alone = self._engine.annotate(words.split(" "))[0]
            same = [entity for entity in seen if words.casefold().endswith(entity.text.casefold())]
            return next((entity.type for entity in (*same, *alone[::-1])), None)

        annotation, more = decode(used, tokens, study_id=study_id, extractor=self._extractor, type_of=type_of)
        if self._presence != "stated":
            annotation = replace(annotation, entities=self._marked(annotation, seen))
        notes = () if finished else (CUT,)
        return replace(annotation, output=text, rejected=(*rejected, *more), notes=notes)

    def _rules(self, tokens: Sequence[Token]) -> tuple[Entity, ...]:
        """The rules' own reading of the report."""
        names = [token.section for token in tokens]
        breaks = frozenset(i for i in range(1, len(names)) if names[i] != names[i - 1])
        return self._engine.annotate([token.text for token in tokens], breaks)[0]

    def _marked(self, annotation: Annotation, seen: Sequence[Entity]) -> tuple[Entity, ...]:
        """Entities with presence as the rules have it; anatomy is always present, as in RadGraph."""
        said: dict[int, Presence] = {}
        if self._presence == "rules":
            observed = [entity for entity in seen if entity.type is EntityType.OBSERVATION]
            said = {i: entity.presence for entity in observed for i in range(entity.start, entity.end)}
        marked = []
        for entity in annotation.entities:
            found = {said[i] for i in range(entity.start, entity.end) if i in said}
            presence = next((one for one in _WEAKEST if one in found), Presence.UNCERTAIN)
            if entity.type is EntityType.ANATOMY:
                presence = Presence.PRESENT
            marked.append(replace(entity, presence=presence, rule=f"presence by {self._presence}"))
        return tuple(marked)


def _usable(text: str, finished: bool) -> tuple[str, list[str]]:
    """The pieces that may be read, joined again, and those that may not."""
    pieces = [piece.strip() for piece in re.split(r"[;\n]", text)]
    rejected: list[str] = []
    if not finished:
        last = pieces.pop()
        rejected += [last] if last else []
    good: list[str] = []
    for piece in pieces:
        triplets, _ = parse_triplets(piece)
        (rejected if any(map(_denies, triplets)) else good).append(piece)
    return " ; ".join(good), rejected


def _denies(triplet: Triplet) -> bool:
    """Whether an end that is not marked absent holds a word of denial."""
    ends = [(triplet.head, triplet.head_presence), (triplet.tail or "", triplet.tail_presence)]
    return any(presence is not Presence.ABSENT and _DENIALS & set(words.lower().split()) for words, presence in ends)
