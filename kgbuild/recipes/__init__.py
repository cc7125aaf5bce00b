"""Recipes: what a training does, as data (``training/recipes/<model>_<dataset>.yaml``). No torch here.

A recipe is read into frozen dataclasses. An unknown key, a value of another type or one that cannot be is named with
its file, key, and what was expected. ``extends: <recipe>`` takes all of another recipe but what the file states.
"""

from kgbuild.recipes.checking import Problem, check, impossible, require_packages
from kgbuild.recipes.files import costs, header, listing, load, names, read, refuse_impossible
from kgbuild.recipes.parts import (
    DataPart,
    Decoding,
    Lora,
    ModelPart,
    Projector,
    Recipe,
    Scratch,
    TrainerName,
    TrainingPart,
)
from kgbuild.recipes.reading import as_dict, from_dict, with_settings
from kgbuild.recipes.steps import optimiser_steps, warnings_for

__all__ = [
    "DataPart",
    "Decoding",
    "Lora",
    "ModelPart",
    "Problem",
    "Projector",
    "Recipe",
    "Scratch",
    "TrainerName",
    "TrainingPart",
    "as_dict",
    "check",
    "costs",
    "from_dict",
    "header",
    "impossible",
    "listing",
    "load",
    "names",
    "optimiser_steps",
    "read",
    "refuse_impossible",
    "require_packages",
    "warnings_for",
    "with_settings",
]
