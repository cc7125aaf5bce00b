"""The ``rules`` extractor: rate, memory and growth, and its certainty beside medspaCy's ConText and negspaCy.

    python benchmarks/extract.py [--peers PYTHON]

Reports: the IU X-ray set of the open data pack (KGBUILD_SHARED_DATA, default ../shared/data). Certainty: the shipped
polarity suite, whose mentions are given to the peers, so that only certainty is compared. PYTHON is the interpreter of
an environment with ``pip install medspacy negspacy`` (they cannot live beside current numpy and spaCy).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import kgbuild
from kgbuild.domain import Report, Section, Study
from kgbuild.extractors.rules import RulesExtractor
from kgbuild.labels import EntityType
from kgbuild.resources import data
from kgbuild.text import tokenize

SECTIONS = ("findings", "impression")
PUBLISHED = "RadGraph's model on a GPU: about 79 ms a report (published by RadEval, not measured here)"


def studies() -> list[Study]:
    """The IU reports, or the shipped examples where there is no data pack."""
    shared = Path(os.environ.get("KGBUILD_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")
    known = (shared / "iu_xray" / "reports.csv").is_file()
    source = kgbuild.resolve("iu-xray", shared / "iu_xray") if known else kgbuild.resolve("examples")
    return [item for item in source.open().studies() if isinstance(item, Study)]


def rate(reports: list[Study], memo: str) -> float:
    """Reports a CPU second in this process, best of three."""
    best = 0.0
    for _ in range(3):
        extractor = RulesExtractor(SECTIONS, memo=memo)
        extractor.annotate(["No", "effusion", "."])
        started = time.process_time()
        for _ in extractor.extract(reports):
            pass
        best = max(best, len(reports) / (time.process_time() - started))
    return best


def memory(reports: list[Study], times: int) -> int:
    """Peak memory (MiB) of a fresh process that annotates the reports so many times over."""
    code = (
        "import resource, sys; sys.argv = ['x']; sys.path.insert(0, sys.path[0]);"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r});"
        "import extract; r = extract.studies(); e = extract.RulesExtractor(extract.SECTIONS);\n"
        f"for _ in range({times}):\n    [None for _ in e.extract(r)]\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def growth() -> list[tuple[int, float]]:
    """Seconds for one line of made-up text by its length in characters."""
    sentence = "There is a small left pleural effusion with adjacent atelectasis, no pneumothorax. "
    rows = []
    for size in (12_500, 25_000, 50_000, 100_000):
        for text in (sentence * (size // len(sentence)),):
            study = Study("s", "made-up", Report((Section("findings", text),)))
            extractor = RulesExtractor(SECTIONS, memo="0")
            started = time.process_time()
            list(extractor.extract([study]))
            rows.append((size, time.process_time() - started))
    unbroken = sentence.replace(".", " and") * (100_000 // len(sentence))
    started = time.process_time()
    list(RulesExtractor(SECTIONS, memo="0").extract([Study("s", "m", Report((Section("findings", unbroken),)))]))
    rows.append((len(unbroken), time.process_time() - started))
    return rows


def suite() -> list[tuple[str, list[tuple[int, int]], list[str]]]:
    """The polarity suite: text, character spans and presence of its marked heads."""
    found = []
    for line in (data("schemas") / "polarity" / "polarity.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        tokens = tokenize(entry["text"])
        spans = [(tokens[f["token"]].char_start, tokens[f["token"]].char_end) for f in entry["findings"]]
        found.append((entry["text"], spans, [f["presence"] for f in entry["findings"]]))
    return found


def own(items: list[tuple[str, list[tuple[int, int]], list[str]]]) -> tuple[float, list[list[str]]]:
    """Our presence of the same mentions (``not found`` where the extractor has no entity there), and CPU seconds."""
    extractor = RulesExtractor(SECTIONS, memo="0")
    extractor.annotate(["No", "effusion", "."])
    presence = []
    started = time.process_time()
    answers = [extractor.annotate([t.text for t in tokenize(text)])[0] for text, _, _ in items]
    seconds = time.process_time() - started
    for (text, spans, _), entities in zip(items, answers, strict=True):
        starts = {token.char_start: i for i, token in enumerate(tokenize(text))}
        at = {i: e.presence.value for e in entities if e.type is EntityType.OBSERVATION for i in range(e.start, e.end)}
        presence.append([at.get(starts[a], "not found") for a, _ in spans])
    return seconds, presence


def line(name: str, seconds: float, predicted: list[list[str]], gold: list[list[str]]) -> None:
    """One row: accuracy on three values and on absent alone, denials made positive, mentions a second."""
    pairs = [(g, p) for gs, ps in zip(gold, predicted, strict=True) for g, p in zip(gs, ps, strict=True)]
    right = sum(g == p for g, p in pairs) / len(pairs)
    absent = sum((g == "absent") == (p == "absent") for g, p in pairs) / len(pairs)
    flipped = sum(g == "absent" and p == "present" for g, p in pairs)
    print(f"{name:<28} {right:9.3f} {absent:9.3f} {flipped:9d} {len(pairs) / seconds:12,.0f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="Python of an environment with medspacy and negspacy")
    peers = parser.parse_args().peers
    reports = studies()
    print(f"{platform.machine()}, Python {platform.python_version()}, one core")
    print(f"{reports[0].dataset}, n = {len(reports):,} reports")
    print(f"reports/s without a memo of sentences  {rate(reports, '0'):10,.0f}")
    print(f"reports/s with a bounded one           {rate(reports, '50000'):10,.0f}")
    for times in (1, 4):
        print(f"peak memory, reports read {times} times over   {memory(reports, times):7,} MiB")
    for size, seconds in growth():
        print(f"one line of {size:>7,} characters           {seconds:10.2f} s")
    print(PUBLISHED)
    items = suite()
    gold = [presence for _, _, presence in items]
    mentions = sum(map(len, gold))
    print(f"\ncertainty of {mentions} given mentions in {len(items)} sentences of schemas/polarity")
    print("(marked by a language model; seen while the rules were written, so ours is a development figure)")
    print(f"{'':<28} {'3 values':>9} {'absent':>9} {'denials':>9} {'mentions/s':>12}")
    print(f"{'':<28} {'accuracy':>9} {'accuracy':>9} {'as present':>9}")
    seconds, predicted = own(items)
    line("kgbuild rules (whole parse)", seconds, predicted, gold)
    if not peers:
        print("medspaCy ConText, negspaCy: not run; name an environment's Python with --peers")
        return
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder) / "in.json", Path(folder) / "out.json"
        given.write_text(json.dumps([[text, spans] for text, spans, _ in items]))
        for tool in ("context", "negex"):
            script = str(Path(__file__).with_name("_negation_peer.py"))
            subprocess.run([peers, script, tool, str(given), str(answer)], check=True, capture_output=True)
            found = json.loads(answer.read_text())
            line(found["version"], found["seconds"], found["presence"], gold)


if __name__ == "__main__":
    main()
