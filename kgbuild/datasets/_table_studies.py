"""Studies out of tables: listed by one pass (``_table_index``), then read again row by row, as they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

from kgbuild.datasets._table_files import Reader, Table
from kgbuild.datasets._table_images import ImageFolders, image_id, make_images
from kgbuild.datasets._table_index import Index, Pass, Place
from kgbuild.datasets._table_mapping import ColumnMap
from kgbuild.datasets._table_rows import Cells, RowReading, prefixed
from kgbuild.datasets._table_values import parse_date
from kgbuild.datasets.base import Listing
from kgbuild.domain import Failure, Report, Study
from kgbuild.errors import StudyError


class TableStudies:
    """The studies of a few tables of one mapping.

    Args:
        dataset: name of the data set.
        tables: the files, in the order of the listing.
        columns: the mapping; every column is in every table.
        folders: where images are sought.
        study_key: a study's graph id from its own id.
        patient_key: a patient's, from theirs.
    """

    def __init__(
        self,
        dataset: str,
        tables: Sequence[Table],
        columns: ColumnMap,
        folders: ImageFolders,
        *,
        study_key: Callable[[str], str] | None = None,
        patient_key: Callable[[str], str] | None = None,
    ) -> None:
        self.dataset, self.tables, self.map, self.folders = dataset, tuple(tables), columns, folders
        self.study_key = study_key or prefixed(dataset)
        self.patient_key = patient_key or prefixed(dataset)
        self.reading = RowReading(columns)
        self._open: tuple[int, Reader] | None = None

    @cached_property
    def index(self) -> Index:
        """The pass over all tables, made once."""
        return Pass(self.dataset, self.tables, self.reading, self.folders, self.study_key, self.patient_key).run()

    def fingerprint(self) -> str:
        """SHA-256 of the mapped cells of every row and of which of the images are there."""
        return self.index.digest

    def listing(self) -> Listing:
        """Studies in the order of their first rows."""
        return self.index.listing

    def studies(self, ids: Sequence[str] | None = None) -> Iterator[Study | Failure]:
        """Studies with their sections and images; a broken row or an unknown id is a Failure."""
        index = self.index
        for wanted in index.numbers if ids is None else ids:
            number = index.numbers.get(wanted)
            if number is None:
                names = ", ".join(table.name for table in self.tables[:3])
                yield Failure(wanted, "read", "no such study in this data set", names)
            else:
                yield self._study(wanted, number)

    def _study(self, study_id: str, number: int) -> Study | Failure:
        index = self.index
        first = index.first(number)
        table = self.tables[first.table]
        where = table.where(first.line)
        try:
            cells = self._read(first)
            named = self.reading.images(cells)
            for place in index.more.get(number, ()):
                named += self.reading.images(self._read(place))
        except StudyError as error:
            return Failure(study_id, "read", error.reason, where)
        ref, problem = index.listing.studies[number], index.problems.get(number)
        own = [(name, view) for name, view in named if index.owners.get(image_id(self.dataset, name)) == number]
        study = Study(
            id=study_id,
            dataset=self.dataset,
            report=Report(() if problem else self.reading.sections(cells), table.name),
            images=make_images(self.dataset, study_id, own, self.folders),
            patient_id=ref.patient_id,
            split=ref.split,
            date=parse_date(self.reading.cell(cells, "date"), index.order, self.map.settings.get("date_format")),
        )
        return Failure(study_id, "read", problem, where, study) if problem else study

    def _read(self, place: Place) -> Cells:
        if self._open is None or self._open[0] != place.table:
            if self._open is not None:
                self._open[1].close()
            self._open = place.table, self.tables[place.table].reader(self.reading.columns)
        return self._open[1].row(place.position)
