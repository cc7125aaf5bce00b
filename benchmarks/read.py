"""Reading at full size: a synthetic MIMIC-CXR listed, its reports read and sectioned; a RadGraph release streamed.

    python benchmarks/read.py DIR [--studies 227835] [--radgraph-mb 200]

DIR holds (or gets) the synthetic set; put it on a fast disk: it is 227,835 small files at full size, about 20 minutes
to write on a slow one. Measured from a warm file system, by wall clock and by the processes' own CPU time. Peers in
the same run: opening and reading every report file and nothing else; the json module reading the whole release.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import kgbuild
from kgbuild.domain import Study
from kgbuild.pipelines.source import Source

CHUNK = 512


def read_share(source: Source, part: int, parts: int) -> tuple[int, int, int]:
    """Read and section every part-th chunk: studies, sections, peak memory in MiB."""
    dataset = source.open()
    ids = [ref.id for ref in dataset.listing().studies]
    n_studies = n_sections = 0
    for start in range(part * CHUNK, len(ids), parts * CHUNK):
        for item in dataset.studies(ids[start : start + CHUNK]):
            n_studies += 1
            n_sections += len(item.report.sections) if isinstance(item, Study) and item.report else 0
    return n_studies, n_sections, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def mimic(root: Path, processes: int) -> None:
    """List, read and section the whole set in so many processes."""
    source = kgbuild.resolve("mimic", root)
    started, cpu = time.perf_counter(), _cpu()
    with ProcessPoolExecutor(processes) as pool:
        jobs = [pool.submit(read_share, source, part, processes) for part in range(processes)]
        found = [job.result() for job in jobs]
    wall, used = time.perf_counter() - started, _cpu() - cpu
    studies, sections = sum(n for n, _, _ in found), sum(s for _, s, _ in found)
    peak = max(m for _, _, m in found)
    print(f"listed, read, sectioned: {studies:,} studies, {sections:,} sections, {processes} processes")
    print(f"  {wall:.1f} s wall, {used:.1f} s CPU, {studies / wall:,.0f} studies/s, {peak} MiB a process")


def bare(root: Path) -> None:
    """The limit: open and read each report file, one process."""
    started = time.perf_counter()
    n = size = 0
    for folder, _, names in os.walk(root / "files"):
        for name in names:
            if name.endswith(".txt"):
                with open(os.path.join(folder, name), "rb") as stream:
                    size += len(stream.read())
                n += 1
    seconds = time.perf_counter() - started
    print(f"peer, files opened and read, no more: {n:,} files, {size / 1e6:,.0f} MB, {seconds:.1f} s wall")


def release(folder: Path, megabytes: int) -> None:
    """Stream a made-up release file of about that size in a fresh process each."""
    path = folder / "graphs.json"
    entry = {
        "text": "There is a small left pleural effusion . No pneumothorax . " * 6,
        "entities": {
            str(i): {"tokens": "effusion", "label": "OBS-DP", "start_ix": 6, "end_ix": 6, "relations": []}
            for i in range(1, 30)
        },
    }
    text = json.dumps(entry)
    n = megabytes * 1_000_000 // len(text)
    with path.open("w") as stream:
        stream.write("{")
        for i in range(n):
            stream.write(f'{"," if i else ""}"p10/p10000001/s{50_000_000 + i}.txt": {text}')
        stream.write("}")
    size = path.stat().st_size / 1e6
    head = "import json, resource, sys, time\nfrom pathlib import Path\n"
    tail = "\nprint(n, time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    stream_it = "from kgbuild.notation.json_stream import object_members\n"
    ways = {
        "streamed": stream_it + "n = sum(1 for _ in object_members(Path(sys.argv[1])))",
        "peer, json.loads of the whole": "n = len(json.loads(Path(sys.argv[1]).read_text()))",
    }
    for name, code in ways.items():
        command = [sys.executable, "-c", head + code + tail, str(path)]
        count, seconds, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        rate = size / float(seconds)
        print(f"release, {name}: {int(count):,} entries, {size:,.0f} MB, {rate:.0f} MB/s of CPU time, {peak} MiB")
    path.unlink()


def _cpu() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def main() -> None:
    """Make what is missing and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--studies", type=int, default=227_835)
    parser.add_argument("--radgraph-mb", type=int, default=200)
    given = parser.parse_args()
    root = given.folder / f"mimic-{given.studies}"
    if not (root / "cxr-study-list.csv.gz").is_file():
        make = [sys.executable, "-m", "kgbuild", "datasets", "make", "mimic", "--out", str(root), "--seed", "1"]
        subprocess.run([*make, "--studies", str(given.studies)], check=True)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"load average before: {os.getloadavg()[0]:.1f}")
    bare(root)
    mimic(root, 2)
    release(given.folder, given.radgraph_mb)


if __name__ == "__main__":
    main()
