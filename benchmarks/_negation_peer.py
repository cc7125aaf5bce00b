"""Run one negation tool over given mentions. Executed by ``extract.py`` with the Python of an environment that has it.

    PYTHON _negation_peer.py context|negex INPUT OUTPUT

INPUT is JSON: [[text, [[start, end], …]], …] (character spans of mentions). OUTPUT: {"version", "seconds",
"presence": [[…], …]}: present, uncertain (ConText only) or absent for each mention. Timed is the tool alone, on
documents that are tokenised and split into sentences already.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")


def main() -> None:
    """Annotate and write."""
    import spacy
    from spacy.tokens import Span

    tool, source, target = sys.argv[1], sys.argv[2], sys.argv[3]
    items = json.loads(Path(source).read_text())
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    step: Any
    if tool == "context":
        from medspacy.context import ConText

        step, name = ConText(nlp), "medspacy"
    else:
        from negspacy.negation import Negex
        from negspacy.termsets import termset

        step = Negex(nlp, "negex", termset("en_clinical").get_patterns(), [], "negex", [])
        name = "negspacy"
    docs = []
    for text, spans in items:
        doc = nlp(text)
        found = [doc.char_span(a, b, alignment_mode="expand") for a, b in spans]
        docs.append((doc, found))
        doc.ents = [Span(doc, s.start, s.end, label="FINDING") for s in found]
    started = time.perf_counter()
    for doc, _ in docs:
        step(doc)
    seconds = time.perf_counter() - started
    presence = []
    for doc, found in docs:
        by_start = {ent.start: ent for ent in doc.ents}
        row = []
        for span in found:
            ent = by_start.get(span.start, span)
            absent = ent._.is_negated if tool == "context" else ent._.negex
            unsure = tool == "context" and (ent._.is_uncertain or ent._.is_hypothetical)
            row.append("absent" if absent else "uncertain" if unsure else "present")
        presence.append(row)
    Path(target).write_text(
        json.dumps({"version": f"{name} {version(name)}", "seconds": seconds, "presence": presence})
    )


if __name__ == "__main__":
    main()
