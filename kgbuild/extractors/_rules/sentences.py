"""Cut tokens into sentences: at full stops that end one, at section boundaries, and where a full stop was forgotten.

A full stop between digits is a decimal point. A number before a full stop at the start of a sentence is a list number.
A capital in mid-sentence starts a new one only where the word before it is lower case and cannot stand before a noun.
"""

from __future__ import annotations

from collections.abc import Sequence

from kgbuild.extractors._rules.lexicon import Lexicon

_ABBREVIATIONS = frozenset({"dr", "vs", "mr", "mrs", "ms", "approx", "e.g", "i.e", "st", "v"})
# The later stages look around in a sentence; a limit keeps the time linear in the report's length whatever it holds
_LONGEST = 250
_UPPER, _LOWER = "A", "["  # from here on: capitals; all that is neither a capital nor punctuation
_STOPS = frozenset(".!?")
_PAUSES = frozenset(",;:-/")
_OPEN = frozenset(
    {"skip", "prep", "with", "from", "neg", "andor", "hedge", "hedge2", "suggest", "suggesthedge", "be", "show"}
    | {"M", "S", "J", "D", "advice", "versus", "advicenoun", "L"}
)


def split(tokens: Sequence[str], lexicon: Lexicon, breaks: frozenset[int] = frozenset()) -> list[tuple[int, int]]:
    """Half-open ranges of the sentences; ``breaks`` are token numbers at which a section starts."""
    out: list[tuple[int, int]] = []
    start = 0
    n = len(tokens)
    singles = lexicon.singles
    for i, token in enumerate(tokens):
        if i - start >= _LONGEST or (i in breaks and i > start):
            out.append((start, i))
            start = i
        if token >= _LOWER:
            continue  # neither a stop nor a capital
        if token in _STOPS:
            if not _continues(tokens, start, i, n):
                out.append((start, i + 1))
                start = i + 1
        elif token >= _UPPER and i > start and _forgotten_stop(tokens[i - 1], token, singles):
            out.append((start, i))
            start = i
    if start < n:
        out.append((start, n))
    return out


def _continues(tokens: Sequence[str], start: int, i: int, n: int) -> bool:
    """The mark at ``i`` ends no sentence: a decimal point, an abbreviation, the question mark of a doubt."""
    if tokens[i] == "?":
        doubt = i == start or tokens[i - 1] in _PAUSES or tokens[i - 1] == "("
        return i + 1 < n and (doubt or tokens[i + 1][:1].islower())
    if tokens[i] != ".":
        return False
    return _inside_number(tokens, i, n) or (i > start and tokens[i - 1].lower() in _ABBREVIATIONS)


def _inside_number(tokens: Sequence[str], i: int, n: int) -> bool:
    if not (0 < i < n - 1 and tokens[i - 1].isdigit()):
        return False
    after = tokens[i + 1]
    if not after[:1].isdigit():
        return False
    # "1 . 2 . 3 ." is a list of numbers, not decimals
    return not (i + 2 < n and tokens[i + 2] == "." and not (i + 3 < n and tokens[i + 3][:1].isdigit()))


def _forgotten_stop(before: str, token: str, singles: dict[str, str]) -> bool:
    if not token.istitle() or not before.islower() or before == "x":
        return False
    kind = singles.get(token.lower())
    if kind is None or len(token) < 2:
        return False
    return singles.get(before, "w") not in _OPEN
