"""What a sentence says of its findings: the cues, how far they reach, and where they stop."""

from __future__ import annotations

import pytest

from kgbuild.extractors._rules.engine import Engine
from kgbuild.text import tokenize

ENGINE = Engine(memo=0)
MARK = {"present": "+", "uncertain": "?", "absent": "-"}


def said(text: str) -> str:
    """Observations in order, each with its mark."""
    entities, _ = ENGINE.annotate([token.text for token in tokenize(text)])
    return " ".join(MARK[e.presence.value] + e.text for e in entities if e.type.value == "Observation")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No effusion, pneumothorax or focal consolidation.", "-effusion -pneumothorax -focal -consolidation"),
        ("No pneumothorax, small left effusion.", "-pneumothorax +small +effusion"),
        ("No pneumothorax, right PICC in place.", "-pneumothorax +PICC"),
        ("No fracture, lungs are clear.", "-fracture +clear"),
        ("There is no effusion but mild edema.", "-effusion +mild +edema"),
        ("Neither edema nor effusion is present.", "-edema -effusion"),
        ("The lungs are free of edema.", "+free -edema"),
        ("The heart is not enlarged.", "-enlarged"),
        ("No rib is displaced.", "-displaced"),
        ("No development of effusion.", "-development -effusion"),
        ("There is no pneumothorax and the effusion is smaller.", "-pneumothorax +effusion +smaller"),
        ("No longer seen is the effusion.", "-effusion"),
        ("NO EFFUSION SEEN MILD ATELECTASIS", "-EFFUSION +MILD +ATELECTASIS"),
        ("No large effusion is seen, and a nodule is seen at the apex.", "-large -effusion +nodule"),
    ],
)
def test_denial_before(text: str, expected: str) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The effusion has resolved.", "-effusion +resolved"),
        ("Pneumothorax is not seen.", "-pneumothorax".replace("p", "P")),
        ("Edema, effusion and pneumothorax are all absent.", "-Edema -effusion -pneumothorax"),
        ("The effusion, small on ___, is no longer seen.", "-effusion -small"),
        ("The chest tube has been removed.", "-chest tube +removed"),
        ("A nodule, not seen on the prior film, is present.", "+nodule"),
        ("All tubes except the sheath have been removed.", "-tubes +sheath +removed"),
        ("Resolved edema.", "+Resolved -edema"),
        ("Edema rather than pneumonia.", "+Edema -pneumonia"),
    ],
)
def test_denial_after(text: str, expected: str) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No change in the moderate effusion.", "-change +moderate +effusion"),
        ("The effusion has not resolved.", "+effusion -resolved"),
        ("There is no resolution of the edema.", "+edema"),
        ("The base is not without atelectasis.", "+atelectasis"),
        ("The edema has partially resolved.", "+edema +resolved"),
        ("Not surprisingly, the effusion is larger.", "+effusion +larger"),
        ("No kinking of the catheter.", "-kinking +catheter"),
    ],
)
def test_denials_that_deny_something_else(text: str, expected: str) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Possible small effusion.", "?small ?effusion"),
        ("Opacities, likely atelectasis, although infection is not excluded.", "+Opacities ?atelectasis ?infection"),
        ("Pneumonia cannot be excluded.", "?Pneumonia"),
        ("Contusion versus aspiration.", "?Contusion ?aspiration"),
        ("Edema is favored over pneumonia.", "?Edema ?pneumonia"),
        ("Opacity suggesting pneumonia.", "+Opacity ?pneumonia"),
        ("Opacity consistent with pneumonia.", "+Opacity +pneumonia"),
        ("Opacity may represent scar or atelectasis.", "+Opacity ?scar ?atelectasis"),
        ("No opacity to suggest pneumonia.", "-opacity -pneumonia"),
        ("The differential includes edema, hemorrhage and infection.", "?edema ?hemorrhage ?infection"),
        ("Widening is likely due to technique.", "+Widening"),
        ("Fracture of uncertain age.", "+Fracture"),
        ("There is little if any effusion.", "?effusion"),
        ("Opacity is either scar or edema.", "+Opacity ?scar ?edema"),
        ("OPACITY, ? PNEUMONIA", "+OPACITY ?PNEUMONIA"),
        ("Opacity is unlikely to represent pneumonia.", "+Opacity ?pneumonia"),
        ("Opacity is favored to represent scar.", "+Opacity ?scar"),
        ("Unclear whether this is due to edema or scar.", "?edema ?scar"),
        ("It is unclear if the opacity represents scar.", "+opacity ?scar"),
        ("Without priors it is difficult to know if this is acute.", "?acute"),
        ("It is uncertain whether there is an effusion.", "?effusion"),
        ("Opacity likely represents a combination of effusion and scar.", "+Opacity ?effusion ?scar"),
        ("Cannot distinguish edema from pneumonia.", "?edema ?pneumonia"),
        ("A fold mimics pneumothorax.", "+fold ?pneumothorax"),
        ("Fractures may not be visible.", "?Fractures"),
    ],
)
def test_doubt(text: str, expected: str) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "CT is recommended to exclude a mass.",
        "If there is clinical concern for pneumonia, repeat the film.",
        "Evaluate for pneumothorax.",
        "The effusion cannot be assessed.",
    ],
)
def test_advice_claims_nothing(text: str) -> None:
    assert said(text) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Neither the effusion nor the opacity has changed.", "+effusion +opacity -changed"),
        ("Neither effusion has increased.", "+effusion -increased"),
        ("Neither the effusion nor the opacity is new.", "+effusion +opacity -new"),
        ("Neither effusion nor pneumothorax is present.", "-effusion -pneumothorax"),
    ],
)
def test_neither_has_changed_denies_the_change(text: str, expected: str) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Absence of pneumothorax cannot be confirmed.", "?pneumothorax"),
        ("Absence of pneumothorax is not certain.", "?pneumothorax"),
        ("The absence of effusion is confirmed.", "-effusion"),
        ("Resolution of the effusion cannot be confirmed.", "?effusion"),
    ],
)
def test_an_absence_that_is_doubted(text: str, expected: str) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The nodule is not identified on the lateral view.", "?nodule"),
        ("The nodule seen on the frontal view is not seen on the lateral view.", "?nodule"),
        ("No pneumothorax is identified on the lateral view.", "-pneumothorax"),
        ("The nodule is not identified.", "-nodule"),
    ],
)
def test_what_one_of_two_views_does_not_show_is_not_denied(text: str, expected: str) -> None:
    assert said(text) == expected


def test_run_on_reports_without_stops() -> None:
    text = (
        "lungs are hypoinflated there is left base atelectasis no consolidation no effusion clips right upper quadrant"
    )
    assert said(text) == "+hypoinflated +atelectasis -consolidation -effusion +clips"


def test_capitals_and_placeholders() -> None:
    assert said("AP CHEST COMPARED TO ___: NO EFFUSION, MILD EDEMA.") == "-EFFUSION +MILD +EDEMA"


def test_anatomy_is_always_present_and_rules_name_their_cue() -> None:
    entities, _ = ENGINE.annotate(["no", "pleural", "effusion"])
    assert [(e.text, e.presence.value, e.rule) for e in entities] == [
        ("pleural", "present", "lexicon:anatomy"),
        ("effusion", "absent", "lexicon:finding+negation:no"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A non calcified nodule.", "+non calcified +nodule"),
        ("No change calcified nodule.", "-change +calcified +nodule"),
        ("Rib deformity, otherwise negative exam.", "+deformity"),
        ("Scarring, otherwise negative for edema.", "+Scarring -edema"),
        ("The picc has been withdrawn and now terminates in the svc.", "+picc"),
        ("Effusion has decreased and edema has resolved.", "+Effusion +decreased -edema +resolved"),
        ("Rather than pneumonia, the opacity is scar.", "-pneumonia +opacity +scar"),
    ],
)
def test_a_denial_reaches_no_further_than_its_word(text: str, expected: str) -> None:
    assert said(text) == expected
