"""The lexicon's files and the tables made from them."""

from __future__ import annotations

from kgbuild.extractors._rules import lexicon
from kgbuild.extractors._rules.lexicon import KINDS, build, parse, plurals


def test_parse_reads_blocks_and_leaves_comments_out() -> None:
    text = "# words\n[organ]\n# nouns\nheart, left lung,\n\n[neg]\nno evidence of, r / o\n"
    assert list(parse(text)) == [
        ("organ", "heart"),
        ("organ", "left lung"),
        ("neg", "no evidence of"),
        ("neg", "r / o"),
    ]


def test_plurals_are_regular_and_only_of_singulars() -> None:
    words = ("effusion", "opacity", "arch", "x-ray", "lungs", "pneumothorax", "5")
    assert [list(plurals(word)) for word in words] == [["effusions"], ["opacities"], ["arches"], ["x-rays"], [], [], []]


def test_build_makes_single_and_longer_entries_plurals_and_double_classes() -> None:
    made = build(
        [
            ("function.txt", "neg", "absent"),
            ("function.txt", "negpost", "absent"),
            ("function.txt", "neg", "no evidence of"),
            ("function.txt", "neg", "no evidence"),
            ("anatomy.txt", "organ", "lung"),
            ("device.txt", "device", "chest tube"),
            ("suffix.txt", "finding", "itis"),
            ("traits.txt", "size", "small"),
        ]
    )
    assert made.singles == {"absent": "neg2", "lung": "A", "lungs": "A"}
    assert made.multis == {
        "no": {"evidence": [(("no", "evidence", "of"), "neg"), (("no", "evidence"), "neg")]},
        "chest": {"tube": [(("chest", "tube"), "E")], "tubes": [(("chest", "tubes"), "E")]},
    }
    assert made.suffixes == [("itis", "O")]
    assert made.traits == {"size": frozenset({"small"})}


def test_the_shipped_lexicon_knows_the_everyday_words() -> None:
    shipped = lexicon.load()
    words = ("lungs", "pleural", "silhouette", "bilateral", "effusion", "mild", "clear", "unchanged", "mildly", "picc")
    assert "".join(shipped.singles[word] for word in words) == "AJGSOMQKDE"
    assert len(shipped.singles) > 2000


def test_every_class_of_the_shipped_files_is_used() -> None:
    known = set(KINDS) | {"skip", "seenadj", "count", "prior", "prep", "with", "from", "be", "seen", "show", "andor"}
    known |= {"break", "neg", "negclear", "negpost", "negpostnot", "versus", "hedge", "hedgepost", "suggest"}
    known |= {"suggesthedge", "advice", "impossible", "pseudo"}
    names = {
        name for file, text in lexicon._sources() if file not in ("traits.txt", "suffix.txt") for name, _ in parse(text)
    }
    assert names <= known


def test_digest_is_stable_within_a_process() -> None:
    assert lexicon.digest() == lexicon.digest()
    assert len(lexicon.digest()) == 32
