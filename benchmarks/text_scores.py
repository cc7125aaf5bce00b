"""How fast ``evaluate text`` scores, and what memory it takes. Run: ``python benchmarks/text_scores.py [STUDIES]``.

Claims: BLEU and ROUGE-L at least 20 times faster than pycocoevalcap on the same pairs in the same run (``pip install
--no-deps pycocoevalcap``; without it there is no ratio); 220,000 pairs of about 230 words scored with all measures and
intervals in minutes; memory that does not grow with the texts but by the counts, some 300 bytes a study. Texts are
made up: 38 triplets over 800 words, a tenth of them lost and a third of the heads wrong in the prediction.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kgbuild.metrics.bleu import bleu_counts
from kgbuild.metrics.rouge import rouge_l
from kgbuild.metrics.text_counting import spaced

WORDS = [f"w{n}" for n in range(800)]
RELATIONS = ("located_at", "modify", "suggestive_of")
PEER = 300  # pairs that pycocoevalcap is given: its ROUGE-L takes many milliseconds a pair
CHILD = """
import resource, sys, time
from kgbuild.pipelines.evaluate_text import evaluate_text
start = time.perf_counter()
scores, _ = evaluate_text(sys.argv[1], sys.argv[2])
seconds = time.perf_counter() - start
print(seconds, time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, scores["bleu4"]["value"])
"""


def pairs(n: int) -> Iterator[tuple[str, str]]:
    """Reference and predicted text."""
    draw = random.Random(n)
    for _ in range(n):
        gold = [(draw.choice(WORDS), draw.choice(RELATIONS), draw.choice(WORDS)) for _ in range(38)]
        said = [one if draw.random() < 0.7 else (draw.choice(WORDS), *one[1:]) for one in gold if draw.random() < 0.9]
        yield tuple(" ; ".join(" , ".join(one) for one in side) for side in (gold, said))  # type: ignore[misc]


def against_pycocoevalcap() -> None:
    """The two measures alone, here and there."""
    some = list(pairs(PEER))
    words = sum(len(text.split()) for pair in some for text in pair) / (2 * PEER)
    start = time.process_time()
    for gold, said in some:
        a, b = spaced(gold), spaced(said)
        bleu_counts(a, b)
        rouge_l(a, b)
    ours = time.process_time() - start
    print(f"BLEU and ROUGE-L alone, {PEER} pairs of {words:.0f} words (CPU seconds)")
    print(f"{'kgbuild':<28}{PEER / ours:>12,.0f} pairs/s")
    try:
        from pycocoevalcap.bleu.bleu import Bleu
        from pycocoevalcap.rouge.rouge import Rouge
    except ImportError:
        print("pycocoevalcap is not installed: no ratio")
        return
    gold, said = ({n: [pair[side]] for n, pair in enumerate(some)} for side in (0, 1))
    start = time.process_time()
    Bleu(4).compute_score(gold, said, verbose=0)
    Rouge().compute_score(gold, said)
    theirs = time.process_time() - start
    print(f"{'pycocoevalcap':<28}{PEER / theirs:>12,.0f} pairs/s")
    print(f"{'ratio':<28}{theirs / ours:>12,.1f}")


def whole(n: int) -> None:
    """The command's work in a process of its own, whose memory can be read."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("reference.txt", "predicted.txt")]
        with files[0].open("w") as gold, files[1].open("w") as said:
            for pair in pairs(n):
                gold.write(pair[0] + "\n")
                said.write(pair[1] + "\n")
        done = subprocess.run(
            [sys.executable, "-c", CHILD, *map(str, files)], capture_output=True, text=True, check=True
        )
    seconds, cpu, megabytes, bleu4 = map(float, done.stdout.split())
    print(f"{n:>9,}{seconds:>12,.1f}{cpu:>12,.1f}{n / seconds:>12,.0f}{megabytes:>12,.0f}{bleu4:>10.4f}")


def main() -> None:
    """Print the tables."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    against_pycocoevalcap()
    print("\nevaluate text: two files of lines, all measures, 1,000 resamples")
    print(f"{'pairs':>9}{'s':>12}{'CPU s':>12}{'pairs/s':>12}{'peak MB':>12}{'BLEU-4':>10}")
    for size in (n // 4, n):
        whole(size)


if __name__ == "__main__":
    main()
