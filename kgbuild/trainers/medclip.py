"""MedCLIP: image and sentence encoders drawn together as far as what they show and say agrees (Wang et al., 2022).

The image side is what a VLM-KG sees through (``model.image_encoder``). One process, one GPU or none.
"""

from __future__ import annotations

from pathlib import Path

from kgbuild.errors import KgbuildError
from kgbuild.recipes import Recipe
from kgbuild.trainers import _needs, _processes
from kgbuild.trainers.base import Progress, ScoreTexts, Trained, TrainingData, unseen


class MedCLIPTrainer:
    """The trainer behind recipes with ``trainer: medclip``."""

    name = "medclip"

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
        """Train both sides; see ``Trainer.train``. The folder is one for ``model.image_encoder``.

        Args:
            recipe: ``model.image_encoder`` and ``text_encoder`` are gone on from, null begins with random weights.
            data: pairs with their sentences (``pipelines.medclip_data``).
            out: MedCLIP's weights under their published names, the text side's tokenizer, ``encoder.json``, the card.
            resume: go on from the newest ``checkpoint-N``; the result is that of a training never stopped.
            score: not used: nothing is written.
            progress: told of images decoded, and of images trained on.

        Raises:
            KgbuildError: started as several processes.
        """
        _needs.packages("numpy", "PIL", "torch", "transformers")
        if _processes.world() > 1:
            raise KgbuildError(
                "MedCLIP is trained by one process",
                expected="kgbuild train without torchrun: a pair's counterexamples are the others of its batch",
            )
        from kgbuild.trainers import _medclip

        return _medclip.fit(recipe, data, out, resume=resume, progress=progress)


PLUGIN = MedCLIPTrainer
