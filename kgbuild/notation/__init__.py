"""Annotations and their written forms: RadGraph JSON, DyGIE++ lines, triplet text, prompts.

Readers check at the border (words against tokens, spans against the text, labels, relation ends) and say what is
wrong with ids and offsets only; what comes out of them can be trusted inside.
"""

from __future__ import annotations

from kgbuild.notation.assemble import sorted_annotation
from kgbuild.notation.dygie import from_dygie, read_dygie, to_dygie
from kgbuild.notation.grounding import decode
from kgbuild.notation.prompts import instruction_prompt
from kgbuild.notation.radgraph import from_radgraph, read_radgraph, read_radgraph_entry, study_key, to_radgraph
from kgbuild.notation.reading import read_annotations
from kgbuild.notation.triplets import Triplet, encode, format_triplets, parse_triplets, to_triplets

__all__ = [
    "Triplet",
    "decode",
    "encode",
    "format_triplets",
    "from_dygie",
    "from_radgraph",
    "instruction_prompt",
    "parse_triplets",
    "read_annotations",
    "read_dygie",
    "read_radgraph",
    "read_radgraph_entry",
    "sorted_annotation",
    "study_key",
    "to_dygie",
    "to_radgraph",
    "to_triplets",
]
