"""A folder of text files, one a report: the file's stem is the study's id, sub-folders are allowed.

Nothing is opened to list them. A first folder named as a split (``train``, ``val``, ``test``, …) gives the split.
Folders and files that begin with a dot are left alone, and linked folders are not followed, so no loop can trap us.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from kgbuild.datasets._table_files import check_encoding
from kgbuild.datasets._table_values import is_id
from kgbuild.datasets.base import FileCheck, Listing
from kgbuild.domain import Failure, Report, Study, StudyRef
from kgbuild.errors import UsageError
from kgbuild.sections import split_sections

SPLITS = ("train", "training", "val", "valid", "validate", "validation", "dev", "test", "testing")
_END = ".txt"


def text_files(root: Path) -> tuple[list[str], int]:
    """Paths of the text files under a root, sorted, relative to it; and how many linked folders were passed over."""
    found, links = [], 0
    for folder, folders, files in os.walk(root, followlinks=False):
        links += sum(os.path.islink(os.path.join(folder, name)) for name in folders)
        folders[:] = [name for name in folders if not name.startswith(".")]
        start = os.path.relpath(folder, root)
        prefix = "" if start == "." else start.replace(os.sep, "/") + "/"
        found += [prefix + name for name in files if name.lower().endswith(_END) and not name.startswith(".")]
    return sorted(found), links


class FolderStudies:
    """The studies of a folder of text files, in the order of their paths."""

    def __init__(self, dataset: str, root: Path, encoding: str = "utf-8") -> None:
        self.dataset, self.root, self.encoding = dataset, root, encoding
        self.files, self.links = text_files(root)
        if self.files:
            check_encoding(root / self.files[0], self.files[0], encoding)

    @cached_property
    def _content(self) -> tuple[dict[str, str], Listing]:
        """Path by study id, and the listing. A stem taken by another file: a copy is counted, else quarantined."""
        paths: dict[str, str] = {}
        failures = []
        copies = 0
        for path in self.files:
            stem = path.rpartition("/")[2][: -len(_END)]
            study_id = f"{self.dataset}:{stem}"
            if not is_id(stem):
                reason = "the file's name is no id: not one word of at most 120 characters"
                failures.append(Failure(path, "read", reason, path))
            elif (first := paths.setdefault(study_id, path)) != path:
                if self._same(first, path):
                    copies += 1
                else:
                    reason = f"stands already in {first} with other content; the first is used"
                    failures.append(Failure(study_id, "read", reason, path))
        refs = tuple(StudyRef(study_id, _split(path)) for study_id, path in paths.items())
        counts = {"repeated reports": copies, "linked folders not followed": self.links}
        return paths, Listing(refs, tuple(failures), counts)

    def _same(self, first: str, second: str) -> bool:
        try:
            return (self.root / first).read_bytes() == (self.root / second).read_bytes()
        except OSError:
            return False

    def fingerprint(self) -> str:
        """SHA-256 over the files' paths and bytes."""
        digest = hashlib.sha256()
        for path in self.files:
            try:
                content = (self.root / path).read_bytes()
            except OSError:
                content = b""
            digest.update(f"{path}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
            digest.update(content)
        return digest.hexdigest()

    def listing(self) -> Listing:
        """One study a file."""
        return self._content[1]

    def studies(self, ids: Sequence[str] | None = None) -> Iterator[Study | Failure]:
        """Studies with their sections; a file that is absent or in another encoding is a Failure."""
        paths = self._content[0]
        for wanted in paths if ids is None else ids:
            if wanted in paths:
                yield self._read(wanted, paths[wanted])
            else:
                yield Failure(wanted, "read", "no such study in this data set", self.root.name)

    def _read(self, study_id: str, path: str) -> Study | Failure:
        listed = Study(study_id, self.dataset, Report((), path), split=_split(path))
        try:
            text = (self.root / path).read_bytes().decode(self.encoding)
        except UnicodeDecodeError as error:
            reason = f"byte 0x{error.object[error.start]:02x} at offset {error.start} is not {self.encoding.upper()}"
            return Failure(study_id, "read", reason, path, listed)
        except OSError as error:
            return Failure(study_id, "read", f"the file cannot be read: {error.strerror}", path, listed)
        return Study(study_id, self.dataset, Report(split_sections(text), path), split=listed.split)

    def check(self) -> list[FileCheck]:
        """The files, how many can be read and hold text, and what was passed over."""
        counts: dict[str, int] = {}
        size = read = filled = 0
        for study in self.studies():
            if isinstance(study, Failure) or study.report is None:
                continue
            read += 1
            filled += bool(study.report.sections)
            for name in {section.name for section in study.report.sections}:
                counts[name] = counts.get(name, 0) + 1
            size += (self.root / (study.report.path or "")).stat().st_size
        total = len(self.files)
        names = ", ".join(
            f"{name} {n}" for name, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:12]
        )
        notes = [f"{total - read} skipped: see the failures" if total > read else ""]
        notes += [f"{self.links} linked folders not followed" if self.links else ""]
        share = f"{filled / read:.1%} of the reports have text" if read else "no report can be read"
        return [
            FileCheck("*.txt", True, bool(total), read, total, size, "; ".join(filter(None, notes))),
            FileCheck("sections", False, filled > 0, filled, read, note=f"{share}: {names or 'none'}"),
        ]


def _split(path: str) -> str | None:
    first, slash, _ = path.partition("/")
    return first if slash and first.lower() in SPLITS else None


def refuse_mapping(options: Sequence[str]) -> None:
    """Text files have no columns.

    Raises:
        UsageError: a mapping was given.
    """
    if options:
        raise UsageError(
            f"a folder of text files has no columns to map: {', '.join(options)}",
            expected="a table as --root, or no --map and no --mapping but encoding",
        )
