"""The files beside the reports: gzipped CSV as MIMIC-CXR and MIMIC-CXR-JPG name and head them, and the gold JSON.

Everything is streamed: a table holds one buffer, the gold its ids and offsets. The bytes hold no time and no path.
"""

from __future__ import annotations

import gzip
import os
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, cast

from kgbuild.files import atomic
from kgbuild.synthesis.phrases import COLUMNS

HEADERS = {
    "cxr-study-list.csv.gz": "subject_id,study_id,path",
    "cxr-record-list.csv.gz": "subject_id,study_id,dicom_id,path",
    "mimic-cxr-2.0.0-metadata.csv.gz": (
        "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,"
        "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning"
    ),
    "mimic-cxr-2.0.0-split.csv.gz": "dicom_id,study_id,subject_id,split",
    "mimic-cxr-2.0.0-chexpert.csv.gz": "subject_id,study_id," + ",".join(COLUMNS),
    "mimic-cxr-2.0.0-negbio.csv.gz": "subject_id,study_id," + ",".join(COLUMNS),
    "boxes.csv": "dicom_id,finding,x,y,w,h",
}
STUDY_LIST = "cxr-study-list.csv.gz"
_BUFFER_ROWS = 2_000
_BUFFER_BYTES = 1 << 20
_LEVEL = 4


class Table:
    """One CSV being written; rows are lines without their end."""

    def __init__(self, stream: IO[bytes], header: str) -> None:
        self._stream = stream
        self._rows = [header]

    def add(self, row: str) -> None:
        """Append a row."""
        self._rows.append(row)
        if len(self._rows) >= _BUFFER_ROWS:
            self.flush()

    def flush(self) -> None:
        """Hand the buffered rows to the file."""
        if self._rows:
            self._stream.write(("\n".join(self._rows) + "\n").encode())
            self._rows = []


@contextmanager
def tables(out: Path, names: Sequence[str]) -> Iterator[dict[str, Table]]:
    """Tables by name, moved into place together at the end; the study list last, for a reader needs only that one."""
    with ExitStack() as stack:
        opened = {}
        for name in sorted(names, key=lambda name: name != STUDY_LIST):
            raw = stack.enter_context(_opened(out / name))
            opened[name] = Table(raw, HEADERS[name])
        yield opened
        for table in opened.values():
            table.flush()


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with atomic(path) as part, part.open("wb") as raw:
        if path.suffix != ".gz":
            yield raw
            return
        with gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=raw, mtime=0) as stream:
            yield cast("IO[bytes]", stream)


def label_row(marks: Sequence[int]) -> str:
    """The 14 label cells: 1.0 said to be there, -1.0 perhaps, 0.0 said to be absent, blank not spoken of.

    As the CheXpert labeller does, one sure mention outweighs doubts and denials, a doubt outweighs a denial, and No
    Finding is 1.0 where nothing but support devices is there or may be.
    """
    cells = ["1.0" if mark & 1 else "-1.0" if mark & 2 else "0.0" if mark & 4 else "" for mark in marks]
    seen = any(mark & 3 for name, mark in zip(COLUMNS, marks, strict=True) if name != "Support Devices")
    cells[COLUMNS.index("No Finding")] = "" if seen else "1.0"
    return ",".join(cells)


class Gold:
    """RadGraph JSON sorted by study id, from studies in any order: entries wait in an unnamed file beside it."""

    def __init__(self, spill: IO[bytes]) -> None:
        self._spill = spill
        self._ids = array("q")
        self._starts = array("q")
        self._sizes = array("q")
        self._at = 0

    def add(self, study_id: int, entry: str) -> None:
        """Keep a study's entry (JSON)."""
        size = self._spill.write(entry.encode())
        self._ids.append(study_id)
        self._starts.append(self._at)
        self._sizes.append(size)
        self._at += size

    def finish(self, file: IO[bytes]) -> None:
        """Write the whole object; the same bytes as ``kgbuild export radgraph`` gives for these annotations."""
        file.write(b"{")
        self._spill.flush()
        spilled = self._spill.fileno()
        for count, i in enumerate(sorted(range(len(self._ids)), key=self._ids.__getitem__)):
            entry = os.pread(spilled, self._sizes[i], self._starts[i])
            file.write((b",\n" if count else b"\n") + f'"s{self._ids[i]}": '.encode() + entry)
        file.write(b"\n}\n" if self._ids else b"}\n")


@contextmanager
def gold_file(path: Path | None) -> Iterator[Gold | None]:
    """The gold being gathered, written whole at the end; None without a path."""
    if path is None:
        yield None
        return
    with atomic(path) as part, TemporaryFile(dir=path.parent, buffering=_BUFFER_BYTES) as spill:
        gold = Gold(spill)
        yield gold
        with part.open("wb", buffering=_BUFFER_BYTES) as file:
            gold.finish(file)
