"""The user's own reports: a CSV, JSON Lines or Parquet file with one row a study, or a folder of text files.

Which column is what is guessed from names and first rows, and ``datasets check`` prints the guess. A mapping file
(``mapping``) says it all instead; pairs (``map``) correct single entries: see ``_table_mapping``. Ids are
``reports:<own id>``. A table is passed over once to list it and is never held; texts are read as they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from kgbuild.datasets._reports_folder import FolderStudies, refuse_mapping, text_files
from kgbuild.datasets._table_arrow import ParquetTable
from kgbuild.datasets._table_check import check_tables
from kgbuild.datasets._table_choose import choose_columns, mapping_text
from kgbuild.datasets._table_files import Table
from kgbuild.datasets._table_images import ImageFolders
from kgbuild.datasets._table_mapping import ColumnMap, read_given
from kgbuild.datasets._table_studies import TableStudies
from kgbuild.datasets._table_text import CsvTable, JsonlTable
from kgbuild.datasets.base import FileCheck, Listing
from kgbuild.domain import Failure, Study
from kgbuild.errors import RootMissing, UsageError

FORMS = {
    "csv": (".csv", ".tsv", ".csv.gz", ".tsv.gz"),
    "jsonl": (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz"),
    "parquet": (".parquet", ".pq"),
    "txt": (".txt",),
}


class Reports:
    """The data set behind ``--dataset reports``.

    Args:
        root: the table, or a folder that holds one table, or text files.
        images: where image paths begin, if not at the root.
        **options: ``form`` (``csv``, ``jsonl``, ``parquet``, ``txt``) where a folder holds several; ``mapping``: a YAML
            (its path or its content); ``map``: ``key=column``, one a line.

    Raises:
        UsageError: an option or a mapping entry that does not exist; a folder of several tables.
        RootMissing: the root is absent or holds no reports.
        ColumnMissing: the table is empty, lacks a mapped column, or none is known to hold the id or the report.
    """

    name = "reports"
    title = "Your own reports: CSV, JSON Lines, Parquet, or a folder of text files"
    options: tuple[str, ...] = ("form", "mapping", "map")

    def __init__(self, root: Path, images: Path | None = None, **options: str) -> None:
        unknown = sorted(set(options) - set(self.options))
        if unknown:
            raise UsageError(f"unknown option {', '.join(unknown)} of reports", expected=", ".join(self.options))
        given = read_given(mapping_text(options.get("mapping")), options.get("map"))
        path, form = _find(Path(root), options.get("form"))
        self.source: TableStudies | FolderStudies
        if form == "txt":
            refuse_mapping([entry for entry, _ in given.map.entries()])
            self.source = FolderStudies(self.name, path, given.map.settings.get("encoding", "utf-8"))
        else:
            folders = ImageFolders(path.parent, Path(images) if images is not None else None)
            table = _open(path, form, given.map)
            self.source = TableStudies(self.name, [table], choose_columns([table], given), folders)

    def fingerprint(self) -> str:
        """SHA-256 of what is mapped (of the files, in a folder of texts) and of which of the images are there."""
        return self.source.fingerprint()

    def listing(self) -> Listing:
        """Studies in the order of the table, or of the paths."""
        return self.source.listing()

    def studies(self, ids: Sequence[str] | None = None) -> Iterator[Study | Failure]:
        """Studies with their sections and images; one whose row or file is broken, or an unknown id, is a Failure."""
        return self.source.studies(ids)

    def check(self) -> list[FileCheck]:
        """The files, the mapping and what share of the rows fills it, the sections found, the mapping as YAML."""
        if isinstance(self.source, FolderStudies):
            return self.source.check()
        return check_tables(self.source)


def _open(path: Path, form: str, columns: ColumnMap) -> Table:
    if form == "csv":
        return CsvTable(path, path.name, columns.settings)
    return JsonlTable(path, path.name, columns.settings) if form == "jsonl" else ParquetTable(path, path.name)


def _find(root: Path, form: str | None) -> tuple[Path, str]:
    """The table and its form, or the folder and ``txt``."""
    if form is not None and form not in FORMS:
        raise UsageError(f"unknown form {form!r} of reports", expected=f"one of {', '.join(FORMS)}")
    if not root.exists():
        raise _nothing(root, "does not exist")
    if root.is_file():
        own = form or _form(root)
        if own is None or own == "txt":
            raise _nothing(root, "is a file of no known kind" if own is None else "is one text file: give its folder")
        return root, own
    tables = [path for path in sorted(root.iterdir()) if path.is_file() and _form(path) not in (None, "txt")]
    if form is not None:
        tables = [path for path in tables if _form(path) == form]
    if len(tables) > 1:
        raise UsageError(
            f"{root} holds {len(tables)} tables",
            expected="one of " + ", ".join(path.name for path in tables[:10]),
            next_step="give the file itself as --root",
        )
    if tables:
        return tables[0], _form(tables[0]) or ""
    if form in (None, "txt") and text_files(root)[0]:
        return root, "txt"
    raise _nothing(root, f"holds no {form or 'table and no text'} file")


def _form(path: Path) -> str | None:
    name = path.name.lower()
    return next((form for form, ends in FORMS.items() if name.endswith(ends)), None)


def _nothing(root: Path, what: str) -> RootMissing:
    return RootMissing(
        f"reports root {root} {what}",
        where=str(root),
        expected="a file "
        + ", ".join(end for ends in FORMS.values() for end in ends[:2])
        + " or a folder of .txt files",
        next_step="pass --root with the file or the folder",
    )


PLUGIN = Reports
