"""VLM-KG: projector and language model tuned together on image and instruction (Abdullah & Kim, VLM-KG, stage two).

With ``model.freeze_language_model`` the projector alone is tuned (the paper's Table 2). The image encoder is never
tuned: each image is embedded once. It is saved inside the checkpoint, so that images are seen through the same one.
"""

from __future__ import annotations

from pathlib import Path

from kgbuild.errors import FileMissing, UsageError
from kgbuild.notation.prompts import template_for
from kgbuild.recipes import Recipe
from kgbuild.trainers import _needs
from kgbuild.trainers.base import Progress, ScoreTexts, Trained, TrainingData, unseen
from kgbuild.trainers.llm_kg import start

IMAGE_WIDTH = 512


class VLMKG:
    """The trainer behind recipes with ``trainer: vlm-kg``."""

    name = "vlm-kg"

    def train(
        self,
        recipe: Recipe,
        data: TrainingData,
        out: Path,
        *,
        resume: bool = False,
        score: ScoreTexts | None = None,
        progress: Progress = unseen,
    ) -> Trained:
        """Tune projector and language model, or the projector alone; see ``Trainer.train``.

        Raises:
            UsageError: the recipe names no image encoder.
            FileMissing: it is not there.
        """
        _needs.language(recipe)
        encoder_path = recipe.model.image_encoder
        if encoder_path is None:
            raise UsageError(
                f"recipe {recipe.name} names no image encoder: what a model sees through must not be random",
                expected="model.image_encoder: a MedCLIP checkpoint (pytorch_model.bin) or a folder",
                next_step="--set model.image_encoder=PATH; kgbuild train medclip_mimic makes one",
            )
        if not Path(encoder_path).exists():
            raise FileMissing(f"there is no image encoder {encoder_path}", where="model.image_encoder")
        from kgbuild.models.medclip import load_image_encoder
        from kgbuild.models.vlm_kg import VLMKGForCausalLM, image_prompt
        from kgbuild.trainers import _folder, _images, _sft

        newest = _folder.check_folder(recipe, data, out, resume)
        encoder = load_image_encoder(Path(encoder_path), recipe.model.image_variant)
        embeds = _images.embed(data, encoder, IMAGE_WIDTH, progress)
        language, tokenizer = start(recipe, data)
        model = VLMKGForCausalLM.from_language(
            language, tokenizer, recipe.model.projector, image_width=IMAGE_WIDTH, seed=recipe.training.seed
        )
        if recipe.model.projector is not None and recipe.model.projector.whiten:
            model.model.projector.whiten(embeds.some())
        if recipe.model.freeze_language_model:
            model.freeze_language_model()
        n = model.n_image_tokens
        said = [f"{len(embeds.unreadable):,} images cannot be read"] if embeds.unreadable else []
        job = _sft.Job(
            recipe,
            data,
            out,
            model,
            tokenizer,
            template_for(recipe.data.prompt, recipe.data.certainty),
            wrap=lambda prompt, image: image_prompt(prompt, n if image else 0),
            embeds=embeds,
            image_encoder=encoder,
            said=said,
        )
        return _sft.fit(job, resume=newest, score=score, progress=progress)


PLUGIN = VLMKG
