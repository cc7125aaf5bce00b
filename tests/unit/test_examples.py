"""The shipped data set: complete, read with exact offsets, and with gold that fits its text."""

from __future__ import annotations

import csv
import datetime as dt
import json
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Picture

from kgbuild import plugins
from kgbuild.datasets.examples import Examples
from kgbuild.domain import Failure, Study
from kgbuild.errors import ColumnMissing, FileMissing, RootMissing, UsageError
from kgbuild.labels import EntityType, Presence, parse_label
from kgbuild.text import study_tokens, tokenize

FOLDER = Path(__file__).parents[2] / "schemas" / "examples"
GOLD: dict[str, dict[str, Any]] = json.loads((FOLDER / "gold.json").read_text(encoding="utf-8"))


def read_all(data: Examples) -> list[Study]:
    found = list(data.studies())
    assert not [study for study in found if isinstance(study, Failure)]
    return [study for study in found if isinstance(study, Study)]


@pytest.fixture(scope="module")
def studies() -> list[Study]:
    return read_all(Examples())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "copy"))


def test_is_found_by_name() -> None:
    assert plugins.find("datasets", "examples") is Examples


def test_listing() -> None:
    listing = Examples().listing()
    assert len(listing.studies) == 48
    assert len({ref.patient_id for ref in listing.studies}) == 14
    assert Counter(ref.split for ref in listing.studies) == {"train": 38, "validate": 5, "test": 5}
    assert listing.failures == ()
    assert listing.counts == {"images listed": 73, "images listed but absent": 0, "studies without images": 2}


def test_a_study_whole(studies: list[Study]) -> None:
    study = studies[0]
    assert (study.id, study.patient_id, study.dataset) == ("examples:ex001", "examples:p01", "examples")
    assert (study.date, study.split) == (dt.date(2151, 2, 11), "train")
    assert study.report is not None
    assert study.report.path == "reports/ex001.txt"
    assert [section.name for section in study.report.sections] == [
        "examination",
        "indication",
        "comparison",
        "findings",
        "impression",
    ]
    assert [(image.id, image.view, image.path, image.rows) for image in study.images] == [
        ("ex001-pa", "PA", "images/ex001-pa.png", 128),
        ("ex001-lateral", "LATERAL", "images/ex001-lateral.png", 128),
    ]


def test_every_token_and_section_slices_back(studies: list[Study]) -> None:
    for study in studies:
        assert study.report is not None
        assert study.report.path is not None
        raw = (FOLDER / study.report.path).read_text(encoding="utf-8")
        for section in study.report.sections:
            assert raw[section.offset : section.offset + len(section.text)] == section.text
        for token in study_tokens(study.report):
            assert raw[token.char_start : token.char_end] == token.text, study.id


def test_reports_have_mimics_shape() -> None:
    for path in sorted((FOLDER / "reports").iterdir()):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert " " * 33 + "FINAL REPORT" in lines, path.name
        assert all(line.startswith(" ") and len(line) <= 76 for line in lines), path.name


def test_texts_with_and_without_sections(studies: list[Study]) -> None:
    names = {study.id[-5:]: [s.name for s in study.report.sections] for study in studies if study.report}
    assert "impression" not in names["ex031"]
    assert "findings" not in names["ex015"]
    assert names["ex047"] == ["examination", "indication", "comparison"]
    assert names["ex048"] == ["examination", "last_paragraph"]
    assert names["ex041"][0] == "wet read"
    assert [study.id for study in studies if not study_tokens(study.report)] == ["examples:ex047"]


def test_dates_rise_within_a_patient(studies: list[Study]) -> None:
    dates = defaultdict(list)
    for study in studies:
        assert study.date is not None
        dates[study.patient_id].append(study.date)
    assert all(found == sorted(set(found)) for found in dates.values())
    assert sum(len(found) >= 3 for found in dates.values()) == 11
    assert sum(len(found) == 1 for found in dates.values()) == 2
    assert len({(study.patient_id, study.split) for study in studies}) == 14  # a patient is in one split


def test_images_are_there_and_small(studies: list[Study]) -> None:
    paths = [FOLDER / image.path for study in studies for image in study.images if image.path]
    assert sorted(paths) == sorted((FOLDER / "images").iterdir())
    assert sum(path.stat().st_size for path in paths) < 400 * 1024
    for path in paths:
        with Picture.open(path) as picture:
            assert (picture.size, picture.mode) == ((128, 128), "L")


def test_gold_holds_every_study_with_its_text(studies: list[Study]) -> None:
    assert list(GOLD) == [study.id for study in studies]
    for study in studies:
        gold = GOLD[study.id]
        assert gold["text"] == " ".join(token.text for token in study_tokens(study.report))
        assert (gold["data_source"], gold["data_split"]) == ("examples", study.split)
    assert [key for key, gold in GOLD.items() if not gold["entities"]] == ["examples:ex047"]


@pytest.mark.parametrize("key", GOLD)
def test_gold_spans(key: str) -> None:
    words, entities = GOLD[key]["text"].split(), GOLD[key]["entities"]
    assert list(entities) == [str(i + 1) for i in range(len(entities))]
    last = -1
    for entity in entities.values():
        assert entity["start_ix"] > last, "in order of start, none overlapping"
        last = entity["end_ix"]
        assert " ".join(words[entity["start_ix"] : last + 1]) == entity["tokens"]
        label = parse_label(entity["label"])
        assert label.type is EntityType.OBSERVATION or label.presence is Presence.PRESENT


@pytest.mark.parametrize("key", GOLD)
def test_gold_relations(key: str) -> None:
    words, entities = GOLD[key]["text"].split(), GOLD[key]["entities"]
    anatomy, observation = EntityType.ANATOMY, EntityType.OBSERVATION
    allowed = {
        "located_at": {(observation, anatomy)},
        "modify": {(anatomy, anatomy), (observation, observation)},
        "suggestive_of": {(observation, observation)},
    }
    for id_, entity in entities.items():
        targets = [target for _, target in entity["relations"]]
        assert len(targets) == len(set(targets)), "a pair has one relation"
        for kind, target in entity["relations"]:
            assert target != id_
            other = entities[target]
            ends = (parse_label(entity["label"]).type, parse_label(other["label"]).type)
            assert ends in allowed[kind], (entity["tokens"], kind, other["tokens"])
            between = sorted((entity["end_ix"], other["start_ix"], entity["start_ix"], other["end_ix"]))
            stops = [i for i in range(between[0], between[-1]) if words[i] == "." and not words[i - 1].isdecimal()]
            assert not stops, (entity["tokens"], kind, other["tokens"])


def test_gold_covers_every_label_and_relation() -> None:
    entities = [entity for gold in GOLD.values() for entity in gold["entities"].values()]
    labels = Counter(entity["label"] for entity in entities)
    relations = Counter(kind for entity in entities for kind, _ in entity["relations"])
    assert labels == {"ANAT-DP": 414, "OBS-DP": 380, "OBS-DA": 110, "OBS-U": 54}
    assert relations == {"modify": 425, "located_at": 232, "suggestive_of": 28}
    measured = {entity["tokens"] for entity in entities if entity["tokens"][0].isdecimal()}
    assert {"4 . 2 cm", "8 mm", "14 mm", "3 cm"} <= measured


def test_chosen_ids_in_their_order_and_an_unknown_one() -> None:
    found = list(Examples().studies(["examples:ex009", "examples:ex999", "examples:ex002"]))
    assert [study.id for study in found if isinstance(study, Study)] == ["examples:ex009", "examples:ex002"]
    assert found[1] == Failure("examples:ex999", "read", "no such study in this data set", "studies.csv")


def test_check_reports_every_file() -> None:
    checks = {check.path: check for check in Examples().check()}
    assert {path: (check.found, check.present) for path, check in checks.items()} == {
        "studies.csv": (48, True),
        "images.csv": (73, True),
        "reports/": (48, True),
        "images/": (73, True),
        "gold.json": (None, True),
    }
    assert not any("skipped" in check.note for check in checks.values())


def test_fingerprint_follows_content_not_place(copy: Path) -> None:
    shipped = Examples().fingerprint()
    assert Examples(copy).fingerprint() == shipped
    report = copy / "reports" / "ex002.txt"
    report.write_text(report.read_text() + " More.\n")
    changed = Examples(copy).fingerprint()
    assert changed != shipped
    (copy / "images" / "ex002-pa.png").unlink()
    assert Examples(copy).fingerprint() not in (shipped, changed)


def test_a_root_without_images(copy: Path, tmp_path: Path) -> None:
    (copy / "images").rename(tmp_path / "elsewhere")
    bare = Examples(copy)
    assert bare.listing().counts["images listed but absent"] == 73
    assert all(image.path is None for study in read_all(bare) for image in study.images)
    assert Examples(copy, tmp_path / "elsewhere").listing().counts["images listed but absent"] == 0


def test_bad_rows_and_reports_are_failures(copy: Path) -> None:
    with (copy / "studies.csv").open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(
            [
                ["ex001", "p01", "2151-02-11", "train", "reports/ex001.txt"],
                ["ex100", "p01", "11.2.2151", "train", "reports/ex001.txt"],
                ["", "p01"],
                ["ex101", "", "", "", "reports/ex101.txt"],
                ["ex102"],
            ]
        )
    with (copy / "images.csv").open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["x-pa", "ex777"], ["y-pa", "ex001", "PA", "", "many", "1"]])
    (copy / "reports" / "ex003.txt").write_bytes(b" FINDINGS: \xff\n")
    data = Examples(copy)
    assert data.listing().failures == (
        Failure("examples:ex001", "read", "the study is listed twice", "studies.csv:50"),
        Failure("examples:ex100", "read", "the date is not YYYY-MM-DD", "studies.csv:51"),
        Failure("studies.csv", "read", "the row has no study_id", "studies.csv:52"),
        Failure("examples:ex777", "read", "no such study", "images.csv:75"),
        Failure("examples:ex001", "read", "the image has no id, or its size is not a number", "images.csv:76"),
    )
    assert list(data.studies(["examples:ex003", "examples:ex101"])) == [
        Failure("examples:ex003", "read", "the report is not UTF-8 at byte 11", "reports/ex003.txt"),
        Failure("examples:ex101", "read", "the report file is absent", "reports/ex101.txt"),
    ]
    assert list(data.studies(["examples:ex102"])) == [Study("examples:ex102", "examples")]
    assert [check.note for check in data.check()][:2] == ["3 rows skipped", "2 rows skipped"]


def test_what_is_not_this_data_set(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(RootMissing):
        Examples(tmp_path / "nowhere")
    with pytest.raises(FileMissing):
        Examples(tmp_path)
    with pytest.raises(FileMissing):
        Examples(copy, tmp_path / "nowhere")
    with pytest.raises(UsageError):
        Examples(form="csv")
    (copy / "studies.csv").write_text("study_id,patient_id\n")
    with pytest.raises(ColumnMissing, match="date, split, report"):
        Examples(copy).listing()


def test_tokens_of_a_measurement() -> None:
    assert [token.text for token in tokenize("4.2 cm")] == ["4", ".", "2", "cm"]
