"""One sentence in, its entities and relations out; a bounded memo of sentences already read.

A sentence's reading depends on its words alone, so that the memo cannot change the output.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from kgbuild.domain import Entity, Relation
from kgbuild.extractors._rules import chunking, cues, outcomes, relations, scopes, sentences, structure, tagging
from kgbuild.extractors._rules.chunks import Chunk
from kgbuild.extractors._rules.lexicon import Lexicon, load
from kgbuild.extractors._rules.phrase import Edge
from kgbuild.labels import EntityType, Presence, RelationType

_PRESENCE = {
    cues.PRESENT: Presence.PRESENT,
    cues.UNCERTAIN: Presence.UNCERTAIN,
    cues.ABSENT: Presence.ABSENT,
}
_TYPES = {kind.value: kind for kind in RelationType}
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
# (start, end, type, presence, is_measurement, rule) and (source, target, type, rule), numbered within the sentence
Row = tuple[int, int, EntityType, Presence, bool, str]
Link = tuple[int, int, RelationType, str]
Reading = tuple[tuple[Row, ...], tuple[Link, ...]]
_NOTHING: Reading = ((), ())


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
            rows, pairs = self._recall(tuple(tokens[start:end]))
            base = len(entities)
            for first, last, kind, presence, measured, rule in rows:
                text = tokens[start + first] if last - first == 1 else " ".join(tokens[start + first : start + last])
                entities.append(Entity(start + first, start + last, text, kind, presence, measured, rule))
            for source, target, relation, rule in pairs:
                links.append(Relation(base + source, base + target, relation, rule))
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
        rows.extend((item, scope.presence, scope.rule) for group in piece.groups for item in group)
    rows.extend(outcomes.read(chunks, trailing, readings, words, lexicon, edges))
    return _number(rows, relations.relate(phrases, words, lexicon, edges))


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


def _number(rows: list[tuple[tagging.Item, str, str]], edges: Sequence[Edge]) -> Reading:
    rows.sort(key=lambda row: row[0].start)
    where: dict[int, int] = {}
    entities: list[Row] = []
    for item, presence, why in rows:
        where[item.start] = len(entities)
        kind = item.kind
        site = kind in tagging.ANATOMY
        rule = f"{item.source}:{_CLASS[kind]}"
        entities.append(
            (
                item.start,
                item.end,
                EntityType.ANATOMY if site else EntityType.OBSERVATION,
                Presence.PRESENT if site else _PRESENCE[presence],
                kind == "X",
                f"{rule}+{why}" if why and not site else rule,
            )
        )
    links = [
        (where[source.start], where[target.start], _TYPES[kind], rule)
        for source, kind, target, rule in edges
        if source.start in where and target.start in where
    ]
    links.sort(key=lambda link: (link[0], link[1], link[2].value))
    return tuple(entities), tuple(links)
