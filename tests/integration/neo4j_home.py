"""A ``NEO4J_HOME`` for the export's scripts: ``bin/neo4j-admin``, ``bin/neo4j``, ``bin/cypher-shell`` over the jars.

``neo4j-admin`` is the real one. ``neo4j start|stop`` asks the test, which owns the server's process.
``cypher-shell`` is a few lines over the official driver, because its package is not among the artefacts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.integration.neo4j_server import JAVA_QUICK, Neo4jServer

_ADMIN = """#!/usr/bin/env bash
export NEO4J_HOME={home} NEO4J_CONF={home}/conf
main=org.neo4j.server.startup.Neo4jAdminCommand
options="-Xmx256m -XX:+UseSerialGC"
# the command's whole work is to start this one in a second JVM; some tests leave the first one out
if [ -n "${{ONE_JVM:-}}" ]; then main=org.neo4j.cli.AdminTool options="-Xmx${{HEAP_SIZE:-512m}} {java}"; fi
exec java $options -cp '{lib}/*' -Dbasedir={home} $main "$@"
"""
_NEO4J = """#!/usr/bin/env bash
echo "$1" >{home}/run/asked.part
mv {home}/run/asked.part {home}/run/asked
while [ -e {home}/run/asked ]; do sleep 0.1; done
"""
_SHELL = """#!{python}
import os, sys
import neo4j
words = sys.argv[1:]
given = {{}}
while words and words[0].startswith("-"):
    given[words[0]] = words[1]
    del words[:2]
auth = (given["-u"], given.get("-p") or os.environ["NEO4J_PASSWORD"])
text = open(given["-f"]).read() if "-f" in given else words[0]
lines = (line for line in text.splitlines() if not line.startswith("//"))
with neo4j.GraphDatabase.driver(given["-a"], auth=auth) as driver, driver.session(database=given.get("-d")) as session:
    for statement in "\\n".join(lines).split(";"):
        if statement.strip():
            session.run(statement).consume()
"""
_DOCKER = """#!{python}
# docker compose as import-docker.sh uses it: the one-shot service runs its entry point here, exec runs cypher-shell
import os, shutil, subprocess, sys
import yaml
words = sys.argv[1:]
with open({log!r}, "a") as log:
    print(*words, file=log)
if words[:2] == ["compose", "version"]:
    sys.exit(0)
compose = yaml.safe_load(open(os.environ["COMPOSE_FILE"]))
if "run" in words:
    service = compose["services"]["import"]
    folder = os.environ["NEO4J_IMPORT"]
    command = [word.replace("/import", folder, 1) for word in service["entrypoint"]]
    command += words[words.index("import", words.index("run")) + 1 :]
    own = {{"NEO4J_HOME": {home!r}, "HEAP_SIZE": "512m", "REPORT_FILE": {home!r} + "/logs/import.report"}}
    sys.exit(subprocess.run(command, env={{**os.environ, **own}}).returncode)
if "exec" in words:
    shell = [{home!r} + "/bin/cypher-shell", "-a", {uri!r}, "-u", "neo4j", "-f", "/dev/stdin"]
    sys.exit(subprocess.run(shell).returncode)
if "up" in words or "stop" in words:
    sys.exit(subprocess.run([{home!r} + "/bin/neo4j", "start" if "up" in words else "stop"]).returncode)
sys.exit(1)
"""


@dataclass(frozen=True, slots=True)
class Done:
    """What a script left behind."""

    code: int
    out: str
    err: str


def make(server: Neo4jServer) -> Path:
    """Put the programs into the server's home."""
    home = server.home
    (home / "bin").mkdir(exist_ok=True)
    log = str(home / "docker.log")
    for name, text in (("neo4j-admin", _ADMIN), ("neo4j", _NEO4J), ("cypher-shell", _SHELL), ("docker", _DOCKER)):
        place = home / "docker-bin" if name == "docker" else home / "bin"
        place.mkdir(exist_ok=True)
        known = {
            "home": str(home),
            "lib": server.lib,
            "java": " ".join(JAVA_QUICK),
            "python": sys.executable,
            "uri": server.uri,
            "log": log,
        }
        (place / name).write_text(text.format(**known))
        (place / name).chmod(0o755)
    return home


def run(
    server: Neo4jServer, command: Sequence[str | Path], env: Mapping[str, str] | None = None, limit_s: float = 300
) -> Done:
    """Run one of the export's scripts; starts and stops the server when the script asks for it."""
    home = make(server)
    base = {"NEO4J_HOME": str(home), "NEO4J_URI": server.uri, "NEO4J_PASSWORD": server.password, "HEAP_SIZE": "512m"}
    with (home / "run" / "out").open("w") as out, (home / "run" / "err").open("w") as err:
        process = subprocess.Popen(
            [str(word) for word in command], env={**os.environ, **base, **(env or {})}, stdout=out, stderr=err
        )
        asked = home / "run" / "asked"
        end = time.monotonic() + limit_s
        while process.poll() is None:
            if asked.is_file():
                if asked.read_text().strip() == "start":
                    if server.pid is None:
                        server.start()
                else:
                    server.stop()
                asked.unlink()
            if time.monotonic() > end:
                process.kill()
            time.sleep(0.05)
    return Done(process.returncode, (home / "run" / "out").read_text(), (home / "run" / "err").read_text())
