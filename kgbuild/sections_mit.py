r"""MIT-LCP's section parser of MIMIC-CXR, rule for rule, with the place of every section in the file.

The rules are those of ``txt/section_parser.py`` and ``txt/create_section_files.py`` of MIT-LCP/mimic-cxr (MIT licence),
as facts, quirks included; their tables stand in ``schemas/sections/mit_lcp.json``. What ``kgbuild.sections`` does
better is left as it is here (``NDICATION`` is an impression, an empty header swallows the one on the next line): the
sole purpose is to give what everybody's ``mimic_cxr_sectioned.csv`` holds.

The original reads with universal newlines, so ``\r\n`` counts as one character to the rules; offsets given out count
characters of the text as passed.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from functools import cache, lru_cache
from typing import NamedTuple

from kgbuild.domain import Section
from kgbuild.resources import data
from kgbuild.text import DEFAULT_SECTIONS, FALLBACK_SECTION

#: The columns of ``mimic_cxr_sectioned.csv`` after ``study``, which is also the order of preference for one text.
COLUMNS = ("impression", "findings", "last_paragraph", "comparison")

_HEADER = re.compile(r"\n ([A-Z ()/,-]+):\s")
_PARAGRAPH = "\n \n"
_FOUND = frozenset({"impression", "findings"})


class Part(NamedTuple):
    """One section before white space is trimmed: its name and ``[start, end)`` in the text."""

    name: str
    start: int
    end: int


class _Rules(NamedTuple):
    names: dict[str, str]
    contained: tuple[str, ...]
    views: tuple[str, ...]
    named: dict[str, str]
    ranges: dict[str, tuple[int, int]]


@cache
def _rules() -> _Rules:
    tables = json.loads((data("schemas") / "sections" / "mit_lcp.json").read_text(encoding="utf-8"))
    return _Rules(
        tables["headers"],
        tuple(tables["contains_in_order"]),
        tuple(tables["findings_if_contains"]),
        tables["named_section"],
        {study: (start, end) for study, (start, end) in tables["character_range"].items()},
    )


def is_set_by_hand(study_id: str) -> bool:
    """Whether the study is one of the 54 whose text is named by hand: they are not in ``mimic_cxr_sectioned.csv``."""
    return study_id in _rules().named or study_id in _rules().ranges


@lru_cache(maxsize=4096)
def section_name(header: str) -> str:
    """The name behind a header as it stands in the text, without its colon."""
    rules = _rules()
    words = header.lower().strip()
    if words in rules.names:
        return rules.names[words]
    for name in rules.contained:
        if name in words:
            return name
    return "findings" if any(view in words for view in rules.views) else words


def parse(text: str) -> list[Part]:
    r"""Rules 1 to 5: every section in the order of the text, whose newlines are ``\n``; empty ones of other names too.

    After a header the search goes on at the first newline of what follows it, so that a second header on the same line,
    or on the next one where nothing stands between, is text. Where neither impression nor findings has text, all that
    follows the first blank line of the last section is its ``last_paragraph``.
    """
    match = _HEADER.search(text)
    if match is None:
        parts = [Part("full report", 0, len(text))]
    else:
        parts = [Part("preamble", 0, match.start(1))]
        while match is not None:
            name, start = section_name(match.group(1)), match.end()
            match = _HEADER.search(text, max(start, text.find("\n", start)))
            parts.append(Part(name, start, match.start() if match else len(text)))
    parts = [part for part in parts if part.name not in _FOUND or text[part.start : part.end].strip()]
    name, start, end = parts[-1]
    cut = text.find(_PARAGRAPH, start, end)
    if cut >= 0 and not any(part.name in _FOUND for part in parts):
        parts[-1:] = [Part(name, start, cut), Part(FALLBACK_SECTION, cut + len(_PARAGRAPH), end)]
    return parts


def selected_text(text: str, study_id: str | None = None) -> str:
    """Rules 6 and 7: the one text that MIT-LCP takes of a report, as in its ``mimic_cxr_XX.csv``; may be empty."""
    text = universal_newlines(text)
    if study_id in _rules().ranges:
        start, end = _rules().ranges[study_id]
        return text[start:end]
    parts = parse(text)
    last = {part.name: part for part in parts}
    chosen = _by_hand(parts, study_id) or next((last[name] for name in COLUMNS if name in last), None)
    return text[chosen.start : chosen.end].strip() if chosen else ""


def split_sections(text: str, study_id: str | None = None) -> tuple[Section, ...]:
    """Sections in the order of the file, the last one of each name, without those that hold no text.

    Of a study whose text MIT-LCP names by hand, that text is the ``last_paragraph``, which stands in for findings and
    impression, and there is no other of the three; eight such studies have none of them. A section named for a study
    but not in its text (it is then another text than MIT-LCP's) is passed over and the rules hold.
    """
    plain = universal_newlines(text)
    parts = parse(plain)
    by_hand = _by_hand(parts, study_id)
    last = {part.name: part for part in parts}
    if by_hand is not None:
        last = {
            name: part
            for name, part in last.items()
            if name not in (*DEFAULT_SECTIONS, FALLBACK_SECTION) and not _overlap(part, by_hand)
        }
        last[FALLBACK_SECTION] = by_hand
    moved = _returns(text)
    sections = [_section(text, part, moved) for part in sorted(last.values(), key=lambda part: part.start)]
    return tuple(section for section in sections if section.text)


def _by_hand(parts: list[Part], study_id: str | None) -> Part | None:
    """Rule 7: the last section of the name given for the study, or its range; None for all but 54 studies."""
    rules = _rules()
    if study_id in rules.ranges:
        return Part(FALLBACK_SECTION, *rules.ranges[study_id])
    wanted = rules.named.get(study_id) if study_id else None
    found = next((part for part in reversed(parts) if part.name == wanted), None)
    return found._replace(name=FALLBACK_SECTION) if found else None


def _overlap(one: Part, other: Part) -> bool:
    return one.start < other.end and other.start < one.end


def universal_newlines(text: str) -> str:
    r"""The text as Python reads a file in text mode: every line ends in ``\n``."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _returns(text: str) -> list[int]:
    r"""Where a ``\r`` was left out: places, in the text with universal newlines, of the ``\n`` that followed it."""
    return [match.start() - before for before, match in enumerate(re.finditer("\r\n", text))] if "\r" in text else []


def _section(text: str, part: Part, moved: list[int]) -> Section:
    start, end = (place + bisect_right(moved, place - 1) for place in (part.start, part.end))
    body = text[start:end]
    return Section(part.name, body.strip(), start + len(body) - len(body.lstrip()))
