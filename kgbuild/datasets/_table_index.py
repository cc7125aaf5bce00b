"""One pass over the tables: the listing, and where each study's rows are. No text is kept.

Of the rows of one study the first stands. A later one that says the same is a copy; one that says the same of other
images gives the study these images too (tables often hold one row an image); one that says something else is
quarantined.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kgbuild.datasets._table_files import Row, Table
from kgbuild.datasets._table_images import ImageFolders, image_id
from kgbuild.datasets._table_mapping import ROW_NUMBER
from kgbuild.datasets._table_rows import Cells, RowReading
from kgbuild.datasets._table_values import Order, as_text, date_orders, is_id, parse_date
from kgbuild.datasets.base import Listing
from kgbuild.domain import Failure, StudyRef


class Place(NamedTuple):
    """A row: which table, where in it, on which line."""

    table: int
    position: int
    line: int


@dataclass(slots=True)
class Index:
    """What the pass leaves.

    Attributes:
        numbers: place in the listing by study id.
        more: further rows of a study, with further images, by that place.
        problems: why a listed study's row cannot be used, by that place.
        owners: the study (by place) of each image id: the first that names it.
        listing: the studies, failures and counts.
        filled: rows with something in it, by mapped (entry, column).
        rows: rows read of each table.
        order: how dates like ``03/04/2020`` are read.
        digest: SHA-256 of the mapped cells and of which images are there.
    """

    numbers: dict[str, int] = field(default_factory=dict)
    more: dict[int, list[Place]] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)
    owners: dict[str, int] = field(default_factory=dict)
    listing: Listing = field(default_factory=lambda: Listing(()))
    filled: Counter[tuple[str, str]] = field(default_factory=Counter)
    rows: list[int] = field(default_factory=list)
    order: Order | None = None
    digest: str = ""
    _tables: array[int] = field(default_factory=lambda: array("H"))
    _positions: array[int] = field(default_factory=lambda: array("Q"))
    _lines: array[int] = field(default_factory=lambda: array("Q"))

    def add(self, study_id: str, place: Place) -> int:
        """List a study; gives its place in the listing."""
        self.numbers[study_id] = len(self._tables)
        self._tables.append(place.table)
        self._positions.append(place.position)
        self._lines.append(place.line)
        return len(self._tables) - 1

    def first(self, number: int) -> Place:
        """A study's first row."""
        return Place(self._tables[number], self._positions[number], self._lines[number])


class Pass:
    """Reads every row once. Keys make graph ids of own ids."""

    def __init__(
        self,
        dataset: str,
        tables: Sequence[Table],
        reading: RowReading,
        folders: ImageFolders,
        study_key: Callable[[str], str],
        patient_key: Callable[[str], str],
    ) -> None:
        self.dataset, self.tables, self.reading, self.folders = dataset, tables, reading, folders
        self.study_key, self.patient_key = study_key, patient_key
        self.index = Index()
        self.refs: list[StudyRef] = []
        self.failures: list[Failure] = []
        self.counts: Counter[str] = Counter()
        self.rows: Counter[str | None] = Counter()
        self.orders: Counter[frozenset[Order]] = Counter()
        self.hashes = array("q")
        self.imaged = bytearray()
        self.digest = hashlib.sha256(repr(reading.map.entries()).encode())

    def run(self) -> Index:
        """The index of all tables."""
        for number, table in enumerate(self.tables):
            before = self.rows.total()
            for row in table.scan(self.reading.columns):
                self.rows[table.split] += 1
                self._row(Place(number, row.position, row.line), table, row)
            self.index.rows.append(self.rows.total() - before)
        self._settle_dates()
        self.index.listing = Listing(tuple(self.refs), tuple(self.failures), self._counts())
        self.index.digest = self.digest.hexdigest()
        return self.index

    def _counts(self) -> dict[str, int]:
        counts = {"studies without text": self.counts["silent"], "repeated rows": self.counts["copies"]}
        if "date" in self.reading.map.fields:
            counts["dates not understood"] = self.counts["dates"]
        if self.reading.map.images:
            counts["images listed"] = len(self.index.owners)
            counts["images listed but absent"] = self.counts["absent"]
            counts["studies without images"] = self.imaged.count(0)
            counts["rows that only add images"] = self.counts["added"]
        return counts

    def _row(self, place: Place, table: Table, row: Row) -> None:
        self._hash(row.problem or "", *[cell if type(cell) is str else as_text(cell) for cell in row.cells])
        where = table.where(row.line)
        own = self._own_id(table, row.cells)
        if not is_id(own):
            shape = "is empty" if not own else "is not one word of at most 120 characters"
            problem = row.problem or f"the study id (column {self.reading.map.fields['study']}) {shape}"
            self.failures.append(Failure(table.name, "read", problem, where))
            return
        study_id, content = self.study_key(own), self.reading.content(row.cells)
        listed = self.index.numbers.get(study_id)
        if listed is None:
            self._first(study_id, place, content, row, table)
        elif row.problem or self.hashes[listed] != content:
            first = self.index.first(listed)
            there = self.tables[first.table].where(first.line)
            reason = row.problem or f"stands already in {there} with other content; the first is used"
            self.failures.append(Failure(study_id, "read", reason, where))
        elif self._add_images(listed, study_id, row.cells, where):
            self.index.more.setdefault(listed, []).append(place)
            self.counts["added"] += 1
        else:
            self.counts["copies"] += 1

    def _own_id(self, table: Table, cells: Cells) -> str:
        """The row's own id; empty where there is none, or where the row is too broken to be believed."""
        if not cells:
            return ""
        if self.reading.map.fields["study"] == ROW_NUMBER:
            return f"{table.split or 'row'}-{self.rows[table.split]}"
        return self.reading.text(cells, "study")

    def _first(self, study_id: str, place: Place, content: int, row: Row, table: Table) -> None:
        cells, problem = row.cells, row.problem
        number = self.index.add(study_id, place)
        self.hashes.append(content)
        patient = self.reading.text(cells, "patient")
        if patient and not is_id(patient):
            problem = problem or "the patient id is not one word of at most 120 characters"
            patient = ""
        split = self.reading.text(cells, "split") or table.split
        self.refs.append(StudyRef(study_id, split or None, self.patient_key(patient) if patient else None))
        if problem:
            self.index.problems[number] = problem
        filled = self.reading.filled(cells)
        for pair in filled:
            self.index.filled[pair] += 1
        self.counts["silent"] += not any(e == "text" or e in self.reading.map.sections for e, _ in filled)
        self._note_date(self.reading.cell(cells, "date"))
        self.imaged.append(0)
        self._add_images(number, study_id, cells, table.where(row.line))

    def _add_images(self, number: int, study_id: str, cells: Cells, where: str) -> int:
        """Give a study the images of one row; returns how many are new to it."""
        new, owners = 0, self.index.owners
        for name, _ in self.reading.images(cells):
            key, before = image_id(self.dataset, name), len(owners)
            owner = owners.setdefault(key, number)
            if owner != number:
                reason = f"its image {key} belongs already to {self.refs[owner].id}, which keeps it"
                self.failures.append(Failure(study_id, "read", reason, where))
            elif len(owners) > before:
                path = self.folders.find(name)
                self._hash(str(path))
                self.counts["absent"] += path is None
                self.imaged[number] = 1
                new += 1
        return new

    def _note_date(self, value: object) -> None:
        form = self.reading.map.settings.get("date_format")
        if not as_text(value).strip():
            return
        orders = date_orders(value) if form is None else frozenset()
        if orders:
            self.orders[orders] += 1
        else:
            self.counts["dates"] += parse_date(value, None, form) is None

    def _settle_dates(self) -> None:
        """Read ``03/04/2020`` in the order that another date of the column shows, if none shows the other order."""
        sure: list[Order] = [order for (order,) in (orders for orders in self.orders if len(orders) == 1)]
        self.index.order = sure[0] if len(sure) == 1 else None
        if self.index.order is None:
            self.counts["dates"] += sum(self.orders.values())

    def _hash(self, *cells: str) -> None:
        text = "\x1f".join(cells)
        self.digest.update(f"{len(text)}\x1e{text}".encode("utf-8", "surrogatepass"))
