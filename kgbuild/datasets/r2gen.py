"""R2Gen's ``annotation.json``: split and cleaned findings of IU X-ray or MIMIC-CXR that report generators train on.

``{"train": [{"id": …, "report": …, "image_path": [...], "split": "train"}, …], "val": …, "test": …}``. The report is
the section ``findings``, already lower case and without its quirks. Ids are ``r2gen:<id>``. In the MIMIC variant an
entry is an image and its ``id`` is a dicom id: there the study is ``r2gen:s<study_id>`` with the images of all its
entries, the patient ``r2gen:p<subject_id>``. The file is streamed, never held.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kgbuild.datasets._table_check import check_tables
from kgbuild.datasets._table_images import ImageFolders
from kgbuild.datasets._table_json import JsonTable
from kgbuild.datasets._table_mapping import ColumnMap
from kgbuild.datasets._table_studies import TableStudies
from kgbuild.datasets._table_values import as_text
from kgbuild.datasets.base import FileCheck, Listing
from kgbuild.domain import Failure, Study
from kgbuild.errors import ColumnMissing, RootMissing, UsageError

FILES = ("annotation.json", "mimic_annotation_all.json", "iu_annotation.json", "annotation.json.gz")
FOLDER = "images"
_COLUMNS = ("study", "patient", "split", "report", "images")
_MAP = ColumnMap(
    fields={"study": "study", "patient": "patient", "split": "split"},
    sections={"findings": "report"},
    images=("images",),
)


class R2Gen:
    """The data set behind ``--dataset r2gen``.

    Args:
        root: the folder with ``annotation.json``, or the file.
        images: the folder that ``image_path`` begins in, if not the root's ``images``.
        **options: none.

    Raises:
        UsageError: an option was given.
        RootMissing: the root is absent or holds no annotation file.
    """

    name = "r2gen"
    title = "R2Gen's annotation.json: the findings and split of IU X-ray or MIMIC-CXR for report generation"
    options: tuple[str, ...] = ()

    def __init__(self, root: Path, images: Path | None = None, **options: str) -> None:
        if options:
            raise UsageError(f"unknown option {', '.join(sorted(options))} of r2gen", expected="no options")
        path = _find(Path(root))
        if images is None and (path.parent / FOLDER).is_dir():
            images = path.parent / FOLDER
        folders = ImageFolders(path.parent, Path(images) if images is not None else None)
        table = JsonTable(path, path.name, _COLUMNS, _cells, nested=True)
        self.source = TableStudies(self.name, [table], _MAP, folders)

    def fingerprint(self) -> str:
        """SHA-256 of every entry's id, split, report and image paths, and of which of the images are there."""
        self.listing()
        return self.source.fingerprint()

    def listing(self) -> Listing:
        """Studies in the order of the file.

        Raises:
            ColumnMissing: entries without id and report: another JSON.
            KgbuildError: the JSON breaks off or is none; names file and offset.
        """
        listing = self.source.listing()
        if not listing.studies and listing.failures:
            raise ColumnMissing(
                f"{self.source.tables[0].name} is no annotation file of R2Gen: no entry has an id",
                where=listing.failures[0].where,
                expected='{"train": [{"id": …, "report": …, "image_path": […], "split": …}], "val": …, "test": …}',
            )
        return listing

    def studies(self, ids: Sequence[str] | None = None) -> Iterator[Study | Failure]:
        """Studies with the section ``findings`` and their images; an unknown id is a Failure."""
        self.listing()
        return self.source.studies(ids)

    def check(self) -> list[FileCheck]:
        """The file, its images, and how many entries have a report."""
        self.listing()
        return check_tables(self.source, fixed=True)


def _cells(split: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    study, own = as_text(entry.get("study_id")), as_text(entry.get("id"))
    patient = as_text(entry.get("subject_id"))
    if study:
        study = f"s{study.removeprefix('s')}"
        patient = f"p{patient.removeprefix('p')}" if patient else ""
    return {
        "study": study or own,
        "patient": patient,
        "split": entry.get("split") or split,
        "report": entry.get("report"),
        "images": entry.get("image_path"),
    }


def _find(root: Path) -> Path:
    if root.is_file():
        return root
    path = next((root / name for name in FILES if (root / name).is_file()), None)
    if path is None:
        raise RootMissing(
            f"r2gen root {root} " + ("holds no annotation file" if root.is_dir() else "does not exist"),
            where=str(root),
            expected=" or ".join(FILES),
            next_step="get it from R2Gen's repository (github.com/zhjohnchan/R2Gen) and give its folder as --root",
        )
    return path


PLUGIN = R2Gen
