"""The prompt of the instruction data: the same words when a model is trained and when it is asked.

A template is a text with ``{report}`` where the report's tokens go; its last white space is cut, so that the
completion can begin with a space, which most tokenizers keep together with the word that follows it.
"""

from __future__ import annotations

from kgbuild.errors import UsageError
from kgbuild.resources import data

PLACE = "{report}"


def shipped_template(name: str = "triplets") -> str:
    """Text of ``training/prompts/<name>.txt``."""
    return (data("training") / "prompts" / f"{name}.txt").read_text(encoding="utf-8")


def instruction_prompt(report: str, template: str | None = None) -> str:
    """The prompt for one report (tokens joined by one space).

    Raises:
        UsageError: the template does not hold ``{report}`` exactly once.
    """
    text = shipped_template() if template is None else template
    if text.count(PLACE) != 1:
        raise UsageError("the prompt template is of no use", expected=f"a text that holds {PLACE} exactly once")
    return text.rstrip().replace(PLACE, report)
