"""What a training's folder holds already: an unfinished training to go on from, a finished checkpoint to be spared."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
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
"""Settings that may change between a training and its resumption, since they do not touch its weights."""
_NOTED = ("precision", "gradient_checkpointing")
"""Settings that may change too, for a machine with less memory or a loss that is no number; said in the card."""
_log = logging.getLogger("kgbuild")


def check_folder(
    recipe: Recipe, data: TrainingData, out: Path, resume: bool, find: Callable[[Path], Path | None] | None = None
) -> Path | None:
    """The newest whole ``checkpoint-N`` to go on from, or null; notes in the folder what is trained here.

    Args:
        recipe: what is to be trained.
        data: the pairs.
        out: the folder.
        resume: whether to go on with what is there.
        find: the newest whole ``checkpoint-N`` of a folder, by default ``newest``.

    Raises:
        KgbuildError: the folder holds a training and ``resume`` was not said; a finished one without a ``checkpoint-N``
            to go on from; or another recipe's, another data's or another number of processes' training is to be
            resumed (what differs is named).
    """
    found = (find or newest)(out)
    if (out / META).is_file() and not resume:
        raise KgbuildError(
            f"{out} holds a finished checkpoint", expected="another --out, or --resume to train on where it stopped"
        )
    if (out / META).is_file() and found is None:
        raise KgbuildError(
            f"{out} holds a finished checkpoint, and no checkpoint-N to go on from", expected="another --out"
        )
    asked = {"recipe": _portable(as_dict(recipe)), "data": data.fingerprint, "processes": _processes.world()}
    begun = out / BEGUN
    if found is not None and not resume:
        raise KgbuildError(
            f"{out} holds an unfinished training with {found.name}",
            expected="--resume to go on with it, or another --out",
        )
    if resume and begun.is_file():
        asked |= _same(json.loads(begun.read_text(encoding="utf-8")), asked, out, found)
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


def changed(out: Path) -> dict[str, list[str]]:
    """``changed``: what was set otherwise when the training of a folder was resumed; nothing where nothing was."""
    begun = out / BEGUN
    said = json.loads(begun.read_text(encoding="utf-8")).get("changed") if begun.is_file() else None
    return {"changed": said} if said else {}


def _same(before: dict[str, Any], now: dict[str, Any], out: Path, found: Path | None) -> dict[str, Any]:
    """Refuse what may not differ; returns ``changed`` with what may, and does."""
    differ = [] if before["data"] == now["data"] else ["the training data"]
    a, b = before.get("processes", now["processes"]), now["processes"]  # older notes do not say it
    differ += [f"number of processes: {a} → {b}"] if a != b else []
    said = list(before.get("changed", ()))
    for part in ("model", "data", "training"):
        a, b = before["recipe"].get(part, {}), now["recipe"][part]
        for key in sorted({*a, *b}):
            if a.get(key) == b.get(key) or key in _FREE:
                continue
            one = f"{part}.{key}: {a.get(key)} → {b.get(key)}"
            if key not in _NOTED:
                differ.append(one)
            elif found is not None:
                said.append(f"{one} from {found.name} on")
                _log.warning("resumed with %s", said[-1])
    if differ:
        raise KgbuildError(
            "what is to be resumed was begun otherwise: " + "; ".join(differ),
            where=str(out),
            expected="the recipe, data and number of processes that it was begun with",
            next_step="another --out for another training",
        )
    return {"changed": said} if said else {}


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
