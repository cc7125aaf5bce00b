"""MedCLIP's training loop, in plain torch.

OUT/training.json    recipe and data of the training that was begun here
    log.jsonl        loss, rate and temperature by step
    checkpoint-N/    state.pt, to go on from; the newest
    model.safetensors encoder.json text/ README.md kgbuild.json   at the end

Order, chosen sentences, varied pictures and dropout follow from seed and step alone, so that a training that was
resumed gives what a straight one gives.

Source: Wang et al., MedCLIP (2022): AdamW, batch 100, 10 epochs, rate 2e-5, decay 1e-4, 10 % warm-up.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor

from kgbuild import files
from kgbuild.errors import KgbuildError
from kgbuild.models.checkpoint import CheckpointMeta, begin, package_versions, write_card
from kgbuild.models.medclip import load_image_encoder, new_image_encoder
from kgbuild.models.medclip_text import MedCLIP, contrastive_loss, load_text_encoder, new_text_encoder
from kgbuild.models.memory import is_out_of_memory
from kgbuild.recipes import Recipe, as_dict
from kgbuild.trainers import _folder, _medclip_data
from kgbuild.trainers._interrupts import interruptible
from kgbuild.trainers._medclip_data import Sentences
from kgbuild.trainers.base import Progress, Trained, TrainingData

_STATE = "state.pt"
_LOG = "log.jsonl"
_EVALUATED = 1000  # images of the validation split


def fit(recipe: Recipe, data: TrainingData, out: Path, *, resume: bool, progress: Progress) -> Trained:
    """Train and write the checkpoint; see ``Trainer.train``."""
    kept = _folder.check_folder(recipe, data, out, resume, _newest)
    model = _model(recipe, data)
    side = model.vision_model.side
    train = _medclip_data.load(data, "train", side, progress)
    if train is None or len(train) < 2:
        raise KgbuildError("fewer than two images to train on", expected="studies with an image and a finding")
    run = _Run(recipe, model, train, out)
    if kept is not None:
        run.load(kept / _STATE)
    begin(out)
    with interruptible(run):
        run.go(progress)
    metrics = {"steps": run.step, "train_loss": round(run.loss, 6), "labels": train.n_labels, "images": len(train)}
    held = _medclip_data.load(data, "validate", side, progress)
    if held is not None and len(held) > 1:
        metrics |= _validated(run, held)
    model.to("cpu").eval().save(out)
    encoder = model.vision_model
    meta = CheckpointMeta(
        kind="medclip",
        recipe={**as_dict(recipe), **_folder.changed(out)},
        base=recipe.model.text_encoder or "",
        image_encoder={"variant": encoder.variant, "sha256": encoder.hash},
        data={"fingerprint": data.fingerprint, "source": data.source, "counts": data.counts},
        metrics=metrics,
        versions=package_versions(),
    )
    write_card(out, meta)
    said = [f"{train.unreadable:,} images cannot be read and were left out"] if train.unreadable else []
    if recipe.training.warmup_steps >= run.total:
        said.append(f"the warm-up of {recipe.training.warmup_steps:,} steps never ended: there were {run.total:,}")
    return Trained(out, metrics, tuple(said))


def _newest(out: Path) -> Path | None:
    """The newest ``checkpoint-N`` with a whole state, if any."""
    found = [path.parent for path in out.glob(f"checkpoint-*/{_STATE}")]
    return max(found, key=lambda folder: int(folder.name.removeprefix("checkpoint-")), default=None)


def _model(recipe: Recipe, data: TrainingData) -> MedCLIP:
    part, seed = recipe.model, recipe.training.seed
    if part.image_encoder is not None:
        vision = load_image_encoder(Path(part.image_encoder), part.image_variant)
    else:
        vision = new_image_encoder(part.image_variant, seed=seed, tiny=part.image_tiny)
    if part.text_encoder is not None:
        return MedCLIP(vision, load_text_encoder(part.text_encoder, seed=seed))
    return MedCLIP(vision, new_text_encoder(_words(data), seed=seed))


def _words(data: TrainingData) -> Iterator[str]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(data.folder / "train-sentences.parquet").iter_batches(1024, columns=["sentences"]):
        for row in batch.to_pylist():
            yield from row["sentences"]


class _Run:
    """Model, optimiser and place in the training."""

    def __init__(self, recipe: Recipe, model: MedCLIP, train: Sentences, out: Path) -> None:
        from transformers import get_scheduler

        part = recipe.training
        self.part, self.train, self.out = part, train, out
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.to(self.device).train()
        self.batch = min(part.batch_size, len(train))
        self.per_epoch = len(train) // self.batch
        self.total = part.max_steps if part.max_steps is not None else max(1, round(part.epochs * self.per_epoch))
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=part.learning_rate, weight_decay=part.weight_decay)
        self.schedule = get_scheduler(part.schedule, self.optimizer, part.warmup_steps, self.total)
        self.step = 0
        self.loss = math.nan
        self.losses: list[float] = []  # since the last line of the log
        self.interrupted = False

    def go(self, progress: Progress) -> None:
        """All steps that are left.

        Raises:
            KeyboardInterrupt: it was stopped; a ``checkpoint-N`` to go on from is there.
        """
        while self.step < self.total:
            epoch, place = divmod(self.step, self.per_epoch)
            order = torch.randperm(len(self.train), generator=self._source(-1 - epoch)).tolist()
            for at in range(place, self.per_epoch):
                if self.step >= self.total:
                    break
                self.losses.append(self._stepped(order[at * self.batch : (at + 1) * self.batch]))
                self.step += 1
                if self.step % self.part.log_steps == 0 or self.step == self.total:
                    self.loss = sum(self.losses) / len(self.losses)
                    self.losses = []
                    self._note()
                if self.step % self.part.save_steps == 0 and self.step < self.total:
                    self.save()
                progress("training", self.step * self.batch, self.total * self.batch)
                if self.interrupted:
                    self.save()
                    raise KeyboardInterrupt

    def _source(self, number: int) -> torch.Generator:
        return torch.Generator().manual_seed((self.part.seed * 1_000_003 + number) % 2**63)

    def _stepped(self, places: list[int]) -> float:
        try:
            return self._one(places)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise KgbuildError(
                f"out of GPU memory at step {self.step + 1}",
                next_step="training.precision=bf16 with --resume, or a smaller training.batch_size, which needs "
                "another --out: a pair's counterexamples are the others of its batch",
            ) from None

    def _one(self, places: list[int]) -> float:
        """One step; its loss."""
        with torch.random.fork_rng():
            torch.manual_seed((self.part.seed * 1_000_003 + self.step) % 2**63)
            picked = [int(torch.randint(len(self.train.sentences[place]), ())) for place in places]
            pictures = _medclip_data.varied(self.train.pictures(places), self.model.vision_model.side)
            loss = contrastive_loss(*self.compare(self.train, places, picked, pictures))
            if not torch.isfinite(loss):
                raise KgbuildError(
                    f"the loss is no longer a finite number ({loss.item()}) at step {self.step + 1}",
                    next_step="training.precision=fp32 with --resume, which goes on from the newest checkpoint before "
                    "it; a lower training.learning_rate or more warmup_steps need another --out",
                )
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
        return float(loss.detach())

    def compare(self, held: Sentences, places: list[int], picked: list[int], pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and how far labels of images and sentences agree. *Shape:* ``(len(places), len(places))`` each."""
        images = torch.stack([held.image_vector(place) for place in places])
        chosen = zip(places, picked, strict=True)
        said = torch.stack([held.vector(held.labels[place][number]) for place, number in chosen])
        tokens = self.model.text_model.tokenize(
            [held.sentences[place][number] for place, number in zip(places, picked, strict=True)]
        )
        mixed = self.part.precision == "bf16" and self.device.type == "cuda"
        with torch.autocast("cuda", torch.bfloat16) if mixed else nullcontext():
            logits = self.model(pictures.to(self.device), **{k: v.to(self.device) for k, v in tokens.items()})
        return logits.float(), (images @ said.T).to(self.device)

    def _note(self) -> None:
        line = {
            "step": self.step,
            "loss": self.loss,
            "learning_rate": self.schedule.get_last_lr()[0],
            "temperature": float(self.model.logit_scale.detach().exp()),
        }
        with (self.out / _LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")

    def save(self) -> None:
        """Keep everything needed to go on; the one before is removed once this one is whole."""
        folder = self.out / f"checkpoint-{self.step}"
        folder.mkdir(exist_ok=True)
        kept = {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}
        with files.atomic(folder / _STATE) as part:
            place = {"step": self.step, "loss": self.loss, "losses": self.losses}
            torch.save({**place, **{name: one.state_dict() for name, one in kept.items()}}, part)
        for other in self.out.glob("checkpoint-*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)

    def load(self, path: Path) -> None:
        """Go on from a kept state."""
        kept = torch.load(path, map_location=self.device, weights_only=True)
        for name in ("model", "optimizer", "schedule"):
            getattr(self, name).load_state_dict(kept[name])
        self.step, self.loss, self.losses = kept["step"], kept.get("loss", math.nan), kept.get("losses", [])


def _validated(run: _Run, held: Sentences) -> dict[str, float]:
    """Loss, and how often an image's nearest sentence of another's report says something true of it.

    ``validate_nearest_agrees``: its labels and the image's have a positive product. ``validate_any_agrees``: the same
    for a sentence drawn at random, which is chance.
    """
    run.model.eval()
    places = list(range(min(len(held), _EVALUATED)))
    source = run._source(2**40)
    losses, right, chance, n = [], 0.0, 0.0, 0
    for start in range(0, len(places), run.batch):
        some = places[start : start + run.batch]
        if len(some) < 2:
            break
        picked = [int(torch.randint(len(held.sentences[place]), (), generator=source)) for place in some]
        pictures = _medclip_data.plain(held.pictures(some), run.model.vision_model.side)
        with torch.no_grad():
            logits, agree = run.compare(held, some, picked, pictures)
        losses.append(float(contrastive_loss(logits, agree)) * len(some))
        own = torch.eye(len(some), dtype=torch.bool, device=logits.device)
        nearest = logits.masked_fill(own, -torch.inf).argmax(1)
        right += float((agree.gather(1, nearest[:, None]) > 0).sum())
        chance += float(((agree > 0) & ~own).sum() / (len(some) - 1))
        n += len(some)
    run.model.train()
    return {
        "validate_loss": sum(losses) / n,
        "validate_nearest_agrees": right / n,
        "validate_any_agrees": chance / n,
        "validate_images": n,
    }
