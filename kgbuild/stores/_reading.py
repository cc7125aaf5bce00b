"""What a query may be: one statement that only reads the graph.

The stores refuse by themselves a statement that writes the graph. This refuses what they allow and reading a graph has
no need of: files (``COPY … TO`` overwrites any, ``LOAD FROM`` reads any), other databases, extensions, settings,
checkpoints. Statements are named that may be, not those that may not, so that a new one is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from kgbuild.errors import StoreError, UsageError

_TOKEN = re.compile(
    r"""
    (?P<skip> /\*.*?\*/ | //[^\n\r]* )
  | (?P<name> `[^`]*` )
  | (?P<text> '(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*" )
  | (?P<word> \w+ )
  | (?P<sign> \S )
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENING = ("MATCH", "OPTIONAL", "UNWIND", "WITH", "RETURN", "CALL")
_SHOWING = ("EXPLAIN", "PROFILE", "LOGICAL", "PHYSICAL")
_CALLS = ("SHOW_TABLES", "TABLE_INFO", "SHOW_CONNECTION", "SHOW_FUNCTIONS", "DB_VERSION", "STATS_INFO")
_EXPECTED = "one statement that reads the graph: MATCH, OPTIONAL MATCH, UNWIND, WITH, RETURN, or CALL of " + ", ".join(
    name.lower() for name in _CALLS
)
_SPELLED = re.compile(r"\\u+([0-9A-Fa-f]{4})")


def check_embedded(cypher: str) -> str:
    """Let a statement of the embedded store pass if it reads the graph and nothing else; returns what to run.

    That is the statement with spaces for its comments. The store does not end ``/***/`` where others do, so what stands
    after it could be a text to one and a statement to the other: the store is given no comment to read in its own way.

    Raises:
        UsageError: it is empty.
        StoreError: it is several statements, or does something else than read the graph; nothing has been run.
    """
    bare = _TOKEN.sub(_blank, cypher)
    words = list(_tokens(bare))
    while words and words[-1] == ";":
        words.pop()
    if not words:
        raise UsageError("the Cypher statement is empty", expected=_EXPECTED)
    if ";" in words:
        raise StoreError("more than one statement", expected="one Cypher statement")
    first = 0
    while words[first] in _SHOWING and first + 1 < len(words):
        first += 1
    if words[first] not in _OPENING:
        raise _refused(words[first])
    for before, word, after, further in zip(["", *words], words, [*words[1:], ""], [*words[2:], "", ""], strict=False):
        if before in ("AS", ":"):
            continue  # a name that somebody gave
        if _ends(word, "LOAD") and after in ("FROM", "WITH"):
            raise _refused("LOAD FROM")
        if _ends(word, "CALL") and further == "=":
            raise _refused(f"CALL {after.lower()} = …")
        if _ends(word, "CALL") and further == "(" and after not in _CALLS:
            raise _refused(f"CALL {after.lower()}")
    return bare


def check_neo4j(cypher: str) -> None:
    """Let a statement of a Neo4j server pass unless it reads a file or a web address; the server refuses writes.

    Raises:
        UsageError: it is empty.
        StoreError: it has LOAD CSV.
    """
    # servers read \u004c as L: wherever it stands, so as a keyword too, or in texts alone. Neither must hide anything
    spelled = _SPELLED.sub(lambda found: chr(int(found.group(1), 16)), cypher)
    for text in (cypher, spelled):
        words = list(_tokens(text))
        if not words:
            raise UsageError("the Cypher statement is empty", expected="one statement that reads the graph")
        if any(_ends(word, "LOAD") and after == "CSV" for word, after in pairwise(words)):
            raise StoreError("a query may only read the graph: LOAD CSV is refused", expected="one that reads no file")


def _blank(token: re.Match[str]) -> str:
    """Spaces and line ends in place of a comment, so that an error's line and offset stay those of the statement."""
    return re.sub(r"[^\n]", " ", token.group()) if token.lastgroup == "skip" else token.group()


def _tokens(cypher: str) -> Iterator[str]:
    """Words in capitals and signs; a quoted text or name is one mark, since it is no keyword whatever it says."""
    for found in _TOKEN.finditer(cypher):
        if found.lastgroup == "word":
            yield found.group().upper()
        elif found.lastgroup in ("name", "text"):
            yield "''" if found.lastgroup == "text" else "``"
        elif found.lastgroup == "sign":
            yield found.group()


def _ends(word: str, keyword: str) -> bool:
    """Whether a word is the keyword, also right behind a number: ``1LOAD`` are two words to the stores."""
    return word == keyword or (word[:1].isdigit() and word.endswith(keyword))


def _refused(what: str) -> StoreError:
    shown = what if len(what) <= 40 else what[:40] + "…"
    return StoreError(f"a query is read-only, it may only read the graph: {shown} is refused", expected=_EXPECTED)
