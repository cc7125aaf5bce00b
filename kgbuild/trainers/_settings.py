"""A recipe as TRL's settings, and what this machine cannot do of it.

TRL's defaults differ from what a recipe says (bf16, gradient checkpointing, a ``max_length`` that cuts in silence), so
each of them is set.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from trl import SFTConfig

from kgbuild.errors import KgbuildError
from kgbuild.recipes import Recipe
from kgbuild.trainers import _processes


def refuse_machine(recipe: Recipe) -> None:
    """Say before the training what this machine, or this kind of training, cannot do."""
    part = recipe.training
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus > 1 and _processes.world() == 1:
        raise KgbuildError(
            f"{gpus} GPUs are visible to one process",
            next_step=f"torchrun --nproc_per_node {gpus} -m kgbuild train … for all, CUDA_VISIBLE_DEVICES=0 for one",
        )
    if gpus and part.precision == "bf16" and not torch.cuda.is_bf16_supported():
        raise KgbuildError("this GPU cannot compute in bf16", next_step="--set training.precision=fp32")
    sharded = [name for name in ("FSDP", "DEEPSPEED") if os.environ.get(f"ACCELERATE_USE_{name}") == "true"]
    if sharded:
        raise KgbuildError(
            f"training with {sharded[0]} is not supported: these models fit one GPU, so each holds the whole model",
            next_step="torchrun, or accelerate launch with training/launch/accelerate_8gpu.yaml",
        )
    if part.packing and recipe.trainer != "llm-kg":
        raise KgbuildError("training.packing is for llm-kg: packed rows would share an image", expected="false")


def slow_machine(recipe: Recipe) -> str | None:
    """What this machine can do, but not in a reasonable time; measured in docs/llm-iu.md."""
    if recipe.training.precision != "bf16" or torch.cuda.is_available():
        return None
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None
    return (
        "this processor has no instructions for bf16: a step takes many times as long as with training.precision=fp32"
    )


def settings(recipe: Recipe, out: Path, limit: int, *, evaluates: bool) -> SFTConfig:
    """A recipe in TRL's words.

    Args:
        recipe: what to do.
        out: where checkpoints go.
        limit: tokens of a packed row.
        evaluates: whether there is a validation split.
    """
    part = recipe.training
    on_gpu = torch.cuda.is_available()
    steps = part.evaluate_steps
    # packed texts do not see one another: TRL packs whole rows, gives positions, and trains without a cache
    rows = (
        {"packing": True, "packing_strategy": "bfd", "eval_packing": False, "max_length": limit}
        if part.packing  # nothing is cut either way: pairs that are too long were counted and refused before
        else {"max_length": None, "dataset_kwargs": {"skip_prepare_dataset": True}, "remove_unused_columns": False}
    )
    return SFTConfig(
        output_dir=str(out),
        num_train_epochs=part.epochs,
        max_steps=part.max_steps if part.max_steps is not None else -1,
        per_device_train_batch_size=part.batch_size,
        per_device_eval_batch_size=part.batch_size,
        gradient_accumulation_steps=part.accumulation,
        learning_rate=part.learning_rate,
        warmup_steps=part.warmup_steps,
        lr_scheduler_type=part.schedule,
        weight_decay=part.weight_decay,
        bf16=part.precision == "bf16",
        activation_checkpointing=part.gradient_checkpointing,
        **rows,
        seed=part.seed,
        data_seed=part.seed,
        save_strategy="steps",
        save_steps=part.save_steps,
        save_total_limit=2,
        logging_steps=part.log_steps,
        logging_nan_inf_filter=False,
        eval_strategy=("no" if not evaluates else "epoch" if steps is None else "steps"),
        eval_steps=steps,
        prediction_loss_only=True,
        report_to=part.report_to,
        disable_tqdm=True,
        use_cpu=not on_gpu,
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=on_gpu,
    )
