"""The shipped data folders ``cypher/``, ``training/``, ``schemas/``: in the wheel, else in the checkout."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal


def data(kind: Literal["cypher", "training", "schemas"]) -> Traversable:
    """Folder of shipped files. Go on with ``/``, ``.iterdir()`` and ``.read_text()``: it need not be a real folder."""
    packaged = files("kgbuild") / "_data" / kind
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / kind
