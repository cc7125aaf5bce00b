"""A study's text: which sections, in which order, cut into which tokens, each with its place in the original.

The contract (DESIGN §11): the chosen sections joined by one space, white space normalised, tokens split at white
space and around each of ``/ , - : . ! ? ( ) ;``. A repeated section's parts follow one another in file order. Where a
report has neither findings nor impression, its last paragraph (section ``last_paragraph``) stands in for both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kgbuild.domain import Report, Token

DEFAULT_SECTIONS = ("findings", "impression")
FALLBACK_SECTION = "last_paragraph"
_TOKEN = re.compile(r"[/,\-:.!?();]|[^\s/,\-:.!?();]+")
_new = object.__new__
_set_text, _set_section, _set_start, _set_end = (
    Token.__dict__[name].__set__ for name in ("text", "section", "char_start", "char_end")
)


def tokenize(text: str, section: str = "", offset: int = 0) -> list[Token]:
    """Cut one section's text into tokens; ``offset`` is added to the character positions."""
    tokens = []
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        token = _new(Token)  # a frozen dataclass's own __init__ takes twice as long
        _set_text(token, match.group())
        _set_section(token, section)
        _set_start(token, start + offset)
        _set_end(token, end + offset)
        tokens.append(token)
    return tokens


def study_tokens(report: Report | None, sections: Sequence[str] = DEFAULT_SECTIONS) -> list[Token]:
    """Tokens of the chosen sections, in the order they were asked for; empty where the report holds none of them."""
    if report is None:
        return []
    tokens = [
        token
        for name in sections
        for part in report.sections
        if part.name == name
        for token in tokenize(part.text, part.name, part.offset)
    ]
    if tokens or not set(DEFAULT_SECTIONS) & set(sections):
        return tokens
    if any(part.name in DEFAULT_SECTIONS and part.text.strip() for part in report.sections):
        return tokens
    last = [part for part in report.sections if part.name == FALLBACK_SECTION][-1:]
    return [token for part in last for token in tokenize(part.text, part.name, part.offset)]
