"""Labels and boxes that data sets publish, as one table of the schema ``FINDING_LABELS``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from kgbuild.tables import FINDING_LABELS

if TYPE_CHECKING:
    import pyarrow as pa

#: CheXpert's fourteen in the order of its tables (also MIMIC-CXR-JPG's and CheXpert Plus's).
CHEXPERT = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)


class Box(NamedTuple):
    """A rectangle in pixels of its image: upper left corner, width, height."""

    x: float
    y: float
    w: float
    h: float


class Label(NamedTuple):
    """One row; the fields are the columns' names but for the box."""

    study_id: str
    image_id: str | None
    finding: str
    value: float
    source: str
    box: Box | None = None


#: Of the edge of an image: boxes are published in rounded or scaled numbers.
_TOLERANCE_PX = 1.0


def box_problem(box: Box, rows: int, columns: int) -> str | None:
    """Why a box cannot be one of an image of that size, None where it can."""
    if not all(math.isfinite(side) for side in box):
        return "its box has a side that is no number"
    if box.w <= 0 or box.h <= 0:
        return "its box has no area"
    inside = (
        min(box.x, box.y) >= -_TOLERANCE_PX
        and box.x + box.w <= columns + _TOLERANCE_PX
        and box.y + box.h <= rows + _TOLERANCE_PX
    )
    if inside:
        return None
    sides = " ".join(f"{name}={side:g}" for name, side in zip(Box._fields, box, strict=True))
    return f"its box ({sides}) reaches outside the image of {columns} x {rows} pixels"


def label_table(labels: Sequence[Label]) -> pa.Table:
    """Rows as they come."""
    import pyarrow as pa

    columns: dict[str, list[object]] = {
        name: [getattr(label, name) for label in labels]
        for name in ("study_id", "image_id", "finding", "value", "source")
    }
    for name in Box._fields:
        columns[f"box_{name}"] = [None if label.box is None else getattr(label.box, name) for label in labels]
    return pa.table({name: columns[name] for name in FINDING_LABELS.names}, schema=FINDING_LABELS)


def wide_table(
    study_ids: Sequence[str], image_ids: Sequence[str], values: Mapping[str, Sequence[float | None]], source: str
) -> pa.Table:
    """From one column a finding to one row a label, in order of the images and, within one, of the findings.

    Nulls (not mentioned) are left out. All sequences have one element an image.
    """
    import polars as pl

    wide = pl.DataFrame(values, schema=dict.fromkeys(values, pl.Float64)).with_row_index("row")
    long = wide.unpivot(index="row", variable_name="finding", value_name="value").drop_nulls("value")
    long = long.sort("row", maintain_order=True)
    rows, empty = long["row"], pl.lit(None, dtype=pl.Float64)
    table = long.select(
        pl.Series(study_ids, dtype=pl.String).gather(rows).alias("study_id"),
        pl.Series(image_ids, dtype=pl.String).gather(rows).alias("image_id"),
        "finding",
        "value",
        *(empty.alias(f"box_{side}") for side in Box._fields),
        pl.lit(source).alias("source"),
    )
    return table.to_arrow().cast(FINDING_LABELS)


def concat(tables: Sequence[pa.Table]) -> pa.Table:
    """One after the other; no rows where there are no tables."""
    import pyarrow as pa

    return pa.concat_tables([FINDING_LABELS.empty_table(), *tables])
