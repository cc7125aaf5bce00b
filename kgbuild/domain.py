"""The records a person reads in the code: studies, reports, annotations, concepts, links. No I/O here.

Spans are half-open **token** offsets ``[start, end)``. RadGraph's ``end_ix`` is inclusive; ``notation`` converts.
Character offsets count Python characters of the section's source (see ``Section``).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from kgbuild.labels import EntityType, Presence, RelationType


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a report under its header.

    Attributes:
        name: lower case, as ``findings`` or ``impression``.
        text: exactly as it stands in the source, white space included.
        offset: where ``text`` starts in the original report file, in characters. For formats that keep each
            section in a field of its own (CSV, XML) the field's text is the file, and this is 0.
    """

    name: str
    text: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """A report's sections in the order of the file; ``path`` is relative to the data set's root."""

    sections: tuple[Section, ...]
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """One radiograph. ``path`` is relative to the data set's root and null where the file is absent."""

    id: str
    study_id: str
    view: str | None = None
    path: str | None = None
    rows: int | None = None
    columns: int | None = None


@dataclass(frozen=True, slots=True)
class Study:
    """One exam: its images and at most one report. ``id`` and ``patient_id`` are graph keys (DESIGN §5).

    ``time`` is of use only beside ``date``: which of one day's studies came first.
    """

    id: str
    dataset: str
    report: Report | None = None
    images: tuple[Image, ...] = ()
    patient_id: str | None = None
    split: str | None = None
    date: dt.date | None = None
    time: dt.time | None = None


@dataclass(frozen=True, slots=True)
class StudyRef:
    """A study as a data set lists it, before its report is read."""

    id: str
    split: str | None = None
    patient_id: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A study that could not be used: quarantined and counted, never dropped in silence.

    Attributes:
        study_id: graph id, or the file name where none could be read.
        stage: ``read``, ``extract`` or ``link``; ``skip`` = left out as asked (``--option no_image=skip``), which is
            counted but is no fault.
        reason: ids, lines and offsets only, never report text.
        where: file and line, relative to the data set's root.
        study: what is known of a listed study beside its text (images, split, patient): it stays a node.
    """

    study_id: str
    stage: str
    reason: str
    where: str | None = None
    study: Study | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a study's text and where it came from: ``section`` and ``[char_start, char_end)`` of the original."""

    text: str
    section: str
    char_start: int
    char_end: int


@dataclass(frozen=True, slots=True)
class Entity:
    """A span with its type and what the report says of it. ``rule`` names what made it, ``score`` its probability."""

    start: int
    end: int
    text: str
    type: EntityType
    presence: Presence
    is_measurement: bool = False
    rule: str | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Relation:
    """``entities[source] —type→ entities[target]`` (indexes into the annotation's entities)."""

    source: int
    target: int
    type: RelationType
    rule: str | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Annotation:
    """All entities and relations of one study's text, and who made them.

    ``entities`` are sorted by (start, end) and ``relations`` by (source, target, type); ``sorted_annotation`` in
    ``notation`` makes it so. ``tokens`` of an imported annotation may have no section and offsets (-1).

    Attributes:
        output: what a language model wrote, as it wrote it; null for other extractors.
        rejected: pieces of the output that are no triplet, or whose words the report does not hold.
        notes: what must be known of it, in fixed words that can be counted; no report text.
    """

    study_id: str
    tokens: tuple[Token, ...]
    entities: tuple[Entity, ...] = ()
    relations: tuple[Relation, ...] = ()
    extractor: str = ""
    notes: tuple[str, ...] = field(default=())
    output: str | None = None
    rejected: tuple[str, ...] = field(default=())

    @property
    def text(self) -> str:
        """Tokens joined by one space: RadGraph's ``text``."""
        return " ".join(token.text for token in self.tokens)


@dataclass(frozen=True, slots=True)
class Concept:
    """A node that mentions link to. ``id`` is a CUI, else a CURIE; ``kind`` anatomy, observation, device or other."""

    id: str
    name: str
    kind: str
    source: str
    semantic_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mention:
    """An entity as a linker sees it: an entity with its neighbours, so that phrases can be linked as one.

    Attributes:
        id: ``<study id>:<start>-<end>``.
        text: the entity's words.
        type: bars links of the wrong kind.
        phrases: longer readings to try first, longest first: (text, ids of the other mentions it covers).
    """

    id: str
    text: str
    type: EntityType
    phrases: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """A mention's concept, how it was found (``exact``, ``normalised``, …) and which mentions the phrase covers."""

    mention_id: str
    concept_id: str
    score: float
    method: str
    covers: tuple[str, ...] = ()


def mention_id(study_id: str, start: int, end: int) -> str:
    """Key of a mention node (DESIGN §5)."""
    return f"{study_id}:{start}-{end}"
