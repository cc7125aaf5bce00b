"""A chunk read, and the relations the stages pass on."""

from __future__ import annotations

from dataclasses import dataclass, field

from kgbuild.extractors._rules.chunks import Chunk
from kgbuild.extractors._rules.tagging import Item

LOCATED, MODIFY, SUGGEST = "located_at", "modify", "suggestive_of"
Edge = tuple[Item, str, Item, str]  # source, type, target, rule


@dataclass(slots=True)
class Phrase:
    """A chunk with its heads.

    Attributes:
        chunk: what was read.
        heads: the observations that stand for it: the noun, else each adjective.
        sites: its anatomy heads.
        generics: generic nouns of anatomy without an organ ("size").
        noun: it has an observation noun.
        part: a device's part in it ("tip").
        own_site: it names a place itself.
        uncertain: the report leaves it possible; ``absent``: it denies it.
        noun_of_place: the generic noun of its place, the "angle" of "costophrenic angle".
    """

    chunk: Chunk
    heads: list[Item] = field(default_factory=list)
    sites: list[Item] = field(default_factory=list)
    generics: list[Item] = field(default_factory=list)
    noun: bool = False
    part: Item | None = None
    own_site: bool = False
    uncertain: bool = False
    absent: bool = False
    noun_of_place: Item | None = None
