#!/usr/bin/env python3
"""Run this folder's import into Neo4j and say in plain words what was imported, what was skipped, and why.

    python3 import.py [--overwrite] [DATABASE]            neo4j-admin on this machine (NEO4J_HOME or NEO4J_ADMIN)
    python3 import.py [--overwrite] [DATABASE] -- COMMAND  another command that runs neo4j-admin.sh, as docker compose
    python3 import.py --read LOG                          only read the output of an import that was run by hand

Needs Python 3.8 and nothing else: it is copied into every export, for servers that know no kgbuild. Everything is read
from what neo4j-admin prints and from its report file, which neo4j-admin.sh prints at the end.

Exit codes: 0 all imported · 1 the import failed · 2 wrong usage · 3 a file or program is missing ·
4 imported, but rows were skipped.

Ids may show in the summary; values never do: they can be report text. The whole output stands in import.log.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

DONE, FAILED, USAGE, MISSING, SKIPPED = 0, 1, 2, 3, 4
REPORT_MARK = "--- report of neo4j-admin: rows it skipped"
END_MARK = "--- end of report, exit code "
_EXAMPLES = 3
_LONG = 80


@dataclass
class Reason:
    """One kind of skipped row: how many, the first few, and what to do."""

    words: str
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        """Count one more."""
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(example)


@dataclass
class Outcome:
    """What neo4j-admin said it did."""

    code: int
    nodes: int | None = None
    relationships: int | None = None
    properties: int | None = None
    seconds: str = ""
    reasons: dict[str, Reason] = field(default_factory=dict)
    failure: list[str] = field(default_factory=list)
    started: bool = False

    @property
    def done(self) -> bool:
        """It ended well, skipped rows or not."""
        return self.code == 0 and self.nodes is not None

    @property
    def skipped(self) -> int:
        """Rows that its report names."""
        return sum(reason.count for reason in self.reasons.values())

    def exit_code(self, manifest: dict[str, Any]) -> int:
        """0, 1 or 4."""
        if not self.done:
            return FAILED
        whole = (self.nodes, self.relationships) == (manifest["nodes"], manifest["relationships"])
        return DONE if whole and not self.skipped else SKIPPED


# ---- reading what neo4j-admin says -----------------------------------------------------------------------------------

# ids may hold anything, line breaks too: the id that is told to be missing must be one of the two ends
_RELATIONSHIP = re.compile(
    r"(.*?) \((\w*)\)-\[([^\]\n]*)\]->(.*?) \((\w*)\) "
    r"(?:referring to missing node (\1|\4)|is missing data)(?=\n|\Z)",
    re.DOTALL,
)
_TWICE = re.compile(r"Id '(.*?)' is defined more than once in group '(\w+)'(?=\n|\Z)", re.DOTALL)
_EXTRA = re.compile(r"Extra column not present in header on line (\d+) in (\S+) with value [^\n]*")


def read_report(text: str) -> dict[str, Reason]:
    """The report file's rows, gathered by reason."""
    reasons: dict[str, Reason] = {}

    def add(words: str, example: str) -> None:
        reasons.setdefault(words, Reason(words)).add(example)

    at = 0
    while at < len(text):
        if found := _TWICE.match(text, at):
            key, label = found.groups()
            add(f"{label} node whose id another {label} node has already: the first one was kept", short(key))
        elif found := _EXTRA.match(text, at):
            line, file = found.groups()
            add("value in a column that the header does not name", f"{Path(file).name}, line {line}")
        elif found := _RELATIONSHIP.match(text, at):
            start, start_label, kind, end, end_label, missing = found.groups()
            ends = f"{start_label} {short(start)} -> {end_label} {short(end)}"
            if missing is None:
                why = "an end or the type is empty"
            elif missing == start:
                why = f"no {start_label} node has the id that it starts at"
            else:
                why = f"no {end_label} node has the id that it ends at"
            add(f"{kind} relationship, {start_label} to {end_label}: {why}", ends)
        else:
            stop = text.find("\n", at)
            stop = len(text) if stop < 0 else stop
            if text[at:stop].strip():
                add("row that neo4j-admin reports in words unknown to this script", "see the report")
            at = stop + 1
            continue
        at = found.end() + 1
    return reasons


def short(text: str) -> str:
    """An id for one line of a terminal."""
    plain = text if text.isprintable() and text else repr(text)
    return plain if len(plain) <= _LONG else f"{plain[:_LONG]}… ({len(text):,} characters)"


_IMPORTED = {
    "nodes": re.compile(r"^  ([\d,.]+) nodes$", re.MULTILINE),
    "relationships": re.compile(r"^  ([\d,.]+) relationships$", re.MULTILINE),
    "properties": re.compile(r"^  ([\d,.]+) properties$", re.MULTILINE),
}


def read_output(text: str, code: int) -> Outcome:
    """Everything neo4j-admin.sh printed, the report at its end included."""
    output, mark, rest = text.partition(f"\n{REPORT_MARK}")
    report = rest.partition("\n")[2] if mark else ""
    if mark and END_MARK in report:
        report, _, told = report.rpartition(END_MARK)
        code = code or int(re.match(r"\d*", told).group() or 0)  # type: ignore[union-attr]
    outcome = Outcome(code, reasons=read_report(report), started="IMPORT FAILED" in output)
    done = re.search(r"^IMPORT DONE in (.*?)\.?\s*$", output, re.MULTILINE)
    if done:
        outcome.seconds = done.group(1).strip()
        for name, pattern in _IMPORTED.items():
            found = pattern.search(output, done.end())
            setattr(outcome, name, int(re.sub(r"\D", "", found.group(1))) if found else None)
    if not outcome.done:
        outcome.failure = _why(output)
    return outcome


def _why(output: str) -> list[str]:
    """Plain words for a failure; never a value of a row."""
    twice = re.search(r"Id '(.*?)' is defined more than once in group '(\w+)'", output)
    bad = re.search(r"aborted the import because (\d+) bad entries were found.*?tolerance \((\d+)\)", output)
    place = re.search(r"data source: \w+\[source:(.+?), position:\d+, line:(\d+)\]\s+in field: (\w*):", output)
    missing = re.search(r"(?:File|Files?|'file') '?(\S+?)'? (?:doesn't|does not|do not|don't) exist", output)
    if bad:
        return [
            f"{bad.group(1)} rows could not be imported, and no more than {bad.group(2)} are tolerated",
            "mend the files, or allow more: BAD_TOLERANCE=N ./import.sh",
        ]
    if twice:
        key, label = twice.groups()
        return [f"two {label} nodes have the id {short(key)}", "each id must stand once a label; export again"]
    if place:
        file, line, column = place.groups()
        return [
            f"{Path(file).name}, line {int(line) + 1}, column {column}: the value cannot be read",
            "was the file changed after the export? The value itself stands in import.log",
        ]
    for pattern, words in _KNOWN:
        if re.search(pattern, output, re.IGNORECASE):
            return list(words)
    if missing:
        return [f"{missing.group(1)} is missing"]
    said = [line.strip() for line in output.splitlines() if _telling(line)]
    return [f"neo4j-admin says: {said[-1][:300]}" if said else "neo4j-admin gave no reason", "see import.log"]


_KNOWN = (
    (
        r"database is in use|FileLockException|Lock file has been locked|StoreLock",
        ("the database is in use", "stop the server first: neo4j stop, or docker compose stop neo4j"),
    ),
    (
        r"Database already exist",
        (
            "the database holds something already, and nothing was touched",
            "give --overwrite to delete it and import, or name another database",
        ),
    ),
    (
        r"No space left on device|not enough.{0,20}disk|Insufficient disk",
        ("the disk is full", "the import needs about three times the size of the unpacked files"),
    ),
    (
        r"OutOfMemoryError|insufficient memory|Cannot allocate memory",
        ("not enough memory", "give neo4j-admin more: HEAP_SIZE=4g ./import.sh"),
    ),
    (
        r"AccessDenied|Permission denied",
        (
            "a file may not be read or written",
            "run it as the user that owns Neo4j's data folder; that user must be able to read this folder",
        ),
    ),
    (
        r"UnsupportedClassVersionError|requires Java|Unsupported Java",
        ("this Java does not fit that Neo4j", "Neo4j 5.26 needs Java 17 or 21: set JAVA_HOME"),
    ),
    (
        r"Unknown options?:|Unmatched argument",
        ("this neo4j-admin does not know one of the options", "Neo4j 5.26 or later is needed: neo4j-admin --version"),
    ),
    (
        r"Cannot connect to the Docker daemon|no configuration file provided|no such service",
        ("docker compose could not start the import", "is Docker running, and is COMPOSE_FILE the one of this folder?"),
    ),
)


def _telling(line: str) -> bool:
    line = line.strip()
    noise = ("at ", "...", "WARNING Import failed", "Run with '--verbose'", "Peak memory", "Data statistics")
    return bool(line) and not line.startswith(noise) and "raw field value" not in line


# ---- saying it -------------------------------------------------------------------------------------------------------


def summary(outcome: Outcome, manifest: dict[str, Any], database: str) -> str:
    """The text for a person."""
    if not outcome.done:
        lines = [f"error: the import into database {database} failed: {outcome.failure[0]}"]
        lines += [f"  next      {line}" for line in outcome.failure[1:]]
        if outcome.skipped:
            lines.append("  reported by neo4j-admin before it gave up:")
            lines += list(_reasons(outcome))
        if outcome.started and not re.search("nothing was touched|is in use", outcome.failure[0]):
            lines.append("  state     the database cannot be used as it is now: import again with --overwrite")
        return "\n".join(lines) + "\n"
    lines = [f"imported into database {database} in {outcome.seconds}"]
    lines.append(f"  {'':<14}{'in the files':>14}{'imported':>14}{'skipped':>14}")
    for name, there, got in (
        ("nodes", manifest["nodes"], outcome.nodes),
        ("relationships", manifest["relationships"], outcome.relationships),
    ):
        lines.append(f"  {name:<14}{there:>14,}{got or 0:>14,}{there - (got or 0):>14,}")
    if outcome.skipped:
        lines.append("skipped, and why:")
        lines += list(_reasons(outcome))
    gone = manifest["nodes"] + manifest["relationships"] - (outcome.nodes or 0) - (outcome.relationships or 0)
    rows = sum(r.count for r in outcome.reasons.values() if not r.words.startswith("value in"))
    if gone != rows:
        lines.append(
            f"{abs(gone - rows):,} rows {'fewer' if gone > rows else 'more'} than the files should hold, and the "
            "report does not say why: were files changed after the export?"
        )
    return "\n".join(lines) + "\n"


def _reasons(outcome: Outcome) -> Iterator[str]:
    for reason in sorted(outcome.reasons.values(), key=lambda r: (-r.count, r.words)):
        yield f"  {reason.count:>8,}  {reason.words}"
        for example in reason.examples:
            yield f"            as {example}"
        if reason.count > len(reason.examples):
            yield f"            and {reason.count - len(reason.examples):,} more in the report"


# ---- running it ------------------------------------------------------------------------------------------------------


def check(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """Files that are missing or not as long as they were written: a copy that broke off."""
    wrong = []
    for table in manifest["tables"]:
        for entry in table["files"]:
            path = folder / entry["name"]
            if not path.is_file():
                wrong.append(f"{entry['name']} is missing")
            elif entry["bytes"] != path.stat().st_size:
                wrong.append(f"{entry['name']} has {path.stat().st_size:,} bytes instead of {entry['bytes']:,}")
    return wrong


def run(command: list[str], folder: Path) -> tuple[str, int]:
    """Run a command that prints what neo4j-admin prints; shows its stages, keeps all of it in import.log."""
    held: list[str] = []
    log = Path(os.environ.get("IMPORT_LOG") or folder / "import.log")
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        ) as process:
            for raw in process.stdout or ():
                stream.write(raw)
                line = raw.decode("utf-8", "replace")
                held.append(line)
                stage = re.match(r"^(?:\(\d/\d\) )?([A-Z][A-Za-z <>-]+?)(?: \d/\d)?, started ", line)
                if stage:
                    print(f"  {time.strftime('%H:%M:%S')}  {stage.group(1)}", file=sys.stderr, flush=True)
        return "".join(held), process.returncode


def main(words: list[str]) -> int:
    """The command line."""
    folder = Path(__file__).resolve().parent
    own, other = list(words), []
    if "--" in words:
        own, other = words[: words.index("--")], words[words.index("--") + 1 :]
    if "-h" in own or "--help" in own:
        print(__doc__)
        return DONE
    log = None
    if "--read" in own:
        at = own.index("--read")
        if at + 1 >= len(own):
            return _error(USAGE, "--read needs the file with the output", "python3 import.py --help")
        log = Path(own[at + 1])
        del own[at : at + 2]
    flags = [word for word in own if word.startswith("-")]
    names = [word for word in own if not word.startswith("-")]
    if len(names) > 1 or any(flag != "--overwrite" for flag in flags):
        return _error(USAGE, f"cannot read {' '.join(own)!r}", "python3 import.py --help")
    database = names[0] if names else "neo4j"
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return _error(MISSING, f"{folder / 'manifest.json'} is missing or broken", "export again")
    if log is not None:
        try:
            text, code = log.read_text(encoding="utf-8", errors="replace"), 0
        except OSError as error:
            return _error(MISSING, f"{log} cannot be read: {error.strerror}", "give the file with the import's output")
    else:
        if wrong := check(folder, manifest):
            return _error(MISSING, f"{len(wrong)} files are not as they were exported: {wrong[0]}", "copy them again")
        command = other or ["bash", str(folder / "neo4j-admin.sh")]
        if not other and (problem := _no_admin()):
            return _error(MISSING, *problem)
        if shutil.which(command[0]) is None:
            return _error(MISSING, f"{command[0]} is not installed", "or run neo4j-admin.sh where Neo4j is")
        text, code = run([*command, *flags, database], folder)
    outcome = read_output(text, code)
    print(summary(outcome, manifest, database), end="")
    return outcome.exit_code(manifest)


def _no_admin() -> tuple[str, str] | None:
    named = os.environ.get("NEO4J_ADMIN")
    home = os.environ.get("NEO4J_HOME")
    path = named or (str(Path(home) / "bin" / "neo4j-admin") if home else "neo4j-admin")
    if shutil.which(path) is None:
        return f"{path} is not there", "set NEO4J_HOME to the folder of the Neo4j server (with bin/neo4j-admin in it)"
    return None


def _error(code: int, message: str, step: str) -> int:
    print(f"error: {message}\n  next      {step}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
