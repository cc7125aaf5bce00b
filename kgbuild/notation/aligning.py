"""Find imported tokens in the report they were made from, so that they too have a section and character offsets.

Other tools cut texts in their own way (all of a report, or some sections; word by word, or at punctuation), but keep
the order of words. So one pass suffices: each token is sought from where the last one ended, a little way ahead.
"""

from __future__ import annotations

from collections.abc import Sequence

from kgbuild.domain import Section, Token

_AHEAD = 400  # characters that may lie between two tokens: a header, a line of underscores, a section left out


def align(tokens: Sequence[Token], sections: Sequence[Section]) -> tuple[Token, ...]:
    """Tokens with their place where it was found; the others keep section "" and offsets -1.

    Args:
        tokens: as imported.
        sections: of the report; sought in the order of their offsets (fields of equal offset in the order given).
    """
    parts = sorted(sections, key=lambda section: section.offset)
    text, starts = "", []
    for part in parts:
        starts.append(len(text))
        text += part.text.lower() + "\n"
    found: list[Token] = []
    at = 0
    for token in tokens:
        word = token.text.lower()
        place = text.find(word, at, at + _AHEAD + len(word)) if word else -1
        if place < 0:
            found.append(token)
            continue
        at = place + len(word)
        number = max(i for i, start in enumerate(starts) if start <= place)
        part, inside = parts[number], place - starts[number]
        if inside + len(word) > len(part.text):
            found.append(token)
            continue
        start = part.offset + inside
        found.append(Token(token.text, part.name, start, start + len(word)))
    return tuple(found)
