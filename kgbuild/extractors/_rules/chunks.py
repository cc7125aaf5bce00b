"""The chunk: one phrase of a sentence with the cues before it."""

from __future__ import annotations

from dataclasses import dataclass, field

from kgbuild.extractors._rules.tagging import ADJECTIVES, ANATOMY, NOUNS, Item


@dataclass(slots=True)
class Chunk:
    """One phrase.

    Attributes:
        groups: entity items, one list a coordinated part; all but the last lack the head noun.
        cues: the cue items between the phrase before and this one.
        link: ``""`` if cues stand between, else how the phrase was cut from the one before: ``p`` said of it
            ("heart | normal"), ``j`` put beside it ("changes | thoracic spine").
        gap: a placeholder for removed text stands directly before; ``gap_after``: directly
            after, or a noun that is no entity ("osseous structures"): the phrase waits for no other.
        nouns: observation nouns of the last group.
        other: it holds a device's part or a measurement.
        anatomy: it names a place; ``adjective``: it holds adjectives. Set by ``note``.
    """

    groups: list[list[Item]]
    cues: list[Item] = field(default_factory=list)
    link: str = ""
    gap: bool = False
    gap_after: bool = False
    nouns: list[Item] = field(default_factory=list)
    anatomy: bool = False
    adjective: bool = False
    other: bool = False

    @property
    def start(self) -> int:
        """First token."""
        return self.groups[0][0].start

    @property
    def end(self) -> int:
        """After the last token."""
        return self.groups[-1][-1].end

    @property
    def first(self) -> Item:
        """First item."""
        return self.groups[0][0]

    @property
    def kinds(self) -> list[str]:
        """Kinds of the cues."""
        return [cue.kind for cue in self.cues]

    def note(self) -> None:
        """Set the summary fields from the groups."""
        self.nouns = [item for item in self.groups[-1] if item.kind in NOUNS]
        for group in self.groups:
            for item in group:
                if item.kind in ANATOMY:
                    self.anatomy = True
                elif item.kind in ADJECTIVES or item.kind == "B":
                    self.adjective = True
                elif item.kind in "TX":
                    self.other = True
