"""The label tables of MIMIC-CXR-JPG, one row a study and finding; read only when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kgbuild.datasets import _mimic_tables as tables

if TYPE_CHECKING:
    import polars as pl

#: CheXpert's fourteen, as the tables spell them.
FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
)
#: The radiologists' test set names one of them otherwise.
_OTHER_NAME = "Airspace Opacity"
_RENAMED = "Lung Opacity"
#: Role of the table → what ``source`` says.
SOURCES = {"chexpert": "chexpert", "negbio": "negbio", "test": "radiologist"}


class Labels(NamedTuple):
    """``frame``: study_id, finding, value (1.0 present, 0.0 absent, -1.0 uncertain), source. What was left out."""

    frame: pl.DataFrame
    rows: int
    studies: int
    bad_rows: int
    bad_values: int


def read_labels(path: Path, role: str) -> Labels:
    """One table. Blank cells (not mentioned) give no row; a row with an id of the wrong shape, a copy of a study's row
    and a value that is none of the three are left out and counted.
    """
    import polars as pl

    header = ("study_id", *FINDINGS) if role == "test" else ("subject_id", "study_id", *FINDINGS)
    wide = tables.read_table(path, ("study_id",), (*FINDINGS, _OTHER_NAME), header)
    if _OTHER_NAME in wide.columns and _RENAMED not in wide.columns:
        wide = wide.rename({_OTHER_NAME: _RENAMED})
    good = wide.filter(pl.col("study_id").str.contains(r"^5[0-9]{7}$").fill_null(False))
    good = good.unique("study_id", keep="first", maintain_order=True)
    cells = good.select("study_id", *(name for name in FINDINGS if name in good.columns)).unpivot(
        index="study_id", variable_name="finding", value_name="text"
    )
    cells = cells.filter(pl.col("text").str.strip_chars() != "")
    value = pl.col("text").str.strip_chars().cast(pl.Float64, strict=False)
    frame = cells.select(
        pl.format("s{}", "study_id").alias("study_id"),
        "finding",
        value.alias("value"),
        pl.lit(SOURCES[role]).alias("source"),
    ).filter(pl.col("value").is_in([1.0, 0.0, -1.0]))
    frame = frame.sort("study_id", "finding")
    return Labels(frame, wide.height, good.height, wide.height - good.height, cells.height - frame.height)


def all_labels(files: dict[str, Path]) -> pl.DataFrame:
    """The tables that are there, one after the other; no rows where none is."""
    import polars as pl

    schema = {"study_id": pl.String, "finding": pl.String, "value": pl.Float64, "source": pl.String}
    found = [read_labels(files[role], role).frame for role in SOURCES if role in files]
    return pl.concat([pl.DataFrame(schema=schema), *found])
