"""Find a data set, extractor, linker or store by name: a module of its folder, or somebody else's entry point.

A built-in is one module, ``kgbuild/<kind>/<name with _>.py``, that sets ``PLUGIN`` to its class and, where it has
other names, ``ALIASES``. Nothing else has to be edited to add one. Others register a class under the entry point
group ``kgbuild.<kind>``. Modules are imported when asked for, never before.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import entry_points
from typing import Any

from kgbuild.errors import UsageError

KINDS = ("datasets", "extractors", "trainers", "linkers", "stores", "exports")
_SINGULAR = {
    "datasets": "data set",
    "extractors": "extractor",
    "trainers": "trainer",
    "linkers": "linker",
    "stores": "store",
    "exports": "export format",
}


def builtin_names(kind: str) -> list[str]:
    """Names of the modules of one folder, sorted; modules starting with ``_`` and ``base`` are not plug-ins."""
    package = importlib.import_module(f"kgbuild.{kind}")
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(name.replace("_", "-") for name in found if not name.startswith("_") and name != "base")


def names(kind: str) -> list[str]:
    """Every name that ``find`` accepts, aliases left out."""
    return sorted({*builtin_names(kind), *(point.name for point in entry_points(group=f"kgbuild.{kind}"))})


def find(kind: str, name: str) -> Any:
    """The class behind a name.

    Raises:
        UsageError: nothing of that name; the message lists what there is.
    """
    known = builtin_names(kind)
    if name in known:
        return importlib.import_module(f"kgbuild.{kind}.{name.replace('-', '_')}").PLUGIN
    for point in entry_points(group=f"kgbuild.{kind}", name=name):
        return point.load()
    for other in known:
        module = importlib.import_module(f"kgbuild.{kind}.{other.replace('-', '_')}")
        if name in getattr(module, "ALIASES", ()):
            return module.PLUGIN
    raise UsageError(
        f"unknown {_SINGULAR.get(kind, kind)} {name!r}",
        expected=f"one of {', '.join(names(kind))}",
    )
