"""Report sentences whose words of side and size are removed, beside triplets that still hold them.

A side has one word here, and a size one of three: no picture shows which of ``tiny`` and ``small`` was written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kgbuild.domain import Annotation
from kgbuild.labels import EntityType, Presence
from kgbuild.notation.triplets import Triplet, format_triplets, parse_triplets, to_triplets

SIDES = frozenset(("left", "right", "bilateral", "bilaterally", "both"))
SIZES = frozenset(("trace", "tiny", "small", "moderate", "large", "massive"))  # not degrees, such as "severe"
REMOVED = SIDES | SIZES
_ONE_WORD = {"bilaterally": "bilateral", "both": "bilateral", "trace": "small", "tiny": "small", "massive": "large"}
_OFTEN, _SURE = 10, 0.75
_LONGEST = 5  # triplets of a sentence: what a small model learns to copy within minutes


@dataclass(frozen=True, slots=True)
class Record:
    """One sentence of a report.

    Attributes:
        text: the sentence without its entities of side and size, in lower case.
        triplets: what the whole sentence says.
    """

    study_id: str
    text: str
    triplets: str


def holds(words: str) -> bool:
    """Whether an entity's words hold one of side or size."""
    return not REMOVED.isdisjoint(words.lower().split())


def affected(triplet: Triplet) -> bool:
    """Whether one of a triplet's ends holds a word of side or size."""
    return holds(triplet.head) or holds(triplet.tail or "")


def records(annotation: Annotation) -> Iterator[Record]:
    """The sentences that say a side or size of something that is, or may be, there.

    A sentence that denies anything is left out: what is not there is not drawn.
    """
    for start, end in _sentences([token.text for token in annotation.tokens]):
        inside = [i for i, one in enumerate(annotation.entities) if start <= one.start < end]
        entities = [annotation.entities[i] for i in inside]
        denied = any(one.presence is Presence.ABSENT for one in entities)
        if denied or not any(holds(one.text) for one in entities):
            continue
        gone = {place for one in entities if holds(one.text) for place in range(one.start, one.end)}
        if not any(one.type is EntityType.OBSERVATION for one in entities):
            continue
        words = [annotation.tokens[place].text for place in range(start, end) if place not in gone]
        part = _part(annotation, inside)
        triplets = format_triplets(to_triplets(part)).lower().replace(" - sided", "")
        if triplets.count(";") < _LONGEST:
            yield Record(annotation.study_id, " ".join(words).lower(), one_word(triplets))


def one_word(text: str) -> str:
    """The same with one word for each side and size."""
    return " ".join(_ONE_WORD.get(word, word) for word in text.split(" "))


class Open:
    """Which sentences leave open what was removed.

    Of some things one word only is ever said: a tip is in the right atrium, and of sizes cardiomegaly has
    ``moderate`` alone, its others being degrees. There the text gives the word away. A triplet is open if the rest of
    it, without the word, is common in the training sentences and its commonest word makes up less than three quarters.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._words: dict[str, Counter[str]] = {}
        for triplet in (one for text in texts for one in parse_triplets(text)[0] if affected(one)):
            rest, word = _apart(triplet)
            self._words.setdefault(rest, Counter())[word] += 1

    def __contains__(self, text: str) -> bool:
        said = [_apart(one)[0] for one in parse_triplets(text)[0] if affected(one)]
        return bool(said) and all(self._is_open(self._words.get(rest, Counter())) for rest in said)

    @staticmethod
    def _is_open(words: Counter[str]) -> bool:
        return words.total() >= _OFTEN and max(words.values()) < _SURE * words.total()


def _apart(triplet: Triplet) -> tuple[str, str]:
    words = triplet.text().casefold().split()
    return " ".join("*" if word in REMOVED else word for word in words), " ".join(w for w in words if w in REMOVED)


def _part(annotation: Annotation, inside: list[int]) -> Annotation:
    from dataclasses import replace

    place = {old: new for new, old in enumerate(inside)}
    links = [
        replace(one, source=place[one.source], target=place[one.target])
        for one in annotation.relations
        if one.source in place and one.target in place
    ]
    return replace(annotation, entities=tuple(annotation.entities[i] for i in inside), relations=tuple(links))


def _sentences(tokens: list[str]) -> Iterator[tuple[int, int]]:
    start = 0
    for place, word in enumerate(tokens):
        number = 0 < place < len(tokens) - 1 and tokens[place - 1].isdigit() and tokens[place + 1].isdigit()
        if (word == "." and not number) or place == len(tokens) - 1:
            yield start, place + 1
            start = place + 1


def counted(predicted: str, reference: str, words: frozenset[str] = REMOVED) -> tuple[Counter[str], Counter[str]]:
    """Triplets of a completion and of its reference that hold one of ``words``, each as often as it is written."""
    texts = ([one.text().casefold() for one in parse_triplets(text)[0]] for text in (predicted, reference))
    first, second = (Counter(one for one in some if not words.isdisjoint(one.split())) for some in texts)
    return first, second


def share(texts: Iterable[str]) -> tuple[int, int]:
    """(affected triplets, triplets) of references."""
    all_ = [one for text in texts for one in parse_triplets(text)[0] if one.relation is not None]
    return sum(affected(one) for one in all_), len(all_)
