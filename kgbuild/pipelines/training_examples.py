"""One training example a study: prompt, completion, its image, and what its split hangs on."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from kgbuild.datasets import radgraph
from kgbuild.domain import Annotation, Failure, Image
from kgbuild.exports import triplets
from kgbuild.image_choice import choose_image
from kgbuild.notation import read_annotations, to_triplets
from kgbuild.notation.prompts import template_for
from kgbuild.pipelines import records
from kgbuild.pipelines.runs import Run
from kgbuild.pipelines.splits import TRAIN, text_key
from kgbuild.recipes import Recipe
from kgbuild.tables import TRAINING_PAIRS

EXAMPLE = pa.schema(
    [
        *TRAINING_PAIRS,
        ("patient_id", pa.string()),
        ("text_key", pa.string()),
        ("n_sections", pa.int32()),
        ("n_entities", pa.int32()),
        ("n_triplets", pa.int32()),
    ]
)
TEXT_ONLY = "studies without an image, text only"
_SPLIT = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev", "development"), "validate"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_PATIENT = re.compile(r"(?:files/)?p\d\d/(p\d+)/s\d+|(?:.*/)?(patient\d+)/study\d+")


@dataclass(frozen=True, slots=True)
class Form:
    """What an example looks like. ``find_image`` null: images are not looked for."""

    template: str
    certainty: Literal["full", "none"]
    images: Literal["frontal", "first"]
    no_image: Literal["skip", "text-only"]
    find_image: Callable[[Image], Path | None] | None

    @classmethod
    def of(cls, recipe: Recipe, find_image: Callable[[Image], Path | None] | None) -> Form:
        """As a recipe's ``data`` part says."""
        part = recipe.data
        template = template_for(part.prompt, part.certainty)
        return cls(template, part.certainty, part.images, part.no_image, find_image)


def from_run(run: Run, form: Form, counts: Counter[str]) -> Iterator[dict[str, Any]]:
    """Examples of a run in listing order; those that give none are counted."""
    for number, _ in run.chunks():
        for row in run.table(number).to_pylist():
            if row["status"] == "rejected":
                continue
            if not row["tokens"]:
                counts["left out: failed" if row["status"] == "failed" else "left out: no text"] += 1
                continue
            image, place = _image(row["images"] or (), row["study_id"], form)
            if form.find_image is not None and place is None:
                if form.no_image == "skip":
                    counts["left out: no image"] += 1
                    continue
                counts[TEXT_ONLY] += 1
            annotation = records.to_annotation(row)
            yield _example(annotation, _usual(row["split"]), row["patient_id"], form, image, place)


def from_files(paths: Sequence[Path], form: Form, counts: Counter[str]) -> Iterator[dict[str, Any]]:
    """Examples of RadGraph JSON, streamed. A study that comes twice is taken once, where it comes first.

    The files' names give the splits (``train.json``, ``dev.json``, ``test.json``: the first radiologist's). The
    inference graphs have none: beside a file that has, they are for training.
    """
    names = {path: radgraph.FILES.get(path.name.removesuffix(".gz"), (None, 0))[0] for path in paths}
    evaluated = {"dev", "test"} & set(names.values())
    order = {"test": 0, "dev": 1, "train": 2}  # published evaluation sets first: they are kept as they are
    seen: set[str] = set()
    for path in sorted(paths, key=lambda one: (order.get(names[one] or "", 3), one.name)):
        own = names[path]
        split = _usual(own)
        if own == "inference":
            split = TRAIN if evaluated else None
        for key, item in read_annotations(path, labeler=1 if own == "test" else None):
            if isinstance(item, Failure):
                counts["left out: cannot be read"] += 1
            elif not item.tokens:
                counts["left out: no text"] += 1
            elif item.study_id in seen:
                counts["left out: comes twice"] += 1
            else:
                seen.add(item.study_id)
                found = _PATIENT.match(key)
                patient = (found.group(1) or found.group(2)) if found else None
                yield _example(item, split, patient, form)


def images_digest(run: Run, form: Form) -> str:
    """A digest of each study's image, or that it has none. One look at the disk a study.

    Not of times and sizes: pairs hold no pixels, and processes on other machines, with copies of the images, must find
    what the first has prepared.
    """
    digest = hashlib.sha256()
    for number, _ in run.chunks():
        for row in run.table(number, columns=["study_id", "images"]).to_pylist():
            image, place = _image(row["images"] or (), row["study_id"], form)
            said = image.id if image is not None and place is not None else None
            digest.update(json.dumps([row["study_id"], said]).encode())
    return digest.hexdigest()


def _usual(split: str | None) -> str | None:
    """A split by the name that it has here; one that is not known by any keeps its own."""
    name = (split or "").strip()
    return _SPLIT.get(name.casefold(), name) or None


def _example(
    annotation: Annotation,
    split: str | None,
    patient: str | None,
    form: Form,
    image: Image | None = None,
    place: Path | None = None,
) -> dict[str, Any]:
    written = to_triplets(annotation)
    return {
        **triplets.row(annotation, split, form.template, form.certainty),
        "image_id": image.id if image and place else None,
        "image_path": str(place) if place else None,
        "patient_id": patient,
        "text_key": text_key(annotation.text),
        "n_sections": len({token.section for token in annotation.tokens}),
        "n_entities": len(annotation.entities),
        "n_triplets": sum(one.relation is not None for one in written),
    }


def _image(rows: Sequence[dict[str, Any]], study: str, form: Form) -> tuple[Image | None, Path | None]:
    """The first image that is there, of those and in the order that generation tries them too."""
    if form.find_image is None:
        return None, None
    images = [Image(r["id"], study, r["view"], r["path"], r["rows"], r["columns"]) for r in rows]
    for image in choose_image(images, form.images):
        place = form.find_image(image)
        if place is not None:
            return image, place
    return None, None
