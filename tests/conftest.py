"""Shared fixtures: where the real data is, and how a test says that it needs it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def shared_data() -> Path | None:
    """The open data pack: ``KGBUILD_SHARED_DATA``, else ``../shared/data`` beside the checkout, else nothing."""
    named = os.environ.get("KGBUILD_SHARED_DATA")
    root = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    return root if (root / "iu_xray" / "reports.csv").is_file() else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Root of the open data pack; the test is skipped where it is absent."""
    root = shared_data()
    if root is None:
        pytest.skip("no data pack: set KGBUILD_SHARED_DATA to a copy of it")
    return root


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the shipped examples generated, linked and loaded. Read only."""
    import kgbuild

    workspace = tmp_path_factory.mktemp("built") / "kg"
    kgbuild.build(kgbuild.resolve("examples"), workspace)
    return workspace
