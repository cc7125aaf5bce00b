"""What a recipe comes to on given data: optimiser steps, and what will not do what the recipe says."""

from __future__ import annotations

import math
from collections.abc import Iterator

from kgbuild.recipes.parts import Recipe


def optimiser_steps(recipe: Recipe, n_pairs: int, world_size: int = 1) -> int:
    """Optimiser steps of the whole training, counted as transformers' Trainer does.

    Args:
        recipe: epochs or max_steps, batch size and accumulation are taken from it.
        n_pairs: training pairs.
        world_size: processes (GPUs) that share them.
    """
    training = recipe.training
    if training.max_steps is not None:
        return training.max_steps
    batches = math.ceil(math.ceil(n_pairs / world_size) / training.batch_size)
    return math.ceil(training.epochs * max(math.ceil(batches / training.accumulation), 1))


def warnings_for(
    recipe: Recipe,
    n_pairs: int,
    world_size: int = 1,
    *,
    longest_completion: int | None = None,
    n_validate: int | None = None,
) -> list[str]:
    """What the recipe says and cannot do on these data, one sentence each with the numbers behind it.

    Args:
        recipe: what is to be done.
        n_pairs: training pairs.
        world_size: processes (GPUs) that share them.
        longest_completion: tokens of the longest completion, if counted.
        n_validate: pairs of the validation split, if known.
    """
    steps = optimiser_steps(recipe, n_pairs, world_size)
    found = [*_schedule(recipe, steps, world_size), *_batches(recipe, n_pairs, world_size, steps)]
    if recipe.training.packing and recipe.training.max_steps is None:
        found.append(f"training.packing: joined rows make fewer than the {steps:,} steps that are counted here")
    limit = recipe.decoding.max_new_tokens
    if longest_completion is not None and longest_completion > limit:
        found.append(
            f"decoding.max_new_tokens {limit}: the longest completion has {longest_completion} tokens, "
            "so some outputs will be cut off; cut outputs are counted"
        )
    if n_validate == 0 and recipe.training.patience is not None:
        found.append("training.patience: there is no validation pair, so training never stops early")
    return found


def _schedule(recipe: Recipe, steps: int, world_size: int) -> Iterator[str]:
    training = recipe.training
    warmup = 0 if training.schedule == "constant" else training.warmup_steps
    if warmup >= steps > 0:
        peak = training.learning_rate * steps / warmup
        yield (
            f"training.warmup_steps {warmup:,}: the training has {steps:,} steps on {world_size} process(es), "
            f"so the warm-up never ends and the learning rate peaks at {peak:.1e} instead of "
            f"{training.learning_rate:.1e}; lower warmup_steps or use fewer processes"
        )
    elif warmup > steps / 2:
        yield f"training.warmup_steps {warmup:,}: {warmup / steps:.0%} of the {steps:,} optimiser steps are warm-up"


def _batches(recipe: Recipe, n_pairs: int, world_size: int, steps: int) -> Iterator[str]:
    training = recipe.training
    together = training.batch_size * training.accumulation * world_size
    if n_pairs < together:
        yield f"training.batch_size: one step takes {together} pairs, and there are {n_pairs}"
    if training.save_steps > steps:
        yield (
            f"training.save_steps {training.save_steps:,}: more than the {steps:,} steps of the training, "
            "so a stopped training starts anew"
        )
    if training.evaluate_steps is not None and training.evaluate_steps > steps:
        yield f"training.evaluate_steps {training.evaluate_steps:,}: more than the {steps:,} steps of the training"
