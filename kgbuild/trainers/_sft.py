"""The training that LLM-KG and VLM-KG share: model and tokens in, a whole checkpoint folder out.

OUT/training.json    recipe and data of the training that was begun here
    log.jsonl        loss, rate and measures by step
    checkpoint-N/    to go on from; the two newest
    best/            the weights with the best triplet F1 (with ``patience`` only)
    model.safetensors … README.md kgbuild.json   at the end
"""

from __future__ import annotations

import logging
import math
import warnings
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import PrinterCallback

from kgbuild import files
from kgbuild.errors import KgbuildError
from kgbuild.models._loading import quiet
from kgbuild.models.checkpoint import CheckpointMeta, begin, package_versions, save_checkpoint
from kgbuild.models.language import context_length
from kgbuild.recipes import Recipe, as_dict
from kgbuild.recipes.steps import warnings_for
from kgbuild.trainers import _folder, _processes
from kgbuild.trainers._interrupts import interruptible
from kgbuild.trainers._settings import refuse_machine, settings, slow_machine
from kgbuild.trainers._tokens import Collate, Wrap, as_it_is, labelled, tokenize
from kgbuild.trainers._trainer import Fit, Measure, Watch
from kgbuild.trainers.base import Progress, ScoreTexts, Trained, TrainingData

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from kgbuild.models.medclip import ImageEncoder
    from kgbuild.trainers._images import Embeddings


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        recipe, data, out: as ``Trainer.train`` takes them.
        model, tokenizer: to start from, in fp32.
        prompt: the template's text, for the checkpoint.
        wrap: (prompt, has an image) → the prompt as the model sees it.
        embeds: image id → embedding, for VLM-KG.
        image_encoder: saved inside the checkpoint.
    """

    recipe: Recipe
    data: TrainingData
    out: Path
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    prompt: str
    wrap: Wrap = as_it_is
    embeds: Embeddings | None = None
    image_encoder: ImageEncoder | None = None
    said: list[str] = field(default_factory=list)


def fit(job: Job, *, resume: Path | None, score: ScoreTexts | None, progress: Progress) -> Trained:
    """Train, and write the checkpoint.

    Raises:
        KgbuildError: pairs are too long, or the loss is no number.
        KeyboardInterrupt: it was stopped; a ``checkpoint-N`` to go on from is there.
    """
    with quiet():  # transformers' bars and remarks: what a user must know is said here
        return _fit(job, resume, score, progress)


def _fit(job: Job, resume: Path | None, score: ScoreTexts | None, progress: Progress) -> Trained:
    recipe, part = job.recipe, job.recipe.training
    limit = min(recipe.data.max_length, context_length(job.model) or recipe.data.max_length)
    read = partial(tokenize, tokenizer=job.tokenizer, part=recipe.data, limit=limit, wrap=job.wrap, embeds=job.embeds)
    train = read(job.data.folder / "train.parquet")
    held = job.data.folder / "validate.parquet"
    validate = read(held) if held.is_file() else None
    if not len(train.rows):
        raise KgbuildError(f"no training pair is within {limit:,} tokens", expected="a larger data.max_length")
    n_validate = len(validate.rows) if validate is not None else 0
    said = [*job.said]
    said += warnings_for(
        recipe,
        len(train.rows),
        _processes.world(),
        longest_completion=train.longest_completion,
        n_validate=n_validate,
    )
    for name, tokens in (("train", train), ("validate", validate)):
        if tokens is not None and tokens.dropped:
            said.append(f"{tokens.dropped:,} pairs of {name} are longer than {limit:,} tokens and were left out")
        if tokens is not None and tokens.unreadable:
            said.append(f"{tokens.unreadable:,} pairs of {name} were left out: their image cannot be read")
    refuse_machine(recipe)
    if (slow := slow_machine(recipe)) is not None:  # said now, and in the summary
        said.append(slow)
        logging.getLogger("kgbuild").warning(slow)
    model = _adapted(job)
    packs = part.packing
    watch = Watch(job.out, progress, part.patience, lambda folder: _keep(trainer, folder))
    trainer = Fit(
        model=model,
        args=settings(recipe, job.out, limit, evaluates=n_validate > 0),
        train_dataset=labelled(train.rows) if packs else train.rows,
        eval_dataset=(labelled(validate.rows) if packs else validate.rows) if validate and n_validate else None,
        processing_class=job.tokenizer,
        data_collator=None if packs else Collate(job.tokenizer.pad_token_id, job.embeds),
        callbacks=[watch],
        lengths=None if packs else train.lengths,
        measure=_measure(job, model, score, progress) if n_validate else None,
    )
    trainer.remove_callback(PrinterCallback)
    if _processes.rank() == 0:
        begin(job.out)
    with interruptible(watch):
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if watch.interrupted:
        raise KeyboardInterrupt
    metrics = _finish(job, trainer, watch, n_validate > 0)
    return Trained(job.out, metrics, tuple(said))


def _adapted(job: Job) -> Any:
    """The model with LoRA adapters where the recipe has them, in training mode."""
    lora = job.recipe.model.lora
    if lora is None:
        return job.model.train()
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
        task_type="CAUSAL_LM",
        modules_to_save=["projector"] if job.embeds is not None else None,
    )
    torch.manual_seed(job.recipe.training.seed)
    with warnings.catch_warnings():  # peft asks transformers by a name that is going out of use
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        return get_peft_model(job.model, config).train()


def _measure(job: Job, model: Any, score: ScoreTexts | None, progress: Progress) -> Measure | None:
    """Write out the first validation studies with the model as it is, shared among the processes, and score them."""
    if score is None or job.recipe.training.evaluate_studies < 1:
        return None
    from kgbuild.trainers._validation import Validation

    return Validation(job.data, job.recipe, model, job.tokenizer, score, job.embeds, progress)


def _keep(trainer: Fit, folder: Path) -> None:
    """Put the weights as they are aside, whole or not at all."""
    from safetensors.torch import save_file

    weights = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in trainer.model.named_parameters()
        if value.requires_grad
    }
    folder.mkdir(exist_ok=True)
    with files.atomic(folder / "weights.safetensors") as part:
        save_file(weights, part)


def _recall(trainer: Fit, folder: Path) -> None:
    from safetensors.torch import load_file

    weights = load_file(folder / "weights.safetensors")
    with torch.no_grad():
        for name, value in trainer.model.named_parameters():
            if name in weights:
                value.copy_(weights[name])


def _finish(job: Job, trainer: Fit, watch: Watch, evaluates: bool) -> dict[str, Any]:
    """Best weights back, last measures, adapters merged, the folder written; returns the measures."""
    state = trainer.state
    history = [line for line in state.log_history if "loss" in line]
    metrics: dict[str, Any] = {"steps": state.global_step, "epochs": round(state.epoch or 0.0, 3)}
    if history:
        metrics["train_loss"] = history[-1]["loss"]
    seconds = watch.train_seconds
    metrics |= {"stopped_early": watch.stopped_early} if watch.patience is not None else {}
    best = job.out / "best" / "weights.safetensors"
    if watch.patience is not None and watch.best is not None and best.is_file():
        _recall(trainer, job.out / "best")
        metrics |= {"triplet_f1": watch.best[0], "best_step": watch.best[1]}
    if evaluates:
        found: dict[str, Any] = {}
        for line in state.log_history:
            if line.get("step") == metrics.get("best_step", state.global_step):
                found |= {key.removeprefix("eval_"): value for key, value in line.items() if key.startswith("eval_")}
        if "loss" not in found:
            found = {key.removeprefix("eval_"): value for key, value in trainer.evaluate().items()}
        names = [key for key in found if not key.endswith(("per_second", "runtime", "num_tokens", "epoch", "entropy"))]
        metrics |= {f"validate_{key}": found[key] for key in names if isinstance(found[key], int | float)}
    metrics = {key: value for key, value in metrics.items() if not isinstance(value, float) or math.isfinite(value)}
    if _processes.rank() == 0:
        model = trainer.accelerator.unwrap_model(trainer.model)
        if job.recipe.model.lora is not None:
            model = model.merge_and_unload()
        model.config.use_cache = True
        encoder = job.image_encoder
        data = {"fingerprint": job.data.fingerprint, "source": job.data.source, "counts": job.data.counts}
        meta = CheckpointMeta(
            kind="vlm-kg" if job.embeds is not None else "llm-kg",
            recipe={**as_dict(job.recipe), **_folder.changed(job.out)},
            prompt=job.prompt,
            certainty=job.recipe.data.certainty,
            base=job.recipe.model.base,
            image_encoder={"variant": encoder.variant, "sha256": encoder.hash} if encoder is not None else None,
            data=data,
            metrics=metrics,
            versions=package_versions(),
        )
        save_checkpoint(job.out, model.eval(), job.tokenizer, meta, encoder)
    trainer.accelerator.wait_for_everyone()
    return {**metrics, "seconds_per_step": round(seconds / max(state.global_step, 1), 4)}
