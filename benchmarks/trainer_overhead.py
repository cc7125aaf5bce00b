"""What the trainer costs over a bare training loop: the same model, batches and optimiser, in one process.

    OMP_NUM_THREADS=1 python benchmarks/trainer_overhead.py [--steps 40] [--hidden 256] [--layers 6]

The bare loop does what must be done: forward, loss over completions, backward, clip, AdamW, schedule. The trainer does
that through TRL and adds progress, the log, the check for a loss that is no number, entropy and token accuracy. Both
see the same rows in the same order; pieces of the two alternate, so that a busy machine slows both alike. Prints
seconds of CPU time a step (median over pieces, the first steps left out) and the ratio. Aim: at most 1.10.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

WARM = 3  # steps that are not counted
FINDINGS = ("effusion", "opacity", "nodule", "atelectasis", "edema", "fracture", "consolidation", "granuloma")


def make_pairs(folder: Path, count: int) -> None:
    """Made-up reports of four sentences and their triplets."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from kgbuild.tables import TRAINING_PAIRS

    rows = []
    for number in range(count):
        parts = [
            (("left", "right")[number >> i & 1], FINDINGS[(number * 7 + i * 3) % 8], ("upper", "lower")[number % 2])
            for i in range(4)
        ]
        text = " ".join(f"There is a {side} {what} in the {lobe} lobe ." for side, what, lobe in parts)
        triplets = " ; ".join(f"{side} , modify , {what} ; {what} , located_at , lobe" for side, what, _ in parts)
        rows.append(
            {
                "study_id": f"s{number}",
                "split": "train",
                "prompt": f"Report: {text}\nTriplets:",
                "completion": f" {triplets}",
            }
        )
    pq.write_table(pa.Table.from_pylist(rows, schema=TRAINING_PAIRS), folder / "train.parquet")


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40, help="steps a piece")
    parser.add_argument("--pieces", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--vocabulary", type=int, default=2000)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    args = parser.parse_args()
    import torch

    from kgbuild import recipes
    from kgbuild.trainers.base import TrainingData

    base = recipes.Recipe(
        "overhead",
        "llm-kg",
        model=recipes.ModelPart(
            base="scratch",
            scratch=recipes.Scratch(args.hidden, args.layers, 8, 3 * args.hidden, args.vocabulary),
        ),
        data=recipes.DataPart(dataset="made-up", prompt="triplets_short", max_length=512),
        training=recipes.TrainingPart(
            max_steps=args.steps, batch_size=args.batch, accumulation=1, precision=args.precision, save_steps=10**6
        ),
    )
    bare, ours = [], []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_pairs(folder, args.steps * args.batch)
        data = TrainingData(folder, "made-up")
        for piece in range(args.pieces):
            bare.append(bare_loop(base, data, args.steps))
            ours.append(trainer(base, data, folder / f"out{piece}"))
    one, other = statistics.median(bare), statistics.median(ours)
    print(f"{torch.get_num_threads()} thread(s), torch {torch.__version__}, {args.precision}, batch {args.batch}")
    print(f"{'bare loop':<12} {one:8.4f} s/step   pieces {' '.join(f'{value:.4f}' for value in bare)}")
    print(f"{'trainer':<12} {other:8.4f} s/step   pieces {' '.join(f'{value:.4f}' for value in ours)}")
    ratio = statistics.median(b / a for a, b in zip(bare, ours, strict=True))
    print(f"{'ratio':<12} {ratio:8.3f}          (aim: at most 1.10)")


def bare_loop(recipe: Any, data: Any, steps: int) -> float:
    """Seconds a step of CPU time; the rows come in the trainer's order."""
    import torch
    from transformers import get_scheduler

    from kgbuild.trainers._tokens import Collate, tokenize
    from kgbuild.trainers._trainer import ByLength
    from kgbuild.trainers.llm_kg import start

    model, tokenizer = start(recipe, data)
    tokens = tokenize(data.folder / "train.parquet", tokenizer, recipe.data, recipe.data.max_length)
    part = recipe.training
    sampler = ByLength(tokens.lengths, part.batch_size, part.seed)
    loader = torch.utils.data.DataLoader(tokens.rows, part.batch_size, sampler=sampler, collate_fn=Collate(0))
    optimiser = torch.optim.AdamW(model.parameters(), part.learning_rate, weight_decay=0.0, fused=True)
    schedule = get_scheduler("linear", optimiser, 0, steps)
    model.train()
    batches = iter(loader)
    began = 0.0
    for step in range(steps):
        if step == WARM:
            began = time.process_time()
        batch = next(batches)
        with torch.autocast("cpu", torch.bfloat16, enabled=part.precision == "bf16"):
            loss = model(**batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
    return (time.process_time() - began) / (steps - WARM)


def trainer(recipe: Any, data: Any, out: Path) -> float:
    """Seconds a step of CPU time; the first mark is set before the first step, one after each."""
    from kgbuild.trainers.llm_kg import LLMKG

    marks: list[float] = []

    def note(stage: str, done: int, total: int) -> None:
        if stage == "training":
            marks.append(time.process_time())

    LLMKG().train(recipe, data, out, progress=note)
    return (marks[-1] - marks[WARM]) / (len(marks) - 1 - WARM)


if __name__ == "__main__":
    main()
