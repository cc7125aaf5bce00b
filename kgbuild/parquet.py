"""Parquet files that may have been cut short or altered: told from whole ones, and named where reading them fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from kgbuild.errors import WorkspaceError


def is_whole(path: Path) -> bool:
    """Whether the file is there and its footer can be read, as of one that was not cut short. Reads no rows."""
    return rows(path) is not None


def rows(path: Path) -> int | None:
    """How many rows the footer promises; null where it cannot be read."""
    if not path.is_file():
        return None
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowInvalid, OSError) as error:
        if getattr(error, "errno", None):
            raise  # the disk or its rights, not the file's bytes
        return None


def mend_tables(tables: Path) -> str:
    """What makes a workspace's graph tables anew, in words."""
    return f"remove {tables}; then kgbuild load --replace -w {tables.parent} makes them anew from the runs"


@contextmanager
def reading(path: Path, next_step: str) -> Iterator[None]:
    """Say which file is damaged, and what makes it anew, where reading ``path`` in the block fails.

    Raises:
        WorkspaceError: its bytes are not what was written.
    """
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        if getattr(error, "errno", None):
            raise
        raise WorkspaceError(f"{path} is damaged", next_step=next_step) from None
