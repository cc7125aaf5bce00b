"""The tables of ChestX-ray14: entries, boxes and the two official lists, read row by row.

The entries' header has commas within its names (``OriginalImage[Width,Height]``), so its columns are called
``OriginalImage[Width`` and ``Height]``. Boxes name one finding otherwise than the entries. No cell stands in a message.
"""

from __future__ import annotations

import re
from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

from kgbuild.datasets._csv_rows import Row, Table, open_table, read_rows
from kgbuild.datasets._findings import Box, box_problem
from kgbuild.datasets._image_folders import stem
from kgbuild.domain import Failure

NO_FINDING = "No Finding"
FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
_OTHER_NAMES = {"Infiltrate": "Infiltration"}
ENTRIES_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
LABELS_HEADER = "image,image_index,finding_labels,official_split,patient_id,patient_age,patient_gender,view_position"
BOXES_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
#: The published PNG files, which boxes refer to, are squares of this edge whatever the original's size.
EDGE_PX = 1024
_IMAGE = re.compile(r"[0-9]{8}_[0-9]{3}")


class Entry(NamedTuple):
    """One image. ``split`` is what the table itself says."""

    id: str
    patient: str
    view: str | None
    rows: int | None
    columns: int | None
    findings: tuple[str, ...]
    split: str | None
    line: int


class Entries(NamedTuple):
    """Images in the order of the file, what was quarantined, exact copies, rows read."""

    images: dict[str, Entry]
    failures: list[Failure]
    copies: int
    read: int


class BoxRow(NamedTuple):
    """A finding's place in an image."""

    image: str
    finding: str
    box: Box


class Boxes(NamedTuple):
    """Boxes in the order of the file, what was quarantined, boxes of images that are not listed, copies, rows read."""

    boxes: list[BoxRow]
    failures: list[Failure]
    strangers: int
    copies: int
    read: int


class Lists(NamedTuple):
    """Split of each image, images that both lists name, lines that name no image, lines read by file."""

    splits: dict[str, str]
    failures: list[Failure]
    read: dict[str, int]


def image_id(text: str) -> str | None:
    """The image's id, None where the text does not have the shape of a file name of this data set.

    >>> image_id("00000001_000.png"), image_id("1_0.png")
    ('00000001_000', None)
    """
    name = stem(text.strip())
    return name if _IMAGE.fullmatch(name) else None


def study_id(image: str) -> str:
    """Graph key of a study, which is one image."""
    return f"chestxray14:{image}"


def read_entries(path: Path) -> Entries:
    """Data_Entry_2017 in either edition, or ``labels.csv`` with names in lower case."""
    published = path.name.lower().startswith("data_entry")
    names = ("image index", "finding labels", "patient id", "view position")
    needed = names[:3] if published else tuple(name.replace(" ", "_") for name in names[:3])
    table = open_table(path, needed, (ENTRIES_HEADER if published else LABELS_HEADER,))
    view = names[3] if published else names[3].replace(" ", "_")
    images: dict[str, Entry] = {}
    failures: list[Failure] = []
    known: dict[str, tuple[str, ...] | None] = {}
    contents: dict[str, int] = {}
    copies = read = 0
    for row in table.rows:
        read += 1
        image = image_id(table.cell(row, needed[0]))
        patient = table.cell(row, needed[2]).strip()
        text = table.cell(row, needed[1])
        if text not in known:
            known[text] = _findings(text)
        findings = known[text]
        content = hash(tuple(row.cells))
        if image is not None and image in images and row.problem is None:
            if contents[image] == content:
                copies += 1
                continue
            problem: str | None = f"another row than line {images[image].line}'s of this image, which is used"
        else:
            problem = _entry_problem(row, image, patient, findings)
        if problem or image is None or findings is None:
            failures.append(Failure(study_id(image) if image else path.name, "read", problem or "", table.where(row)))
            continue
        contents[image] = content
        images[image] = Entry(
            image,
            f"chestxray14:{int(patient)}",
            table.cell(row, view).strip() or None,
            _number(table.cell(row, "height]")),
            _number(table.cell(row, "originalimage[width")),
            findings,
            table.cell(row, "official_split").strip() or None,
            row.line,
        )
    return Entries(images, failures, copies, read)


def _entry_problem(row: Row, image: str | None, patient: str, findings: tuple[str, ...] | None) -> str | None:
    if row.problem:
        return row.problem
    if image is None:
        return "its image index is not of the shape 00000001_000.png"
    if _number(patient) is None:
        return "its patient id is not a whole number"
    return None if findings is not None else "its finding labels hold one that is none of the 14"


def _findings(text: str) -> tuple[str, ...] | None:
    """The findings of one cell; empty for none, null where a name is unknown or there is no name at all."""
    names = [name.strip() for name in text.split("|")]
    if names == [NO_FINDING]:
        return ()
    return tuple(name for name in FINDINGS if name in names) if names and set(names) <= set(FINDINGS) else None


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def read_boxes(path: Path, images: Container[str]) -> Boxes:
    """BBox_List_2017; a box outside the published image is quarantined."""
    table = open_table(path, ("image index", "finding label", "bbox [x", "y", "w", "h]"), (BOXES_HEADER,))
    found: dict[BoxRow, None] = {}
    failures: list[Failure] = []
    strangers = copies = read = 0
    for row in table.rows:
        read += 1
        image = image_id(table.cell(row, "image index"))
        name = table.cell(row, "finding label").strip()
        finding = _OTHER_NAMES.get(name, name)
        box = _box(table, row)
        problem = row.problem
        if problem is None and image is None:
            problem = "its image index is not of the shape 00000001_000.png"
        elif problem is None and finding not in FINDINGS:
            problem = "its finding is none of the 14"
        elif problem is None:
            problem = "its box is not four numbers" if box is None else box_problem(box, EDGE_PX, EDGE_PX)
        if problem or image is None or box is None:
            failures.append(Failure(study_id(image) if image else path.name, "read", problem or "", table.where(row)))
        elif image not in images:
            strangers += 1
        elif (item := BoxRow(image, finding, box)) in found:
            copies += 1
        else:
            found[item] = None
    return Boxes(list(found), failures, strangers, copies, read)


def _box(table: Table, row: Row) -> Box | None:
    try:
        return Box(*(float(table.cell(row, column)) for column in ("bbox [x", "y", "w", "h]")))
    except ValueError:
        return None


def read_lists(files: dict[str, Path]) -> Lists:
    """Image names, one a line. An image in both lists has no split, so that it leaks into neither.

    Args:
        files: split → its list.
    """
    splits: dict[str, str] = {}
    failures: list[Failure] = []
    read: dict[str, int] = {}
    torn: set[str] = set()
    for split, path in files.items():
        for row in read_rows(path):
            text = row.cells[0] if len(row.cells) == 1 else ""
            image = image_id(text)
            if not any(cell.strip() for cell in row.cells):
                continue
            read[split] = read.get(split, 0) + 1
            where = f"{path.name} line {row.line}"
            if image is None or row.problem:
                reason = row.problem or "not an image name such as 00000001_000.png"
                failures.append(Failure(path.name, "read", reason, where))
            elif splits.setdefault(image, split) != split:
                torn.add(image)
                reason = f"listed in {splits[image]} too: it is given no split"
                failures.append(Failure(study_id(image), "read", reason, where))
    for image in torn:
        del splits[image]
    return Lists(splits, failures, read)
