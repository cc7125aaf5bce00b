"""The CSV files of IU X-ray: reports, projections, R2Gen's split, native image sizes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kgbuild.datasets._csv_rows import open_table
from kgbuild.datasets._iu_records import SECTIONS, ImageRow, Record, image_id, make_sections, parse_uid, study_id
from kgbuild.domain import Failure
from kgbuild.errors import ColumnMissing

REPORTS_HEADER = ("uid", "MeSH", "Problems", "image", "indication", "comparison", "findings", "impression")


def read_reports(path: Path) -> Iterator[Record | Failure]:
    """One record a row; a row without a usable uid is a Failure of the file."""
    table = open_table(path, ("uid", "findings", "impression"), REPORTS_HEADER)
    for row in table.rows:
        where = table.where(row)
        uid = parse_uid(table.cell(row, "uid"))
        if uid is None:
            yield Failure(path.name, "read", row.problem or "uid is not an integer", where)
        elif row.problem:
            yield Record(uid, path.name, where, problem=row.problem, content=tuple(row.cells))
        else:
            sections = make_sections((name, table.cell(row, name)) for name in SECTIONS)
            yield Record(uid, path.name, where, sections, content=tuple(row.cells))


def read_projections(path: Path) -> Iterator[ImageRow | Failure]:
    """One image a row; a row that names none is a Failure."""
    table = open_table(path, ("uid", "filename"), ("uid", "filename", "projection"))
    for row in table.rows:
        uid = parse_uid(table.cell(row, "uid"))
        name = image_id(table.cell(row, "filename"))
        if problem := row.problem or ("uid is not an integer" if uid is None else "" if name else "no file name"):
            yield Failure(path.name if uid is None else study_id(uid), "read", problem, table.where(row))
        elif uid is not None:
            yield ImageRow(uid, name, table.where(row), table.cell(row, "projection") or None)


def read_splits(path: Path) -> tuple[dict[int, str], list[Failure], int]:
    """Split by uid, the rows that give none or another one, and the number of rows."""
    table = open_table(path, ("uid", "split"), ("id", "uid", "split", "image_ids"))
    splits: dict[int, str] = {}
    failures = []
    rows = list(table.rows)
    for row in rows:
        uid, split = parse_uid(table.cell(row, "uid")), table.cell(row, "split").strip()
        problem = row.problem or ("uid is not an integer" if uid is None else "" if split else "no split")
        if uid is not None and not problem and splits.setdefault(uid, split) != split:
            problem = "another split than in an earlier row, which is used"
        if problem:
            failures.append(Failure(path.name if uid is None else study_id(uid), "read", problem, table.where(row)))
    return splits, failures, len(rows)


def read_sizes(path: Path) -> dict[str, tuple[int | None, int | None]]:
    """Native rows and columns by image id; empty where the file has not these columns. Broken rows are left out."""
    try:
        table = open_table(path, ("filename", "native_rows", "native_columns"), ())
    except ColumnMissing:
        return {}
    return {
        image_id(table.cell(row, "filename")): (
            parse_uid(table.cell(row, "native_rows")),
            parse_uid(table.cell(row, "native_columns")),
        )
        for row in table.rows
        if not row.problem
    }
