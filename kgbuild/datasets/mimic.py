"""MIMIC-CXR 2.0.0 and 2.1.0 with MIMIC-CXR-JPG: 227,835 reports and 377,110 images of 65,379 patients.

Needed are the study list and the reports, in folders or in ``mimic-cxr-reports.zip`` unopened. The record list, the JPG
project's metadata and split name the images, with view, size, date and split; where one is absent, what it says is
null. Tables are sought under both roots. A study has date and time of its earliest image and the split of all its
images (one whose images disagree has none, so that it leaks into neither). Nothing is written.

Where there is no report at all, the sections come from MIT-LCP's ``mimic_cxr_sectioned.csv``, if that is there.

Tables are kept as columns (about 100 MB); reports and the folders of images are opened when their study is read.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kgbuild import sections, sections_mit
from kgbuild.datasets._mimic_files import find_layout
from kgbuild.datasets._mimic_index import Index, read_index
from kgbuild.datasets._mimic_reports import ImageFiles, Reports, open_reports, report_path
from kgbuild.datasets._mimic_sectioned import Sectioned, find_sectioned
from kgbuild.datasets._mimic_tables import read_bytes
from kgbuild.datasets.base import FileCheck, Listing
from kgbuild.domain import Failure, Image, Report, Section, Study, StudyRef
from kgbuild.errors import StudyError, UsageError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

ALIASES = ("mimic-cxr",)
_BLOCK = 2048
_PARSERS: dict[str, Callable[[str, str], tuple[Section, ...]]] = {
    "tolerant": lambda text, _: sections.split_sections(text),
    "mit-lcp": sections_mit.split_sections,
}


class _Row(NamedTuple):
    """A study as the index holds it; the fields are the columns' names."""

    subject: int
    study: int
    split: str | None
    date: dt.date | None
    time: dt.time | None
    first_image: int
    n_images: int


class Mimic:
    """The data set behind ``--dataset mimic``.

    Args:
        root: the folder of MIMIC-CXR, or ``mimic-cxr-reports.zip`` with the study list beside it.
        images: the folder of MIMIC-CXR-JPG, if it is another.
        **options: ``section_parser``: ``tolerant`` (the default) or ``mit-lcp``; only whole reports are cut by it.

    Raises:
        UsageError: an option or a section parser that does not exist.
        RootMissing: a folder is absent.
        FileMissing: the study list, or the reports and their sections, are under neither folder.
    """

    name = "mimic"
    title = "MIMIC-CXR and MIMIC-CXR-JPG: reports and images, as published on PhysioNet"
    options: tuple[str, ...] = ("section_parser",)

    def __init__(self, root: Path, images: Path | None = None, **options: str) -> None:
        unknown = sorted(set(options) - set(self.options))
        if unknown:
            raise UsageError(f"unknown option {', '.join(unknown)} of mimic", expected=", ".join(self.options))
        self.section_parser = options.get("section_parser", "tolerant")
        if self.section_parser not in _PARSERS:
            raise UsageError(f"unknown section parser {self.section_parser!r}", expected=" or ".join(_PARSERS))
        self._sections = _PARSERS[self.section_parser]
        self._is_tolerant_asked = options.get("section_parser") == "tolerant"
        self.layout = find_layout(Path(root), Path(images) if images is not None else None)
        self.image_files = ImageFiles(self.layout.images)

    @cached_property
    def index(self) -> Index:
        """The tables, read once."""
        return read_index(self.layout.tables)

    @cached_property
    def reports(self) -> Reports:
        """Folder or archive."""
        frame = self.index.studies.select("subject", "study").gather_every(max(1, self.index.studies.height // 500))
        return open_reports(self.layout, (report_path(subject, study) for subject, study in frame.iter_rows()))

    @cached_property
    def sectioned(self) -> Sectioned | None:
        """The CSV that the sections come from, where there is no report; None where reports are read."""
        return find_sectioned(self.layout)

    def fingerprint(self) -> str:
        """SHA-256 over the tables' contents, unpacked, names and sizes of the reports, and names of the image folders.

        Neither reports nor folders of images are opened (that would take as long as the run): a report edited without
        changing its size, or an image lost from its study's folder, is not noticed. Folders and archive of the same
        release give the same fingerprint. Where the sections come from a CSV, its content counts, unpacked.
        """
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for role in ("studies", "records", "metadata", "split"):
            if role in self.layout.tables:
                data = read_bytes(self.layout.tables[role])
                digest.update(f"{role}\0{len(data)}\0".encode())
                digest.update(data)
        if self.sectioned:
            digest.update(f"sectioned\0{self.sectioned.digest()}\0".encode())
        sizes = () if self.sectioned else self.reports.sizes()
        for column in (*sizes, self.image_files.study_folders()):
            digest.update(f"{len(column)}\0".encode())
            for start in range(0, len(column), _BLOCK):
                digest.update(",".join(map(str, column[start : start + _BLOCK])).encode())
        return digest.hexdigest()

    def listing(self) -> Listing:
        """Studies in the order of their paths (patient, study)."""
        return self._listing

    @cached_property
    def _listing(self) -> Listing:
        frame = self.index.studies.select("subject", "study", "split")
        patients: dict[int, str] = {}
        refs = tuple(
            StudyRef(f"s{study}", split, patients.setdefault(subject, f"p{subject}"))
            for subject, study, split in frame.iter_rows()
        )
        if not self.sectioned:
            return Listing(refs, tuple(self.index.failures), dict(self.index.counts))
        failures = (*self.index.failures, *self.sectioned.rows.failures)
        return Listing(refs, failures, self.index.counts | self.sectioned.counts({*self.index.studies["study"]}))

    def studies(self, ids: Sequence[str] | None = None) -> Iterator[Study | Failure]:
        """Studies with sections and images; where the report cannot be read, a Failure that keeps the images."""
        if ids is None:
            for start in range(0, self.index.studies.height, _BLOCK):
                yield from self._read(self.index.studies.slice(start, _BLOCK))
            return
        for start in range(0, len(ids), _BLOCK):
            wanted = ids[start : start + _BLOCK]
            found = {study.id: study for study in self._listed(self._lookup(wanted))}
            for study_id in wanted:
                if study_id in found:
                    yield self._with_report(found[study_id])
                else:
                    where = self.layout.tables["studies"].name
                    yield Failure(study_id, "read", "no such study in this data set", where)

    def _read(self, rows: pl.DataFrame) -> Iterator[Study | Failure]:
        return (self._with_report(study) for study in self._listed(rows))

    @cached_property
    def _order(self) -> pl.DataFrame:
        """Study numbers in ascending order, and the row of each."""
        return self.index.studies.select("study").with_row_index("row").sort("study")

    def _lookup(self, ids: Sequence[str]) -> pl.DataFrame:
        """The rows of the ids that are listed, by binary search."""
        import polars as pl

        numbers = [int(name[1:]) for name in ids if len(name) == 9 and name[0] == "s" and name[1:].isdecimal()]
        if not numbers or not self._order.height:
            return self.index.studies.clear()
        places = self._order["study"].search_sorted(pl.Series(numbers, dtype=pl.Int32)).to_list()
        found = self._order[[min(place, self._order.height - 1) for place in places]]
        wanted = {*numbers}
        rows = [row for row, study in found.select("row", "study").iter_rows() if study in wanted]
        return self.index.studies[rows]

    def _listed(self, rows: pl.DataFrame) -> Iterator[Study]:
        """What the tables say of the studies; the report is still empty."""
        import polars as pl

        listed = [_Row(*values) for values in rows.select(_Row._fields).iter_rows()]
        places = [place for row in listed for place in range(row.first_image, row.first_image + row.n_images)]
        images = self.index.images[pl.Series(places, dtype=pl.UInt32)].iter_rows() if places else iter(())
        for row in listed:
            mine = list(islice(images, row.n_images))
            paths = self.image_files.paths(row.subject, row.study) if mine else {}
            study_id = f"s{row.study}"
            yield Study(
                id=study_id,
                dataset=self.name,
                report=Report((), self.sectioned.name if self.sectioned else report_path(row.subject, row.study)),
                images=tuple(Image(name, study_id, view, paths.get(name), *size) for name, view, *size in mine),
                patient_id=f"p{row.subject}",
                split=row.split,
                date=row.date,
                time=row.time,
            )

    def _with_report(self, study: Study) -> Study | Failure:
        return self._with_row(study, self.sectioned) if self.sectioned else self._with_file(study)

    def _with_row(self, study: Study, source: Sectioned) -> Study | Failure:
        """A study without a row is one without a report."""
        try:
            found = source.sections(int(study.id[1:]))
        except StudyError as error:
            return Failure(study.id, "read", error.reason, error.where, study)
        return replace(study, report=None if found is None else Report(found, source.name))

    def _with_file(self, study: Study) -> Study | Failure:
        path = (study.report and study.report.path) or ""
        try:
            text = self.reports.read(path).decode("utf-8")
        except FileNotFoundError:
            return Failure(study.id, "read", "its report is listed but absent", path, study)
        except UnicodeDecodeError as error:
            reason = f"byte 0x{error.object[error.start]:02x} at offset {error.start} is not UTF-8"
            return Failure(study.id, "read", reason, path, study)
        except OSError as error:
            return Failure(study.id, "read", f"its report cannot be read: {error.strerror or error}", path, study)
        return Study(
            study.id,
            study.dataset,
            Report(self._sections(text, study.id), path),
            study.images,
            study.patient_id,
            study.split,
            study.date,
            study.time,
        )

    def labels(self) -> pa.Table:
        """CheXpert's, NegBio's and the radiologists' labels of the tables that are there, as ``FINDING_LABELS``.

        ``source`` is chexpert, negbio or radiologist; they label studies, so ``image_id`` and the box are null. Sorted
        by source, study and finding.
        """
        import pyarrow as pa

        from kgbuild.datasets._mimic_labels import all_labels
        from kgbuild.tables import FINDING_LABELS

        frame = all_labels(self.layout.tables)
        table = frame.to_arrow()
        for name in FINDING_LABELS.names:
            if name not in frame.columns:
                table = table.append_column(name, pa.nulls(table.num_rows, FINDING_LABELS.field(name).type))
        return table.select(FINDING_LABELS.names).cast(FINDING_LABELS)

    def check(self) -> list[FileCheck]:
        """Each file, with what is in it and what was published; what will be skipped and why."""
        from kgbuild.datasets._mimic_check import check_files

        texts = self.sectioned or self.reports
        return check_files(self.layout, texts, self.image_files, self.index, self._is_tolerant_asked)


PLUGIN = Mimic
