"""Images of IU X-ray: which files are there, and which image belongs to which study."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kgbuild.datasets._image_folders import prefix_under, require_folder
from kgbuild.datasets._iu_records import ImageRow, image_id, study_id
from kgbuild.domain import Failure, Image

IMAGE_FOLDERS = ("images", "images/images_normalized", "NLMCXR_png")


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Image files present: path by image id, and the folders that were looked into.

    Paths are relative to the data set's root; those of a folder elsewhere (``images=``) to that folder.
    """

    paths: dict[str, str]
    folders: tuple[Path, ...]


def find_images(base: Path, images: Path | None) -> ImageFiles:
    """List the image folders once; of several files of one image, ``.dcm.png`` goes before ``.png``, ``.jpg``.

    Raises:
        FileMissing: ``images`` is no folder.
    """
    require_folder(images, "a folder of <image id>.dcm.png, .png or .jpg files")
    start = prefix_under(base, images) if images is not None else ""
    wanted = [(base / name, f"{name}/") for name in IMAGE_FOLDERS]
    if images is not None:
        wanted = [(images, start), (images / "images_normalized", f"{start}images_normalized/")]
    present = [(folder, prefix) for folder, prefix in wanted if folder.is_dir()]
    paths: dict[str, str] = {}
    for folder, prefix in present:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.endswith((".png", ".jpg"))]
        for name in sorted(names, key=_preference):
            paths.setdefault(image_id(name), prefix + name)
    return ImageFiles(paths, tuple(folder for folder, _ in present))


def _preference(name: str) -> tuple[bool, bool, str]:
    return (not name.endswith(".dcm.png"), not name.endswith(".png"), name)


class StudyImages(NamedTuple):
    """Images of each study, sorted by id; rows that could not be used; and what was counted on the way."""

    by_uid: dict[int, tuple[Image, ...]]
    failures: list[Failure]
    counts: dict[str, int]
    read: int


def join_images(
    named: Iterable[ImageRow | Failure],
    uids: Collection[int],
    paths: Mapping[str, str],
    sizes: Mapping[str, tuple[int | None, int | None]],
) -> StudyImages:
    """Give every study its images; one whose file is absent is an image without path.

    Args:
        named: the images as the projections or the XML name them.
        uids: the studies; an image of another uid is counted only.
        paths: files present, by image id.
        sizes: native rows and columns, by image id.
    """
    taken: dict[str, ImageRow] = {}
    failures: list[Failure] = []
    read = strangers = repeated = 0
    for row in named:
        read += 1
        if isinstance(row, Failure):
            failures.append(row)
        elif row.uid not in uids:
            strangers += 1
        elif (first := taken.setdefault(row.id, row)) is not row:
            repeated += first.uid == row.uid
            if first.uid != row.uid:
                reason = f"its image {row.id} belongs already to {study_id(first.uid)} ({first.where}), which keeps it"
                failures.append(Failure(study_id(row.uid), "read", reason, row.where))
    images: dict[int, list[Image]] = {uid: [] for uid in uids}
    for name, row in sorted(taken.items()):
        rows, columns = sizes.get(name, (None, None))
        images[row.uid].append(Image(name, study_id(row.uid), row.view, paths.get(name), rows, columns))
    counts = {
        "images listed": len(taken),
        "images listed but absent": sum(name not in paths for name in taken),
        "image rows of no report": strangers,
        "repeated image rows": repeated,
    }
    return StudyImages({uid: tuple(found) for uid, found in images.items()}, failures, counts, read)
