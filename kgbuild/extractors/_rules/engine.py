"""One sentence in, its entities and relations out; a bounded memo of sentences already read.

A sentence's reading depends on its words alone, so that the memo cannot change the output.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from kgbuild.domain import Entity, Relation
from kgbuild.extractors._rules import (
    chunking,
    cues,
    outcomes,
    records,
    relations,
    scopes,
    sentences,
    structure,
    tagging,
)
from kgbuild.extractors._rules.chunks import Chunk
from kgbuild.extractors._rules.lexicon import Lexicon, load
from kgbuild.extractors._rules.phrase import Edge
from kgbuild.extractors._rules.records import LABELS, TYPES, Reading, Row
from kgbuild.labels import EntityType, Presence

_PRESENCE = {
    cues.PRESENT: Presence.PRESENT,
    cues.UNCERTAIN: Presence.UNCERTAIN,
    cues.ABSENT: Presence.ABSENT,
}
_TYPES = {kind.value: number for number, kind in enumerate(TYPES)}
_CLASS = {
    **dict.fromkeys("AJGSL", "anatomy"),
    **dict.fromkeys("ON", "finding"),
    **dict.fromkeys("MDBI", "modifier"),
    "Q": "state",
    "K": "change",
    "E": "device",
    "T": "device-part",
    "X": "measurement",
}
_NOTHING: Reading = ((), ())
# what an item of a kind is labelled as, by what is said of it
_LABEL = {
    (kind, said): LABELS.index(
        (EntityType.ANATOMY, Presence.PRESENT, False)
        if kind in tagging.ANATOMY
        else (EntityType.OBSERVATION, presence, kind == "X")
    )
    for kind in _CLASS
    for said, presence in _PRESENCE.items()
}


class Engine:
    """Reads token lists; holds the lexicon and the memo.

    Args:
        memo: sentences to remember at most; 0 for none.
    """

    def __init__(self, memo: int = 50_000, lexicon: Lexicon | None = None) -> None:
        self._lexicon = lexicon or load()
        self._memo: OrderedDict[tuple[str, ...], Reading] = OrderedDict()
        self._size = memo

    def annotate(
        self, tokens: Sequence[str], breaks: frozenset[int] = frozenset()
    ) -> tuple[tuple[Entity, ...], tuple[Relation, ...]]:
        """Entities sorted by span and relations sorted by ends; ``breaks``: token numbers where a section starts."""
        entities: list[Entity] = []
        links: list[Relation] = []
        for start, end in sentences.split(tokens, self._lexicon, breaks):
            records.add(self._recall(tuple(tokens[start:end])), start, entities, links)
        return tuple(entities), tuple(links)

    def _recall(self, tokens: tuple[str, ...]) -> Reading:
        if len(tokens) < 2:
            return self._lone(tokens)
        if not self._size:
            return read_sentence(tokens, self._lexicon)
        memo = self._memo
        found = memo.get(tokens)
        if found is not None:
            memo.move_to_end(tokens)
            return found
        found = read_sentence(tokens, self._lexicon)
        memo[tokens] = found
        if len(memo) > self._size:
            memo.popitem(last=False)
        return found

    def _lone(self, tokens: tuple[str, ...]) -> Reading:
        if tokens and tokens[0].isalpha():
            return read_sentence(tokens, self._lexicon)
        return _NOTHING


def read_sentence(tokens: Sequence[str], lexicon: Lexicon) -> Reading:
    """All stages over one sentence."""
    words = [token.lower() for token in tokens]
    items = tagging.tag(words, lexicon)
    chunks, trailing = chunking.chunk(items, words, lexicon)
    if not chunks or _is_header(chunks, items):
        return _NOTHING
    readings = scopes.read(chunks, trailing, words, lexicon)
    edges: list[Edge] = []
    phrases = []
    rows: list[tuple[tagging.Item, str, str]] = []
    titled = ":" in words
    for piece, scope in zip(chunks, readings, strict=True):
        if scope.presence == cues.NOTHING or (titled and _is_title(piece, words, lexicon.traits["title"])):
            continue
        phrase = structure.read(piece, words, lexicon, edges)
        phrase.uncertain = scope.presence == cues.UNCERTAIN
        phrase.absent = scope.presence == cues.ABSENT
        phrases.append(phrase)
        said, rule = scope.presence, scope.rule
        for group in piece.groups:
            rows.extend([(item, said, rule) for item in group])
    rows.extend(outcomes.read(chunks, trailing, readings, words, lexicon, edges))
    return _number(tokens, rows, relations.relate(phrases, words, lexicon, edges))


def _is_header(chunks: Sequence[Chunk], items: Sequence[tagging.Item]) -> bool:
    """As in "Chest .", "Right knee :": a title, no statement."""
    return (
        len(chunks) == 1
        and not chunks[0].nouns
        and not chunks[0].adjective
        and chunks[0].groups[0][0].kind in "ASJ"
        and all(item.kind in tagging.ENTITY or item.kind in (".", ":") for item in items)
    )


def _is_title(piece: Chunk, words: list[str], title: frozenset[str]) -> bool:
    """As in "Chest :", "Lines and tubes :" before the statement."""
    if piece.start > 4 or ":" not in words[piece.end : piece.end + 4]:
        return False
    return title.issuperset(words[: words.index(":")])


def _number(tokens: Sequence[str], rows: list[tuple[tagging.Item, str, str]], edges: Sequence[Edge]) -> Reading:
    rows.sort(key=_start)
    where: dict[int, int] = {}
    entities: list[Row] = []
    for item, presence, why in rows:
        start, end, kind, source = item
        where[start] = len(entities)
        rule = f"{source}:{_CLASS[kind]}"
        if why and kind not in tagging.ANATOMY:
            rule = f"{rule}+{why}"
        text = tokens[start] if end - start == 1 else " ".join(tokens[start:end])
        entities.append((start, end, text, _LABEL[kind, presence], rule))
    links = [
        (where[source.start], where[target.start], _TYPES[kind], rule)
        for source, kind, target, rule in edges
        if source.start in where and target.start in where
    ]
    links.sort()
    return tuple(entities), tuple(links)


def _start(row: tuple[tagging.Item, str, str]) -> int:
    return row[0].start
