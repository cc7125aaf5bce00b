"""Build ``schemas/concepts/{concepts,synonyms}.tsv`` from a folder of open ontologies. A maintainer's tool.

    python tests/tools/build_concepts.py ../shared/data/ontology

Reads ``thorax.tsv``, ``thorax_synonyms.tsv``, ``radiology_aliases.tsv`` and ``thorax_nocui.tsv``, and the hand-written
``devices.tsv`` and ``radiology.tsv`` beside the output. The same input gives the same bytes.

What it leaves out, and why (see ``schemas/concepts/README.md``):
    * concepts and names that only PADCHEST (no licence) or HPMM (strings of UMLS) give;
    * ``iu_count``, ``selected_by`` and ``display``: counted from, or chosen by, the Indiana University reports;
    * definitions: they are cut at 300 characters, and HPO's licence asks for unaltered content;
    * our aliases of a finding that narrow it (*left pleural effusion*): denying them denies less than the finding;
    * HPO terms without a CUI which a hand-written row names as ``same_as``: that row has the CUI.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kgbuild.linkers import _normalise

OPEN = ("HP", "UBERON", "MONDO", "DOID", "SYMP")
OURS = "KGBUILD"
OUT = Path(__file__).parents[2] / "schemas" / "concepts"
HAND_WRITTEN = ("devices.tsv", "radiology.tsv")
CONCEPT_COLUMNS = ("id", "name", "kind", "source", "semantic_types")
SYNONYM_COLUMNS = ("id", "synonym", "scope", "source")
# HPO's clinical modifiers say how or where a finding is; they are no findings of their own.
_MODIFIERS = """
    acute bilateral borderline central chronic diffuse distal focal generalized left localized mild moderate
    multifocal peripheral profound progressive proximal refractory right severe subacute unilateral
"""
MODIFIERS = frozenset(_MODIFIERS.split())
# Aliases that are dropped (None) or get another scope: the target is HPO's hypoventilation, no radiographic sign; a
# bare effusion is a pleural one on a chest X-ray only.
RESCOPED: dict[str, str | None] = {
    "loss of volume": None,
    "lung volume loss": None,
    "effusion": "broad",
    "effusions": "broad",
    "bilateral effusions": "broad",
}
# Names that mean something else in a chest report than the concept they stand for: left out.
MISLEADING = frozenset(
    {
        ("C0034072", "cardiopulmonary disease"),  # cor pulmonale
        ("C0524851", "degenerative disease"),  # neurodegenerative disease
        ("C0031029", "apical granuloma"),  # of a tooth
        ("C0817096", "pectus"),  # chest
        ("C0006277", "chest infection"),  # bronchitis
        ("C0694550", "pulmonary infection"),  # recurrent pneumonia
        ("C0876973", "pulmonary infection"),
        ("C0265783", "small lung"),  # hypoplasia
        ("C3151525", "small heart"),  # hypoplasia
        ("C0023798", "lipoma"),  # multiple lipomas
        ("C0037189", "cardiac pacemaker"),  # sinoatrial node
        ("C0424290", "collecting"),  # hoarding
        ("C0003486", "enlarged aorta"),  # aneurysm
        ("C0038530", "pa"),  # subclavian artery
        ("C0032326", "collapsed lung"),  # pneumothorax to a layman, atelectasis in a report
        ("C0149781", "spontaneous collapsed lung"),
    }
)
# Concepts whose only name means something else in a chest report: left out whole.
FOREIGN = frozenset({"C0018203"})  # chronic granulomatous disease: the immunodeficiency, not old granulomas

Row = dict[str, str]


def read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    lines = ["\t".join(columns), *("\t".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines) - 1


def kept_sources(joined: str) -> str:
    """``HP|PADCHEST`` -> ``HP``; empty where no open source gives the concept."""
    return "|".join(source for source in joined.split("|") if source in OPEN)


def kind_of(row: Row) -> str:
    modifier = row["kind"] == "observation" and row["name"].lower() in MODIFIERS
    return "other" if modifier else row["kind"]


def narrows(alias: str, name: str) -> bool:
    """Whether an alias holds a side, size or the like that the concept's name does not: denying it denies less."""
    words = [set(_normalise.normal_key(text).split()) for text in (alias, name)]
    return bool((words[0] - words[1]) & _normalise.QUALIFIERS)


def concepts(thorax: Iterable[Row], no_cui: Iterable[Row], replaced: frozenset[str]) -> list[tuple[str, ...]]:
    """Rows of ``concepts.tsv``, sorted by id."""
    rows = [(row["cui"], row["name"], kind_of(row), kept_sources(row["source"]), "") for row in thorax]
    rows += [
        (row["source_id"], row["name"], kind_of(row), "HP", "") for row in no_cui if row["source_id"] not in replaced
    ]
    return sorted(row for row in rows if row[3] and row[0] not in FOREIGN)


def synonyms(
    kinds: Mapping[str, str], named: Iterable[Row], aliases: Iterable[Row], no_cui: Iterable[Row]
) -> list[tuple[str, ...]]:
    """Rows of ``synonyms.tsv``, sorted; the concepts' own names are among them where the source lists them."""
    rows = {(r["cui"], r["synonym"], r["scope"], r["source"]) for r in named if r["source"] in OPEN}
    rows = {row for row in rows if (row[0], row[1].lower()) not in MISLEADING}
    for r in aliases:
        if kinds.get(r["cui"]) == "observation" and narrows(r["alias"], r["target_name"]):
            continue
        if scope := RESCOPED.get(r["alias"], r["scope"]):
            rows.add((r["cui"], r["alias"], scope, OURS))
    for r in no_cui:
        rows |= {(r["source_id"], name, "exact", "HP") for name in (r["name"], *r["synonyms"].split("|")) if name}
    # "bone sternum" is what the extraction left of "fractured bone sternum".
    rows = {row for row in rows if not (row[0].startswith("HP:") and row[1].startswith("bone "))}
    return sorted(row for row in rows if row[0] in kinds)


def build(ontology: Path, out: Path) -> tuple[int, int]:
    """Write both tables; returns how many concepts and how many names."""
    replaced = frozenset(r["same_as"] for name in HAND_WRITTEN for r in read(OUT / name) if r["same_as"])
    no_cui = read(ontology / "thorax_nocui.tsv")
    rows = concepts(read(ontology / "thorax.tsv"), no_cui, replaced)
    kinds = {row[0]: row[2] for row in rows}
    names = synonyms(kinds, read(ontology / "thorax_synonyms.tsv"), read(ontology / "radiology_aliases.tsv"), no_cui)
    return write(out / "concepts.tsv", CONCEPT_COLUMNS, rows), write(out / "synonyms.tsv", SYNONYM_COLUMNS, names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ontology", type=Path, help="folder with thorax.tsv and the others")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write to (default: schemas/concepts)")
    options = parser.parse_args()
    print("{} concepts, {} names".format(*build(options.ontology, options.out)))


if __name__ == "__main__":
    main()
