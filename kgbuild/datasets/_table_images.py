"""Image paths as a table gives them, against the files that are there.

A path is sought under ``images`` first, if that was given, then under the root; an absolute one counts if it lies in
either. A path that leads out of both, or to the web, is an image without a file: nothing outside is opened or named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from kgbuild.domain import Image
from kgbuild.errors import FileMissing

_SUFFIX = re.compile(r"(?:\.(?:dcm|dicom|png|jpe?g|tiff?|nii|gz))+$", re.IGNORECASE)
_UNFIT = re.compile(r"[\s\"'<>\\^`{|}\x00-\x1f]+")


class ImageFolders:
    """Where image files are sought.

    Raises:
        FileMissing: ``images`` is no folder.
    """

    def __init__(self, base: Path, images: Path | None) -> None:
        if images is not None and not images.is_dir():
            raise FileMissing(
                f"image folder {images} is not there",
                where=str(images),
                next_step="correct --images, or leave it out to look under the root",
            )
        self.base = base.resolve()
        self.folders = tuple(folder.resolve() for folder in (images, base) if folder is not None)

    def find(self, name: str) -> str | None:
        """The file's path relative to the root (to ``images`` if that lies elsewhere); None if there is none."""
        for folder in self.folders:
            start = str(folder).rstrip("/") + "/"
            plain = not name.startswith(("/", "./")) and ".." not in name
            path = start + name if plain else os.path.normpath(os.path.join(folder, name))
            if path.startswith(start) and os.path.isfile(path):
                root = str(self.base).rstrip("/") + "/"
                return path.removeprefix(root) if path.startswith(root) else path.removeprefix(start)
        return None


def image_id(dataset: str, name: str) -> str:
    """Graph key of an image: the data set and the path as the table gives it, without the file type.

    >>> image_id("reports", "p1/frontal.dcm.png"), image_id("reports", "/data/x/1 a.jpg")
    ('reports:p1/frontal', 'reports:data/x/1_a')
    """
    stem = _SUFFIX.sub("", name.replace("\\", "/").strip("/").removeprefix("./"))
    return f"{dataset}:{_UNFIT.sub('_', stem)[-200:]}"


def make_images(
    dataset: str, study_id: str, names: Iterable[tuple[str, str | None]], folders: ImageFolders
) -> tuple[Image, ...]:
    """Images of one study from (path, view) pairs, in their order; one named twice stands once."""
    found: dict[str, Image] = {}
    for name, view in names:
        key = image_id(dataset, name)
        if key not in found:
            found[key] = Image(key, study_id, view, folders.find(name))
    return tuple(found.values())
