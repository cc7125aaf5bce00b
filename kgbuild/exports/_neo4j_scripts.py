"""The texts that ``neo4j-csv`` writes beside its tables: scripts for bare metal and Docker, constraints, README."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from kgbuild import __version__
from kgbuild.resources import data


def texts(arguments: Sequence[str], delimiter: str, multiline: bool, n_after: int) -> dict[str, str]:
    """File name → text.

    Args:
        arguments: ``--nodes=…`` and ``--relationships=…``.
        delimiter: of list elements.
        multiline: a value somewhere spans lines.
        n_after: how many statements ``after-import.cypher`` holds.
    """
    admin = _ADMIN.replace("@DELIMITER@", code_point(delimiter)).replace("@MULTILINE@", str(multiline).lower())
    files = "\n".join(f"  {shlex.quote(argument)}" for argument in arguments)
    folder = data("cypher")
    return {
        "neo4j-admin.sh": admin.replace("@FILES@", files),
        "import.sh": _IMPORT,
        "import-docker.sh": _DOCKER,
        "constraints.cypher": (folder / "constraints.cypher").read_text(encoding="utf-8"),
        "docker-compose.yml": compose(),
        "README.txt": _README.replace("@VERSION@", __version__).replace("@AFTER@", str(n_after)),
    }


def compose() -> str:
    """``docker-compose.yml``: in the wheel beside the Cypher files, in a checkout at its root."""
    packaged = data("cypher") / "docker-compose.yml"
    found = packaged if packaged.is_file() else Path(__file__).parents[2] / "docker-compose.yml"
    return found.read_text(encoding="utf-8")


def code_point(character: str) -> str:
    """As neo4j-admin takes it: ``U+001F``."""
    return f"U+{ord(character):04X}"


_ADMIN = r"""#!/usr/bin/env bash
# The import itself: one run of neo4j-admin on the files of this folder. The server must be stopped.
#   ./neo4j-admin.sh [--overwrite] [DATABASE]
# import.sh (bare metal) and import-docker.sh (Docker) run it and read its output; it can also be run by hand.
# Environment: NEO4J_HOME or NEO4J_ADMIN, HEAP_SIZE (such as 4g), BAD_TOLERANCE, REPORT_FILE.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

database=neo4j overwrite=false
for word in "$@"; do
  case $word in
    --overwrite) overwrite=true ;;
    -*) echo "usage: $0 [--overwrite] [DATABASE]" >&2; exit 2 ;;
    *) database=$word ;;
  esac
done
admin=${NEO4J_ADMIN:-${NEO4J_HOME:+$NEO4J_HOME/bin/}neo4j-admin}
report=${REPORT_FILE:-$PWD/import.report}
rm -f -- "$report"

options=(
  # say which file and line a value that cannot be read stands in, and which id is there twice
  --verbose
  # delete what the database holds; without it neo4j-admin refuses a database that is there already
  --overwrite-destination="$overwrite"
  # rows that are skipped are written here, one a line
  --report-file="$report"
  # a relationship whose start or end is not among the nodes is skipped and reported: it cannot be stored
  --skip-bad-relationships=true
  # find every one of them, not only most
  --strict=true
  # two nodes with one id: stop. They cannot come from kgbuild's tables, so something else is wrong
  --skip-duplicate-nodes=false
  # a value more than the header has columns: stop, for the same reason
  --ignore-extra-columns=false
  # so many skipped rows are let pass before the import gives up
  --bad-tolerance="${BAD_TOLERANCE:-1000}"
  # ids are texts; the id spaces in the headers (Study, Concept, …) keep labels apart
  --id-type=string
  # elements of lists are parted by a character that no element has
  --array-delimiter=@DELIMITER@
  # values that span lines: only asked for where there are some, because reading is slower
  --multiline-fields=@MULTILINE@
  # "" is an empty text, and no value at all is null
  --ignore-empty-strings=false
  # spaces at the ends of a text belong to it
  --trim-strings=false
  # a quote inside a text is doubled, and a backslash is only a backslash
  --legacy-style-quoting=false
  --input-encoding=UTF-8
)

files=(
@FILES@
)

status=0
"$admin" database import full "$database" "${options[@]}" "${files[@]}" || status=$?
echo
echo "--- report of neo4j-admin: rows it skipped"
if [ -s "$report" ]; then cat -- "$report"; echo; fi
echo "--- end of report, exit code $status"
# in a container that runs as root, the server's user must own what was written
if [ "$(id -u)" = 0 ] && [ -n "${OWN_DATA:-}" ]; then chown -R neo4j:neo4j "$OWN_DATA"; fi
exit "$status"
"""

_IMPORT = r"""#!/usr/bin/env bash
# Bulk import where Neo4j is installed on this machine: stops the server, imports, starts it, sets the constraints.
#   NEO4J_HOME=/opt/neo4j NEO4J_PASSWORD=... ./import.sh [--overwrite] [DATABASE]
#   --overwrite   delete what the database holds (otherwise a database that is there already is left alone)
# Environment: NEO4J_HOME; NEO4J_PASSWORD, and where they differ NEO4J_USERNAME (neo4j), NEO4J_URI
# (bolt://localhost:7687); HEAP_SIZE (such as 4g) for the import; BAD_TOLERANCE: skipped rows let pass (1000);
# START_SERVER=no: import only.
# Exit code: 0 all imported, 1 failed, 3 something is missing, 4 imported but rows were skipped (import.report).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [ -z "${NEO4J_HOME:-}" ] || [ ! -x "$NEO4J_HOME/bin/neo4j-admin" ]; then
  echo "error: NEO4J_HOME is not the folder of a Neo4j server" >&2
  echo "  next      NEO4J_HOME=/opt/neo4j $0" >&2
  exit 3
fi
export NEO4J_HOME
database=neo4j
for word in "$@"; do case $word in -*) ;; *) database=$word ;; esac; done

# 1. neo4j-admin works on a stopped server only. Where systemd runs it, it is stopped there and this does nothing.
"$NEO4J_HOME/bin/neo4j" stop || true

# 2. import; import.py reads neo4j-admin's output and report, and says what was skipped and why
status=0
if command -v python3 >/dev/null; then
  python3 "$here/import.py" "$@" || status=$?
else
  bash "$here/neo4j-admin.sh" "$@" || status=$?
fi
case $status in 0 | 4) ;; *) exit "$status" ;; esac
if [ "${START_SERVER:-yes}" = no ]; then
  echo "next: start the server, then run constraints.cypher and after-import.cypher with cypher-shell"
  exit "$status"
fi

# 3. start it, then uniqueness constraints and indexes (Community can make no others), and what CSV cannot say
"$NEO4J_HOME/bin/neo4j" start
shell=("$NEO4J_HOME/bin/cypher-shell" -a "${NEO4J_URI:-bolt://localhost:7687}" -u "${NEO4J_USERNAME:-neo4j}")
shell+=(-d "$database")
ready=no
for _ in $(seq 60); do
  if "${shell[@]}" 'RETURN 1' >/dev/null 2>&1; then ready=yes; break; fi
  sleep 2
done
if [ "$ready" = no ]; then
  "${shell[@]}" 'RETURN 1' || true
  echo "error: imported, but the server does not answer: constraints are not set yet" >&2
  echo "  next      is NEO4J_PASSWORD right? ${shell[*]} -f $here/constraints.cypher (and after-import.cypher)" >&2
  exit 1
fi
"${shell[@]}" -f "$here/constraints.cypher"
"${shell[@]}" 'CALL db.awaitIndexes(600)'
"${shell[@]}" -f "$here/after-import.cypher"
echo "database $database is ready"
exit "$status"
"""

_DOCKER = r"""#!/usr/bin/env bash
# Bulk import with Docker: stops the server's container, imports in a one-shot container, starts the server, sets the
# constraints. Uses the docker-compose.yml of this folder (or COMPOSE_FILE); its volumes are the same ones that
# `docker compose up` uses anywhere else, because the project has a fixed name.
#   NEO4J_PASSWORD=... ./import-docker.sh [--overwrite]
#   --overwrite   delete what the database holds (otherwise a database that is there already is left alone)
# Environment: NEO4J_PASSWORD (or a .env beside docker-compose.yml); HEAP_SIZE for the import; BAD_TOLERANCE.
# Community has one database, neo4j: that one is filled.
# Exit code: 0 all imported, 1 failed, 3 something is missing, 4 imported but rows were skipped (listed in import.log).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export NEO4J_IMPORT=$here
export COMPOSE_FILE=${COMPOSE_FILE:-$here/docker-compose.yml}
if ! command -v docker >/dev/null || ! docker compose version >/dev/null 2>&1; then
  echo "error: docker compose is not installed" >&2
  echo "  next      install Docker with the compose plug-in, or use import.sh" >&2
  exit 3
fi
for word in "$@"; do
  case $word in --overwrite) ;; *) echo "usage: $0 [--overwrite]" >&2; exit 2 ;; esac
done

# 1. the database files may have one user only
docker compose stop neo4j

# 2. the one-shot service: docker compose --profile import run --rm import [--overwrite]
status=0
if command -v python3 >/dev/null; then
  python3 "$here/import.py" "$@" -- docker compose --profile import run --rm -T import || status=$?
else
  docker compose --profile import run --rm -T import "$@" || status=$?
fi
case $status in 0 | 4) ;; *) exit "$status" ;; esac

# 3. start and wait for the health check, then constraints, indexes and what CSV cannot say
docker compose up --detach --wait neo4j
shell() { docker compose exec -T neo4j bash -c 'cypher-shell -u neo4j -p "${NEO4J_AUTH#neo4j/}" -f /dev/stdin'; }
shell <"$here/constraints.cypher"
echo 'CALL db.awaitIndexes(600);' | shell
shell <"$here/after-import.cypher"
echo "database neo4j is ready: http://localhost:7474"
exit "$status"
"""

_README = """A knowledge graph for Neo4j 5.26 or later, any edition, written by kgbuild @VERSION@.

  NEO4J_HOME=/opt/neo4j NEO4J_PASSWORD=... ./import.sh     Neo4j is installed on this machine
  NEO4J_PASSWORD=... ./import-docker.sh                    Neo4j runs in Docker

Both stop the server, import, start it, and set constraints and indexes. A database that holds something already is left
alone unless --overwrite is given: a bulk import always fills a whole database. To add to one, use
`kgbuild load --store neo4j`.

Afterwards a summary says how many nodes and relationships stood in the files, were imported and were skipped, and why.
Exit code: 0 all imported, 1 failed, 2 wrong usage, 3 something is missing, 4 imported but rows were skipped.

  neo4j-admin.sh        the one neo4j-admin command, every option explained
  import.py             runs it and reads its output (Python 3.8, nothing else); --read LOG reads an earlier output
  constraints.cypher    unique ids and indexes; run after the import
  after-import.cypher   @AFTER@ statements: empty lists, which CSV cannot say
  nodes, edges          a header file (*.header.csv) and parts (*.csv.gz) a table; Kgbuild nodes are kgbuild's notes
  manifest.json         what was exported: runs, rows, sizes
  import.report, import.log   after an import: skipped rows, and all output

The tables hold words from reports. The data use agreement of the data set goes with them.
"""
