"""The lines of ``datasets check mimic``: each file, what is in it, what was published, what is skipped and why."""

from __future__ import annotations

from pathlib import Path

from kgbuild.datasets import _mimic_tables as tables
from kgbuild.datasets._mimic_files import ARCHIVE, CXR, FILES, JPG, TABLES, Layout
from kgbuild.datasets._mimic_index import Index
from kgbuild.datasets._mimic_labels import SOURCES, read_labels
from kgbuild.datasets._mimic_reports import ArchiveReports, ImageFiles, Reports
from kgbuild.datasets._mimic_sectioned import Sectioned
from kgbuild.datasets.base import FileCheck
from kgbuild.domain import Failure

STUDIES, IMAGES, PATIENTS, OVERRIDDEN = 227_835, 377_110, 65_379, 54
#: Role → published rows.
EXPECTED = {
    "studies": STUDIES,
    "records": IMAGES,
    "metadata": IMAGES,
    "split": IMAGES,
    "chexpert": 227_827,
    "negbio": 227_827,
    "test": 687,
    "sectioned": STUDIES - OVERRIDDEN,
}
SPLITS = {"train": 368_960, "validate": 2_991, "test": 5_159}
_WITHOUT = {
    "records": "images are taken from the metadata and the split",
    "metadata": "images have no view, rows and columns, studies no date",
    "split": "studies have no split",
}


def check_files(
    layout: Layout, texts: Reports | Sectioned, images: ImageFiles, index: Index, is_tolerant_asked: bool = False
) -> list[FileCheck]:
    """Compare what lies there with what was published; every report and image is counted, none is opened.

    Args:
        layout: files found.
        texts: where the sections come from.
        images: where image files are sought.
        index: what the tables say.
        is_tolerant_asked: somebody chose the tolerant section parser, and is told where it has no use.
    """
    checks = [
        _table(layout, "studies", True, index.rows["studies"], _studies_note(layout, index)),
        _no_reports(texts) if isinstance(texts, Sectioned) else _reports(layout, texts, index),
    ]
    for role in ("records", "metadata", "split"):
        if role in layout.tables:
            note = _split_note(layout) if role == "split" else _metadata_note(index) if role == "metadata" else ""
            note = "; ".join(filter(None, (note, _failed(index, layout.tables[role]))))
            checks.append(_table(layout, role, False, index.rows[role], note))
        else:
            checks.append(_table(layout, role, False, None, f"absent (published at {JPG}): {_WITHOUT[role]}"))
    checks.append(_images(images, index))
    checks += [_labels(layout, role) for role in SOURCES]
    if isinstance(texts, Sectioned):
        note = _sectioned_note(texts, index, is_tolerant_asked)
        checks.append(_table(layout, "sectioned", True, texts.rows.total, note))
    elif "sectioned" in layout.tables:
        rows = tables.read_table(layout.tables["sectioned"], ("study",), (), ("study",)).height
        note = "not used: section_parser=mit-lcp makes the same from the reports"
        checks.append(_table(layout, "sectioned", False, rows, note))
    if "providers" in layout.tables:
        checks.append(_table(layout, "providers", False, None, "not used"))
    return checks


def _table(layout: Layout, role: str, needed: bool, rows: int | None, note: str) -> FileCheck:
    path = layout.tables.get(role)
    if path is None:
        return FileCheck(f"{TABLES[role]}.gz", needed, False, None, EXPECTED.get(role), None, note)
    return FileCheck(path.name, needed, True, rows, EXPECTED.get(role), path.stat().st_size, note)


def _studies_note(layout: Layout, index: Index) -> str:
    notes = [
        f"{index.counts['patients']:,} patients (published: {PATIENTS:,})",
        f"{index.counts['repeated study rows']:,} exact copies skipped" if index.counts["repeated study rows"] else "",
        _failed(index, layout.tables["studies"]),
    ]
    return "; ".join(filter(None, notes))


def _failed(index: Index, path: Path) -> str:
    return _skipped([failure for failure in index.failures if (failure.where or "").startswith(f"{path.name} ")])


def _skipped(mine: list[Failure]) -> str:
    return f"{len(mine):,} rows skipped (first: {mine[0].where}: {mine[0].reason})" if mine else ""


def _reports(layout: Layout, reports: Reports, index: Index) -> FileCheck:
    sizes = reports.sizes()
    present = set(sizes.studies)
    listed = set(index.studies["study"])
    absent, extra = len(listed - present), len(present - listed)
    is_archive = isinstance(reports, ArchiveReports)
    unused = ARCHIVE if layout.archive and not is_archive else f"{FILES}/" if layout.reports and is_archive else ""
    notes = [
        f"{absent:,} listed reports are absent: these studies are quarantined" if absent else "",
        f"{extra:,} reports are not in the study list: skipped" if extra else "",
        f"{sizes.bytes.count(0):,} reports are empty files: counted, normal" if 0 in sizes.bytes else "",
        f"{unused} holds no report that is used" if unused else "",
    ]
    name = reports.where if is_archive else f"{FILES}/**/s*.txt"
    size = layout.archive.stat().st_size if is_archive and layout.archive else sum(sizes.bytes)
    return FileCheck(name, True, bool(present), len(present), STUDIES, size, "; ".join(filter(None, notes)))


def _no_reports(source: Sectioned) -> FileCheck:
    note = f"absent (published at {CXR}): sections come from {source.name}"
    return FileCheck(f"{FILES}/**/s*.txt", False, False, None, STUDIES, None, note)


def _sectioned_note(source: Sectioned, index: Index, is_tolerant_asked: bool) -> str:
    counts = source.counts({*index.studies["study"]})
    notes = [
        "sections come from it: there is no report file",
        "section_parser=tolerant is not applied: its text is cut already, by MIT-LCP's rules" * is_tolerant_asked,
        *(f"{count:,} {name}" for name, count in counts.items() if count),
        _skipped(source.rows.failures),
        f"{len(source.rows.problems):,} rows cannot be read: these studies are quarantined"
        * bool(source.rows.problems),
    ]
    return "; ".join(filter(None, notes))


def _metadata_note(index: Index) -> str:
    named = (
        "images without view",
        "images with an unreadable date",
        "studies whose images have several dates",
        "images of no listed study",
    )
    return "; ".join(f"{index.counts[name]:,} {name}" for name in named if index.counts[name])


def _split_note(layout: Layout) -> str:
    frame = tables.read_table(layout.tables["split"], ("split",), (), tables.SPLIT)
    found = dict(frame.group_by("split").len().iter_rows())
    notes = [f"{name} {found.pop(name, 0):,} images (published: {wanted:,})" for name, wanted in SPLITS.items()]
    return "; ".join([*notes, f"{sum(found.values()):,} of another split"] if found else notes)


def _images(images: ImageFiles, index: Index) -> FileCheck:
    """Count the listed images whose file is there; sizes are not taken, that would touch every file."""
    listed = index.images.height
    name = f"{FILES}/**/<dicom_id>.jpg"
    found = 0
    if images.folders:
        columns = ("subject", "study", "first_image", "n_images")
        ids = index.images["dicom"]
        for subject, study, first, n in index.studies.select(columns).iter_rows():
            paths = images.paths(subject, study) if n else {}
            found += sum(name in paths for name in ids.slice(first, n)) if paths else 0
    note = f"{listed - found:,} of {listed:,} listed images are without a file" if found < listed else ""
    return FileCheck(name, False, found > 0, found, IMAGES, None, note)


def _labels(layout: Layout, role: str) -> FileCheck:
    if role not in layout.tables:
        note = f"absent (published at {JPG}): labels() has no {SOURCES[role]}"
        return _table(layout, role, False, None, note)
    labels = read_labels(layout.tables[role], role)
    notes = [
        f"{labels.bad_rows:,} rows skipped (no study id, or a copy)" if labels.bad_rows else "",
        f"{labels.bad_values:,} values skipped (not 1, 0 or -1)" if labels.bad_values else "",
        "read on demand only",
    ]
    return _table(layout, role, False, labels.rows, "; ".join(filter(None, notes)))
