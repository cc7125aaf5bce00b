"""What every extractor offers: studies in, annotations out, in the same order, one for each study.

A new extractor is one new module in this folder that sets ``PLUGIN``. Slow ones may have more, asked for by name:

- ``workers``: processes at most (1 where a GPU or a large model is used);
- ``chunk``: studies in a chunk, so that little is lost where the process is killed (default 512);
- ``use_images(find)``: told how an image's file is found, where images are needed;
- ``use_cache(folder)``: where it may keep what is costly to compute;
- ``watch(progress)``: told whom to tell of (studies done, studies in all) within a call of ``extract``;
- ``hints``: what the user should know of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from kgbuild.domain import Annotation, Failure, Image, Study

FindImage = Callable[[Image], Path | None]


class Extractor(Protocol):
    """Built as ``PLUGIN(sections=..., **options)``."""

    name: str

    def __init__(self, sections: Sequence[str], **options: str) -> None: ...

    def fingerprint(self) -> str:
        """Hex digest of everything that can change the output: code, lexicon, checkpoint, options."""
        ...

    def extract(self, studies: Iterable[Study]) -> Iterator[Annotation | Failure]:
        """One Annotation or Failure a study, in order. An empty report gives an empty annotation, not a failure.

        Raises:
            KgbuildError: nothing can be extracted (a package is missing, a checkpoint does not load). Errors that are
                one study's are its Failure; any other exception is taken for the study's at which it came.
        """
        ...
