"""What the three forms of IU X-ray have in common: one record a report, its ids, and the rule for repeated uids.

A record is what one CSV row or one XML file says. No files are opened here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from kgbuild.domain import Failure, Section

#: The sections in the order that a study carries them. The CSV and XML files each have another order of columns and
#: elements, so neither is followed: the same report is the same record in every form.
SECTIONS = ("findings", "impression", "indication", "comparison")

_XML_IMAGE = re.compile(r"CXR(?:[0-9]+_(?=[0-9]+_))?(.+)", re.DOTALL)


class ImageRow(NamedTuple):
    """One image as a report's XML or a row of the projections names it. ``view`` is as in the file."""

    uid: int
    id: str
    where: str
    view: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One report as its file gives it, before images and split are joined.

    Attributes:
        uid: the number in ``CXR<uid>``.
        path: the file, relative to the data set's root.
        where: the file and, in a CSV, the line that the record starts on.
        sections: those that are not empty, in the order of ``SECTIONS``.
        images: those that the record itself names (XML); the CSV keeps them in a file of its own.
        problem: why the text cannot be used, without any of it; ``sections`` is empty then.
        content: all that the file says, to tell a copy from another report of the same uid.
    """

    uid: int
    path: str
    where: str
    sections: tuple[Section, ...] = ()
    images: tuple[ImageRow, ...] = ()
    problem: str | None = None
    content: tuple[str, ...] = ()

    @property
    def is_silent(self) -> bool:
        """Readable, but with neither findings nor impression."""
        return self.problem is None and not any(part.name in SECTIONS[:2] for part in self.sections)


class Records(NamedTuple):
    """The records that stand, by ascending uid; what was quarantined; exact copies; and how many were read."""

    by_uid: dict[int, Record]
    failures: list[Failure]
    copies: int
    read: int


def study_id(uid: int) -> str:
    """Graph key of a study: ``CXR1234``."""
    return f"CXR{uid}"


def parse_uid(text: str) -> int | None:
    """The uid as a number, None where the text is no whole number: it is never shown, it might be report text."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def image_id(filename: str) -> str:
    """The stem before ``.dcm``, without folders.

    >>> image_id("images_normalized/1000_IM-0003-1001.dcm.png")
    '1000_IM-0003-1001'
    >>> image_id("1000_IM-0003-1001.jpg")
    '1000_IM-0003-1001'
    """
    name = filename.strip()
    if "/" in name or "\\" in name:
        name = name.replace("\\", "/").rpartition("/")[2]
    return name.removesuffix(".png").removesuffix(".jpg").removesuffix(".dcm")


def xml_image_id(text: str) -> str:
    """The same id from the XML's ``parentImage``; report 1 has its number twice.

    >>> xml_image_id("CXR1000_IM-0003-1001"), xml_image_id("CXR1_1_IM-0001-3001")
    ('1000_IM-0003-1001', '1_IM-0001-3001')
    """
    match = _XML_IMAGE.fullmatch(text.strip())
    return image_id(match.group(1) if match else text)


def make_sections(parts: Iterable[tuple[str, str]]) -> tuple[Section, ...]:
    """Sections from (name, text) pairs: blank and foreign ones left out, the text itself untouched."""
    known = [(name, text) for name, text in parts if name in SECTIONS and text.strip()]
    return tuple(Section(name, text) for wanted in SECTIONS for name, text in known if name == wanted)


def collect(found: Iterable[Record | Failure]) -> Records:
    """Sort by uid. Of a repeated uid the first stands: a copy is counted, one that differs is quarantined."""
    records: dict[int, Record] = {}
    failures: list[Failure] = []
    copies = read = 0
    for item in found:
        read += 1
        if isinstance(item, Failure):
            failures.append(item)
            continue
        first = records.setdefault(item.uid, item)
        if first is item:
            continue
        if first.content == item.content:
            copies += 1
            continue
        reason = f"uid {item.uid} stands already in {first.where} with other content; the first is used"
        failures.append(Failure(study_id(item.uid), "read", reason, item.where))
    return Records(dict(sorted(records.items())), failures, copies, read)
