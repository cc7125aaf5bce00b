"""Made-up data sets in the layouts of real ones, with gold annotations: to build, test, benchmark and dry-run on."""

from __future__ import annotations

from kgbuild.synthesis.mimic import make_mimic, plan

__all__ = ["make_mimic", "plan"]
