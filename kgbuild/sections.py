"""Cut a whole report text into its sections, each with its place in the file.

``split_sections`` is the tolerant parser: it takes headers as people write them and keeps character offsets, so that
every token can be shown in the original. A header is a name followed by a colon at the start of a line, with or
without the leading space of MIMIC-CXR's files. Upper case is a header (``CHEST, 2 VIEWS:``) unless it names a body
part or device, as structured findings do (``LUNGS: clear``). Title case is one only if the name is known, so that the
colon of ``Lines and tubes: the ET tube …`` stays prose. Known names in upper case are headers within a line too, and
in lower case where a line begins with one after a full stop or a blank line. One slip of the pen in the usual names
(``IMPRESSOIN``) is forgiven; wet reads and addenda are headers without a colon as well.

Sections keep their text as it stands, less white space at both ends; a header without text gives no section.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

from kgbuild.domain import Section
from kgbuild.text import DEFAULT_SECTIONS, FALLBACK_SECTION

PREAMBLE = "preamble"

_SPELLINGS = {
    "findings": ("finding", "reference findings", "chest findings"),
    "impression": (
        "impressions",
        "conclusion",
        "conclusions",
        "opinion",
        "findings and impression",
        "findings/impression",
        "findings & impression",
        "impression and findings",
    ),
    "indication": (
        "indications",
        "clinical indication",
        "clinical indications",
        "reason for exam",
        "reason for examination",
        "reason for study",
        "reason for the exam",
    ),
    "history": ("clinical history", "clinical information", "patient history", "medical history"),
    "comparison": ("comparisons", "comparison exam", "comparison study", "comparison film", "reference exam"),
    "technique": ("techniques", "procedure", "procedure comments"),
    "examination": ("exam", "examinations", "type of examination", "study"),
    "wet read": ("wetread", "wet reading", "preliminary report", "preliminary read"),
    "addendum": ("addenda", "final addendum"),
    "recommendations": ("recommendation", "recommendation(s)"),
    "notification": ("notifications",),
}
_KNOWN = {spelling: name for name, others in _SPELLINGS.items() for spelling in (name, *others)}
_CONTAINED = ("impression", "findings", "history", "comparison", "addendum")
_OFTEN = ("impression", "findings", "comparison", "comparisons", "indication", "history", "technique", "examination")

_BANNER = r"FINAL REPORT|FINAL ADDENDUM|_{5,}"
_NOTE = r"(?:WET READ(?: VERSION)?|ADDENDUM)(?: #?\d+)?(?=[ \t]{2,}|[ \t]+_|[ \t\r]*$)"
_LINE_HEADER = r"(?P<line>[A-Z0-9][A-Za-z0-9 ()/,&#'-]{1,60}?)[ \t]*:"
_INLINE_HEADER = "|".join(re.escape(name.upper()) for name in sorted(_KNOWN, key=len, reverse=True))
_LOWER_HEADER = "|".join(re.escape(name) for name in _KNOWN if len(name) > 6 and _KNOWN[name] in _OFTEN)
_BOUNDARY = re.compile(
    rf"^[ \t]*(?:(?P<banner>{_BANNER})[ \t\r]*$|(?P<note>{_NOTE})|{_LINE_HEADER}|(?P<lower>{_LOWER_HEADER})[ \t]*:)"
    rf"|(?<=\s)(?P<inline>{_INLINE_HEADER}):",
    re.MULTILINE,
)
_VIEWS = re.compile(r"\b(?:chest|portable|supine|upright|radiographs?|pa|ap|frontal|lateral|views?|ribs|bone window)\b")
_PARTS = re.compile(
    r"\b(?:lungs?|bases|airways?|trachea|carina|heart|cardiac|cardiomediastin\w+|mediastin\w+|aorta|hil[aiu]\w*|"
    r"pleura\w*|bon(?:es|y)|osseous|skelet\w+|spine|soft tissues?|diaphragms?|abdomen|stomach|vascul\w+|effusions?|"
    r"pneumothora\w+|lines?|tubes?|devices?|catheters?|hardware|et|ett|ng|ngt|og|picc)\b|^(?:right|left|other|miscellaneous)$"
)
_NEW_START = re.compile(r"(?:^|[.:;!?_][ \t\r]*\n|\n[ \t\r]*\n)[ \t\r\n]*$")
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n\s*")
_NOT_THE_REPORT = frozenset({"notification", "recommendations", "wet read", "addendum"})


def split_sections(text: str) -> tuple[Section, ...]:
    """Sections of a whole report in the order of the file; a repeated header gives a section of the same name again.

    Text before the first header, and after a banner (``FINAL REPORT``, a rule of ``_``), is ``preamble``. Where neither
    findings nor impression has text, the last paragraph of the last section of more than one paragraph is cut off as
    ``last_paragraph`` (wet reads, addenda, recommendations and notifications aside); in a text without any header a
    single paragraph is enough.
    """
    cuts = [(0, 0, PREAMBLE), *_boundaries(text), (len(text), len(text), "")]
    found = [_trimmed(name, text, start, end) for (_, start, name), (end, _, _) in pairwise(cuts)]
    sections = [section for section in found if section.text]
    views = "examination" if any(section.name == "findings" for section in sections) else "findings"
    sections = [replace(section, name=views) if section.name == "views" else section for section in sections]
    if any(section.name in DEFAULT_SECTIONS for section in sections):
        return tuple(sections)
    return tuple(_with_last_paragraph(sections))


@lru_cache(maxsize=4096)
def section_name(header: str) -> str | None:
    """The name behind a header's words (without the colon), or None if they are prose.

    ``views`` stands for a header that only describes the exam, as ``PORTABLE CHEST``: findings may follow it.
    """
    words = " ".join(header.lower().replace(" / ", "/").replace("/ ", "/").split())
    if words in _KNOWN:
        return _KNOWN[words] if header[0].isupper() else None
    if header[0].isupper() and (meant := next((name for name in _OFTEN if _one_slip(words, name)), None)):
        return _KNOWN[meant]
    if not header.isupper() or len(words) < 3 or _PARTS.search(words):
        return None
    for part in _CONTAINED:
        if part in words:
            return part
    return "views" if _VIEWS.search(words) else words


def _one_slip(word: str, name: str) -> bool:
    """Whether one letter was added, left out, changed, or two neighbours were swapped."""
    if word == name or abs(len(word) - len(name)) > 1:
        return False
    at = next((i for i, (a, b) in enumerate(zip(word, name, strict=False)) if a != b), min(len(word), len(name)))
    if len(word) != len(name):
        return word[at + 1 :] == name[at:] or word[at:] == name[at + 1 :]
    swapped = word[at : at + 2] == name[at : at + 2][::-1] and word[at + 2 :] == name[at + 2 :]
    return swapped or word[at + 1 :] == name[at + 1 :]


def _boundaries(text: str) -> list[tuple[int, int, str]]:
    """(start of the header, start of what follows, name) of each header and banner, in order."""
    found = []
    position = 0
    while match := _BOUNDARY.search(text, position):
        if banner := match["banner"]:
            name: str | None = "addendum" if banner == "FINAL ADDENDUM" else PREAMBLE
        elif note := match["note"]:
            name = "addendum" if note.startswith("ADDENDUM") else "wet read"
        elif lower := match["lower"]:
            name = _KNOWN[lower] if _NEW_START.search(text, max(0, match.start() - 80), match.start()) else None
        else:
            name = section_name(match["line"] or match["inline"])
        if name is None:
            position = (
                match.start("lower" if match["lower"] else "line") + 1
            )  # prose up to its colon may still hold an inline header
            continue
        found.append((match.start(), match.end(), name))
        position = match.end()
    return found


def _trimmed(name: str, text: str, start: int, end: int) -> Section:
    body = text[start:end]
    return Section(name, body.strip(), start + len(body) - len(body.lstrip()))


def _with_last_paragraph(sections: list[Section]) -> list[Section]:
    """Cut the last paragraph off the section that holds it, if any does."""
    only = all(section.name == PREAMBLE for section in sections)
    for i in range(len(sections) - 1, -1, -1):
        name, text, offset = sections[i].name, sections[i].text, sections[i].offset
        breaks = list(_BLANK_LINE.finditer(text))
        if name in _NOT_THE_REPORT or not (breaks or only):
            continue
        at = breaks[-1].end() if breaks else 0
        before = _trimmed(name, text, 0, at)
        kept = [Section(name, before.text, offset)] if before.text else []
        return [*sections[:i], *kept, Section(FALLBACK_SECTION, text[at:], offset + at), *sections[i + 1 :]]
    return sections
