"""The labelled image sets through the commands: exit codes, choosing studies, and what becomes of images and notes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import kgbuild
from kgbuild.cli import app

_CXR14 = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n"
    "00000001_000.png,Mass,0,1,58,M,PA,2500,2048,0.1,0.1\n00000001_001.png,No Finding,1,1,58,M,AP,2500,2048,0.1,0.1\n"
)
_CHEXPERT = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,Edema\n"
    "CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg,Male,61,Frontal,AP,1.0\n"
    "CheXpert-v1.0/train/patient00001/study2/view1_frontal.jpg,Male,61,Frontal,PA,-1.0\n"
)
_PLUS = (
    "path_to_image,frontal_lateral,ap_pa,section_findings,section_impression,split\n"
    "train/patient00001/study1/view1_frontal.jpg,Frontal,AP,No pleural effusion.,Clear lungs.,train\n"
    'train/patient00001/study2/view1_frontal.jpg,Frontal,AP,"1. Large left\n\npleural effusion.",,train\n'
)
_COVID = (
    "patientid,offset,date,finding,view,filename,license,clinical_notes\n"
    '1,0,2020,COVID-19,PA,a.png,CC BY 4.0,"Fever. Bilateral opacities."\n1,4,2020,COVID-19,AP,b.png,CC BY 4.0,\n'
)
#: name → table, its text, sections to read, how many of the two studies have text then.
SETS = {
    "chestxray14": ("Data_Entry_2017_v2020.csv", _CXR14, "findings", 0),
    "chexpert": ("train.csv", _CHEXPERT, "findings", 0),
    "chexpert-plus": ("df_chexpert_plus_240401.csv", _PLUS, "findings,impression", 2),
    "covid-cxr": ("metadata.csv", _COVID, "clinical_notes", 1),
}


def run(*args: object) -> Any:
    return CliRunner().invoke(app, [str(arg) for arg in args], prog_name="kgbuild")


def make(name: str, root: Path) -> Path:
    root.mkdir()
    table, text, _, _ = SETS[name]
    (root / table).write_text(text)
    return root


def count(workspace: Path) -> dict[str, int]:
    """Nodes and edges by label."""
    done = run("query", "graph-counts", "-w", workspace, "--format", "json")
    return {row["label"]: row["n"] for row in json.loads(done.stdout)}


@pytest.mark.parametrize("name", SETS)
def test_build_gives_every_study_and_image_and_ends_with_0(name: str, tmp_path: Path) -> None:
    root, workspace = make(name, tmp_path / "root"), tmp_path / "W"
    _, _, sections, with_text = SETS[name]
    done = run("build", "--dataset", name, "--root", root, "--sections", sections, "-w", workspace)
    assert done.exit_code == 0, done.stderr
    counts = count(workspace)
    assert (counts["Patient"], counts["Study"], counts["Image"]) == (1, 2, 2)
    assert ("Observation" in counts and counts["Observation"] > 0) is bool(with_text)
    assert f"{2 - with_text} empty" in done.stderr or with_text == 2
    again = run("build", "--dataset", name, "--root", root, "--sections", sections, "-w", workspace)
    assert again.exit_code == 0


@pytest.mark.parametrize("name", SETS)
def test_choosing_studies(name: str, tmp_path: Path) -> None:
    root = make(name, tmp_path / "root")
    common = ("generate", "--dataset", name, "--root", root)
    plan = run(*common, "-w", tmp_path / "W", "--dry-run", "--limit", 1)
    assert plan.exit_code == 0
    assert not (tmp_path / "W").exists()
    dataset = kgbuild.resolve(name, root).open()
    (tmp_path / "ids.txt").write_text(f"{dataset.listing().studies[1].id}\n")
    assert run(*common, "-w", tmp_path / "A", "--studies", tmp_path / "ids.txt").exit_code == 0
    splits = {ref.split for ref in dataset.listing().studies}
    code = run(*common, "-w", tmp_path / "B", "--split", "train").exit_code
    assert code == (0 if "train" in splits else 2)


@pytest.mark.parametrize("name", SETS)
def test_what_is_missing_ends_with_3(name: str, tmp_path: Path) -> None:
    common = ("build", "--dataset", name, "-w", tmp_path / "W", "--root")
    (tmp_path / "empty").mkdir()
    absent = run(*common, tmp_path / "empty")
    assert (absent.exit_code, "published at https://" in absent.stderr) == (3, True)
    root = make(name, tmp_path / "root")
    table = root / SETS[name][0]
    table.write_text("a,b\n1,2\n")
    wrong = run(*common, root)
    assert wrong.exit_code == 3
    assert "its header is a,b" in wrong.stderr
    assert "expected" in wrong.stderr
    table.write_bytes(b"")
    assert run(*common, root).exit_code == 3


def test_a_box_outside_its_image_ends_with_4_and_the_study_stays(tmp_path: Path) -> None:
    root = make("chestxray14", tmp_path / "root")
    (root / "BBox_List_2017.csv").write_text(
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000001_000.png,Mass,1000,1000,100,100,,,\n"
    )
    done = run("build", "--dataset", "chestxray14", "--root", root, "-w", tmp_path / "W")
    assert done.exit_code == 4
    assert "reaches outside the image" in done.stderr
    counts = count(tmp_path / "W")
    assert (counts["Study"], counts["Image"]) == (2, 2)
    assert run("datasets", "check", "chestxray14", "--root", root).exit_code == 4
