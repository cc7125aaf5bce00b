"""What ``generate`` and ``build`` both take: a data set, an extractor and its options. Written once, given to both."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgbuild.cli import options as o

if TYPE_CHECKING:
    from kgbuild.pipelines.source import Source

SECTIONS = "findings,impression"
Extractor = Annotated[str, typer.Option("--extractor", help="Who annotates: rules, llm-kg, vlm-kg.", metavar="NAME")]
Checkpoint = Annotated[
    Path | None, typer.Option("--checkpoint", help="The trained model, for llm-kg and vlm-kg.", metavar="DIR")
]
ImageEncoder = Annotated[
    Path | None,
    typer.Option("--image-encoder", help="MedCLIP, where the checkpoint holds none.", metavar="PATH"),
]
Option = Annotated[
    list[str] | None,
    typer.Option("--option", help="One of the extractor's own: docs/generate.md. Repeat.", metavar="KEY=VALUE"),
]


@dataclass(frozen=True, slots=True)
class Work:
    """What to annotate, and how."""

    source: Source
    extractor: str
    sections: tuple[str, ...]
    options: dict[str, str]
    workers: int


def _work(
    dataset: o.Dataset,
    root: o.Root = None,
    images: o.Images = None,
    workspace: o.Workspace = o.WORKSPACE,
    split: o.Split = None,
    studies: o.Studies = None,
    limit: o.Limit = None,
    sections: o.Sections = SECTIONS,
    form: o.Form = None,
    section_parser: o.SectionParser = None,
    mapping: o.Mapping = None,
    maps: o.Map = None,
    extractor: Extractor = "rules",
    checkpoint: Checkpoint = None,
    image_encoder: ImageEncoder = None,
    option: Option = None,
    workers: o.Workers = None,
) -> Work:
    from kgbuild.pipelines import stages
    from kgbuild.pipelines.generate import parse_sections

    more = {"mapping": o.text_of(mapping), "map": o.lines(maps), "section_parser": section_parser}
    source = o.source(dataset, root, images, workspace, split, studies, limit, form=form, **more)
    paths = {"checkpoint": checkpoint, "image_encoder": image_encoder}
    given = {name: str(path) for name, path in paths.items() if path is not None}
    options = {**o.pairs(option or [], "--option"), **given}
    return Work(source, extractor, parse_sections(sections), options, workers or stages.default_workers())


def takes_work(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options above; it gets them as its first argument, a ``Work``. Typer reads the signature."""
    shared = inspect.signature(_work, eval_str=True).parameters
    own = dict(list(inspect.signature(command, eval_str=True).parameters.items())[1:])

    @functools.wraps(command)
    def run(**given: Any) -> int:
        work = _work(**{name: given[name] for name in shared})
        return command(work, **{name: given[name] for name in own})

    every = {**shared, **own}
    run.__signature__ = inspect.Signature(list(every.values()), return_annotation=int)  # type: ignore[attr-defined]
    run.__annotations__ = {name: parameter.annotation for name, parameter in every.items()} | {"return": int}
    return run
