"""The lines of ``datasets check iu-xray``: each file, how much is in it, how much was published, what is skipped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kgbuild.datasets._iu_files import Layout
from kgbuild.datasets._iu_images import IMAGE_FOLDERS, ImageFiles
from kgbuild.datasets._iu_xml import folder_names
from kgbuild.datasets.base import FileCheck, Listing

#: Published sizes: reports by form (Kaggle's table has those with an image only), image rows, image files, R2Gen.
EXPECTED = {"csv": 3851, "xml": 3955, "tgz": 3955, "projections": 7466, "images": 7470, "splits": 2955, "sizes": 7466}


def check_files(layout: Layout, images: ImageFiles, listing: Listing, rows: Mapping[str, int]) -> list[FileCheck]:
    """Compare what lies there with what was published.

    Args:
        layout: where the files are.
        images: the image files present.
        listing: the studies, and what was counted on the way.
        rows: rows or files read of ``reports``, ``projections``, ``splits``, ``sizes``; absent ones are left out.
    """
    checks = [
        FileCheck(
            path=_relative(layout.reports, layout.base),
            needed=True,
            present=True,
            found=rows["reports"],
            expected=EXPECTED[layout.form],
            size_bytes=_size(layout.reports),
            note=_reports_note(layout, listing),
        )
    ]
    if layout.form == "csv":
        note = _projections_note(listing, layout.projections) if layout.projections else "absent: no study has an image"
        checks.append(_optional(layout, layout.projections, "projections.csv", "projections", rows, note))
    checks.append(_images(layout, images, listing))
    note = _failed(listing, layout.splits) if layout.splits else "absent: studies have no split"
    checks.append(_optional(layout, layout.splits, "r2gen_split.csv", "splits", rows, note))
    note = "absent: images have no rows and columns"
    if layout.sizes:
        note = "" if rows.get("sizes") else "not used: it lacks filename, native_rows or native_columns"
    checks.append(_optional(layout, layout.sizes, "image_info.csv", "sizes", rows, note))
    for form, path in layout.unused:
        note = f"not used: form={form} reads it"
        name = _relative(path, layout.base)
        checks.append(FileCheck(name, needed=False, present=True, size_bytes=_size(path), note=note))
    return checks


def _optional(layout: Layout, path: Path | None, name: str, kind: str, rows: Mapping[str, int], note: str) -> FileCheck:
    expected = EXPECTED[kind]
    if path is None:
        return FileCheck(name, needed=False, present=False, expected=expected, note=note)
    return FileCheck(
        _relative(path, layout.base), False, True, rows.get(kind), expected, size_bytes=_size(path), note=note
    )


def _images(layout: Layout, images: ImageFiles, listing: Listing) -> FileCheck:
    listed, absent = listing.counts["images listed"], listing.counts["images listed but absent"]
    if not images.folders:
        looked = ", ".join(f"{name}/" for name in IMAGE_FOLDERS)
        note = f"absent (looked for {looked}): all {listed} listed images are without a file"
        return FileCheck("images/", needed=False, present=False, expected=EXPECTED["images"], note=note)
    names = " ".join(f"{_relative(folder, layout.base)}" for folder in images.folders)
    note = f"{absent} of {listed} listed images are absent" if absent else ""
    size = sum(file.stat().st_size for folder in images.folders for file in folder.iterdir() if file.is_file())
    return FileCheck(names, False, True, len(images.paths), EXPECTED["images"], size, note)


def _reports_note(layout: Layout, listing: Listing) -> str:
    counts = listing.counts
    notes = [
        f"{counts['repeated reports']} exact copies skipped" if counts["repeated reports"] else "",
        f"{counts['unreadable reports']} reports unreadable" if counts["unreadable reports"] else "",
        _failed(listing, layout.reports),
        f"{counts['studies without findings and impression']} with neither findings nor impression",
        f"{counts['studies without images']} without images",
    ]
    return "; ".join(note for note in notes if note)


def _projections_note(listing: Listing, path: Path) -> str:
    counts = listing.counts
    notes = (
        f"{counts['image rows of no report']} rows of no report skipped" if counts["image rows of no report"] else "",
        f"{counts['repeated image rows']} repeated rows skipped" if counts["repeated image rows"] else "",
        _failed(listing, path),
    )
    return "; ".join(note for note in notes if note)


def _failed(listing: Listing, path: Path) -> str:
    """How many rows of a CSV, members of an archive or files of a folder are quarantined, and the first of them."""
    starts = (f"{path.name} ", f"{path.name}#")
    mine = [
        failure
        for failure in listing.failures
        if failure.where and (failure.where.endswith(".xml") if path.is_dir() else failure.where.startswith(starts))
    ]
    return f"{len(mine)} skipped (first: {mine[0].where}: {mine[0].reason})" if mine else ""


def _relative(path: Path, base: Path) -> str:
    """Relative to the root, with a slash after a folder; a folder elsewhere (``images=``) as it was given."""
    name = path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)
    return f"{name}/" if path.is_dir() else name


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum((path / name).stat().st_size for name in folder_names(path))
