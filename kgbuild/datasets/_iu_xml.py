"""Open-i's XML of IU X-ray, one report a file, in a folder or in the archive as downloaded (read in place).

expat is used directly: a DOCTYPE is refused the moment it starts, so no entity is ever defined, expanded or fetched,
and what was read before a file breaks off (the uid stands near the top) is kept. Messages hold lines and offsets.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from xml.parsers import expat

from kgbuild.datasets._iu_records import ImageRow, Record, make_sections, parse_uid, xml_image_id
from kgbuild.domain import Failure
from kgbuild.errors import FileMissing


class _Refused(Exception):
    """The file holds something that no report needs."""


class _Report:
    """Collects what is wanted of one file as expat meets it; listens to text only where it is wanted."""

    def __init__(self, parser: expat.XMLParserType) -> None:
        self._parser = parser
        self.uid: str | None = None
        self.parts: list[tuple[str, str]] = []
        self.images: list[str] = []
        self._label: str | None = None
        self._text: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "AbstractText":
            self._label, self._text = attributes.get("Label", "").strip().lower(), []
            self._parser.CharacterDataHandler = self._text.append
        elif tag == "uId" and self.uid is None:
            self.uid = attributes.get("id", "")
        elif tag == "parentImage" and attributes.get("id"):
            self.images.append(attributes["id"])

    def end(self, tag: str) -> None:
        if tag == "AbstractText" and self._label is not None:
            self.parts.append((self._label, "".join(self._text)))
            self._label = self._parser.CharacterDataHandler = None

    def doctype(self, *_: object) -> None:
        raise _Refused("it has a DOCTYPE, which is refused: no report needs one")


def _parse(data: bytes) -> tuple[_Report, str | None]:
    """What a file says, as far as it can be read, and what stopped the reading."""
    parser = expat.ParserCreate()
    report = _Report(parser)
    parser.buffer_text = True
    parser.StartElementHandler = report.start
    parser.EndElementHandler = report.end
    parser.StartDoctypeDeclHandler = report.doctype
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        if not data:
            return report, "the file is empty"
        place = f"line {error.lineno}, byte offset {parser.ErrorByteIndex}"
        return report, f"not well-formed XML: {expat.ErrorString(error.code)} at {place}"
    except _Refused as error:
        return report, f"{error} (line {parser.CurrentLineNumber})"
    except (LookupError, ValueError) as error:  # an encoding that Python lacks, or that is not one byte a character
        return report, f"its declared encoding cannot be read ({type(error).__name__})"
    return report, None


def read_report(path: str, data: bytes) -> Record | Failure:
    """One file's record; a Failure under the file's name where it names no uid.

    Args:
        path: relative to the data set's root; stands in the record and in messages.
        data: the file's bytes.
    """
    report, problem = _parse(data)
    uid = parse_uid(report.uid.removeprefix("CXR")) if report.uid and report.uid.startswith("CXR") else None
    if uid is None:
        missing = "no uId element" if report.uid is None else "its uId is not CXR and a number"
        return Failure(path.rpartition("/")[2].rpartition("#")[2], "read", problem or missing, path)
    images = tuple(ImageRow(uid, xml_image_id(name), path) for name in report.images)
    content = (*(word for part in report.parts for word in part), *report.images, problem or "")
    sections = () if problem else make_sections(report.parts)
    return Record(uid, path, path, sections, images, problem, content)


def read_reports(files: Iterable[tuple[str, bytes]]) -> Iterator[Record | Failure]:
    """One record a file."""
    return (read_report(path, data) for path, data in files)


def _natural(name: str) -> tuple[int, str]:
    number = re.match(r"[0-9]{1,9}", name)
    return (int(number.group()) if number else -1, name)


def is_report_name(name: str) -> bool:
    """Whether a file name is a report's: hidden ones (``._1.xml`` of macOS) are not."""
    return name.endswith(".xml") and not name.startswith(".")


def folder_names(folder: Path) -> list[str]:
    """Names of a folder's XML files, by number; empty where there is no such folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted((e.name for e in entries if is_report_name(e.name) and e.is_file()), key=_natural)


def folder_files(folder: Path, base: Path) -> Iterator[tuple[str, bytes]]:
    """Path relative to ``base`` and bytes of each XML file."""
    prefix = folder.relative_to(base)
    for name in folder_names(folder):
        yield (prefix / name).as_posix(), (folder / name).read_bytes()


def archive_files(archive: Path) -> Iterator[tuple[str, bytes]]:
    """``<archive>#<member>`` and bytes of each XML file in a gzipped tar; nothing is written to disk.

    Links, members outside the archive's own tree (``../``, absolute) and all but XML files are passed over.

    Raises:
        FileMissing: the archive is cut short, damaged or no gzipped tar, or holds no XML file.
    """
    found = False
    try:
        # Read to the end first: a cut is noticed before the first report is used. The published one unpacks to 20 MB.
        with gzip.open(archive) as stream:
            unpacked = io.BytesIO(stream.read())
        with tarfile.open(fileobj=unpacked, mode="r:") as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts or not member.isfile() or not is_report_name(name.name):
                    continue
                content = tar.extractfile(member)
                if content is not None:
                    found = True
                    yield f"{archive.name}#{name.as_posix()}", content.read()
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        what = "is cut short" if isinstance(error, EOFError) else f"is damaged or no gzipped tar ({error})"
        raise FileMissing(
            f"archive {archive.name} {what}",
            where=str(archive),
            expected="NLMCXR_reports.tgz of Open-i, whole",
            next_step="download it again",
        ) from None
    if not found:
        raise FileMissing(
            f"archive {archive.name} holds no XML report",
            where=str(archive),
            expected="members ecgen-radiology/<number>.xml",
            next_step="check that it is the reports' archive, not the images'",
        )
