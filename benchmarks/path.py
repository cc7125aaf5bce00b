"""The first whole path: IU X-ray from CSV to a graph that answers, and how fast the command line starts.

    python benchmarks/path.py [ROOT]

ROOT is the IU data set (default: ../shared/data/iu_xray beside the checkout, or KGBUILD_SHARED_DATA/iu_xray). Each
figure is a whole process as the operating system accounts for it, the median of three runs. Peers for scale, measured
in the same run: Python starting with nothing to do, and reading the same CSV with the csv module alone.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 3


def measure(command: list[str]) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds and peak memory (MiB, the largest process) of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    shell = [sys.executable, "-c", _WRAPPER, *command]
    done = subprocess.run(shell, capture_output=True, text=True, check=True)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, int(done.stdout.strip().splitlines()[-1]) // 1024


# a fresh parent, so that its children's peak is this command's alone
_WRAPPER = (
    "import resource, subprocess, sys;"
    "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL);"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def row(name: str, results: list[tuple[float, float, int]]) -> None:
    """One line of the table."""
    wall, cpu, peak = (statistics.median(column) for column in zip(*results, strict=True))
    print(f"{name:<52} {wall:8.2f} {cpu:8.2f} {peak:8.0f}")


def main() -> None:
    """Print the table."""
    shared = os.environ.get("KGBUILD_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data"
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(shared) / "iu_xray"
    kgbuild = [sys.executable, "-m", "kgbuild"]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; {RUNS} runs, medians")
    print(f"{'':<52} {'wall s':>8} {'CPU s':>8} {'MiB':>8}")
    row("python -c pass", [measure([sys.executable, "-c", "pass"]) for _ in range(RUNS)])
    row("kgbuild --help", [measure([*kgbuild, "--help"]) for _ in range(RUNS)])
    reader = f"import csv; list(csv.reader(open({str(root / 'reports.csv')!r}, newline='')))"
    row("read the CSV with csv alone", [measure([sys.executable, "-c", reader]) for _ in range(RUNS)])
    with tempfile.TemporaryDirectory() as folder:
        workspace = str(Path(folder) / "kg")
        build = [*kgbuild, "build", "--dataset", "iu-xray", "--root", str(root), "-w", workspace]
        results = []
        for _ in range(RUNS):
            shutil.rmtree(workspace, ignore_errors=True)
            results.append(measure(build))
        row("build: 3,601 reports to a queryable graph", results)
        row("build again: nothing left to do", [measure(build) for _ in range(RUNS)])
        for query in ("graph-counts", "findings", "findings-together"):
            row(f"query {query}", [measure([*kgbuild, "query", query, "-w", workspace]) for _ in range(RUNS)])


if __name__ == "__main__":
    main()
