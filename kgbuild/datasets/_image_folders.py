"""Which image files lie in which folders, listed once without looking at any file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from pathlib import Path

from kgbuild.errors import FileMissing

IMAGE_ENDS = (".png", ".jpg", ".jpeg", ".dcm")


@dataclass(frozen=True, slots=True)
class ImageFolders:
    """Image files present: path by stem and by name, and the folders that hold any.

    Paths are relative to the data set's root; those of a folder elsewhere (``images=``) to that folder.
    """

    by_stem: dict[str, str]
    by_name: dict[str, str]
    folders: tuple[Path, ...]

    @property
    def names(self) -> Set[str]:
        """Names of all files."""
        return self.by_name.keys()

    def size_bytes(self) -> int:
        """Of all files in the folders; looks at each."""
        total = 0
        for folder in self.folders:
            with os.scandir(folder) as entries:
                files = [entry for entry in entries if entry.name.lower().endswith(IMAGE_ENDS)]
                total += sum(entry.stat().st_size for entry in files if _is(entry.is_file))
        return total


def scan(folders: Iterable[Path], base: Path, *others: Path) -> ImageFolders:
    """List folders; paths are made as ``prefix_under`` says. Of several files of one stem PNG goes first."""
    found: dict[str, str] = {}
    named: dict[str, str] = {}
    present: dict[Path, Path] = {}
    for folder in folders:
        listed = image_names(folder)
        if not listed or present.setdefault(folder.resolve(), folder) is not folder:
            continue
        prefix = prefix_under(base, folder, *others)
        for name in sorted(listed, key=_preference):
            found.setdefault(stem(name), prefix + name)
            named.setdefault(name, prefix + name)
    return ImageFolders(found, named, tuple(present.values()))


def image_names(folder: Path) -> list[str]:
    """Image files directly in a folder, in no order; none where the folder is absent."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except OSError as error:
        return _none_of(error)
    return [name for name in names if name.lower().endswith(IMAGE_ENDS) and not name.startswith(".")]


def folder_names(folder: Path) -> list[str]:
    """Names of the folders directly in a folder, sorted; none where it is absent."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith(".") and _is(entry.is_dir))
    except OSError as error:
        return _none_of(error)


def _none_of(error: OSError) -> list[str]:
    """No names where there is no folder; a folder that may not be read stays an error."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return []
    raise error


def _is(kind: Callable[[], bool]) -> bool:
    """False too for a link that goes round in a circle."""
    try:
        return kind()
    except OSError:
        return False


def _preference(name: str) -> tuple[int, str]:
    ends = [place for place, end in enumerate(IMAGE_ENDS) if name.lower().endswith(end)]
    return (ends[0] if ends else len(IMAGE_ENDS), name)


def stem(name: str) -> str:
    """A file's name without folders and without its ending.

    >>> stem("images/00000001_000.png"), stem("1.CXR-fig1a.jpeg")
    ('00000001_000', '1.CXR-fig1a')
    """
    name = name.replace("\\", "/").rpartition("/")[2]
    start, dot, end = name.rpartition(".")
    return start if dot and f".{end.lower()}" in IMAGE_ENDS else name


def prefix_under(base: Path, folder: Path, *others: Path) -> str:
    """What stands before a file name of ``folder``: its place under ``base`` or one of ``others``, else nothing."""
    here = folder.resolve()
    for start in (base, *others):
        if here.is_relative_to(start.resolve()):
            relative = here.relative_to(start.resolve()).as_posix()
            return "" if relative == "." else f"{relative}/"
    return ""


def require_folder(images: Path | None, expected: str) -> None:
    """Refuse an ``images=`` that is no folder.

    Raises:
        FileMissing: it is absent or a file.
    """
    if images is not None and not images.is_dir():
        raise FileMissing(
            f"image folder {images} is not there",
            where=str(images),
            expected=expected,
            next_step="correct --images, or leave it out to look under the root",
        )
