"""``export triplets``: instruction data, JSON Lines with study_id, split, prompt, completion, sorted by study id.

The prompt is the report in a template of ``training/prompts``; the completion is a space and the triplet text (for a
study without findings the space alone).
"""

from __future__ import annotations

from pathlib import Path

from kgbuild.domain import Annotation
from kgbuild.exports._sorted import Pairs, write_lines
from kgbuild.files import atomic
from kgbuild.notation.prompts import TEMPLATES, instruction_prompt, shipped_template
from kgbuild.notation.triplets import Certainty, encode


def row(
    annotation: Annotation, split: str | None, template: str, certainty: Certainty = "full"
) -> dict[str, str | None]:
    """One training example."""
    return {
        "study_id": annotation.study_id,
        "split": split,
        "prompt": instruction_prompt(annotation.text, template),
        "completion": f" {encode(annotation, certainty)}",
    }


def write(path: Path, pairs: Pairs, *, certainty: Certainty = "full", template: str | None = None) -> int:
    """Write (annotation, split) pairs, in any order; returns their number.

    Args:
        path: the file; it is there whole or not at all.
        pairs: annotations with the split of their study, or None.
        certainty: ``none`` drops the marks and the lone entities, as the VLM-KG paper does.
        template: a text with ``{report}`` in place of the shipped one.

    Raises:
        KgbuildError: a study comes twice; nothing is written.
        UsageError: the template is of no use.
    """
    text = shipped_template(TEMPLATES[certainty]) if template is None else template
    with atomic(path, private=True) as part:
        return write_lines(pairs, lambda annotation, split: row(annotation, split, text, certainty), part)


NEEDS = "training"
PLUGIN = write
