"""The images of MIMIC-CXR put together from the tables that name them, each once, with what every table says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgbuild.datasets._mimic_rows import contradictions
from kgbuild.domain import Failure

if TYPE_CHECKING:
    import polars as pl

_TAKEN = "its image belongs already to another study or patient, which keeps it"


def no_images() -> pl.DataFrame:
    """What ``merge`` starts from."""
    import polars as pl

    text = dict.fromkeys(("ViewPosition", "Rows", "Columns", "StudyDate", "StudyTime", "split"), pl.String)
    return pl.DataFrame(
        schema={
            "dicom_id": pl.String,
            "subject": pl.Int32,
            "study": pl.Int32,
            "line": pl.UInt32,
            "file": pl.String,
            **text,
        }
    )


def merge(images: pl.DataFrame, frame: pl.DataFrame, failures: list[Failure], counts: dict[str, int]) -> pl.DataFrame:
    """The images known so far and those of one more table, with what it says of both."""
    import polars as pl

    if frame["dicom_id"].n_unique() < frame.height:
        once = frame.unique(["dicom_id", "subject", "study"], keep="first", maintain_order=True)
        counts["repeated image rows"] += frame.height - once.height
        frame = once.unique("dicom_id", keep="first", maintain_order=True)
        failures += contradictions(once.join(frame, on=["dicom_id", "subject", "study"], how="anti"), _TAKEN)
    both = images.join(frame, on="dicom_id", how="full", coalesce=True, suffix="_new")
    same = (pl.col("subject") == pl.col("subject_new")) & (pl.col("study") == pl.col("study_new"))
    others = both.filter(~same).select(pl.col("study_new", "line_new", "file_new").name.replace("_new$", ""))
    failures += contradictions(others.sort("line"), _TAKEN)
    agreed = pl.when(same.fill_null(True))
    return both.select(
        "dicom_id",
        *(pl.coalesce(name, f"{name}_new") for name in ("subject", "study", "line", "file")),
        *(
            agreed.then(f"{name}_new").alias(name) if f"{name}_new" in both.columns else name
            for name in ("ViewPosition", "Rows", "Columns", "StudyDate", "StudyTime", "split")
        ),
    )


def typed(images: pl.DataFrame) -> pl.DataFrame:
    """Text as what it says; null where it says nothing or cannot be read."""
    import polars as pl

    text = {name: pl.col(name).str.strip_chars() for name in ("ViewPosition", "StudyDate", "split")}
    return images.select(
        pl.col("dicom_id").alias("dicom"),
        "subject",
        "study",
        "line",
        "file",
        pl.when(text["ViewPosition"] != "").then(text["ViewPosition"]).alias("view"),
        pl.col("Rows").cast(pl.Int32, strict=False).alias("rows"),
        pl.col("Columns").cast(pl.Int32, strict=False).alias("columns"),
        text["StudyDate"].str.to_date("%Y%m%d", strict=False).alias("date"),
        _time(pl.col("StudyTime").str.strip_chars()).alias("time"),
        (text["StudyDate"].str.len_chars() > 0).fill_null(False).alias("dated"),
        pl.when(text["split"] != "").then(text["split"]).alias("split"),
    )


def _time(text: pl.Expr) -> pl.Expr:
    """HHMMSS.fff, which the published table writes as a number: leading zeros are lost."""
    import polars as pl

    whole = text.str.splitn(".", 2).struct.field("field_0").str.zfill(6)
    return pl.when(text.str.len_chars() > 0).then(whole.str.to_time("%H%M%S", strict=False))


def count_images(images: pl.DataFrame, counts: dict[str, int]) -> None:
    """Add what is worth knowing of the listed images to ``counts``."""
    import polars as pl

    of_study = images.group_by("study").agg(pl.col("split").n_unique(), pl.col("date").drop_nulls().n_unique())
    counts |= {
        "images listed": images.height,
        "images without view": images["view"].null_count(),
        "images with an unreadable date": images.filter(pl.col("dated") & pl.col("date").is_null()).height,
        "studies whose images have several dates": of_study.filter(pl.col("date") > 1).height,
        "studies whose images disagree on the split": of_study.filter(pl.col("split") > 1).height,
    }
