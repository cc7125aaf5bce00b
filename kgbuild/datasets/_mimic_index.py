"""What the tables of MIMIC-CXR say of studies and images, as two compact frames that a chunk of studies is cut from.

``studies`` is in the order of the paths (patient, study); a study's images are ``n_images`` rows of ``images`` from
``first_image`` on, by id. Ids are numbers without their letter. A row with ids of the wrong shape is a Failure with its
line; an exact copy of a row is counted; of rows that contradict each other the first stands and the other is a Failure.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kgbuild.datasets import _mimic_tables as tables
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


class Index(NamedTuple):
    """Frames: subject, study, split, date, first_image, n_images of studies; dicom, view, rows, columns of images."""

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
    found = [
        _image_table(files[role], columns, published, failures, rows, role)
        for role, columns, published in (
            ("records", (), tables.RECORDS),
            ("metadata", ("ViewPosition", "Rows", "Columns", "StudyDate"), tables.METADATA),
            ("split", ("split",), tables.SPLIT),
        )
        if role in files
    ]
    counts = {"repeated study rows": copies}
    images = _images(found, failures, counts).join(studies, on="study", how="left", suffix="_listed")
    counts["images of no listed study"] = images["subject_listed"].null_count()
    strangers = images.filter(pl.col("subject") != pl.col("subject_listed"))
    failures += _failures(strangers, "its patient is another than in the study list; the image is left out")
    images = images.filter(pl.col("subject") == pl.col("subject_listed")).sort("subject", "study", "dicom")
    _count_images(images, counts)
    summary = images.group_by("study").agg(
        pl.len().cast(pl.Int32).alias("n_images"),
        pl.when(pl.col("split").n_unique() == 1).then(pl.col("split").first()).alias("split"),
        pl.col("date").min(),
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
    frame = _well_formed(frame, path, ("subject_id", "study_id"), failures)
    if "path" in frame.columns:
        subject, study = pl.col("subject_id"), pl.col("study_id")
        expected = pl.format("files/p{}/p{}/s{}.txt", subject.str.slice(0, 2), subject, study)
        fits = (pl.col("path") == expected).fill_null(False)
        failures += _failures(_numbers(frame.filter(~fits), path), "its path is not files/pNN/p<subject>/s<study>.txt")
        frame = frame.filter(fits)
    every = _numbers(frame, path)
    once = every.unique(["subject", "study"], keep="first", maintain_order=True)
    first = once.unique("study", keep="first", maintain_order=True)
    others = once.join(first, on=["subject", "study"], how="anti")
    failures += _failures(others, "listed before with another patient, which stands")
    return first.select("subject", "study"), every.height - once.height


def _image_table(
    path: Path,
    columns: tuple[str, ...],
    published: tuple[str, ...],
    failures: list[Failure],
    rows: dict[str, int],
    role: str,
) -> pl.DataFrame:
    """One table of images; ``columns`` that it lacks are null."""
    ids = ("dicom_id", "subject_id", "study_id")
    frame = tables.read_table(path, ids, columns, published)
    rows[role] = frame.height
    frame = _well_formed(frame, path, ids, failures)
    return _numbers(frame, path, "dicom_id", *(name for name in columns if name in frame.columns))


def _images(found: list[pl.DataFrame], failures: list[Failure], counts: dict[str, int]) -> pl.DataFrame:
    """Every image that one of the tables names, once, with what each of them says of it."""
    import polars as pl

    keys = {"dicom_id": pl.String, "subject": pl.Int32, "study": pl.Int32, "line": pl.UInt32, "file": pl.String}
    named = pl.concat([pl.DataFrame(schema=keys), *(frame.select(list(keys)) for frame in found)])
    images = named.unique("dicom_id", keep="first", maintain_order=True)
    ids = ["dicom_id", "subject", "study"]
    others = named.join(images, on=ids, how="anti")
    failures += _failures(others, "its image belongs already to another study or patient, which keeps it")
    counts["repeated image rows"] = sum(frame.height - frame.unique(ids).height for frame in found)
    for frame in found:
        extra = [name for name in frame.columns if name not in keys]
        if extra:
            values = frame.unique(ids, keep="first", maintain_order=True).select(*ids, *extra)
            images = images.join(values, on=ids, how="left")
    for name in ("ViewPosition", "Rows", "Columns", "StudyDate", "split"):
        if name not in images.columns:
            images = images.with_columns(pl.lit(None, pl.String).alias(name))
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
        (text["StudyDate"].str.len_chars() > 0).fill_null(False).alias("dated"),
        pl.when(text["split"] != "").then(text["split"]).alias("split"),
    )


def _count_images(images: pl.DataFrame, counts: dict[str, int]) -> None:
    import polars as pl

    of_study = images.group_by("study").agg(pl.col("split").n_unique(), pl.col("date").drop_nulls().n_unique())
    counts |= {
        "images listed": images.height,
        "images without view": images["view"].null_count(),
        "images with an unreadable date": images.filter(pl.col("dated") & pl.col("date").is_null()).height,
        "studies whose images have several dates": of_study.filter(pl.col("date") > 1).height,
        "studies whose images disagree on the split": of_study.filter(pl.col("split") > 1).height,
    }


def _well_formed(frame: pl.DataFrame, path: Path, ids: tuple[str, ...], failures: list[Failure]) -> pl.DataFrame:
    """The rows whose ids have the right shape; the others become failures under the file's name."""
    import polars as pl

    for name in ids:
        shape, words = _SHAPES[name]
        fits = pl.col(name).str.contains(shape).fill_null(False)
        bad = frame.filter(~fits)["line"].to_list()
        failures += [Failure(path.name, "read", f"{name} is not {words}", f"{path.name} line {n}") for n in bad]
        frame = frame.filter(fits)
    return frame


def _numbers(frame: pl.DataFrame, path: Path, *keep: str) -> pl.DataFrame:
    import polars as pl

    subject, study = (pl.col(f"{name}_id").cast(pl.Int32).alias(name) for name in ("subject", "study"))
    return frame.select(subject, study, "line", pl.lit(path.name).alias("file"), *keep)


def _failures(rows: pl.DataFrame, reason: str) -> list[Failure]:
    found = rows.select("study", "file", "line").iter_rows()
    return [Failure(f"s{study}", "read", reason, f"{file} line {line}") for study, file, line in found]
