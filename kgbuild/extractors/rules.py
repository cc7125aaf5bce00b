"""The ``rules`` extractor: the RadGraph schema from a lexicon, scopes of denial and doubt, and phrase structure.

CPU only, no downloads, no learning. Words and cues are data (``schemas/lexicon``); the stages are in ``_rules``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files

from kgbuild.domain import Annotation, Entity, Failure, Relation, Study
from kgbuild.errors import UsageError
from kgbuild.extractors._rules import lexicon
from kgbuild.extractors._rules.engine import Engine
from kgbuild.text import DEFAULT_SECTIONS, study_tokens


class RulesExtractor:
    """Extractor by lexicon and rules.

    Args:
        sections: names of the sections to read, in order.
        options: ``memo``: how many sentences to remember (default 50000, ``0`` for none). It changes the speed only.

    Raises:
        UsageError: an option that does not exist, or ``memo`` is not a number from 0.
    """

    name = "rules"

    def __init__(self, sections: Sequence[str] = DEFAULT_SECTIONS, **options: str) -> None:
        memo = options.pop("memo", "50000")
        if options:
            raise UsageError(
                f"extractor rules has no option {', '.join(sorted(options))}", expected="memo=<number of sentences>"
            )
        if not str(memo).isdecimal():
            raise UsageError("option memo is not a number from 0", expected="memo=50000, memo=0 for none")
        self.sections = tuple(sections)
        self._engine = Engine(int(memo))

    def fingerprint(self) -> str:
        """SHA-256 over this extractor's source, the lexicon and the sections."""
        digest = hashlib.sha256("\0".join(self.sections).encode())
        here = files("kgbuild.extractors")
        sources = [here / "rules.py", *sorted((here / "_rules").iterdir(), key=lambda path: path.name)]
        for source in sources:
            if source.name.endswith(".py"):
                digest.update(f"\0{source.name}\0".encode())
                digest.update(source.read_bytes())
        digest.update(lexicon.digest())
        return digest.hexdigest()

    def annotate(self, tokens: Sequence[str]) -> tuple[tuple[Entity, ...], tuple[Relation, ...]]:
        """Entities and relations of a token list that is one section."""
        return self._engine.annotate(tokens)

    def extract(self, studies: Iterable[Study]) -> Iterator[Annotation | Failure]:
        """One annotation a study, in order."""
        for study in studies:
            tokens = tuple(study_tokens(study.report, self.sections))
            names = [token.section for token in tokens]
            breaks = frozenset(i for i in range(1, len(names)) if names[i] != names[i - 1])
            entities, relations = self._engine.annotate([token.text for token in tokens], breaks)
            yield Annotation(study.id, tokens, entities, relations, self.name)


PLUGIN = RulesExtractor
