"""RadGraph's release as studies: keys, splits, places in huge files, and what can be wrong with them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from kgbuild.datasets.base import Dataset
from kgbuild.datasets.radgraph import RadGraph
from kgbuild.domain import Failure, Report, Section, Study
from kgbuild.errors import ColumnMissing, KgbuildError, RootMissing, UsageError
from kgbuild.notation.json_index import elements, members
from kgbuild.plugins import find

CHEXPERT = "patient12/study3/view1.txt"


def entry(text: str, split: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"text": text, "entities": {"1": {"tokens": "é", "label": "OBS-DP"}}}
    return found | ({"data_split": split} if split else {})


def write(path: Path, content: Any, *, ascii_only: bool = True) -> Path:
    path.write_text(json.dumps(content, ensure_ascii=ascii_only), encoding="utf-8")
    return path


def release(folder: Path, *, ascii_only: bool = True) -> Path:
    train = {"p18/p18004941/s58821758.txt": entry("Heart 37 ° .", "train"), CHEXPERT: entry("Clear .", "train")}
    write(folder / "train.json", train, ascii_only=ascii_only)
    graphs = {f"files/p10/p1000000{n}/s5000000{n}.txt": entry(f"Ödem {n} .") for n in range(3)}
    write(folder / "MIMIC-CXR_graphs.json", {**graphs, "s50000009": entry("")}, ascii_only=ascii_only)
    return folder


def study(key: str, text: str, file: str, patient: str | None, split: str) -> Study:
    sections = (Section("report", text),) if text else ()
    return Study(key, "radgraph", Report(sections, file), (), patient, split)


def test_it_is_found_by_name() -> None:
    plugin: type[Dataset] = RadGraph
    assert find("datasets", "radgraph") is plugin


@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_release(tmp_path: Path, ascii_only: bool) -> None:
    data = RadGraph(release(tmp_path, ascii_only=ascii_only))
    graphs = "MIMIC-CXR_graphs.json"
    wanted = [
        study("s58821758", "Heart 37 ° .", "train.json", "p18004941", "train"),
        study(f"radgraph:{CHEXPERT}", "Clear .", "train.json", "radgraph:patient12", "train"),
        *(study(f"s5000000{n}", f"Ödem {n} .", graphs, f"p1000000{n}", "inference") for n in range(3)),
        study("s50000009", "", graphs, None, "inference"),
    ]
    assert list(data.studies()) == wanted
    assert list(data.studies([s.id for s in reversed(wanted)])) == wanted[::-1]
    assert data.listing().counts == {"studies without text": 1, "repeated rows": 0}
    (gone,) = data.studies(["s1"])
    assert gone == Failure("s1", "read", "no such study in this data set", "train.json, MIMIC-CXR_graphs.json")


def test_one_file_alone_and_packed(tmp_path: Path) -> None:
    path = release(tmp_path) / "train.json"
    packed = tmp_path / "sub" / "train.json.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(path.read_bytes()))
    plain, other = RadGraph(path), RadGraph(packed.parent)
    assert plain.fingerprint() == other.fingerprint()
    assert [s.id for s in other.studies() if isinstance(s, Study)] == ["s58821758", f"radgraph:{CHEXPERT}"]
    assert {ref.split for ref in other.listing().studies} == {"train"}


def test_a_study_of_two_files(tmp_path: Path) -> None:
    write(tmp_path / "train.json", {"s50000001": entry("Clear ."), "s50000002": entry("Clear .")})
    write(tmp_path / "dev.json", {"s50000001": entry("Clear ."), "p10/p1/s50000002.txt": entry("Else .")})
    listing = RadGraph(tmp_path).listing()
    assert [ref.id for ref in listing.studies] == ["s50000001", "s50000002"]
    assert [(f.study_id, f.where) for f in listing.failures] == [
        ("s50000002", "dev.json entry 2"),
    ]
    assert listing.counts["repeated rows"] == 1


def test_bad_entries(tmp_path: Path) -> None:
    content = {"s50000001": entry("Clear ."), "two words": entry("x"), "s50000003": [1], "s50000004": {"entities": {}}}
    listing = RadGraph(write(tmp_path / "test.json", content)).listing()
    assert [ref.id for ref in listing.studies] == ["s50000001", "s50000004"]
    assert [(f.study_id, f.where) for f in listing.failures] == [
        ("test.json", "test.json entry 2"),
        ("test.json", "test.json entry 3"),
    ]


def test_an_entry_that_is_not_utf8_is_listed_and_fails(tmp_path: Path) -> None:
    text = json.dumps({"s50000001": entry("Gr@ ."), "s50000002": entry("Clear .")}, ensure_ascii=True)
    (tmp_path / "dev.json").write_bytes(text.encode().replace(b"@", b"\xfc"))
    first, second = RadGraph(tmp_path).studies()
    assert isinstance(first, Failure)
    assert isinstance(second, Study)
    assert "is not UTF-8" in first.reason
    assert first.study == study("s50000001", "", "dev.json", None, "dev")


def test_check_names_every_file_and_what_to_do(tmp_path: Path) -> None:
    lines = RadGraph(release(tmp_path)).check()
    assert [(line.path, line.present, line.found, line.expected) for line in lines[:5]] == [
        ("train.json", True, 2, 425),
        ("dev.json", False, None, 75),
        ("test.json", False, None, 100),
        ("MIMIC-CXR_graphs.json", True, 4, 220763),
        ("CheXpert_graphs.json", False, None, 500),
    ]
    assert lines[-1].note.endswith("read it with --sections report")


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(RootMissing, match=r"(?s)holds none of its files.*train\.json.*physionet"):
        RadGraph(tmp_path)
    with pytest.raises(RootMissing, match="does not exist"):
        RadGraph(tmp_path / "no")
    with pytest.raises(UsageError, match="unknown option form"):
        RadGraph(tmp_path, form="x")
    with pytest.raises(UsageError, match="unknown option images"):
        RadGraph(tmp_path, tmp_path)
    path = write(tmp_path / "train.json", {"s50000001": entry("Clear ."), "s50000002": entry("Clear .")})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(KgbuildError, match=r"(?s)train.json is not valid JSON.*key 's50000002', character \d+"):
        RadGraph(tmp_path).listing()
    write(path, {"s50000001": {"words": "x"}})
    with pytest.raises(ColumnMissing, match="no entry has a text"):
        RadGraph(tmp_path).listing()
    path.write_text("", encoding="utf-8")
    with pytest.raises(KgbuildError, match="not valid JSON"):
        RadGraph(tmp_path).listing()


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_places_are_bytes(tmp_path: Path, mark: bytes) -> None:
    content: dict[str, list[Any]] = {"ä": ["ö", {"ü": "\u2019"}, 1.5, []], "b": [], "c": ["x" * (1 << 21), "ß"]}
    path = tmp_path / "x.json"
    path.write_bytes(mark + json.dumps(content, ensure_ascii=False, indent=1).encode())
    data = path.read_bytes()
    found = list(members(path))
    assert {item.key: item.value for item in found} == content
    assert [json.loads(data[item.start : item.end]) for item in found] == list(content.values())
    parts = list(elements(path))
    assert [(part.key, part.value) for part in parts] == [(key, value) for key in content for value in content[key]]
    assert [json.loads(data[part.start : part.end]) for part in parts] == [part.value for part in parts]
