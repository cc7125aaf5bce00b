"""Where the files of MIMIC-CXR and MIMIC-CXR-JPG lie: two PhysioNet projects, in one folder or in two.

The study list and the reports belong to MIMIC-CXR (``--root``), the other tables and the JPEG images to MIMIC-CXR-JPG
(``--images``), but people merge them, so every table is sought in both folders, plain and gzipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kgbuild.errors import FileMissing, RootMissing

CXR = "https://physionet.org/content/mimic-cxr/"
JPG = "https://physionet.org/content/mimic-cxr-jpg/"
ARCHIVE = "mimic-cxr-reports.zip"
FILES = "files"
SECTIONED = "mimic_cxr_sectioned.csv"

#: Role → file name without ``.gz``.
TABLES = {
    "studies": "cxr-study-list.csv",
    "records": "cxr-record-list.csv",
    "metadata": "mimic-cxr-2.0.0-metadata.csv",
    "split": "mimic-cxr-2.0.0-split.csv",
    "chexpert": "mimic-cxr-2.0.0-chexpert.csv",
    "negbio": "mimic-cxr-2.0.0-negbio.csv",
    "test": "mimic-cxr-2.1.0-test-set-labeled.csv",
    "providers": "cxr-provider-list.csv",
    "sectioned": SECTIONED,
}


@dataclass(frozen=True, slots=True)
class Layout:
    """What was found.

    Attributes:
        tables: role → file, for those that are there.
        archive: the zip of reports, if there is one.
        reports: the folders that hold ``files/``, where reports may lie.
        images: the folders to look for image files in, in this order.
    """

    tables: dict[str, Path]
    archive: Path | None
    reports: tuple[Path, ...]
    images: tuple[Path, ...]


def find_layout(root: Path, images: Path | None) -> Layout:
    """Find tables, reports and images under both folders; ``root`` may be the archive of the reports itself.

    Raises:
        RootMissing: a folder is absent, or a file that is no archive.
        FileMissing: the study list, or the reports and their sections, are under neither.
    """
    for folder, option in ((root, "--root"), (images, "--images")):
        if folder is not None and not folder.exists():
            raise RootMissing(
                f"MIMIC-CXR folder {folder} does not exist", where=option, next_step=f"correct {option}, or make it"
            )
    if root.is_file() and not root.name.endswith(".zip"):
        raise RootMissing(
            f"{root} is a file",
            where="--root",
            expected=f"the folder of MIMIC-CXR, or {ARCHIVE}",
            next_step="for a table of your own: --dataset reports",
        )
    base = root if root.is_dir() else root.parent
    folders = list(dict.fromkeys([base, *([images] if images is not None else [])]))
    tables = {role: path for role, name in TABLES.items() if (path := _first(folders, f"{name}.gz", name))}
    if "studies" not in tables:
        raise _missing(f"{TABLES['studies']}.gz", folders)
    archive = root if root.is_file() else _first(folders, ARCHIVE)
    reports = tuple(folder for folder in folders if (folder / FILES).is_dir())
    if archive is None and not reports and "sectioned" not in tables:
        raise _missing(f"{FILES}/ (a folder of reports) or {ARCHIVE}", folders)
    return Layout(tables, archive, reports, tuple(reversed(folders)))


def _first(folders: list[Path], *names: str) -> Path | None:
    return next((folder / name for folder in folders for name in names if (folder / name).is_file()), None)


def _missing(name: str, folders: list[Path]) -> FileMissing:
    return FileMissing(
        f"mimic: {name} is missing",
        where=" and ".join(str(folder) for folder in folders),
        expected=f"{name} of MIMIC-CXR, published at {CXR} (it is not part of MIMIC-CXR-JPG)",
        next_step="download it to --root; --images may name another folder with MIMIC-CXR-JPG",
    )
