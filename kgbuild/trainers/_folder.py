"""What a training's folder holds already: an unfinished training to go on from, a finished checkpoint to be spared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kgbuild import files
from kgbuild.errors import KgbuildError
from kgbuild.models.checkpoint import META
from kgbuild.recipes import Recipe, as_dict
from kgbuild.trainers import _processes
from kgbuild.trainers.base import TrainingData

BEGUN = "training.json"
_FREE = ("save_steps", "log_steps", "report_to", "evaluate_steps", "evaluate_studies", "patience")
"""Settings that may change between a training and its resumption."""


def check_folder(recipe: Recipe, data: TrainingData, out: Path, resume: bool) -> Path | None:
    """The newest whole ``checkpoint-N`` to go on from, or null; notes in the folder what is trained here.

    Raises:
        KgbuildError: the folder holds an unfinished training and ``resume`` was not said, or another recipe's or
            another data's training is to be resumed (what differs is named).
    """
    found = newest(out)
    if (out / META).is_file() and not resume:
        raise KgbuildError(
            f"{out} holds a finished checkpoint", expected="another --out, or --resume to train on where it stopped"
        )
    asked = {"recipe": _portable(as_dict(recipe)), "data": data.fingerprint}
    begun = out / BEGUN
    if found is not None and not resume:
        raise KgbuildError(
            f"{out} holds an unfinished training with {found.name}",
            expected="--resume to go on with it, or another --out",
        )
    if found is not None and begun.is_file():
        _same(json.loads(begun.read_text(encoding="utf-8")), asked, out)
    if _processes.rank() == 0:
        out.mkdir(parents=True, exist_ok=True)
        files.write_text(begun, json.dumps(asked, indent=1) + "\n")
    return found


def _portable(value: Any) -> Any:
    """Settings without the folders of this machine: an absolute path is cut to its last name."""
    if isinstance(value, dict):
        return {key: _portable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(inner) for inner in value]  # as JSON gives them back
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _same(before: dict[str, Any], now: dict[str, Any], out: Path) -> None:
    differ = [] if before["data"] == now["data"] else ["the training data"]
    for part in ("model", "data", "training"):
        a, b = before["recipe"].get(part, {}), now["recipe"][part]
        differ += [
            f"{part}.{key}: {a.get(key)} → {b.get(key)}"
            for key in sorted({*a, *b})
            if a.get(key) != b.get(key) and key not in _FREE
        ]
    if differ:
        raise KgbuildError(
            "what is to be resumed was begun otherwise: " + "; ".join(differ),
            where=str(out),
            expected="the recipe and data that it was begun with",
            next_step="another --out for another training",
        )


def newest(out: Path) -> Path | None:
    """The newest whole ``checkpoint-N``: its ``trainer_state.json`` is written last."""
    found: list[tuple[int, Path]] = []
    for folder in out.glob("checkpoint-*"):
        number = folder.name.removeprefix("checkpoint-")
        try:
            step = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))["global_step"]
        except (OSError, ValueError, KeyError):
            continue
        if number.isdigit() and int(number) == step and (folder / "optimizer.pt").is_file():
            found.append((step, folder))
    return max(found)[1] if found else None
