"""Who is located at, modified by, or the reason for whom: one test a construction."""

from __future__ import annotations

import pytest

from kgbuild.extractors._rules.engine import Engine
from kgbuild.text import tokenize

ENGINE = Engine(memo=0)
ARROW = {"located_at": ">", "modify": "~", "suggestive_of": "=>"}


def related(text: str) -> set[str]:
    """``effusion>pleural`` located at, ``mild~effusion`` modify, ``opacity=>pneumonia`` suggestive of."""
    entities, relations = ENGINE.annotate([token.text for token in tokenize(text.lower())])
    return {entities[r.source].text + ARROW[r.type.value] + entities[r.target].text for r in relations}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mild left pleural effusion", "mild~effusion left~pleural effusion>pleural"),
        ("left lung base opacity", "left~base lung~base opacity>base"),
        ("heart size is mildly enlarged", "size~heart mildly~enlarged enlarged>heart"),
        ("left costophrenic angle is blunted", "left~costophrenic angle~costophrenic blunted>costophrenic"),
        ("within normal limits", "within~normal limits~normal"),
        ("calcified right hilar node", "calcified~node right~hilar node>hilar"),
        ("basilar airspace disease", "disease>basilar disease>airspace"),
        ("5 mm nodule", "5 mm~nodule"),
        (
            "bilateral hilar and mediastinal adenopathy",
            "bilateral~hilar bilateral~mediastinal adenopathy>hilar adenopathy>mediastinal",
        ),
    ],
)
def test_inside_a_phrase(text: str, expected: str) -> None:
    assert related(text) == set(expected.replace("5 mm", "5_mm").split()) if "5 mm" not in text else {"5 mm~nodule"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the heart and aorta are normal", "normal>heart normal>aorta"),
        ("heart normal", "normal>heart"),
        ("the lungs are clear and expanded", "clear>lungs expanded>lungs"),
        ("the opacities are stable", "stable~opacities"),
        ("opacities at the base, unchanged", "opacities>base unchanged~opacities"),
        ("a hernia with fluid has enlarged", "enlarged~hernia"),
        ("bibasilar atelectasis, left greater than right", "atelectasis>bibasilar greater~atelectasis"),
        ("the heart is normal in size", "normal>heart size~heart"),
        ("normal size of the heart", "size~heart normal>heart"),
        ("lungs are clear bilaterally", "clear>lungs bilaterally~lungs"),
        ("effusions are small, right larger than left", "small~effusions larger~effusions"),
        ("hyperexpanded but clear lungs", "hyperexpanded>lungs clear>lungs"),
        ("stable, mild cardiomegaly", "stable~cardiomegaly mild~cardiomegaly"),
        ("unchanged appearance of the stent", "unchanged~stent"),
        ("cardiac silhouette and vasculature are normal", "silhouette~cardiac normal>cardiac normal>vasculature"),
    ],
)
def test_predicates(text: str, expected: str) -> None:
    assert related(text) == set(expected.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("edema in the lungs", "edema>lungs"),
        ("edema and hemorrhage in the left lung", "edema>lung hemorrhage>lung left~lung"),
        ("nodules in the right lung and left apex", "nodules>lung nodules>apex right~lung left~apex"),
        ("in the left lung there is edema", "left~lung edema>lung"),
        ("degenerative changes thoracic spine", "degenerative~changes changes>spine thoracic~spine"),
        ("the lungs show edema", "edema>lungs"),
        ("lungs are clear, without edema or effusion", "clear>lungs edema>lungs effusion>lungs"),
        ("shoulder: no fracture", "fracture>shoulder"),
        ("spurring of the lateral compartment of the knee", "spurring>knee lateral~compartment compartment~knee"),
        ("blunting of the costophrenic angle", "blunting>costophrenic blunting>angle angle~costophrenic"),
        ("no air below the diaphragm", "air>diaphragm below~diaphragm"),
        ("scoliosis and focal eventration of the diaphragm", "focal~eventration eventration>diaphragm"),
        ("nodule in the mid to lower lung", "nodule>lung mid~lung lower~lung"),
        ("pleural spaces are free of fluid", "free>pleural spaces~pleural fluid>pleural fluid>spaces"),
        ("shift of the trachea to the left", "shift>trachea shift>left"),
        ("a bullet in the softtissues of the left neck", "bullet>softtissues left~neck neck~softtissues"),
        ("stable left calcified hilar nodes", "stable~nodes calcified~nodes left~hilar nodes>hilar"),
        ("the heart has normal size", "normal>heart size~heart"),
        ("opacities in both upper lobes and the hilum", "opacities>lobes opacities>hilum both~lobes upper~lobes"),
        ("fractures of the fourth through sixth ribs", "fractures>ribs fourth~ribs sixth~ribs"),
        ("aorta is normal lungs are clear", "normal>aorta clear>lungs"),
        ("prominent cartilage of the ribs", "prominent>cartilage ribs~cartilage"),
        ("effusion seen on an abdominal ct", ""),
    ],
)
def test_places(text: str, expected: str) -> None:
    assert related(text) == set(expected.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("opacity suggesting pneumonia or edema", "opacity=>pneumonia opacity=>edema"),
        ("opacity, likely scar", "opacity=>scar"),
        ("opacity is likely scar", "opacity=>scar"),
        ("opacity, XXXX scar", "opacity=>scar"),
        ("scar due to surgery", "scar=>surgery"),
        ("changes post thoracotomy", "changes=>thoracotomy"),
        ("sequelae of surgery", "sequelae=>surgery"),
        ("infiltrate versus crowding", ""),
        ("there may be edema", ""),
        ("base opacity reflects scar", "opacity>base opacity=>scar scar>base"),
        ("base opacity, infection cannot be excluded", "opacity>base infection>base"),
        ("opacity at the base, although a mass cannot be excluded", "opacity>base mass>base"),
        (
            "opacities in the lungs, with collapse on the left, this may be edema",
            "opacities>lungs collapse>left collapse>lungs opacities=>edema edema>lungs",
        ),
        ("the opacity is favored to represent scar", "opacity=>scar"),
        ("unclear if the opacity represents scar or edema", "opacity=>scar opacity=>edema"),
        ("scarring from prior surgery", "scarring=>surgery prior~surgery"),
        ("fractures, improved from prior", "improved~fractures"),
        (
            "opacity suggesting scar, and stable mild cardiomegaly",
            "opacity=>scar stable~cardiomegaly mild~cardiomegaly",
        ),
        ("hyperinflated lungs suggesting copd", "hyperinflated>lungs hyperinflated=>copd"),
        ("opacity with bronchograms, suggesting pneumonia", "opacity=>pneumonia"),
        ("no opacity to suggest pneumonia", "opacity=>pneumonia"),
    ],
)
def test_reasons(text: str, expected: str) -> None:
    assert related(text) == set(expected.split())


def test_devices_and_their_tips() -> None:
    assert related("et tube tip is 4 cm above the carina") == {
        "et tube>carina", "tip~et tube", "4 cm~tip", "above~carina",
    }  # fmt: skip
    assert related("a left picc with its tip in the svc") == {"picc>left", "picc>svc", "tip~picc"}
    assert related("ap chest compared to ___: et tube in the trachea") == {"et tube>trachea"}


def test_changes_and_outcomes() -> None:
    assert related("no change in the effusion") == {"change~effusion"}
    assert related("interval placement of a drain") == {"interval~placement", "placement~drain"}
    assert related("edema has increased slightly") == {"increased~edema", "slightly~increased"}
    assert related("interval removal of the drain") == {"interval~removal", "removal~drain"}
    assert related("stable position of the lines and tubes") == {"stable~position", "position~lines", "position~tubes"}
    assert related("drain in standard position") == {"standard~position", "position~drain"}


def test_relations_stay_inside_a_sentence_and_a_section() -> None:
    assert related("edema. the lungs") == set()
    tokens = ["edema", "in", "the", "lungs"]
    assert ENGINE.annotate(tokens, frozenset({1}))[1] == ()


def test_every_relation_names_its_rule() -> None:
    entities, relations = ENGINE.annotate(["mild", "edema", "in", "the", "lungs", "suggesting", "failure"])
    rules = {"modify:phrase", "located_at:prep", "suggestive_of:cue", "located_at:inferred"}
    assert {r.rule for r in relations} == rules
    assert [e.text for e in entities] == ["mild", "edema", "lungs", "failure"]
