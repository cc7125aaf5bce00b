"""kgbuild: chest X-ray studies into a knowledge graph that people can query, check, publish and trust.

The command line as a library; each command is one call of it:

>>> import kgbuild
>>> source = kgbuild.resolve("examples")
>>> summaries = kgbuild.build(source, workspace)                      # doctest: +SKIP
>>> kgbuild.query(workspace, "findings", {"limit": "5"}).rows         # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from kgbuild.pipelines.ask import query
    from kgbuild.pipelines.evaluate import evaluate_triplets
    from kgbuild.pipelines.explain import explain
    from kgbuild.pipelines.export import export
    from kgbuild.pipelines.source import open_dataset, resolve
    from kgbuild.pipelines.stages import build, generate, link, load
    from kgbuild.pipelines.status import doctor, status
    from kgbuild.pipelines.train import train

_HOME = {
    "build": "stages",
    "doctor": "status",
    "evaluate_triplets": "evaluate",
    "explain": "explain",
    "export": "export",
    "generate": "stages",
    "link": "stages",
    "load": "stages",
    "open_dataset": "source",
    "query": "ask",
    "resolve": "source",
    "status": "status",
    "train": "train",
}

__all__ = [
    "__version__",
    "build",
    "doctor",
    "evaluate_triplets",
    "explain",
    "export",
    "generate",
    "link",
    "load",
    "open_dataset",
    "query",
    "resolve",
    "status",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for, so that ``import kgbuild`` stays light."""
    if name in _HOME:
        return getattr(importlib.import_module(f"kgbuild.pipelines.{_HOME[name]}"), name)
    raise AttributeError(f"module 'kgbuild' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
