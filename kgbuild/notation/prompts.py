"""The prompt of the instruction data: the same words when a model is trained and when it is asked.

A template is a text with ``{report}`` where the report's tokens go; its last white space is cut, so that the
completion can begin with a space, which most tokenizers keep together with the word that follows it.
"""

from __future__ import annotations

from kgbuild.errors import UsageError
from kgbuild.resources import data

PLACE = "{report}"
TEMPLATES = {"full": "triplets", "none": "triplets_plain"}
"""Which shipped template goes with which form of triplet text."""


def shipped_template(name: str = "triplets") -> str:
    """Text of ``training/prompts/<name>.txt``."""
    return (data("training") / "prompts" / f"{name}.txt").read_text(encoding="utf-8")


def template_for(name: str | None, certainty: str) -> str:
    """Text of the template of that name, else of the one for that form of triplet text.

    Raises:
        UsageError: no such template is shipped.
    """
    shipped = data("training") / "prompts"
    chosen = name or TEMPLATES[certainty]
    if not (shipped / f"{chosen}.txt").is_file():
        known = sorted(one.name.removesuffix(".txt") for one in shipped.iterdir() if one.name.endswith(".txt"))
        raise UsageError(f"there is no prompt {chosen!r}", expected=f"one of {', '.join(known)}")
    return shipped_template(chosen)


def instruction_prompt(report: str, template: str | None = None) -> str:
    """The prompt for one report (tokens joined by one space).

    Raises:
        UsageError: the template does not hold ``{report}`` exactly once.
    """
    text = shipped_template() if template is None else template
    if text.count(PLACE) != 1:
        raise UsageError("the prompt template is of no use", expected=f"a text that holds {PLACE} exactly once")
    return text.rstrip().replace(PLACE, report)
