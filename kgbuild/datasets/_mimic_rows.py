"""Rows of the tables of MIMIC-CXR: ids of the right shape as numbers, the others as failures with their line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kgbuild.domain import Failure

if TYPE_CHECKING:
    import polars as pl

_SUBJECT = r"^1[0-9]{7}$"
_STUDY = r"^5[0-9]{7}$"
_DICOM = r"^[0-9a-f]{8}(-[0-9a-f]{8}){4}$"
_SHAPES = {
    "subject_id": (_SUBJECT, "8 digits starting with 1"),
    "study_id": (_STUDY, "8 digits starting with 5"),
    "dicom_id": (_DICOM, "five groups of 8 hexadecimal digits"),
}


def well_formed(frame: pl.DataFrame, path: Path, ids: tuple[str, ...], failures: list[Failure]) -> pl.DataFrame:
    """The rows whose ids have the right shape; the others become failures under the file's name."""
    import polars as pl

    for name in ids:
        shape, words = _SHAPES[name]
        fits = pl.col(name).str.contains(shape).fill_null(False)
        bad = frame.filter(~fits)["line"].to_list()
        failures += [Failure(path.name, "read", f"{name} is not {words}", f"{path.name} line {n}") for n in bad]
        frame = frame.filter(fits)
    return frame


def numbers(frame: pl.DataFrame, path: Path, *keep: str) -> pl.DataFrame:
    """Ids as numbers, line and file, and the columns to keep."""
    import polars as pl

    keep = tuple(name for name in keep if name not in ("subject_id", "study_id"))
    subject, study = (pl.col(f"{name}_id").cast(pl.Int32).alias(name) for name in ("subject", "study"))
    return frame.select(subject, study, "line", pl.lit(path.name).alias("file"), *keep)


def contradictions(rows: pl.DataFrame, reason: str) -> list[Failure]:
    """Failures of rows from ``numbers``, each with its study, file and line."""
    found = rows.select("study", "file", "line").iter_rows()
    return [Failure(f"s{study}", "read", reason, f"{file} line {line}") for study, file, line in found]
