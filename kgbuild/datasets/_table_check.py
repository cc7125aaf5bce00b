"""The lines of ``datasets check`` for tables: the files, each mapped column with how many rows fill it, the sections
that the first reports hold, and the mapping as YAML to save.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice

from kgbuild.datasets._table_arrow import RowTable
from kgbuild.datasets._table_mapping import ROW_NUMBER
from kgbuild.datasets._table_studies import TableStudies
from kgbuild.datasets.base import FileCheck
from kgbuild.domain import Failure
from kgbuild.text import DEFAULT_SECTIONS, FALLBACK_SECTION, study_tokens

_SAMPLE = 200


def check_tables(
    studies: TableStudies, *, sections: Sequence[str] = DEFAULT_SECTIONS, fixed: bool = False
) -> list[FileCheck]:
    """What lies there and how it is read.

    Args:
        studies: the data set.
        sections: those that a run reads by default.
        fixed: the format says what is what: no mapping is shown.
    """
    index = studies.index
    checks = []
    for number, table in enumerate(studies.tables):
        bad = [f for f in index.listing.failures if f.where and f.where.startswith(f"{table.name} ")]
        note = f"{len(bad):,} rows refused (first: {bad[0].where}: {bad[0].reason})" if bad else ""
        checks.append(FileCheck(table.name, True, True, index.rows[number], None, table.path.stat().st_size, note))
    checks += _images(studies)
    if not fixed:
        checks += _columns(studies)
    checks.append(_sections(studies, sections))
    if not fixed:
        note = f"save as mapping.yaml for --mapping: {studies.map.to_yaml()}"
        checks.append(FileCheck("mapping", False, True, note=note))
    return checks


def _images(studies: TableStudies) -> list[FileCheck]:
    if not studies.map.images:
        return []
    counts = studies.index.listing.counts
    listed, absent = counts["images listed"], counts["images listed but absent"]
    note = f"{absent:,} of {listed:,} listed images are absent (sought under the root, or --images)" if absent else ""
    if any(isinstance(table, RowTable) and any(map(table.embeds, studies.map.images)) for table in studies.tables):
        note = f"the tables hold {listed:,} images themselves: they are listed, without a path"
    return [FileCheck("images", False, absent < listed, listed - absent, listed, note=note)]


def _columns(studies: TableStudies) -> list[FileCheck]:
    index, total = studies.index, len(studies.index.listing.studies)
    checks = []
    for entry, column in studies.map.entries():
        how = "guessed" if entry in studies.map.guessed else "given"
        if column == ROW_NUMBER:
            checks.append(FileCheck(f"mapping: {entry}", True, True, total, total, note=f"the row's number ({how})"))
            continue
        found = index.filled[entry, column]
        share = f"{found / total:.1%} of studies" if total else "no studies"
        name = f"mapping: {entry}"
        checks.append(FileCheck(name, entry == "study", True, found, total, note=f"column {column} ({how}), {share}"))
    return checks


def _sections(studies: TableStudies, sections: Sequence[str]) -> FileCheck:
    """Which sections the first studies hold, and whether a run would find text in them."""
    seen: Counter[str] = Counter()
    read = with_tokens = 0
    for study in islice(studies.studies(), _SAMPLE):
        if isinstance(study, Failure) or study.report is None:
            continue
        read += 1
        seen.update({section.name for section in study.report.sections})
        with_tokens += bool(study_tokens(study.report, sections))
    names = ", ".join(f"{name} {count}" for name, count in seen.most_common(12)) or "none"
    note = f"of the first {read}: {names}"
    if with_tokens < read:
        note += f"; {read - with_tokens} have no text in {', '.join(sections)} or {FALLBACK_SECTION}"
    return FileCheck("sections", False, with_tokens > 0, with_tokens, read, note=note)
