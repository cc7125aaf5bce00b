"""The workspace folder: where runs, graph tables, the store and the catalog lie.

::

    kg/workspace.json           format of this folder
       catalog.sqlite           what ran when and where; can be rebuilt from the rest
       current/<dataset>.json   the newest annotation run of a data set, and the link run of each
       runs/<run id>/           run.json and chunks/000000.parquet …
       graph/                   node and edge tables (Parquet), graph.json
       store/graph.lbug         the embedded store, graph.json

It is made with mode 0700, because it holds report text. Files are the truth: see ``runs``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kgbuild import files
from kgbuild.errors import FileMissing, UsageError, WorkspaceError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths inside one workspace, and the small JSON files that point from one to another."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> Workspace:
        """Open a workspace, making it if it is absent or an empty folder.

        Raises:
            WorkspaceError: the folder holds something else, or was made by another format version.
        """
        path = Path(path)
        marker = path / "workspace.json"
        if not marker.is_file():
            if path.exists() and not path.is_dir():
                raise WorkspaceError(f"{path} is a file, not a folder", next_step="name another folder with -w")
            foreign = [p for p in path.iterdir() if p.name != "kgbuild.toml"] if path.is_dir() else []
            if any(not p.name.endswith(".part") for p in foreign):
                raise WorkspaceError(
                    f"{path} is not a kgbuild workspace and is not empty",
                    expected="an empty or absent folder, or one with workspace.json",
                    next_step="name another folder with -w, or move its contents away",
                )
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
            files.write_text(marker, json.dumps({"format": FORMAT}) + "\n")
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Workspace:
        """Open an existing workspace.

        Raises:
            FileMissing: there is none at ``path``.
            WorkspaceError: it was made by another format version.
        """
        path = Path(path)
        marker = path / "workspace.json"
        if not marker.is_file():
            raise FileMissing(
                f"no workspace at {path}",
                expected=str(marker),
                next_step="kgbuild build --dataset … --root … -w " + str(path),
            )
        try:
            found = json.loads(marker.read_text(encoding="utf-8"))["format"]
        except (ValueError, KeyError, TypeError):
            raise WorkspaceError(f"{marker} is damaged", next_step="build into a new workspace with -w") from None
        if found != FORMAT:
            raise WorkspaceError(
                f"workspace {path} has format {found}, made by another version of kgbuild",
                expected=f"format {FORMAT}",
                next_step="use that version, or build into a new workspace with -w",
            )
        return cls(path)

    @property
    def runs(self) -> Path:
        """Folder of all runs."""
        return self.path / "runs"

    @property
    def graph(self) -> Path:
        """Folder of the graph's node and edge tables."""
        return self.path / "graph"

    @property
    def store(self) -> Path:
        """The embedded store's file."""
        return self.path / "store" / "graph.lbug"

    def datasets(self) -> list[str]:
        """Data sets with at least one complete annotation run, sorted."""
        return sorted(p.stem for p in (self.path / "current").glob("*.json"))

    def pointers(self, dataset: str) -> dict[str, Any]:
        """``{"annotations": run id, "links": {annotation run id: link run id}}`` of one data set.

        Raises:
            WorkspaceError: the file is damaged.
        """
        file = self.path / "current" / f"{dataset}.json"
        if not file.is_file():
            return {"annotations": None, "links": {}}
        try:
            loaded = json.loads(file.read_text(encoding="utf-8"))
            sound = isinstance(loaded["annotations"], str | None) and isinstance(loaded["links"], dict)
        except (ValueError, KeyError, TypeError):
            sound = False
        if not sound:
            raise WorkspaceError(
                f"{file} is damaged",
                expected='{"annotations": run id, "links": {run id: run id}}',
                next_step="remove that file; then the same kgbuild build, or generate and link, write it again: "
                "nothing is annotated anew",
            )
        pointers: dict[str, Any] = loaded
        return pointers

    def point(self, dataset: str, *, annotations: str | None = None, links: tuple[str, str] | None = None) -> None:
        """Make a complete run the newest of its data set; nothing is written if it already is."""
        now = self.pointers(dataset)
        new = {
            "annotations": annotations or now["annotations"],
            "links": {**now["links"], **dict([links] if links else [])},
        }
        if new != now:
            text = json.dumps(new, indent=1, sort_keys=True) + "\n"
            files.write_text(self.path / "current" / f"{dataset}.json", text)

    def newest(self, dataset: str | None = None) -> list[tuple[str, str]]:
        """(data set, newest annotation run) pairs, of one data set or of all.

        Raises:
            FileMissing: nothing has been generated yet.
            UsageError: no such data set here.
        """
        known = self.datasets()
        if dataset is not None and dataset not in known:
            raise UsageError(
                f"no annotations of data set {dataset!r} in {self.path}", expected=", ".join(known) or "none yet"
            )
        chosen = [dataset] if dataset else known
        pairs = [(name, self.pointers(name)["annotations"]) for name in chosen]
        if not any(run for _, run in pairs):
            raise FileMissing(
                f"no complete annotation run in {self.path}",
                next_step=f"kgbuild generate --dataset … --root … -w {self.path}",
            )
        return [(name, run) for name, run in pairs if run]
