"""TRL's SFTTrainer with what a training of hours needs: stops at a loss that is no number, knows its own best weights,
says how far it is, stops cleanly on Ctrl-C, and orders its rows by length.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import SFTTrainer

from kgbuild import files
from kgbuild.errors import KgbuildError
from kgbuild.trainers import _processes
from kgbuild.trainers.base import Progress

LOG = "log.jsonl"
_JUDGED = "eval_triplet_f1"
_WINDOW = 64  # batches that are filled from one pool of rows sorted by length

Measure = Callable[[], dict[str, float]]
"""Writes texts for the validation studies with the model as it is, and scores them."""


class ByLength(Sampler[int]):
    """Row numbers in random order, but neighbours of about equal length, so that batches hold little padding.

    The order depends on seed and epoch alone, so a resumed training sees the rows that it would have seen.
    """

    def __init__(self, lengths: list[int], batch: int, seed: int) -> None:
        self.lengths, self.batch, self.seed, self.epoch = lengths, batch, seed, 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate before an epoch's first batch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        source = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        shuffled = torch.randperm(len(self.lengths), generator=source).tolist()
        batches: list[list[int]] = []
        for start in range(0, len(shuffled), self.batch * _WINDOW):
            pool = sorted(shuffled[start : start + self.batch * _WINDOW], key=lambda row: -self.lengths[row])
            batches += [pool[at : at + self.batch] for at in range(0, len(pool), self.batch)]
        full = [batch for batch in batches if len(batch) == self.batch]
        order = torch.randperm(len(full), generator=source).tolist()
        for batch in [*(full[place] for place in order), *(one for one in batches if len(one) < self.batch)]:
            yield from batch


class Fit(SFTTrainer):
    """One training.

    Args:
        *args: for ``SFTTrainer``.
        lengths: of the rows, to order them by; null where they are packed.
        measure: run at every evaluation; its ``triplet_f1`` decides what is best.
        **kwargs: for ``SFTTrainer``.
    """

    def __init__(self, *args: Any, lengths: list[int] | None, measure: Measure | None = None, **kwargs: Any) -> None:
        self._lengths = lengths
        self._measure = measure
        super().__init__(*args, **kwargs)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self._lengths is None:
            return super()._get_train_sampler(train_dataset)
        together = self.args.per_device_train_batch_size * self.args.world_size
        return ByLength(self._lengths, together, self.args.seed)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """One batch forward and back.

        Raises:
            KgbuildError: the loss is infinite or no number, or the GPU's memory too small; names the step.
        """
        step = self.state.global_step + 1
        try:
            loss = super().training_step(*args, **kwargs)
        except torch.OutOfMemoryError:
            raise KgbuildError(
                f"out of GPU memory at step {step}",
                next_step="training.gradient_checkpointing=true needs less memory and a third more time, and --resume "
                "takes it; half the training.batch_size and twice the accumulation need another --out",
            ) from None
        if not torch.isfinite(loss):
            raise KgbuildError(
                f"the loss is no longer a finite number ({loss.item()}) at step {step}",
                where=f"epoch {self.state.epoch or 0:.2f}",
                next_step="training.precision=fp32 with --resume, which goes on from the newest checkpoint before it; "
                "a lower training.learning_rate or more warmup_steps need another --out",
            )
        return loss

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The loss over the validation split, and the measures of the texts written for it."""
        found = super().evaluate(*args, **kwargs)
        if self._measure is not None:
            self.model.eval()
            more = {f"eval_{name}": value for name, value in self._measure().items()}
            self.model.train()
            self.log(more)
            found |= more
        return found

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Not TRL's: the checkpoint's own card is written at the end."""


class Watch(TrainerCallback):
    """Progress in studies, a line of ``log.jsonl`` a log step, Ctrl-C, and early stopping on triplet F1.

    Attributes:
        best: (triplet F1, step) of the best evaluation so far.
        stopped_early, interrupted: why the training ended before its last step.
    """

    def __init__(self, out: Path, progress: Progress, patience: int | None, keep: Callable[[Path], None]) -> None:
        self.out, self.progress, self.patience, self.keep = out, progress, patience, keep
        self.best: tuple[float, int] | None = None
        self.interrupted = False
        self.stopped_early = False
        self.train_seconds = 0.0
        self._since: float | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Forget what lies after the step that is gone on from."""
        if state.is_world_process_zero:  # alone: the others would read what is being written
            lines = [line for line in self._lines() if line.get("step", 0) <= state.global_step]
            files.write_text(self.out / LOG, "".join(json.dumps(line) + "\n" for line in lines))
            for line in lines:
                self._judge(line)
        self._agree()
        self._tell(args, state)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock."""
        self._since = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Tell how far it is; on Ctrl-C save and stop."""
        if self._since is not None:
            self.train_seconds += time.perf_counter() - self._since
        self._tell(args, state)
        self.interrupted = _processes.any_of(self.interrupted)
        if self.interrupted:
            control.should_save = control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep the numbers; judge an evaluation."""
        line = {"step": state.global_step, **{name: _finite(value) for name, value in (logs or {}).items()}}
        if state.is_world_process_zero:
            with (self.out / LOG).open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
            if self._judge(line) and self.patience is not None:
                self.keep(self.out / "best")
        if _JUDGED in line:
            self._agree()
        if self.patience is not None and self._waited >= self.patience:
            control.should_training_stop = self.stopped_early = True

    _waited = 0

    def _judge(self, line: dict[str, Any]) -> bool:
        """Whether this evaluation is the best so far."""
        value = line.get(_JUDGED)
        if value is None:
            return False
        if self.best is None or value > self.best[0]:
            self.best, self._waited = (value, line["step"]), 0
            return True
        self._waited += 1
        return False

    def _agree(self) -> None:
        """All processes take the first one's judgement, so that all stop at one step."""
        self.best, self._waited = _processes.from_first((self.best, self._waited))

    def _lines(self) -> list[dict[str, Any]]:
        path = self.out / LOG
        if not path.is_file():
            return []
        found = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue  # cut short by a kill
        return found

    def _tell(self, args: TrainingArguments, state: TrainerState) -> None:
        each = args.train_batch_size * args.gradient_accumulation_steps * _processes.world()
        self.progress("training", state.global_step * each, state.max_steps * each)


def _finite(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
