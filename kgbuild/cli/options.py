"""Options that several commands share, defined once, and what turns errors and Ctrl-C into exit codes."""

from __future__ import annotations

import functools
import os
import shlex
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

from kgbuild.errors import FileMissing, KgbuildError, UsageError

if TYPE_CHECKING:
    from kgbuild.pipelines.source import Source

P = ParamSpec("P")


class Format(StrEnum):
    """How printed data looks."""

    table = "table"
    json = "json"
    csv = "csv"


Workspace = Annotated[
    Path,
    typer.Option(
        "--workspace", "-w", envvar="KGBUILD_WORKSPACE", help="Folder that holds runs and graph.", metavar="DIR"
    ),
]
WORKSPACE = Path("kg")
Out = Annotated[Path, typer.Option("--out", help="File or folder to write.")]
Fmt = Annotated[Format, typer.Option("--format", help="How to print.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print no progress and no summary.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show a stack trace on errors.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and write nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Dataset = Annotated[str, typer.Option("--dataset", help="Data set: see kgbuild datasets list.", metavar="NAME")]
SomeDataset = Annotated[str | None, typer.Option("--dataset", help="One data set of the workspace.", metavar="NAME")]
Root = Annotated[Path | None, typer.Option("--root", help="Where the data set lies.", metavar="DIR")]
Images = Annotated[Path | None, typer.Option("--images", help="Where its images lie, if elsewhere.", metavar="DIR")]
Split = Annotated[str | None, typer.Option("--split", help="Only studies of this split.", metavar="NAME")]
Studies = Annotated[
    Path | None, typer.Option("--studies", help="Only these studies: a file, one id a line.", metavar="FILE")
]
Limit = Annotated[int | None, typer.Option("--limit", help="Only the first N studies.", metavar="N")]
Sections = Annotated[str, typer.Option("--sections", help="Sections of the report to read, in order.")]
Form = Annotated[str | None, typer.Option("--form", help="Which form of the data set, where a root holds several.")]
SectionParser = Annotated[
    str | None, typer.Option("--section-parser", help="tolerant (default) or mit-lcp, for mimic.", metavar="NAME")
]
Mapping = Annotated[
    Path | None, typer.Option("--mapping", help="YAML: which column is what (reports, huggingface).", metavar="FILE")
]
Map = Annotated[
    list[str] | None,
    typer.Option("--map", help="One column of it, as study=accession; repeat.", metavar="ENTRY=COLUMN"),
]
Run = Annotated[str | None, typer.Option("--run", help="An annotation run; default the newest.", metavar="RUN")]
Workers = Annotated[int | None, typer.Option("--workers", help="Processes; default one a core.", metavar="N", min=1)]


def source(
    dataset: str,
    root: Path | None,
    images: Path | None,
    workspace: Path,
    split: str | None,
    studies: Path | None,
    limit: int | None,
    **options: str | None,
) -> Source:
    """The Source that the data options describe."""
    from kgbuild.pipelines.source import resolve

    given = {name: value for name, value in options.items() if value is not None}
    return resolve(dataset, root, images, workspace, split=split, studies=studies, limit=limit, options=given)


def text_of(file: Path | None) -> str | None:
    """Content of a small file, in place of its name: what goes into a run's id must not be a path.

    Raises:
        FileMissing: it is absent.
        UsageError: it is not UTF-8.
    """
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        raise FileMissing(f"{file} is absent", expected="a YAML file: see docs/own-reports.md") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 at byte {error.start}") from None


def lines(values: list[str] | None) -> str | None:
    """A repeated option as one data set option, a value a line."""
    return "\n".join(values) if values else None


def pairs(values: list[str], option: str) -> dict[str, str]:
    """``["k=v"]`` → ``{"k": "v"}``.

    Raises:
        UsageError: one has no ``=``.
    """
    out = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"{option} {text!r} cannot be read", expected="name=value")
        out[key] = value
    return out


def command_line() -> str:
    """The command as it was typed, to be repeated."""
    return shlex.join(["kgbuild", *sys.argv[1:]])


def guarded(function: Callable[P, int | None]) -> Callable[P, None]:
    """Wrap a command: its return value is the exit code; errors are printed with theirs; Ctrl-C says how to go on."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        code: int | None
        try:
            code = function(*args, **kwargs)
            sys.stdout.flush()
        except KgbuildError as error:
            code = _report(error, bool(kwargs.get("debug")))
        except KeyboardInterrupt:
            code = interrupted()
        except BrokenPipeError:
            # the reader (head, less) has gone: end quietly, and keep Python from complaining at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        except OSError as error:
            what = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
            code = _report(KgbuildError(what, next_step=_mend(error)), bool(kwargs.get("debug")))
        raise typer.Exit(code or 0)

    return run


def _report(error: KgbuildError, debug: bool) -> int:
    from kgbuild import console

    if debug:
        import traceback

        traceback.print_exc()
    console.problem(error)
    return error.exit_code


def _mend(error: OSError) -> str:
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free disk space and run the same command again: what is done is kept, nothing is half-written"
    return "run the same command again once this is mended: what is done is kept"


def interrupted() -> int:
    """Say how to go on after Ctrl-C: with the same command, which for ``train`` must say that it goes on."""
    again = command_line() + (" --resume" if sys.argv[1:2] == ["train"] and "--resume" not in sys.argv else "")
    print(f"\nstopped. What is done is kept; go on with:\n  {again}", file=sys.stderr)  # noqa: T201
    return 130


Command = Callable[..., Any]
