"""Where the files of IU X-ray lie under a root, in whichever form somebody downloaded them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kgbuild.datasets._iu_xml import folder_names
from kgbuild.errors import FileMissing, RootMissing, UsageError

FORMS = {
    "csv": "indiana_reports.csv or reports.csv",
    "xml": "*.xml directly, in ecgen-radiology/ or in xml/",
    "tgz": "NLMCXR_reports*.tgz or .tar.gz",
}
_ARCHIVE_ENDS = (".tgz", ".tar.gz")
_ARCHIVE_START = "NLMCXR_reports"


@dataclass(frozen=True, slots=True)
class Layout:
    """What was found.

    Attributes:
        base: the folder that paths are relative to (the archive's own folder where the root is an archive).
        form: ``csv``, ``xml`` or ``tgz``.
        reports: the CSV, the folder of XML files, or the archive.
        projections: the images' CSV, used by the form ``csv`` only.
        splits: R2Gen's split.
        sizes: native image sizes.
        unused: other forms that lie there as well.
    """

    base: Path
    form: str
    reports: Path
    projections: Path | None
    splits: Path | None
    sizes: Path | None
    unused: tuple[tuple[str, Path], ...]


def find_layout(root: Path, form: str | None) -> Layout:
    """Find the reports under ``root``; the CSV wins over the XML folder, that over the archive.

    Raises:
        UsageError: no such form.
        RootMissing: the root is absent or holds no form of the data set.
        FileMissing: it holds others than the form asked for.
    """
    if form is not None and form not in FORMS:
        raise UsageError(f"unknown form {form!r} of iu-xray", expected=f"one of {', '.join(FORMS)}")
    if not root.exists():
        raise _no_root(root, "does not exist")
    base = root if root.is_dir() else root.parent
    found = _forms(root)
    if not found:
        raise _no_root(root, "holds no form of IU X-ray")
    if form is not None and form not in found:
        raise FileMissing(
            f"form {form} of iu-xray is not there",
            where=str(root),
            expected=FORMS[form],
            next_step=f"leave form out, or use {' or '.join(found)}",
        )
    chosen = form or next(iter(found))
    return Layout(
        base=base,
        form=chosen,
        reports=found[chosen],
        projections=_first(base, "indiana_projections.csv", "projections.csv") if chosen == "csv" else None,
        splits=_first(base, "r2gen_split.csv"),
        sizes=_first(base, "image_info.csv"),
        unused=tuple((name, path) for name, path in found.items() if name != chosen),
    )


def _first(folder: Path, *names: str) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _forms(root: Path) -> dict[str, Path]:
    """Forms present, the preferred one first."""
    if root.is_file():
        return {"tgz": root} if root.name.endswith(_ARCHIVE_ENDS) else {}
    folders = (root, root / "ecgen-radiology", root / "xml")
    archives = sorted(p for p in root.glob(f"{_ARCHIVE_START}*") if p.name.endswith(_ARCHIVE_ENDS) and p.is_file())
    found = {
        "csv": _first(root, "indiana_reports.csv", "reports.csv"),
        "xml": next((folder for folder in folders if folder_names(folder)), None),
        "tgz": archives[0] if archives else None,
    }
    return {name: path for name, path in found.items() if path is not None}


def _no_root(root: Path, what: str) -> RootMissing:
    return RootMissing(
        f"IU X-ray root {root} {what}",
        where=str(root),
        expected="; or ".join(FORMS.values()),
        next_step="pass --root with the folder (or the archive) from Open-i or Kaggle, or set KGBUILD_IU_XRAY_ROOT",
    )
