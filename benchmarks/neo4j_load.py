"""Loading Neo4j, both ways, and asking it: our loader beside the server's own limit and beside the peers' writers.

    python benchmarks/neo4j_load.py [--online 1000] [--studies 20000] [--runs 3] [--heap-mb 2048]
                                    [--tables FOLDER] [--peers biocypher=/venv/bin/python graphrag=… kgx=…]

One real server (tests/integration/neo4j_server.py), the same made-up rows, one run. ``--studies 227835`` is the full
scale of DESIGN §5: about 5 M nodes and 14 M edges. Prints three tables:

1. the driver: a bare ``UNWIND`` loop (a session, batches of 5,000; no retries, no bookkeeping), our loader, peers;
2. bulk: CSV written, neo4j-admin's import of it, constraints, what CSV cannot say;
3. every shipped query on both stores at the bulk graph's size, with the seconds of the first and the median time.

Peers run in environments of their own, installed by hand: ``pip install biocypher neo4j``, ``neo4j-graphrag``, ``kgx``.
A peer that fails is named with its last line.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import _graph_tables as made  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from kgbuild import queries  # noqa: E402
from kgbuild.errors import KgbuildError  # noqa: E402
from kgbuild.stores.embedded import EmbeddedStore  # noqa: E402
from kgbuild.stores.neo4j import Neo4jStore  # noqa: E402
from kgbuild.tables import EDGES, NODES  # noqa: E402
from tests.integration import neo4j_home  # noqa: E402
from tests.integration.conftest import wipe  # noqa: E402
from tests.integration.neo4j_server import Neo4jServer  # noqa: E402

BATCH = 5_000
LIMIT_S = 3_600
_CSV = (
    "import resource, sys, time; from pathlib import Path; from kgbuild.exports.neo4j_csv import write;"
    "t = time.perf_counter(); n = write(Path(sys.argv[2]), Path(sys.argv[1]));"
    "print(n, time.perf_counter() - t, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
)


def timed(work: Callable[[], Any]) -> float:
    """Wall seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def load() -> str:
    """Load average of the last minute: how far the figures can be trusted."""
    return f"{os.getloadavg()[0]:.1f}"


def batches(file: Path) -> Iterator[list[dict[str, Any]]]:
    """Rows of a table as dicts."""
    with pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(BATCH):
            yield batch.to_pylist()


def constraints(driver: Any) -> None:
    """The shipped constraints, for every writer alike."""
    text = (ROOT / "cypher" / "constraints.cypher").read_text()
    for statement in "\n".join(line for line in text.splitlines() if not line.startswith("//")).split(";"):
        if statement.strip():
            driver.execute_query(statement)
    driver.execute_query("CALL db.awaitIndexes(600)")


def bare(driver: Any, tables: Path) -> None:
    """The server's own limit: what anybody would write by hand, and nothing more."""
    with driver.session() as session:
        for label in NODES:
            cypher = f"UNWIND $rows AS row MERGE (n:{label} {{id: row.id}}) SET n += row"
            for rows in batches(tables / "nodes" / f"{label}.parquet"):
                session.run(cypher, rows=rows).consume()
        for edge in EDGES.values():
            names = ", ".join(f"{name}: row.{name}" for name, _ in edge.properties)
            key = "{presence: row.presence}" if edge.type.startswith("concept_") else ""
            for start, end in edge.pairs:
                cypher = (
                    f"UNWIND $rows AS row MATCH (a:{start} {{id: row.source}}) MATCH (b:{end} {{id: row.target}}) "
                    f"MERGE (a)-[e:`{edge.type}` {key}]->(b)" + (f" SET e += {{{names}}}" if names else "")
                )
                for rows in batches(tables / "edges" / f"{edge.type}.{start}.{end}.parquet"):
                    session.run(cypher, rows=rows).consume()


def ours(server: Neo4jServer, tables: Path) -> None:
    """``load --store neo4j``."""
    store = Neo4jStore(uri=server.uri)
    store.load(tables)
    store.close()


def peer(server: Neo4jServer, name: str, python: str, folder: Path) -> tuple[float, str] | str:
    """(seconds, version), or why not."""
    command = [python, str(ROOT / "benchmarks" / "_neo4j_peers.py"), name, str(folder)]
    env = {**os.environ, "NEO4J_URI": server.uri, "NEO4J_PASSWORD": server.password, "PYTHONPATH": ""}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=900, cwd=folder)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{type(error).__name__}"
    try:
        told = json.loads(done.stdout.strip().splitlines()[-1])
        return told["seconds"], told["version"]
    except (IndexError, ValueError, KeyError, TypeError):
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        return lines[-1][:150] if lines else f"exit {done.returncode}"


def json_lines(tables: Path, folder: Path) -> None:
    """The same rows for programs without Arrow."""
    for kind in ("nodes", "edges"):
        (folder / kind).mkdir(parents=True)
        for file in sorted((tables / kind).glob("*.parquet")):
            if pq.read_metadata(file).num_rows:
                with (folder / kind / f"{file.stem}.jsonl").open("w") as stream:
                    for rows in batches(file):
                        stream.writelines(json.dumps(row, default=str) + "\n" for row in rows)


def online(server: Neo4jServer, work: Path, options: argparse.Namespace) -> None:
    """Table 1."""
    import neo4j

    tables = work / "online"
    rows = sum(made.make(tables, options.online).values())
    json_lines(tables, work / "jsonl")
    print(f"\n1. by the driver: {options.online:,} studies, {rows:,} rows; {options.runs} runs in turn, medians")
    print(f"{'':<34}{'s':>8}{'rows/s':>10}{'of bare':>9}{'load':>7}")
    with neo4j.GraphDatabase.driver(server.uri, auth=(server.user, server.password)) as driver:
        wipe(driver)
        constraints(driver)
        bare(driver, tables)  # warm the server up
        writers: dict[str, Callable[[], Any]] = {
            "bare UNWIND loop": lambda: bare(driver, tables),
            "kgbuild load --store neo4j": lambda: ours(server, tables),
        }
        seconds: dict[str, list[float]] = {name: [] for name in writers}
        for _ in range(options.runs):
            for name, write in writers.items():
                wipe(driver)
                constraints(driver)
                seconds[name].append(timed(write))
        limit = statistics.median(seconds["bare UNWIND loop"])
        for name, values in seconds.items():
            middle = statistics.median(values)
            spread = f"  {min(values):.1f} to {max(values):.1f} s"
            print(f"{name:<34}{middle:>8.1f}{rows / middle:>10,.0f}{limit / middle:>9.2f}{load():>7}{spread}")
        again = timed(lambda: ours(server, tables))
        print(f"{'kgbuild again: nothing to do':<34}{again:>8.1f}", flush=True)
        for entry in options.peers:
            name, _, python = entry.partition("=")
            wipe(driver)
            constraints(driver)
            result = peer(server, name, python, work / "jsonl")
            if isinstance(result, str):
                print(f"{name:<34}  did not run: {result}", flush=True)
                continue
            taken, release = result
            there = driver.execute_query("RETURN COUNT { () } AS n, COUNT { ()-->() } AS e").records[0]
            told = f"  wrote {there[0]:,} nodes, {there[1]:,} edges"
            name, wrote = f"{name} {release}", there[0] + there[1]  # a rate of what is there, not of what was asked for
            rate, of_bare = wrote / taken, wrote / taken * limit / rows
            print(f"{name:<34}{taken:>8.1f}{rate:>10,.0f}{of_bare:>9.2f}{load():>7}{told}", flush=True)
        wipe(driver)


def bulk(server: Neo4jServer, work: Path, options: argparse.Namespace) -> Path:
    """Table 2; leaves the server running on the imported graph."""
    import neo4j

    tables, out = options.tables or work / "tables", work / "csv"
    if options.tables is None:
        made.make(tables, options.studies)
    rows = sum(json.loads((tables / "graph.json").read_text())["rows"].values())
    print(f"\n2. bulk: {options.studies:,} studies, {rows:,} rows; 1 run")
    print(f"{'':<34}{'s':>8}{'rows/s':>10}{'MiB':>8}{'load':>7}")
    told = subprocess.run([sys.executable, "-c", _CSV, tables, out], capture_output=True, text=True, check=True)
    n, seconds, peak = told.stdout.split()
    print(
        f"{'CSV written, gzip':<34}{float(seconds):>8.1f}{int(n) / float(seconds):>10,.0f}{peak:>8}{load():>7}",
        flush=True,
    )
    size = sum(file.stat().st_size for file in out.rglob("*.csv.gz")) >> 20
    server.stop()
    env = {"HEAP_SIZE": f"{options.heap_mb}m"}
    started = time.perf_counter()
    done = neo4j_home.run(server, ["python3", out / "import.py", "--overwrite"], env, LIMIT_S)
    seconds_all = time.perf_counter() - started
    if done.code:
        raise SystemExit(done.out + done.err)
    said = (out / "import.log").read_text()
    peak = next((line.split()[-1] for line in said.splitlines() if line.startswith("Peak memory usage")), "?")
    line = f"{'neo4j-admin import':<34}{seconds_all:>8.1f}{rows / seconds_all:>10,.0f}{'':>8}{load():>7}"
    print(
        f"{line}  {done.out.splitlines()[0].split(' in ')[-1]} by its own clock; off-heap peak {peak}; CSV {size} MiB"
    )
    server.start()
    shell = [server.home / "bin" / "cypher-shell", "-a", server.uri, "-u", server.user]
    for name in ("constraints.cypher", "after-import.cypher"):
        taken = timed(lambda name=name: neo4j_home.run(server, [*shell, "-f", out / name], {}, LIMIT_S))  # type: ignore[misc]
        print(f"{name:<34}{taken:>8.1f}{'':>18}{load():>7}", flush=True)
    with neo4j.GraphDatabase.driver(server.uri, auth=(server.user, server.password)) as driver:
        driver.execute_query("CALL db.awaitIndexes(600)")
    return tables


def ask(server: Neo4jServer, tables: Path, work: Path, options: argparse.Namespace) -> None:
    """Table 3."""
    embedded = EmbeddedStore(work / "store" / "graph.lbug")
    taken = timed(lambda: embedded.load(tables))
    stores: dict[str, Any] = {"neo4j": Neo4jStore(uri=server.uri, timeout="300"), "embedded": embedded}
    print(f"\n3. shipped queries, defaults, seconds: the first time, and the median of {options.runs} more")
    print(f"   (embedded store built in {taken:.1f} s)")
    print(f"{'':<26}{'neo4j':>9}{'':>9}{'embedded':>10}{'':>9}{'rows':>7}  same rows   load")
    patient, study, finding = "p10000000", "s50000000", "C0000001"
    for name in queries.names():
        query = queries.find(name)
        usual = {"patient": patient, "study": study, "finding": finding}
        given = {p.name: usual[p.name] for p in query.parameters if p.name in usual and p.default != ""}
        values = query.bind(given)
        cells, answers = [], []
        for store in stores.values():
            try:
                first = timed(lambda store=store: answers.append(store.query(query.cypher, values)))  # noqa: B023
                more = [timed(lambda store=store: store.query(query.cypher, values)) for _ in range(options.runs)]  # noqa: B023
                cells.append(f"{first:>9.3f}{statistics.median(more):>9.3f}")
            except KgbuildError as error:
                cells.append(f"{str(error).splitlines()[0][:18]:>18}")
        same = "yes" if len(answers) == 2 and answers[0] == answers[1] else "NO"
        n = len(answers[0].rows) if answers else 0
        print(f"{name:<26}{cells[0]}{cells[1]:>19}{n:>7}  {same:<9}{load():>7}", flush=True)
    for store in stores.values():
        store.close()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--online", type=int, default=1_000, help="studies for the driver; 0 leaves it out")
    parser.add_argument("--studies", type=int, default=20_000, help="studies for bulk and queries; 0 leaves them out")
    parser.add_argument("--tables", type=Path, help="a folder that _graph_tables.py has filled, in place of --studies")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--heap-mb", type=int, default=2_048)
    parser.add_argument("--pagecache-mb", type=int, default=1_024)
    parser.add_argument("--peers", nargs="*", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--work", type=Path, help="folder for tables and databases; default a temporary one")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load average {load()}")
    work = Path(tempfile.mkdtemp(prefix="kgbuild-neo4j-", dir=options.work))
    server = Neo4jServer(work / "home", heap_mb=options.heap_mb, pagecache_mb=options.pagecache_mb)
    os.environ["NEO4J_PASSWORD"] = server.password
    try:
        server.start()
        if options.online:
            online(server, work, options)
        if options.studies:
            ask(server, bulk(server, work, options), work, options)
    finally:
        server.stop()
        shutil.rmtree(work, ignore_errors=True)
    print(
        f"\npeak of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB, load average {load()}"
    )


if __name__ == "__main__":
    main()
