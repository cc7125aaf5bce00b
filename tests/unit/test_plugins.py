"""Finding data sets, extractors, linkers, stores and exports by name."""

from __future__ import annotations

import pytest

from kgbuild import plugins
from kgbuild.errors import UsageError


def test_built_in_names() -> None:
    assert {"examples", "iu-xray"} <= set(plugins.names("datasets"))
    assert "rules" in plugins.names("extractors")
    assert "lexical" in plugins.names("linkers")
    assert "embedded" in plugins.names("stores")
    assert {"radgraph", "dygie", "triplets", "parquet", "graphml", "nt"} <= set(plugins.names("exports"))


@pytest.mark.parametrize("kind", plugins.KINDS)
def test_every_plugin_can_be_had_by_its_name(kind: str) -> None:
    for name in plugins.builtin_names(kind):
        plugin = plugins.find(kind, name)
        assert getattr(plugin, "name", name) == name


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"unknown data set 'mimik'\n.*examples.*iu-xray"):
        plugins.find("datasets", "mimik")
