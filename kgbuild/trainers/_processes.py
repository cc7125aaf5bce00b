"""Several processes of one training (``torchrun``): who is first, and waiting for what the first one writes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_LOOK_S = 0.2


def rank() -> int:
    """0 for the first, or only, process."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def first(made: Path) -> Iterator[None]:
    """The first process runs the block, which makes ``made`` whole; the others wait until it is there, then run it.

    Should the first one fail, ``torchrun`` ends those that wait.
    """
    while rank() > 0 and not made.exists():
        time.sleep(_LOOK_S)
    yield


def from_first(value: Any) -> Any:
    """What the first process has; all of them must ask."""
    if world() == 1:
        return value
    from torch import distributed

    held = [value]
    distributed.broadcast_object_list(held, src=0)
    return held[0]


def any_of(value: bool) -> bool:
    """Whether it is true in any of the processes; all of them must ask."""
    if world() == 1:
        return value
    import torch
    from torch import distributed

    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    flag = torch.tensor([int(value)], device=device)
    distributed.all_reduce(flag, distributed.ReduceOp.MAX)
    return bool(flag.item())
