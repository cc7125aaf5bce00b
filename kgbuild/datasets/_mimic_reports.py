"""The report files of MIMIC-CXR, in folders or in the archive as published, and the image files beside them.

The tree has a fixed depth and fixed names (``files/p10/p10000032/s50414267.txt``), and nothing else in it is looked at:
a link that leads back up cannot be followed, because its name is not one of these. The archive is read in place; one
with a name that leads out of it (``../``, absolute) is refused whole. Sizes and names, never contents, are compared.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import zipfile
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

from kgbuild.datasets._mimic_files import CXR, FILES, Layout
from kgbuild.errors import FileMissing, KgbuildError

_GROUP = re.compile(r"p1[0-9]")
_PATIENT = re.compile(r"p1[0-9]{7}")
_REPORT = re.compile(r"s5[0-9]{7}\.txt")
_STUDY = re.compile(r"s5[0-9]{7}")
_MEMBER = re.compile(r"(?:.*/)?(files/p1[0-9]/p(1[0-9]{7})/s(5[0-9]{7})\.txt)")
_IMAGE_ENDS = (".jpg", ".dcm")


class Sizes(NamedTuple):
    """Reports present: study number → size in bytes, in ascending order of the numbers."""

    studies: array[int]
    bytes: array[int]


def report_path(subject: int, study: int) -> str:
    """``files/p10/p10000032/s50414267.txt``, relative to the root."""
    return f"{FILES}/p{subject // 1_000_000}/p{subject}/s{study}.txt"


class Reports(Protocol):
    """Where reports come from. ``read`` raises OSError where one is absent or cannot be read."""

    where: str

    def read(self, path: str) -> bytes: ...
    def sizes(self) -> Sizes: ...


class FolderReports:
    """Reports as files under a folder."""

    def __init__(self, folder: Path) -> None:
        self.where = FILES
        self._folder = folder
        self._start = f"{folder}{os.sep}"

    def read(self, path: str) -> bytes:
        """A report's bytes."""
        with open(self._start + path, "rb", buffering=0) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise OSError("not a regular file")
            return stream.read()

    def sizes(self) -> Sizes:
        """Scan the tree: one listing a patient, no report is opened."""
        return _sizes(list(self._scan()))

    def _scan(self) -> Iterator[tuple[int, int]]:
        """Study number and size of each report file, unsorted."""
        entries = (entry for patient in patients(self._folder) for entry in _entries(patient))
        reports = ((entry.name, _file_size(entry)) for entry in entries if _REPORT.fullmatch(entry.name))
        return ((int(name[1:9]), size) for name, size in reports if size is not None)

    def holds_any(self) -> bool:
        """Whether there is a report at all; stops at the first."""
        return next(self._scan(), None) is not None


class ArchiveReports:
    """Reports in ``mimic-cxr-reports.zip``, not unpacked."""

    def __init__(self, archive: Path) -> None:
        self.where = archive.name
        self._archive = archive

    @cached_property
    def _opened(self) -> tuple[zipfile.ZipFile, str]:
        """The archive and what stands before ``files/`` in its names."""
        try:
            opened = zipfile.ZipFile(self._archive)
        except zipfile.BadZipFile:
            raise FileMissing(
                f"archive {self._archive.name} is cut short or no zip file",
                where=str(self._archive),
                expected=f"mimic-cxr-reports.zip of {CXR}, whole",
                next_step="download it again",
            ) from None
        names = opened.NameToInfo
        for name in names:
            if name.startswith(("/", "\\")) or (".." in name and ".." in re.split(r"[/\\]", name)):
                raise KgbuildError(
                    f"archive {self._archive.name} holds a name that leads out of it: refused",
                    where=f"{self._archive}, member {list(names).index(name) + 1}",
                    expected="names such as files/p10/p10000032/s50414267.txt",
                    next_step="download it from PhysioNet again",
                )
        first = next((match for name in names if (match := _MEMBER.fullmatch(name))), None)
        return opened, first.group(0)[: -len(first.group(1))] if first else ""

    def read(self, path: str) -> bytes:
        """A report's bytes."""
        opened, start = self._opened
        try:
            return opened.read(start + path)
        except KeyError:
            raise FileNotFoundError(path) from None
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise OSError(f"its member of the archive is damaged ({type(error).__name__})") from None

    def sizes(self) -> Sizes:
        """From the archive's own directory."""
        opened, _ = self._opened
        members = ((_MEMBER.fullmatch(name), info.file_size) for name, info in opened.NameToInfo.items())
        return _sizes([(int(match.group(3)), size) for match, size in members if match])


def open_reports(layout: Layout, sample: Iterable[str]) -> Reports:
    """The folder in which one of the sampled reports lies, else the archive, else the first folder."""
    paths = list(sample)
    for folder in layout.reports:
        if any((folder / path).exists() for path in paths):
            return FolderReports(folder)
    return ArchiveReports(layout.archive) if layout.archive else FolderReports(layout.reports[0])


def holds_a_report(layout: Layout) -> bool:
    """Whether there is a report file in any folder or in the archive, listed or not. Stops at the first."""
    if any(FolderReports(folder).holds_any() for folder in layout.reports):
        return True
    return layout.archive is not None and len(ArchiveReports(layout.archive).sizes().studies) > 0


def patients(folder: Path) -> Iterator[Path]:
    """The patients' folders under ``files/``, unsorted."""
    for group in _entries(folder / FILES):
        if _GROUP.fullmatch(group.name):
            yield from (Path(entry.path) for entry in _entries(Path(group.path)) if _PATIENT.fullmatch(entry.name))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder; nothing if it is none, or is a link in a circle."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return []
        raise


def _file_size(entry: os.DirEntry[str]) -> int | None:
    try:
        found = entry.stat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _sizes(found: list[tuple[int, int]]) -> Sizes:
    found.sort()
    return Sizes(array("L", (study for study, _ in found)), array("Q", (size for _, size in found)))


class ImageFiles:
    """Image files of a study, looked for when the study is read: one listing of its folder."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folder for folder in folders if (folder / FILES).is_dir())

    def study_folders(self) -> array[int]:
        """Numbers of the studies that have a folder of their own in any of the folders: one listing a patient."""
        entries = (entry for folder in self.folders for patient in patients(folder) for entry in _entries(patient))
        return array("L", sorted({int(entry.name[1:]) for entry in entries if _STUDY.fullmatch(entry.name)}))

    def paths(self, subject: int, study: int) -> dict[str, str]:
        """Image id → path relative to the folder that it lies under; the first folder and JPEG go before others."""
        start = report_path(subject, study).removesuffix(".txt")
        found: dict[str, str] = {}
        for folder in self.folders:
            try:
                names = os.listdir(f"{folder}{os.sep}{start}")
            except OSError:
                continue
            for end in _IMAGE_ENDS:
                for name in names:
                    if name.endswith(end):
                        found.setdefault(name.removesuffix(end), f"{start}/{name}")
        return found
