"""Which image of a study a model sees: one rule for training and for generating, or it would meet other pictures.

A frontal view is taken: PA, then AP, then what the data set only calls frontal (IU X-ray's projections), then an image
that does not say its view. A lateral, or any other named view, is taken only where ``first`` asks for the first image,
whatever it shows. Nothing is read here: whether a file is there is the caller's to find out.
"""

from __future__ import annotations

from collections.abc import Sequence

from kgbuild.domain import Image

_RANK = {"PA": 0, "AP": 1, "FRONTAL": 2, "": 3}


def choose_image(images: Sequence[Image], which: str = "frontal") -> list[Image]:
    """A study's images in the order in which they are tried; those without a file are left out.

    Args:
        images: of one study.
        which: ``frontal``: PA, AP, frontal, no view; each in the data set's order. ``first``: all, in that order.
    """
    there = [image for image in images if image.path is not None]
    if which == "first":
        return there
    ranked = [(_RANK[view], image) for image in there if (view := (image.view or "").strip().upper()) in _RANK]
    return [image for _, image in sorted(ranked, key=lambda pair: pair[0])]
