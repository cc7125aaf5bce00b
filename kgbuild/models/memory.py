"""GPU memory that is too small: telling it from other faults, and the batch size that was found to fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass
class BatchLimit:
    """The largest batch that fitted, remembered from call to call; ``warn`` is told when it shrinks."""

    size: int | None = None
    warn: Callable[[str], None] = field(default=lambda message: None)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it says that the GPU's memory ran out; some libraries below torch say it in words only."""
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and ("out of memory" in str(error) or "ALLOC_FAILED" in str(error))


def unless_memory_ends(work: Callable[[], T]) -> T | None:
    """What ``work`` gives; None where it does not fit. The exception is gone on return, and with it what it held."""
    import torch

    try:
        return work()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None
