"""What the tables of MIMIC-CXR say of studies and images, as two compact frames that a chunk of studies is cut from.

``studies`` is in the order of the paths (patient, study); a study's images are ``n_images`` rows of ``images`` from
``first_image`` on, by id. Ids are numbers without their letter. A row with ids of the wrong shape is a Failure with its
line; an exact copy of a row is counted; of rows that contradict each other the first stands and the other is a Failure.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kgbuild.datasets import _mimic_tables as tables
from kgbuild.datasets._mimic_images import count_images, merge, no_images, typed
from kgbuild.datasets._mimic_rows import contradictions, numbers, well_formed
from kgbuild.domain import Failure

if TYPE_CHECKING:
    import polars as pl

_IMAGE_TABLES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("records", (), tables.RECORDS),
    ("metadata", ("ViewPosition", "Rows", "Columns", "StudyDate", "StudyTime"), tables.METADATA),
    ("split", ("split",), tables.SPLIT),
)


class Index(NamedTuple):
    """Of studies subject, study, split, date, time, first_image, n_images; of images dicom, view, rows, columns."""

    studies: pl.DataFrame
    images: pl.DataFrame
    failures: list[Failure]
    counts: dict[str, int]
    rows: dict[str, int]


def read_index(files: dict[str, Path]) -> Index:
    """Read the study list and those of record list, metadata and split that are there.

    Args:
        files: role (as in ``_mimic_files.TABLES``) → path.
    """
    import polars as pl

    failures: list[Failure] = []
    rows: dict[str, int] = {}
    studies, copies = _studies(files["studies"], failures, rows)
    counts = {"repeated study rows": copies, "repeated image rows": 0}
    images = no_images()
    for role, columns, published in _IMAGE_TABLES:
        if role in files:
            ids = ("dicom_id", "subject_id", "study_id")
            frame = tables.read_table(files[role], ids, columns, published)
            rows[role] = frame.height
            frame = well_formed(frame, files[role], ids, failures)
            images = merge(images, numbers(frame, files[role], *frame.columns[1:]), failures, counts)
    images = typed(images).join(studies, on="study", how="left", suffix="_listed")
    counts["images of no listed study"] = images["subject_listed"].null_count()
    strangers = images.filter(pl.col("subject") != pl.col("subject_listed"))
    failures += contradictions(strangers, "its patient is another than in the study list; the image is left out")
    images = images.filter(pl.col("subject") == pl.col("subject_listed")).sort("subject", "study", "dicom")
    count_images(images, counts)
    summary = images.group_by("study").agg(
        pl.len().cast(pl.Int32).alias("n_images"),
        pl.when(pl.col("split").n_unique() == 1).then(pl.col("split").first()).alias("split"),
        pl.col("date").min(),
        pl.col("time").filter(pl.col("date") == pl.col("date").min()).min(),
    )
    joined = studies.join(summary, on="study", how="left").sort("subject", "study")
    joined = joined.with_columns(pl.col("n_images").fill_null(0))
    joined = joined.with_columns((pl.col("n_images").cum_sum() - pl.col("n_images")).alias("first_image"))
    counts |= {
        "patients": joined["subject"].n_unique(),
        "studies without images": joined.filter(pl.col("n_images") == 0).height,
        "studies without date": joined["date"].null_count(),
        "studies without split": joined["split"].null_count(),
    }
    return Index(joined, images.select("dicom", "view", "rows", "columns").rechunk(), failures, counts, rows)


def _studies(path: Path, failures: list[Failure], rows: dict[str, int]) -> tuple[pl.DataFrame, int]:
    """Subject and study of each row that stands, and how many were copies."""
    import polars as pl

    frame = tables.read_table(path, ("subject_id", "study_id"), ("path",), tables.STUDIES)
    rows["studies"] = frame.height
    frame = well_formed(frame, path, ("subject_id", "study_id"), failures)
    if "path" in frame.columns:
        subject, study = pl.col("subject_id"), pl.col("study_id")
        expected = pl.format("files/p{}/p{}/s{}.txt", subject.str.slice(0, 2), subject, study)
        fits = (pl.col("path") == expected).fill_null(False)
        failures += contradictions(
            numbers(frame.filter(~fits), path), "its path is not files/pNN/p<subject>/s<study>.txt"
        )
        frame = frame.filter(fits)
    every = numbers(frame, path)
    once = every.unique(["subject", "study"], keep="first", maintain_order=True)
    first = once.unique("study", keep="first", maintain_order=True)
    others = once.join(first, on=["subject", "study"], how="anti")
    failures += contradictions(others, "listed before with another patient, which stands")
    return first.select("subject", "study"), every.height - once.height
