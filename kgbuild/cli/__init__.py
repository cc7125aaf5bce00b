"""The command line (Typer): each command parses, makes one library call and prints one summary. No logic here."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kgbuild.cli import ask, datasets, imports, produce, reproduce, score, train
from kgbuild.cli.options import Command, guarded, interrupted

app = typer.Typer(
    name="kgbuild",
    help="Chest X-ray studies into a knowledge graph to query, check and publish.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        from kgbuild import __version__

        typer.echo(f"kgbuild {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


_COMMANDS: tuple[tuple[str, Command], ...] = (
    ("demo", produce.demo),
    ("build", produce.build),
    ("train", train.train),
    ("reproduce", reproduce.reproduce),
    ("generate", produce.generate),
    ("link", produce.link),
    ("load", produce.load),
    ("query", ask.query),
    ("export", ask.export),
    ("explain", ask.explain),
    ("status", ask.status),
    ("doctor", ask.doctor),
)
_GROUPS: tuple[tuple[str, tuple[tuple[str, Command], ...], str], ...] = (
    ("datasets", datasets.COMMANDS, "What can be read, and what of it is on disk."),
    ("import", imports.COMMANDS, "Take in other people's annotations."),
    ("evaluate", score.COMMANDS, "Score annotations against a reference."),
)

for name, function in _COMMANDS:
    app.command(name)(guarded(function))

for name, group, help_text in _GROUPS:
    sub = typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode=None)
    for word, function in group:
        sub.command(word)(guarded(function))
    app.add_typer(sub, name=name)


def main() -> None:
    """Entry point of ``kgbuild`` and ``python -m kgbuild``."""
    try:
        app(prog_name="kgbuild")
    except KeyboardInterrupt:
        sys.exit(interrupted())
