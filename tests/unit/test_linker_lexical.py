"""The lexical linker: on made-up bases, on the shipped one, and against the judged mentions where the data pack is."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from kgbuild import plugins
from kgbuild.domain import Link, Mention
from kgbuild.errors import ColumnMissing, FileMissing, UsageError
from kgbuild.labels import EntityType
from kgbuild.linkers import _base_tsv, _normalise
from kgbuild.linkers.base import Linker
from kgbuild.linkers.lexical import LexicalLinker

ANATOMY, OBSERVATION = EntityType.ANATOMY, EntityType.OBSERVATION
CONCEPTS = """id\tname\tkind\tsource\tsemantic_types
X1\tWet lung\tobservation\tHP\tT1|T2
X2\twet lung\tobservation\tMONDO\t
X3\tlung\tanatomy\tUBERON\t
X4\tTrichosyndrome\tobservation\tMONDO\t
X5\tsmall\tother\tHP\t
X6\tspot\tobservation\tDOID\t
"""
SYNONYMS = """id\tsynonym\tscope\tsource
X4\tTHE\texact\tDOID
X3\tlung markings\trelated\tUBERON
X2\tlung\texact\tMONDO
X6\tmarkings\tbroad\tDOID
X1\tmarkings\texact\tMONDO
X2\twet lung\trelated\tMONDO
"""
HAND = """id\tname\tkind\texact\tbroad
X3\tthe lung\t\tairy organ\t
KGB:tube\ttube\tdevice\ttubes|hose\tline
"""


def make_base(folder: Path, *, concepts: str = CONCEPTS, synonyms: str = SYNONYMS, hand: str | None = HAND) -> Path:
    (folder / "concepts.tsv").write_text(concepts, encoding="utf-8")
    (folder / "synonyms.tsv").write_text(synonyms, encoding="utf-8")
    if hand is not None:
        (folder / "own.tsv").write_text(hand, encoding="utf-8")
    return folder


@pytest.fixture
def made_up(tmp_path: Path) -> LexicalLinker:
    return LexicalLinker(make_base(tmp_path))


@pytest.fixture(scope="module")
def shipped() -> LexicalLinker:
    return LexicalLinker()


def one(linker: LexicalLinker, text: str, type_: EntityType = OBSERVATION) -> Link | None:
    return next(iter(linker.link([Mention("s:0-1", text, type_)])), None)


def linked(linker: LexicalLinker, text: str, type_: EntityType = OBSERVATION) -> str | None:
    link = one(linker, text, type_)
    return link.concept_id if link else None


# -- normalising ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("effusion, pleural", "pleural effusions"),
        ("Air - space disease", "air-space diseases"),
        ("apex of the lung", "lung apices"),
        ("pneumothoraces", "pneumothorax"),
        ("oedema", "edema"),
        ("rib metastases", "metastasis to the ribs"),
        ("bronchiectases", "bronchiectasis"),
        ("opacities", "opacity"),
    ],
)
def test_spellings_of_one_name_have_one_key(left: str, right: str) -> None:
    assert _normalise.normal_key(left) == _normalise.normal_key(right)


@pytest.mark.parametrize(
    ("left", "right"), [("left lung", "right lung"), ("no effusion", "effusion"), ("mass", "mas"), ("thymus", "thymu")]
)
def test_different_names_keep_different_keys(left: str, right: str) -> None:
    assert _normalise.normal_key(left) != _normalise.normal_key(right)


def test_exact_form_forgives_case_and_the_spaces_of_tokens() -> None:
    assert _normalise.exact_form("T - Spine") == "t-spine"
    assert _normalise.exact_form("catheters , indwelling") == "catheters, indwelling"


@pytest.mark.parametrize(("text", "acronym"), [("ETT", "ETT"), ("PICCs", "PICC"), ("the", None), ("EFFUSION", None)])
def test_acronyms_are_two_to_five_capitals(text: str, acronym: str | None) -> None:
    assert _normalise.acronym(text) == acronym


# -- made-up base -----------------------------------------------------------------------------------------------------


def test_exact_before_normalised_and_the_score_says_which(made_up: LexicalLinker) -> None:
    assert one(made_up, "Wet lung") == Link("s:0-1", "X1", 1.0, "exact")
    assert one(made_up, "lungs, wet") == Link("s:0-1", "X1", 0.95, "normalised")


def test_closest_scope_wins_then_source(made_up: LexicalLinker) -> None:
    assert linked(made_up, "markings") == "X1"  # exact MONDO before broad DOID
    assert linked(made_up, "wet lung") == "X1"  # HP before MONDO


def test_type_bars_concepts_before_ranking(made_up: LexicalLinker) -> None:
    assert linked(made_up, "lung", ANATOMY) == "X3"
    assert linked(made_up, "lung", OBSERVATION) == "X2"
    assert linked(made_up, "spot", ANATOMY) is None


def test_acronym_matches_only_in_capitals(made_up: LexicalLinker) -> None:
    assert linked(made_up, "THE") == "X4"
    assert linked(made_up, "the") is None
    assert linked(made_up, "LUNG", ANATOMY) == "X3"  # a report in capitals is no list of acronyms


def test_longest_reading_that_links_wins_and_covers_the_rest(made_up: LexicalLinker) -> None:
    phrases = (("big wet lung", ("s:0-1", "s:1-2")), ("wet lung", ("s:1-2",)))
    mention = Mention("s:2-3", "markings", OBSERVATION, phrases)
    assert list(made_up.link([mention])) == [Link("s:2-3", "X1", 1.0, "exact-phrase", ("s:1-2",))]
    unread = Mention("s:2-3", "markings", OBSERVATION, (("odd markings", ("s:1-2",)),))
    assert list(made_up.link([unread])) == [Link("s:2-3", "X1", 1.0, "exact")]


def test_qualifiers_are_stripped_from_the_mention_only_and_never_reach_kind_other(made_up: LexicalLinker) -> None:
    assert one(made_up, "tiny spots") == Link("s:0-1", "X6", 0.9, "stripped")
    assert one(made_up, "small") == Link("s:0-1", "X5", 1.0, "exact")
    assert one(made_up, "left small") is None
    mention = Mention("s:2-3", "xyz", OBSERVATION, (("tiny spot", ("s:1-2",)),))
    assert list(made_up.link([mention])) == []


def test_hand_written_rows_rename_add_names_and_add_concepts(made_up: LexicalLinker) -> None:
    lung, tube = made_up.concept("X3"), made_up.concept("KGB:tube")
    assert (lung.name, lung.kind, lung.source) == ("the lung", "anatomy", "UBERON")
    assert linked(made_up, "airy organs", ANATOMY) == "X3"
    assert (tube.kind, tube.source) == ("device", "KGBUILD")
    assert one(made_up, "line") == Link("s:0-1", "KGB:tube", 0.9, "exact")
    assert made_up.concept("X1").semantic_types == ("T1", "T2")


def test_nothing_fits_nothing_is_linked_and_order_is_kept(made_up: LexicalLinker) -> None:
    mentions = [Mention(str(n), text, OBSERVATION) for n, text in enumerate(["spot", "", "of the", "zzz", "hose"])]
    assert [link.mention_id for link in made_up.link(iter(mentions))] == ["0", "4"]


def test_fingerprint_follows_the_base(tmp_path: Path) -> None:
    first = LexicalLinker(make_base(tmp_path)).fingerprint()
    assert LexicalLinker(tmp_path).fingerprint() == first
    make_base(tmp_path, hand=HAND.replace("hose", "pipe"))
    assert LexicalLinker(tmp_path).fingerprint() != first


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"concepts": CONCEPTS.replace("kind", "sort")}, ColumnMissing, "kind"),
        ({"concepts": CONCEPTS.replace("anatomy", "organ")}, UsageError, "organ"),
        ({"concepts": CONCEPTS.replace("X2", "X1")}, UsageError, "twice"),
        ({"synonyms": SYNONYMS.replace("X6", "X9")}, UsageError, "X9"),
        ({"synonyms": SYNONYMS.replace("broad", "wide")}, UsageError, "wide"),
        ({"synonyms": SYNONYMS + "X1\tshort\n"}, ColumnMissing, "synonyms.tsv:8"),
        ({"hand": HAND.replace("device", "")}, UsageError, "kind"),
    ],
)
def test_a_base_that_cannot_be_read_says_why(
    tmp_path: Path, changed: dict[str, str], error: type[Exception], words: str
) -> None:
    make_base(tmp_path, **changed)
    with pytest.raises(error) as caught:
        LexicalLinker(tmp_path)
    assert words in str(caught.value)


def test_absent_base_and_unknown_options(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match=r"concepts\.tsv"):
        LexicalLinker(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="top_k"):
        LexicalLinker(top_k="3")


def test_a_name_that_the_synonyms_call_related_is_not_exact(tmp_path: Path) -> None:
    base = _base_tsv.load(make_base(tmp_path))
    assert _base_tsv.Name("X2", "wet lung", "related", "MONDO") in base.names[: len(base.concepts)]


# -- shipped base -----------------------------------------------------------------------------------------------------


def test_it_is_a_plug_in_that_keeps_the_protocol() -> None:
    linker: Linker = plugins.find("linkers", "lexical")()
    assert linker.name == "lexical"
    with pytest.raises(KeyError):
        linker.concept("C9999999")


@pytest.mark.parametrize(
    ("text", "type_", "concept_id"),
    [
        ("pneumothorax", OBSERVATION, "C0032326"),
        ("pleural effusion", OBSERVATION, "C0032227"),
        ("effusion", OBSERVATION, "C0032227"),
        ("Effusions", OBSERVATION, "C0032227"),
        ("cardiomegaly", OBSERVATION, "C0018800"),
        ("pneumonia", OBSERVATION, "C0032285"),
        ("edema", OBSERVATION, "C0013604"),
        ("pulmonary edema", OBSERVATION, "C0034063"),
        ("lungs", ANATOMY, "C0024109"),
        ("heart", ANATOMY, "C0018787"),
        ("nipple shadow", OBSERVATION, "KGB:nipple_shadow"),
        ("cardiopulmonary disease", OBSERVATION, "KGB:cardiopulmonary_disease"),
    ],
)
def test_the_commonest_words_link_where_they_should(
    shipped: LexicalLinker, text: str, type_: EntityType, concept_id: str
) -> None:
    assert linked(shipped, text, type_) == concept_id


def test_stop_words_and_confusions_do_not_link(shipped: LexicalLinker) -> None:
    for text in ("the", "all", "and", "of", "is", "there", "no", "without", "or"):
        assert linked(shipped, text) is None, text
    assert shipped.concept(linked(shipped, "effusion") or "").name == "Pleural effusion"


# -- judged mentions --------------------------------------------------------------------------------------------------

# Ids that the judge of ``eval_mentions.tsv`` could not know: kgbuild's own, or HPO's where he had PADCHEST's.
RIGHT_TOO = {
    "bronchovascular crowding": "KGB:bronchovascular_crowding",
    "cicatrix": "C0008767",
    "colonic interposition": "C3178780",
    "contrast media": "KGB:contrast_material",
    "implanted medical device": "KGB:medical_device",
    "low lung volumes": "KGB:low_lung_volumes",
    "lucency": "KGB:lucency",
    "medical device": "KGB:medical_device",
    "picc": "KGB:picc",
    "spinal fusion": "KGB:spinal_fusion",
    "stents": "KGB:stent",
    "surgical clips": "KGB:surgical_clip",
    "volume loss": "KGB:volume_loss",
}


@pytest.mark.real
def test_judged_mentions(shipped: LexicalLinker, real_data: Path) -> None:
    def read(name: str) -> list[dict[str, str]]:
        with (real_data / "ontology" / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))

    kinds = {row["cui"]: row["kind"] for row in read("thorax.tsv")}
    counts = {"correct": 0, "own": 0, "acceptable": 0, "wrong": 0, "none": 0}
    for row in read("eval_mentions.tsv"):
        correct, acceptable = row["correct"].split("|"), row["acceptable"].split("|")
        anatomy = any(kinds.get(cui) == "anatomy" for cui in (*correct, *acceptable))
        found = linked(shipped, row["mention"], ANATOMY if anatomy else OBSERVATION)
        verdict = (
            "none"
            if found is None
            else "correct"
            if found in correct
            else "acceptable"
            if found in acceptable
            else "own"
            if RIGHT_TOO.get(row["mention"]) == found
            else "wrong"
        )
        counts[verdict] += 1
        assert verdict != "wrong", f"{row['mention']} -> {found}"
    good = counts["correct"] + counts["acceptable"]
    assert counts["correct"] >= 154
    assert good >= 185
    assert good / (good + counts["own"]) >= 0.93  # by the judge's own CUIs alone
