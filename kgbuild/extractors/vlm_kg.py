"""The ``vlm-kg`` extractor: a language model that sees the radiograph beside the report.

Source: Abdullah & Kim, VLM-KG: Multimodal Radiology Knowledge Graph Generation.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgbuild.domain import Annotation, Failure, Image, Study
from kgbuild.errors import KgbuildError, StudyError, UsageError
from kgbuild.extractors._llm_kg import LanguageExtractor, Tools
from kgbuild.extractors._llm_options import COMMON, IMAGE
from kgbuild.extractors.base import FindImage
from kgbuild.image_choice import choose_image
from kgbuild.text import DEFAULT_SECTIONS

if TYPE_CHECKING:
    from torch import Tensor

    from kgbuild.models.memory import BatchLimit

TEXT_ONLY = "text only: no image"
_OPTIONS = {name: text for name, text in {**COMMON, **IMAGE}.items() if name not in ("model", "engine")}


class VlmKgExtractor(LanguageExtractor):
    """Reads a report and one image of its study; see ``LanguageExtractor``.

    A study without an image is skipped (counted, no fault) or, with ``no_image=text-only``, read without one. One
    whose chosen image cannot be decoded is quarantined.
    """

    name = "vlm-kg"
    kind = "vlm-kg"
    options = _OPTIONS
    code = (
        "extractors/vlm_kg.py",
        "image_choice.py",
        "models/medclip_images.py",
        "models/projector.py",
        "models/vlm_kg.py",
    )

    def __init__(self, sections: Sequence[str] = DEFAULT_SECTIONS, **options: str) -> None:
        super().__init__(sections, **options)
        trained = self.meta.recipe.get("data") or {}
        self.which = self.settings.images or trained.get("images") or "frontal"
        self.no_image = self.settings.no_image or "skip"
        folder = self.settings.checkpoint
        if self.settings.image_encoder is None and folder is not None and not (folder / "image_encoder").is_dir():
            raise UsageError(
                "the checkpoint holds no image encoder",
                where=str(folder),
                expected="--image-encoder FILE, as trained with",
            )
        self._find: FindImage | None = None
        self._cache: Path | None = None
        self._embedding: BatchLimit | None = None

    def use_images(self, find: FindImage) -> None:
        """How an image's file is found."""
        self._find = find

    def use_cache(self, folder: Path) -> None:
        """Where embeddings are kept."""
        self._cache = folder / "embeddings"

    def _own_options(self) -> tuple[str | None, ...]:
        return self.which, self.no_image

    def _load(self, device: str, dtype: Any, limit: BatchLimit) -> Tools:
        tools = super()._load(device, dtype, limit)
        path = self.settings.image_encoder
        if path is None:
            return tools
        from kgbuild.models.checkpoint import check_encoder
        from kgbuild.models.medclip import load_image_encoder

        encoder = load_image_encoder(path)
        check_encoder(self.meta, encoder.hash, where=path)
        return tools._replace(encoder=encoder.to(device))

    def _images(
        self, studies: dict[int, Study], results: dict[int, Annotation | Failure]
    ) -> tuple[dict[int, Tensor] | None, dict[int, tuple[str, ...]]]:
        if self._find is None:
            raise KgbuildError("vlm-kg was not told where images lie", expected="a call of use_images first")
        import torch

        from kgbuild.models.embedding_cache import embed_images
        from kgbuild.models.memory import BatchLimit

        self._embedding = self._embedding or BatchLimit(warn=self._warn)
        chosen: dict[int, tuple[Image, Path]] = {}
        notes: dict[int, tuple[str, ...]] = {}
        for number, study in studies.items():
            found = ((image, self._find(image)) for image in choose_image(study.images, self.which))
            first = next(((image, path) for image, path in found if path is not None), None)
            if first is not None:
                chosen[number] = first
            elif self.no_image == "skip":
                results[number] = Failure(study.id, "skip", "no image")
            else:
                notes[number] = (TEXT_ONLY,)
        pairs = [(image.id, path) for image, path in chosen.values()]
        vectors = embed_images(self.tools().encoder, pairs, self._cache, limit=self._embedding) if pairs else {}
        embeds: dict[int, Tensor] = {}
        for number, (image, _) in chosen.items():
            vector = vectors[image.id]
            if isinstance(vector, StudyError):
                results[number] = Failure(studies[number].id, "extract", vector.reason, image.path)
            else:
                embeds[number] = vector
        width = self.tools().model.config.image_width
        return {number: embeds.get(number, torch.full((width,), torch.nan)) for number in studies}, notes


PLUGIN = VlmKgExtractor
