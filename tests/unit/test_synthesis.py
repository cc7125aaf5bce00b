"""The synthetic MIMIC-CXR: same bytes twice, exact layout, gold that fits the text, labels that fit the gold."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from kgbuild.cli import app
from kgbuild.domain import Annotation, Report
from kgbuild.errors import KgbuildError, UsageError
from kgbuild.notation import from_radgraph, read_radgraph, to_radgraph
from kgbuild.sections import split_sections
from kgbuild.synthesis import make_mimic, plan
from kgbuild.synthesis.phrases import Banks, Choice, Given, Template, shipped
from kgbuild.synthesis.speech import Lists, Speaker
from kgbuild.text import study_tokens

STUDIES = 1000
HEADS = {
    "cxr-study-list.csv.gz": "subject_id,study_id,path",
    "cxr-record-list.csv.gz": "subject_id,study_id,dicom_id,path",
    "mimic-cxr-2.0.0-metadata.csv.gz": (
        "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,"
        "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning"
    ),
    "mimic-cxr-2.0.0-split.csv.gz": "dicom_id,study_id,subject_id,split",
    "mimic-cxr-2.0.0-chexpert.csv.gz": (
        "subject_id,study_id,Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,"
        "Lung Lesion,Lung Opacity,No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices"
    ),
    "mimic-cxr-2.0.0-negbio.csv.gz": (
        "subject_id,study_id,Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,"
        "Lung Lesion,Lung Opacity,No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices"
    ),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made")
    make_mimic(out / "set", STUDIES, 7, gold=out / "gold.json")
    return out


def rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_gold(made: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((made / "gold.json").read_text(encoding="utf-8"))
    return loaded


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_mimic(tmp_path / name, 40, seed, gold=tmp_path / f"{name}.json")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.json").read_bytes() != (tmp_path / "c.json").read_bytes()


def test_a_small_set_is_the_beginning_of_a_large_one_and_gold_changes_nothing(tmp_path: Path) -> None:
    make_mimic(tmp_path / "small", 40, 3)
    make_mimic(tmp_path / "large", 80, 3, gold=tmp_path / "gold.json")
    small = {name: text for name, text in contents(tmp_path / "small").items() if name.endswith(".txt")}
    large = contents(tmp_path / "large")
    assert len(small) == 40
    assert {name for name, text in small.items() if large.get(name) != text} == set()


def test_layout_and_headers(made: Path) -> None:
    out = made / "set"
    for name, head in HEADS.items():
        data = (out / name).read_bytes()
        assert data[4:8] == b"\0\0\0\0", "gzip keeps no time"
        assert gzip.decompress(data).decode().splitlines()[0] == head
    studies = rows(out / "cxr-study-list.csv.gz")
    assert len(studies) == STUDIES == len({row["study_id"] for row in studies})
    for row in studies:
        subject, study = row["subject_id"], row["study_id"]
        assert re.fullmatch(r"1\d{7}", subject)
        assert re.fullmatch(r"5\d{7}", study)
        assert row["path"] == f"files/p{subject[:2]}/p{subject}/s{study}.txt"
    on_disk = {str(path.relative_to(out)) for path in (out / "files").rglob("*.txt")}
    assert on_disk == {row["path"] for row in studies}
    assert studies == sorted(studies, key=lambda row: (row["subject_id"], row["study_id"]))
    assert [row["study_id"] for row in studies] != sorted(row["study_id"] for row in studies)


def test_tables_agree_with_one_another(made: Path) -> None:
    out = made / "set"
    records = rows(out / "cxr-record-list.csv.gz")
    metadata = rows(out / "mimic-cxr-2.0.0-metadata.csv.gz")
    split = rows(out / "mimic-cxr-2.0.0-split.csv.gz")
    images = [(row["subject_id"], row["study_id"], row["dicom_id"]) for row in records]
    assert len(set(images)) == len(images)
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}", dicom) for _, _, dicom in images)
    assert images == [(row["subject_id"], row["study_id"], row["dicom_id"]) for row in metadata]
    assert images == [(row["subject_id"], row["study_id"], row["dicom_id"]) for row in split]
    assert {row["ViewPosition"] for row in metadata} == {"PA", "LATERAL", "AP", ""}
    assert all(re.fullmatch(r"2[12]\d{6}", row["StudyDate"]) for row in metadata)
    by_patient: dict[str, set[str]] = {}
    for row in split:
        by_patient.setdefault(row["subject_id"], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in by_patient.values())
    assert {name for splits in by_patient.values() for name in splits} == {"train", "validate", "test"}


def test_reports_have_the_shape_of_the_originals(made: Path) -> None:
    out = made / "set"
    shapes: Counter[str] = Counter()
    for row in rows(out / "cxr-study-list.csv.gz"):
        text = (out / row["path"]).read_text(encoding="utf-8")
        at = text.index(" " * 33 + "FINAL REPORT\n")
        lines = text[at:].split("\n")
        assert lines[-1] == ""
        assert all(line.startswith(" ") for line in lines[:-1])
        assert max(map(len, lines)) <= 76
        names = {section.name for section in split_sections(text)}
        shapes["".join(name[0] for name in ("findings", "impression", "last_paragraph") if name in names)] += 1
        shapes["wet read"] += "wet read" in names
        shapes["addendum"] += "addendum" in names
    assert set(shapes) == {"fi", "f", "i", "l", "wet read", "addendum"}
    assert 0.09 < shapes["f"] / STUDIES < 0.16
    assert 0.03 < shapes["l"] / STUDIES < 0.07


def test_gold_fits_the_text_that_the_section_parser_gives(made: Path) -> None:
    gold = read_gold(made)
    studies = rows(made / "set" / "cxr-study-list.csv.gz")
    assert list(gold) == sorted(f"s{row['study_id']}" for row in studies)
    for row in studies:
        text = (made / "set" / row["path"]).read_text(encoding="utf-8")
        tokens = [token.text for token in study_tokens(Report(split_sections(text)))]
        entry = gold[f"s{row['study_id']}"]
        assert entry["text"] == " ".join(tokens)
        for entity in entry["entities"].values():
            assert entity["tokens"] == " ".join(tokens[entity["start_ix"] : entity["end_ix"] + 1])


def test_gold_is_what_an_export_would_write(made: Path) -> None:
    for _, annotation in read_radgraph(made / "gold.json"):
        assert isinstance(annotation, Annotation)
    gold = read_gold(made)
    for study, entry in gold.items():
        assert to_radgraph(from_radgraph(study, entry)) == entry
    lines = [f"{json.dumps(study)}: {json.dumps(entry)}" for study, entry in gold.items()]
    assert (made / "gold.json").read_text(encoding="utf-8") == "{\n" + ",\n".join(lines) + "\n}\n"


def test_gold_keeps_the_rules_of_the_annotation_guide(made: Path) -> None:
    labels: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for entry in read_gold(made).values():
        stops = [i for i, token in enumerate(entry["text"].split(" ")) if token == "."]
        for entity in entry["entities"].values():
            labels[entity["label"]] += 1
            for kind, target in entity["relations"]:
                kinds[kind] += 1
                end = entry["entities"][target]
                first, last = sorted((entity["start_ix"], end["start_ix"]))
                inside = [i for i in stops if first < i < last and not _decimal(entry["text"], i)]
                assert not inside, "a relation leaves its sentence"
                anatomy = entity["label"] == "ANAT-DP", end["label"] == "ANAT-DP"
                assert (
                    anatomy
                    in {
                        "located_at": [(False, True)],
                        "modify": [(True, True), (False, False)],
                        "suggestive_of": [(False, False)],
                    }[kind]
                )
    assert set(labels) == {"ANAT-DP", "OBS-DP", "OBS-U", "OBS-DA"}
    assert min(labels.values()) > 200
    assert set(kinds) == {"located_at", "modify", "suggestive_of"}


def _decimal(text: str, i: int) -> bool:
    tokens = text.split(" ")
    return tokens[i - 1].isdigit() and i + 1 < len(tokens) and tokens[i + 1].isdigit()


WORDS = {
    "Pleural Effusion": {"effusion", "effusions", "fluid"},
    "Pneumothorax": {"pneumothorax"},
    "Consolidation": {"consolidation"},
    "Pneumonia": {"pneumonia", "infection"},
    "Atelectasis": {"atelectasis"},
    "Fracture": {"fracture", "fractures"},
}


UNCOUNTED = {"No Finding", "Support Devices", "subject_id", "study_id"}


@pytest.mark.parametrize("table", ["chexpert", "negbio"])
def test_labels_fit_the_gold(made: Path, table: str) -> None:
    gold = read_gold(made)
    seen: Counter[tuple[str, str]] = Counter()
    for row in rows(made / "set" / f"mimic-cxr-2.0.0-{table}.csv.gz"):
        entities = gold[f"s{row['study_id']}"]["entities"].values()
        for column, words in WORDS.items():
            said = {entity["label"] for entity in entities if entity["tokens"].lower() in words}
            value = "1.0" if "OBS-DP" in said else "-1.0" if "OBS-U" in said else "0.0" if said else ""
            assert row[column] == value
            seen[column, row[column]] += 1
        positive = any(
            row[name] in ("1.0", "-1.0")
            for name in row
            if name not in ("No Finding", "Support Devices", "subject_id", "study_id")
        )
        assert row["No Finding"] == ("" if positive else "1.0")
    for column in ("Pleural Effusion", "Pneumothorax"):
        assert all(seen[column, value] for value in ("1.0", "0.0", "-1.0"))


def test_sentences_are_distinct_enough_that_caches_help_no_benchmark(made: Path) -> None:
    said = []
    for entry in read_gold(made).values():
        said += [text for text in re.split(r" \.(?: |$)(?!\d)", entry["text"]) if text and not text.isdigit()]
    assert len(said) > 4 * STUDIES
    assert len(set(said)) / len(said) > 0.35


def test_images_are_drawn_and_boxes_lie_inside(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    counts = make_mimic(tmp_path / "a", 30, 5, images=True)
    make_mimic(tmp_path / "b", 30, 5, images=True)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    records = rows(tmp_path / "a" / "cxr-record-list.csv.gz")
    assert counts["images"] == len(records) > 30
    for row in records:
        with image.open(tmp_path / "a" / row["path"].replace(".dcm", ".jpg")) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "L", (320, 320))
            low, high = picture.getextrema()
            assert low < 60 < 150 < high
    with (tmp_path / "a" / "boxes.csv").open(encoding="utf-8", newline="") as file:
        boxes = list(csv.DictReader(file))
    assert list(boxes[0]) == ["dicom_id", "finding", "x", "y", "w", "h"]
    assert counts["boxes"] == len(boxes) > 10
    assert {row["dicom_id"] for row in boxes} <= {row["dicom_id"] for row in records}
    for row in boxes:
        x, y, w, h = (int(row[name]) for name in "xywh")
        assert x >= 0
        assert y >= 0
        assert w > 0
        assert h > 0
        assert x + w <= 320
        assert y + h <= 320


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine", encoding="utf-8")
    for replace in (False, True):
        with pytest.raises(UsageError, match="not made by kgbuild"):
            make_mimic(out, 5, 1, replace=replace)
    assert contents(out) == {"mine.txt": b"mine"}
    with pytest.raises(UsageError, match="not a folder"):
        plan(out / "mine.txt", 5, 1)


def test_an_own_folder_is_finished_or_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make_mimic(out, 20, 1)
    whole = contents(out)
    (out / "cxr-study-list.csv.gz").unlink()
    make_mimic(out, 20, 1)
    assert contents(out) == whole
    with pytest.raises(UsageError, match="20 studies of seed 1"):
        make_mimic(out, 20, 2)
    assert contents(out) == whole
    make_mimic(out, 20, 2, replace=True)
    make_mimic(tmp_path / "fresh", 20, 2)
    assert contents(out) == contents(tmp_path / "fresh")


@pytest.mark.parametrize(("studies", "seed"), [(0, 1), (-1, 1), (3_000_000, 1), (5, -1)])
def test_numbers_out_of_range_are_refused(tmp_path: Path, studies: int, seed: int) -> None:
    with pytest.raises(UsageError):
        make_mimic(tmp_path / "out", studies, seed)
    assert not (tmp_path / "out").exists()


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    counts = make_mimic(tmp_path / "out", 20, 1, progress=lambda *call: calls.append(call))
    assert calls[0] == ("studies", 0, 20)
    assert calls[-1] == ("studies", 20, 20)
    assert counts["studies"] == 20


def test_every_template_of_every_bank_can_be_said() -> None:
    """Each slot is filled by a bank that exists, and each relation names something the shipped grammar can say."""
    banks, headers, facts = shipped()
    assert set(headers) == {"indication", "comparison", "technique", "examination", "findings", "impression"}
    for spec in facts["kinds"].values():
        assert all(name in banks.banks for name in (*spec["np"], *spec["said"]))
        assert all(name == "clear" or name in banks.banks for name in spec["block"])
    assert all(name in banks.banks for name in (*facts["denials"], *facts["anatomy"]))
    for zone in facts["lung"]:
        assert f"loc.{zone}" in banks.banks
        assert f"adj.{zone}" in banks.banks


GIVEN = {
    *("np", "art", "is", "has", "chg", "pre", "mm", "size", "cause"),
    *("deg", "grade", "gradec", "ly", "fxkind", "nodkind", "side", "sidel", "sidek", "loc", "adj"),
    *("sidev", "sided", "sidec", "onside", "judge"),
}


def test_the_templates_ask_for_nothing_that_the_facts_do_not_give() -> None:
    asked: set[str] = set()
    seen: set[int] = set()

    def walk(options: list[Template]) -> None:
        if id(options) in seen:
            return
        seen.add(id(options))
        for template in options:
            for item in template:
                if isinstance(item, Choice):
                    walk(item.options)
                elif isinstance(item, Given):
                    asked.add(item.name)

    for options in shipped()[0].banks.values():
        walk(options)
    assert asked == GIVEN


SMALL = """
said: |
  No <*items or>
  {Heart:A=a} and {lungs:A=a} are {clear:P@a}
item: |
  {pleural:A=p} {effusion:O=h@p}
"""


def test_a_template_says_its_own_annotation() -> None:
    sources = {name: text.splitlines() for name, text in yaml.safe_load(SMALL).items()}
    speaker = Speaker(Banks(sources, {"effusion": "PE"}), annotate=True)
    speaker.begin(lambda: 0.0)
    lists: Lists = {"items": [("item", {}), ("item", {})]}
    assert speaker.sentence("said", {}, 3, lists) == "No pleural effusion or pleural effusion."
    speaker.begin(lambda: 0.99)
    assert speaker.sentence("said", {}) == "Heart and lungs are clear."
    assert speaker.text() == "Heart and lungs are clear ."
    assert json.loads(speaker.entities()) == {
        "1": {"tokens": "Heart", "label": "ANAT-DP", "start_ix": 0, "end_ix": 0, "relations": []},
        "2": {"tokens": "lungs", "label": "ANAT-DP", "start_ix": 2, "end_ix": 2, "relations": []},
        "3": {
            "tokens": "clear",
            "label": "OBS-DP",
            "start_ix": 4,
            "end_ix": 4,
            "relations": [["located_at", "1"], ["located_at", "2"]],
        },
    }


@pytest.mark.parametrize("line", ["{no entity}", "a (b", "<unknown>", "a ) b"])
def test_a_broken_template_is_named(line: str) -> None:
    with pytest.raises(KgbuildError, match="phrase bank said"):
        Banks({"said": [line]}, {})


def test_the_command_makes_plans_and_refuses(tmp_path: Path) -> None:
    run = CliRunner().invoke
    out, gold = tmp_path / "out", tmp_path / "gold.json"
    command = ["datasets", "make", "mimic", "--out", str(out), "--studies", "6", "--seed"]
    planned = run(app, [*command, "4", "--dry-run"])
    assert planned.exit_code == 0
    assert re.search(r"studies +6\n", planned.stdout)
    assert not out.exists()
    done = run(app, [*command, "4", "--gold", str(gold)])
    assert done.exit_code == 0
    assert done.stdout == ""
    assert len(json.loads(gold.read_text(encoding="utf-8"))) == 6
    assert run(app, [*command, "5", "--quiet"]).exit_code == 2
    assert run(app, [*command, "5", "--quiet", "--yes"]).exit_code == 0
    assert run(app, ["datasets", "make", "iu-xray", "--out", str(out), "--studies", "6", "--seed", "4"]).exit_code == 2
