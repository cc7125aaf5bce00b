"""Export ``parquet``: the node and edge tables themselves, as a folder of files."""

from __future__ import annotations

import shutil
from pathlib import Path

from kgbuild import files
from kgbuild.tables import table_files


def write(path: Path, tables: Path) -> int:
    """Copy every table to ``path/nodes`` and ``path/edges``; returns the number of files."""
    names = sorted(table_files())
    for name in [*names, "graph.json"]:
        with files.atomic(path / name) as part:
            shutil.copyfile(tables / name, part)
    return len(names)


NEEDS = "graph"
FOLDER = True
PLUGIN = write
