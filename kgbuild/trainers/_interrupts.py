"""Ctrl-C in a training: the step in progress ends, a checkpoint is kept, and only then it stops."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from kgbuild.trainers import _processes


class Interruptible(Protocol):
    """What looks at ``interrupted`` after each step."""

    interrupted: bool


@contextmanager
def interruptible(work: Interruptible) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) lets the step end and saves; a second one stops at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, frame: Any) -> None:
        if work.interrupted:
            raise KeyboardInterrupt
        work.interrupted = True
        if _processes.rank() == 0:
            os.write(2, b"\nstopping after this step, with a checkpoint; Ctrl-C again stops at once, without\n")

    before = {which: signal.signal(which, note) for which in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
