"""The synthetic MIMIC-CXR: how many studies a second, how much memory, and how many of its sentences are distinct.

    python benchmarks/synthetic.py [--out DIR] [--studies N ...]

DIR is where the sets are written and removed again (default: a temporary folder; a memory file system shows the
program's own speed, a disk the disk's too). The default N are 3,601 (the reports of IU X-ray, for which the share of
distinct sentences is printed beside it where the data pack is at hand), 20,000 and 227,835 (MIMIC-CXR).

Each set is made twice in a process of its own on one core, without and with ``--gold``. A sentence is a piece of the
findings or impression between full stops, in lower case; numbers of lists are not sentences.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from kgbuild.notation.json_stream import object_members
from kgbuild.synthesis import make_mimic
from kgbuild.text import tokenize

STUDIES = (3_601, 20_000, 227_835)
SEED = 1
_END = re.compile(r" [.](?= |$)(?! \d+ (?:cm|x|mm)\b)")


def distinct(texts: Iterable[str]) -> tuple[int, int]:
    """(sentences, distinct ones) of texts whose tokens are joined by a space."""
    count = 0
    seen = set()
    for text in texts:
        for sentence in _END.split(text.lower()):
            words = sentence.strip()
            if any(letter.isalpha() for letter in words):
                count += 1
                seen.add(hashlib.blake2b(words.encode(), digest_size=8).digest())
    return count, len(seen)


def gold_texts(path: Path) -> Iterable[str]:
    """The texts of a RadGraph JSON file, streamed."""
    for _, entry in object_members(path):
        yield entry["text"]


def iu_texts() -> list[str]:
    """The IU reports' findings and impressions, or nothing where the data pack is absent."""
    named = os.environ.get("KGBUILD_SHARED_DATA")
    path = (Path(named) if named else Path(__file__).parents[2] / "shared" / "data") / "iu_xray" / "reports.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = [f"{row['findings']} {row['impression']}" for row in csv.DictReader(file)]
    return [" ".join(token.text for token in tokenize(row)) for row in rows]


def measure(out: Path, studies: int, gold: Path | None) -> tuple[float, float, float]:
    """(wall seconds, CPU seconds, peak MiB) of a process that makes one set; the set is removed."""
    command = [sys.executable, __file__, "--child", str(out / "set"), "--studies", str(studies)]
    done = subprocess.run(
        [*command, "--gold", str(gold)] if gold else command, capture_output=True, text=True, check=True
    )
    shutil.rmtree(out / "set")
    wall, cpu, peak = map(float, done.stdout.split())
    return wall, cpu, peak


def child(out: Path, studies: int, gold: Path | None) -> None:
    """Make one set on one core and print what it took."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    started = time.perf_counter()
    make_mimic(out, studies, SEED, gold=gold)
    print(time.perf_counter() - started, time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--studies", type=int, nargs="+", default=STUDIES)
    parser.add_argument("--gold", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child, given.studies[0], given.gold)
        return
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, seed {SEED}")
    names = ("wall s", "CPU s", "per s", "per CPU s", "MiB", "sentences", "distinct")
    print(f"{'':<26}" + "".join(f"{name:>11}" for name in names))
    if texts := iu_texts():
        count, kinds = distinct(texts)
        print(f"{f'IU X-ray, {len(texts):,} reports':<81}{count:>11,}{kinds / count:>11.1%}")
    with tempfile.TemporaryDirectory(dir=given.out) as folder:
        for studies in given.studies:
            gold = Path(folder) / "gold.json"
            for name, path in (("", None), (" and gold", gold)):
                wall, cpu, peak = measure(Path(folder), studies, path)
                line = f"{f'{studies:,} studies{name}':<26}{wall:11.1f}{cpu:11.1f}"
                line += f"{studies / wall:11,.0f}{studies / cpu:11,.0f}{peak:11.0f}"
                if path:
                    count, kinds = distinct(gold_texts(gold))
                    line += f"{count:>11,}{kinds / count:>11.1%}"
                print(line, flush=True)


if __name__ == "__main__":
    main()
