"""Sets of the package ``datasets``: saved to disk, as Parquet files, or by name through a stand-in for the package."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kgbuild.datasets.base import Dataset
from kgbuild.datasets.huggingface import HuggingFace
from kgbuild.domain import Failure, Image, Report, Section, Study
from kgbuild.errors import ColumnMissing, DependencyMissing, KgbuildError, RootMissing, UsageError
from kgbuild.pipelines.source import open_dataset
from kgbuild.plugins import find

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def table(*numbers: int, name: str | None = "x{}.png") -> pa.Table:
    paths = [name.format(number) if name else None for number in numbers]
    return pa.table(
        {
            "image": pa.array([{"bytes": b"png", "path": path} for path in paths], IMAGE),
            "findings": [f"Effusion {number}." for number in numbers],
            "impression": ["Effusion." for _ in numbers],
        }
    )


def arrow(path: Path, content: pa.Table, batch: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, content.schema) as writer:
        writer.write_table(content, max_chunksize=batch)
    return path


def parquet(path: Path, content: pa.Table) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(content, path, row_group_size=2)
    return path


def study(split: str, row: int, number: int, file: str) -> Study:
    sections = (Section("findings", f"Effusion {number}."), Section("impression", "Effusion."))
    key = f"huggingface:{split}-{row}"
    images = (Image(f"huggingface:x{number}", key),)
    return Study(key, "huggingface", Report(sections, file), images, split=split)


def test_it_is_found_by_name() -> None:
    plugin: type[Dataset] = HuggingFace
    assert find("datasets", "huggingface") is plugin


def test_saved_to_disk(tmp_path: Path) -> None:
    arrow(tmp_path / "test" / "data-00000-of-00001.arrow", table(9))
    arrow(tmp_path / "train" / "data-00000-of-00002.arrow", table(1, 2, 3))
    arrow(tmp_path / "train" / "data-00001-of-00002.arrow", table(4))
    arrow(tmp_path / "train" / "cache-abc.arrow", table(1, 2, 3))
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}', encoding="utf-8")
    data = HuggingFace(tmp_path)
    first, second = "train/data-00000-of-00002.arrow", "train/data-00001-of-00002.arrow"
    wanted = [
        *(study("train", number, number, first) for number in (1, 2, 3)),
        study("train", 4, 4, second),
        study("test", 1, 9, "test/data-00000-of-00001.arrow"),
    ]
    assert list(data.studies()) == wanted
    assert list(data.studies([s.id for s in reversed(wanted)])) == wanted[::-1]
    assert [ref.split for ref in data.listing().studies] == ["train"] * 4 + ["test"]
    assert data.listing().failures == ()
    (gone,) = data.studies(["huggingface:train-77"])
    assert isinstance(gone, Failure)


def test_one_split_says_its_name_in_state_json(tmp_path: Path) -> None:
    arrow(tmp_path / "data-00000-of-00001.arrow", table(1))
    (tmp_path / "state.json").write_text(json.dumps({"_split": "train"}), encoding="utf-8")
    assert list(HuggingFace(tmp_path).studies()) == [study("train", 1, 1, "data-00000-of-00001.arrow")]
    (tmp_path / "state.json").write_text("{", encoding="utf-8")
    assert HuggingFace(tmp_path).listing().studies[0].id == "huggingface:row-1"


@pytest.mark.parametrize("name", ["data/{}-00000-of-00001.parquet", "{}/0000.parquet", "default/{}/0000.parquet"])
def test_parquet_as_on_the_hub(tmp_path: Path, name: str) -> None:
    parquet(tmp_path / name.format("train"), table(1, 2, 3, 4, 5))
    parquet(tmp_path / name.format("validation"), table(6))
    data = HuggingFace(tmp_path)
    wanted = [study("train", number, number, name.format("train")) for number in range(1, 6)]
    wanted.append(study("validation", 1, 6, name.format("validation")))
    assert list(data.studies()) == wanted
    assert list(data.studies([s.id for s in reversed(wanted)])) == wanted[::-1]


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    one = HuggingFace(parquet(tmp_path / "a" / "train.parquet", table(1, 2)))
    two = HuggingFace(arrow(tmp_path / "b" / "train.arrow", table(1, 2)))
    other = HuggingFace(arrow(tmp_path / "c" / "train.arrow", table(1, 3)))
    assert one.fingerprint() == two.fingerprint() != other.fingerprint()


@pytest.mark.parametrize("write", [arrow, parquet])
def test_images_without_a_name_are_named_after_file_and_row(tmp_path: Path, write: Any) -> None:
    write(tmp_path / f"train.{write.__name__}", table(1, 2, 3, name=None))
    ids = [image.id for s in HuggingFace(tmp_path).studies() if isinstance(s, Study) for image in s.images]
    assert ids == ["huggingface:train-1", "huggingface:train-2", "huggingface:train-3"]


def test_a_mapping(tmp_path: Path) -> None:
    rows = pa.table({"key": [11, 12], "who": ["a", "a"], "impression": ["Clear.", "Else."], "extra": ["No.", None]})
    path = parquet(tmp_path / "train.parquet", rows)
    first, second = HuggingFace(path, map="study=key\npatient=who\nfindings=extra").studies()
    sections = (Section("impression", "Clear."), Section("findings", "No."))
    assert first == Study(
        "huggingface:11", "huggingface", Report(sections, "train.parquet"), (), "huggingface:a", "train"
    )
    assert isinstance(second, Study)
    assert second.report == Report(sections[:1] and (Section("impression", "Else."),), "train.parquet")
    assert "{study: key" in next(c.note for c in HuggingFace(path, map="study=key").check() if c.path == "mapping")


def test_check_says_that_images_lie_inside(tmp_path: Path) -> None:
    arrow(tmp_path / "train.arrow", table(1, 2))
    lines = {line.path: line for line in HuggingFace(tmp_path).check()}
    assert lines["images"].note == "the tables hold 2 images themselves: they are listed, without a path"
    assert lines["mapping: study"].note == "the row's number (guessed)"


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(RootMissing, match=r"holds no \.arrow and no \.parquet"):
        HuggingFace(tmp_path)
    with pytest.raises(UsageError, match="unknown option form"):
        HuggingFace(tmp_path, form="x")
    path = arrow(tmp_path / "a" / "train.arrow", table(*range(50)))
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(KgbuildError, match=r"train.arrow cannot be read to its end.*\n.*batch \d+, byte [\d,]+"):
        HuggingFace(tmp_path / "a")
    path.write_bytes(b"")
    with pytest.raises(KgbuildError, match=r"train.arrow cannot be read to its end: it is empty"):
        HuggingFace(tmp_path / "a")
    path = parquet(tmp_path / "b" / "train.parquet", table(1))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(KgbuildError, match=r"train.parquet cannot be read to its end.*\n.*byte"):
        HuggingFace(tmp_path / "b")
    with pytest.raises(ColumnMissing, match=r"hold the report: its columns are label"):
        HuggingFace(parquet(tmp_path / "c" / "train.parquet", pa.table({"label": [1]})))


def test_shards_of_other_columns_are_refused(tmp_path: Path) -> None:
    parquet(tmp_path / "train-00000-of-00002.parquet", table(1))
    parquet(tmp_path / "train-00001-of-00002.parquet", pa.table({"findings": ["Clear."]}))
    with pytest.raises(ColumnMissing, match=r"train-00001-of-00002.parquet has no column impression"):
        HuggingFace(tmp_path)


def test_a_hub_name_needs_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DependencyMissing, match=r"(?s)owner/set is not a folder.*pip install datasets"):
        open_dataset("huggingface", Path("owner/set"))
    with pytest.raises(RootMissing, match="does not exist"):
        open_dataset("huggingface", Path("no such folder"))


def test_a_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = arrow(tmp_path / "cache" / "set-train.arrow", table(1, 2))
    package = ModuleType("datasets")

    def load_dataset(name: str) -> dict[str, Any]:
        if name != "owner/set":
            raise ConnectionError(name)
        return {"train": SimpleNamespace(cache_files=[{"filename": str(path)}])}

    package.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", package)
    data = open_dataset("huggingface", Path("owner/set"))
    assert list(data.studies()) == [study("train", n, n, "set-train.arrow") for n in (1, 2)]
    with pytest.raises(RootMissing, match="the hub did not give owner/other: ConnectionError"):
        open_dataset("huggingface", Path("owner/other"))
