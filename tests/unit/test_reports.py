"""The user's own reports: tables and folders of texts, guessed and given mappings, and every bad input."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from kgbuild.cli import app
from kgbuild.datasets._table_guess import guess_columns
from kgbuild.datasets._table_mapping import read_given
from kgbuild.datasets._table_values import image_names, parse_date
from kgbuild.datasets.base import Dataset, Listing
from kgbuild.datasets.reports import Reports
from kgbuild.domain import Failure, Image, Report, Section, Study, StudyRef
from kgbuild.errors import ColumnMissing, FileMissing, KgbuildError, RootMissing, UsageError
from kgbuild.pipelines.source import resolve
from kgbuild.plugins import find

TEXT = 'FINDINGS: Two "wires", clear.\n\nIMPRESSION:\nNo effusion.'
HEADER = ["Accession", "MRN", "Exam Date", "Report Text", "fold", "img"]
ROWS: list[list[str]] = [
    ["A1", "M1", "2020-01-02", TEXT, "train", "a.png|b.png"],
    ["A2", "M1", "2020-01-05", "Clear.", "test", ""],
]


def write_csv(path: Path, rows: list[list[str]], header: list[str] = HEADER, delimiter: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path


def as_dicts() -> list[dict[str, str]]:
    return [dict(zip(HEADER, row, strict=True)) for row in ROWS]


def make(folder: Path, form: str) -> Path:
    if form in ("csv", "tsv", "semicolon"):
        name = "own.tsv" if form == "tsv" else "own.csv"
        return write_csv(folder / name, ROWS, delimiter={"csv": ",", "tsv": "\t", "semicolon": ";"}[form])
    if form == "csv.gz":
        plain = write_csv(folder / "plain.csv", ROWS)
        path = folder / "own.csv.gz"
        path.write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
        return path
    path = folder / f"own.{form}"
    if form == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in as_dicts()), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(as_dicts()), path)
    return path


def expected(name: str) -> list[Study]:
    sections = (Section("findings", 'Two "wires", clear.', 10), Section("impression", "No effusion.", 43))
    images = (Image("reports:a", "reports:A1", None, "a.png"), Image("reports:b", "reports:A1"))
    return [
        Study("reports:A1", "reports", Report(sections, name), images, "reports:M1", "train", dt.date(2020, 1, 2)),
        Study(
            "reports:A2",
            "reports",
            Report((Section("last_paragraph", "Clear."),), name),
            (),
            "reports:M1",
            "test",
            dt.date(2020, 1, 5),
        ),
    ]


FORMS = ["csv", "tsv", "semicolon", "csv.gz", "jsonl", "parquet"]


def test_it_is_found_by_name() -> None:
    plugin: type[Dataset] = Reports
    assert find("datasets", "reports") is plugin


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("direct", [True, False])
def test_every_form_gives_the_same_studies(tmp_path: Path, form: str, direct: bool) -> None:
    path = make(tmp_path, form)
    (tmp_path / "a.png").touch()
    data = Reports(path if direct else tmp_path)
    refs = (StudyRef("reports:A1", "train", "reports:M1"), StudyRef("reports:A2", "test", "reports:M1"))
    counts = {
        "studies without text": 0,
        "repeated rows": 0,
        "dates not understood": 0,
        "images listed": 2,
        "images listed but absent": 1,
        "studies without images": 1,
        "rows that only add images": 0,
    }
    assert data.listing() == Listing(refs, (), counts)
    assert list(data.studies()) == expected(path.name)
    assert list(data.studies(["reports:A2", "reports:A1"])) == expected(path.name)[::-1]
    assert list(data.studies(["no"])) == [Failure("no", "read", "no such study in this data set", path.name)]


def test_the_fingerprint_is_of_the_content_not_of_the_form_or_place(tmp_path: Path) -> None:
    prints = set()
    for form in FORMS:
        (tmp_path / form).mkdir()
        prints.add(Reports(make(tmp_path / form, form)).fingerprint())
    assert len(prints) == 1
    (tmp_path / "csv" / "a.png").touch()
    assert Reports(tmp_path / "csv").fingerprint() not in prints


def test_text_offsets_point_into_the_field(tmp_path: Path) -> None:
    for study in Reports(make(tmp_path, "csv")).studies():
        assert isinstance(study, Study)
        assert study.report is not None
        field = ROWS[int(study.id[-1]) - 1][3]
        for section in study.report.sections:
            assert field[section.offset :].startswith(section.text)


# --- the mapping -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "fields", "sections", "images"),
    [
        (
            ["uid", "findings", "impression", "indication"],
            {"study": "uid"},
            ["findings", "impression", "indication"],
            (),
        ),
        (["id", "subject_id", "report"], {"study": "id", "patient": "subject_id", "text": "report"}, [], ()),
        (["study_id", "Findings", "Conclusion"], {"study": "study_id"}, ["findings", "impression"], ()),
        (
            ["image_1", "image_2", "report_id", "report_text", "split"],
            {"study": "report_id", "split": "split", "text": "report_text"},
            [],
            ("image_1", "image_2"),
        ),
        (
            ["accession", "study_date", "narrative"],
            {"study": "accession", "date": "study_date", "text": "narrative"},
            [],
            (),
        ),
    ],
)
def test_guess_by_name(
    columns: list[str], fields: dict[str, str], sections: list[str], images: tuple[str, ...]
) -> None:
    found = guess_columns(columns, [])
    assert (dict(found.fields), list(found.sections), found.images) == (fields, sections, images)


def test_guess_by_values() -> None:
    rows: list[dict[str, Any]] = [
        {"id": "two words", "key": "k1", "befund": "Kein Erguss. " * 9, "uid": "u1", "bild": "x/1.png"},
        {"id": "two words", "key": "k2", "befund": "Herz normal. " * 9, "uid": "u2", "bild": "x/2.png"},
    ]
    found = guess_columns(list(rows[0]), rows)
    assert dict(found.fields) == {"study": "uid", "text": "befund"}  # id is no id: its cells have spaces
    assert found.images == ("bild",)


def test_a_yaml_is_all_and_pairs_correct_it(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", [["1", "7", "Clear lungs.", "Fine."]], ["id", "case", "a", "b"])
    yaml = "study: case\nsections:\n  findings: a\n"
    (tmp_path / "m.yaml").write_text(yaml, encoding="utf-8")
    for given in (yaml, str(tmp_path / "m.yaml")):
        (study,) = Reports(path, mapping=given).studies()
        assert study == Study("reports:7", "reports", Report((Section("findings", "Clear lungs."),), "x.csv"))
    (study,) = Reports(path, mapping=yaml, map="impression=b\nstudy=id").studies()
    assert isinstance(study, Study)
    assert study.id == "reports:1"
    assert study.report == Report((Section("findings", "Clear lungs."), Section("impression", "Fine.")), "x.csv")


def test_no_path_goes_into_a_run_s_id(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("study: case\n", encoding="utf-8")
    source = resolve("reports", tmp_path, options={"mapping": str(tmp_path / "m.yaml"), "map": "text=a"})
    assert source.selection() == {
        **{"split": None, "studies": None, "limit": None},
        **{"map": "text=a", "mapping": "study: case\n"},
    }


def test_pairs_correct_the_guess(tmp_path: Path) -> None:
    path = make(tmp_path, "csv")
    data = Reports(path, map="findings=Report Text\nimages=\npatient=")
    study = next(data.studies())
    assert study == Study(
        "reports:A1", "reports", Report((Section("findings", TEXT),), "own.csv"), (), None, "train", dt.date(2020, 1, 2)
    )
    assert "images listed" not in data.listing().counts


def test_check_prints_the_mapping_so_that_it_can_be_saved_and_used(tmp_path: Path) -> None:
    path = make(tmp_path, "csv")
    lines = {line.path: line for line in Reports(path).check()}
    assert (lines["own.csv"].found, lines["mapping: text"].found, lines["mapping: text"].expected) == (2, 2, 2)
    assert lines["mapping: text"].note == "column Report Text (guessed), 100.0% of studies"
    assert lines["mapping: images"].found == 1
    assert lines["sections"].note.startswith("of the first 2: ")
    yaml = lines["mapping"].note.partition(": ")[2]
    assert yaml.startswith("{study: Accession, patient: MRN")
    again = Reports(path, mapping=yaml)
    assert list(again.studies()) == list(Reports(path).studies())
    assert "(given)" in next(line.note for line in again.check() if line.path == "mapping: text")


@pytest.mark.parametrize(
    ("mapping", "pairs", "message"),
    [
        ("study: [", None, "not valid YAML"),
        ("- a\n- b: c", None, "not a list of entries"),
        ("study: {a: b}", None, "study of the mapping is no column name"),
        ("pateint: x", None, "unknown entry 'pateint'.*\n.*study, patient"),
        (None, "text", "--map 'text' cannot be read"),
        (None, "colour=red", "unknown entry 'colour'"),
    ],
)
def test_a_bad_mapping(tmp_path: Path, mapping: str | None, pairs: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_given(mapping, pairs)


def test_a_mapped_column_that_is_not_there_shows_both(tmp_path: Path) -> None:
    with pytest.raises(ColumnMissing, match=r"no column nope \(text\)\n") as caught:
        Reports(make(tmp_path, "csv"), map="text=nope")
    assert str(caught.value.expected).startswith("its own columns: Accession, MRN, ")
    assert "nope" not in str(caught.value.expected)


def test_no_id_no_text(tmp_path: Path) -> None:
    with pytest.raises(
        ColumnMissing, match=r"hold the study id: its columns are a, b\n.*\n.*study_id.*\n.*--map study"
    ):
        Reports(write_csv(tmp_path / "a.csv", [["1", "2"]], ["a", "b"]))
    with pytest.raises(ColumnMissing, match=r"hold the report: its columns are id, b"):
        Reports(write_csv(tmp_path / "b.csv", [["1", "2"]], ["id", "b"]))


def test_a_table_without_header_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ColumnMissing) as caught:
        Reports(write_csv(tmp_path / "a.csv", [], ["1", "Mr Smith has an effusion on the left and is ill"]))
    assert "Smith" not in str(caught.value)


# --- rows ------------------------------------------------------------------------------------------------------------


def listing(
    path: Path, text: str, **options: str
) -> tuple[list[str], list[tuple[str, str, str | None]], dict[str, int]]:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    found = Reports(path, None, **options).listing()
    return [s.id[8:] for s in found.studies], [(f.study_id, f.reason, f.where) for f in found.failures], found.counts


def test_a_record_whose_quotes_do_not_close_fails_alone(tmp_path: Path) -> None:
    text = 'id,text\n1,"Clear."\n2,"No "end\nof it\nhere\n3,"Fine."\n4,a,b\n'
    ids, failures, _ = listing(tmp_path / "x.csv", text)
    assert ids == ["1", "3"]
    assert [(where, reason.split(":")[0]) for _, reason, where in failures] == [
        ("x.csv line 3", "not a CSV record"),
        ("x.csv line 7", "3 fields where the header has 2"),
    ]
    assert "skipped to line 5" in failures[0][1]
    ids, failures, _ = listing(tmp_path / "y.csv", 'id,text\n1,Clear.\n2,"never closed\nand on\n')
    assert (ids, failures[0][2]) == (["1"], "y.csv line 3")


def test_a_row_that_is_not_utf8_is_listed_and_fails(tmp_path: Path) -> None:
    ids, failures, _ = listing(tmp_path / "x.csv", "id,text\n1,Gr\udcfc\udcdfe\n2,Clear.\n3,a\0b\n")
    assert (ids, failures) == (["1", "2", "3"], [])
    first, _, third = Reports(tmp_path / "x.csv").studies()
    assert isinstance(first, Failure)
    assert isinstance(third, Failure)
    assert (first.reason, first.where) == ("byte 0xfc at offset 12 (line 2) is not UTF-8", "x.csv line 2")
    assert first.study == Study("reports:1", "reports", Report((), "x.csv"))
    assert "is NUL" in third.reason
    (study, *_) = Reports(tmp_path / "x.csv", map="encoding=cp1252").studies()
    assert isinstance(study, Study)
    assert study.report == Report((Section("last_paragraph", "Grüße"),), "x.csv")


def test_ids_of_the_wrong_shape(tmp_path: Path) -> None:
    text = "study,text\n,Clear.\nMr Smith,Clear.\n" + "x" * 121 + ",Clear.\n7,Clear.\n"
    ids, failures, _ = listing(tmp_path / "x.csv", text, mapping="study: study\ntext: text\n")
    assert ids == ["7"]
    assert [reason for _, reason, _ in failures] == [
        "the study id (column study) is empty",
        *["the study id (column study) is not one word of at most 120 characters"] * 2,
    ]
    assert not any("Smith" in part for failure in failures for part in map(str, failure))


def test_repeated_rows(tmp_path: Path) -> None:
    text = "id,text,image\n1,Clear.,a.png\n1,Clear.,a.png\n1,Clear.,b.png\n1,Else.,a.png\n2,Clear.,a.png\n"
    ids, failures, counts = listing(tmp_path / "x.csv", text)
    assert ids == ["1", "2"]
    assert failures == [
        (
            "reports:1",
            "stands already in x.csv line 2 with other content; the first is used",
            "x.csv line 5",
        ),
        ("reports:2", "its image reports:a belongs already to reports:1, which keeps it", "x.csv line 6"),
    ]
    assert (counts["repeated rows"], counts["rows that only add images"]) == (1, 1)
    first, second = Reports(tmp_path / "x.csv").studies()
    assert isinstance(first, Study)
    assert isinstance(second, Study)
    assert [image.id for image in first.images] == ["reports:a", "reports:b"]
    assert second.images == ()


def test_json_lines_with_broken_rows(tmp_path: Path) -> None:
    text = (
        '{"id": 1, "text": "Clear."}\n{"id": 2, "te\n[1]\n\n{"id": 3.0, "text": null}\n{"id": "4", "text": "\udcff"}\n'
    )
    ids, failures, counts = listing(tmp_path / "x.jsonl", text)
    assert ids == ["1", "3", "4"]
    assert [where for _, _, where in failures] == ["x.jsonl line 2", "x.jsonl line 3"]
    assert failures[0][1].startswith("not JSON: ")
    assert counts["studies without text"] == 1
    *_, last = Reports(tmp_path / "x.jsonl").studies()
    assert isinstance(last, Failure)
    assert "is not UTF-8" in last.reason


# --- dates and images ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2020-03-04", dt.date(2020, 3, 4)),
        ("20200304", dt.date(2020, 3, 4)),
        ("2020-03-04T10:11:12Z", dt.date(2020, 3, 4)),
        ("2020/03/04 10:11", dt.date(2020, 3, 4)),
        ("04.03.2020", dt.date(2020, 3, 4)),
        ("4-Mar-2020", dt.date(2020, 3, 4)),
        ("March 4, 2020", dt.date(2020, 3, 4)),
        ("04/03/2020", None),
        ("2020-13-04", None),
        ("soon", None),
        ("", None),
    ],
)
def test_dates(text: str, date: dt.date | None) -> None:
    assert parse_date(text) == date


@pytest.mark.parametrize(
    ("dates", "found", "bad"),
    [
        (["03/04/2020", "13/04/2020"], [dt.date(2020, 4, 3), dt.date(2020, 4, 13)], 0),
        (["03/04/2020", "04/13/2020"], [dt.date(2020, 3, 4), dt.date(2020, 4, 13)], 0),
        (["03/04/2020", "05/06/2020"], [None, None], 2),
        (["13/04/2020", "04/13/2020"], [None, None], 2),
        (["soon", "2020-01-01"], [None, dt.date(2020, 1, 1)], 1),
    ],
)
def test_the_order_of_day_and_month_is_seen_or_not_guessed(
    tmp_path: Path, dates: list[str], found: list[dt.date | None], bad: int
) -> None:
    rows = [[str(number), date, "Clear."] for number, date in enumerate(dates)]
    data = Reports(write_csv(tmp_path / "x.csv", rows, ["id", "date", "text"]))
    assert [study.date for study in data.studies() if isinstance(study, Study)] == found
    assert data.listing().counts["dates not understood"] == bad
    given = Reports(tmp_path / "x.csv", map="date_format=%d/%m/%Y")
    assert given.listing().counts["dates not understood"] == sum(d[3:5] > "12" or "/" not in d for d in dates)


def test_image_cells() -> None:
    assert image_names("a.png; b.png") == ["a.png", "b.png"]
    assert image_names("[broken") == ["[broken"]
    assert image_names(["a.png", None]) == ["a.png"]
    assert image_names({"path": "a.png"}) == ["a.png"]


def test_images_outside_the_root_are_not_opened_or_named(tmp_path: Path) -> None:
    (tmp_path / "secret.png").touch()
    (tmp_path / "root" / "in").mkdir(parents=True)
    (tmp_path / "root" / "in" / "c.png").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "d.png").touch()
    names = [
        "../secret.png",
        str(tmp_path / "secret.png"),
        "http://x.org/e.png",
        str(tmp_path / "root/in/c.png"),
        "d.png",
    ]
    path = write_csv(tmp_path / "root" / "x.csv", [["1", "Clear.", "|".join(names)]], ["id", "text", "images"])
    (study,) = Reports(path, tmp_path / "elsewhere").studies()
    assert isinstance(study, Study)
    assert [image.path for image in study.images] == [None, None, None, "in/c.png", "d.png"]
    with pytest.raises(FileMissing, match="image folder"):
        Reports(path, tmp_path / "nowhere")


# --- files -----------------------------------------------------------------------------------------------------------


def test_roots(tmp_path: Path) -> None:
    with pytest.raises(RootMissing, match="does not exist"):
        Reports(tmp_path / "no")
    with pytest.raises(RootMissing, match="holds no table and no text file"):
        Reports(tmp_path)
    (tmp_path / "x.doc").touch()
    with pytest.raises(RootMissing, match=r"no known kind\n.*\n.*\.csv"):
        Reports(tmp_path / "x.doc")
    make(tmp_path, "csv")
    make(tmp_path, "jsonl")
    with pytest.raises(UsageError, match=r"holds 2 tables\n.*own\.csv, own\.jsonl"):
        Reports(tmp_path)
    assert next(Reports(tmp_path, form="jsonl").studies()).__class__ is Study
    with pytest.raises(UsageError, match="unknown form"):
        Reports(tmp_path, form="xls")
    with pytest.raises(UsageError, match="unknown option colour"):
        Reports(tmp_path, colour="red")
    with pytest.raises(FileMissing, match=r"mapping m\.yaml is absent"):
        Reports(tmp_path, form="csv", mapping="m.yaml")


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl"])
def test_empty_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(ColumnMissing, match="is empty"):
        Reports(tmp_path / name)


def test_a_header_alone_is_a_data_set_without_studies(tmp_path: Path) -> None:
    data = Reports(write_csv(tmp_path / "x.csv", [], ["id", "text"]))
    assert (data.listing().studies, list(data.studies())) == ((), [])
    assert data.check()[0].found == 0


def test_cut_short(tmp_path: Path) -> None:
    rows = [[str(number), os.urandom(40).hex()] for number in range(5000)]
    whole = gzip.compress(write_csv(tmp_path / "x.csv", rows, ["id", "text"]).read_bytes())
    (tmp_path / "x.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(KgbuildError, match=r"x.csv.gz cannot be read to its end: EOFError.*\n.*x.csv.gz, byte \d"):
        Reports(tmp_path / "x.csv.gz").listing()
    path = make(tmp_path, "parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(KgbuildError, match=r"own.parquet cannot be read to its end: .*footer.*\n.*byte [\d,]+"):
        Reports(path)


def test_utf16_and_encodings(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,text\n1,Clear.\n", encoding="utf-16")
    with pytest.raises(KgbuildError, match="is UTF-16"):
        Reports(tmp_path / "x.csv")
    for encoding in ("utf-16", "klingon"):
        with pytest.raises(UsageError, match="cannot be used"):
            Reports(tmp_path / "x.csv", map=f"encoding={encoding}")


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('"id",text\r\n1,Clear.\r\n', encoding="utf-8-sig", newline="")
    assert [study.id for study in Reports(tmp_path / "x.csv").studies() if isinstance(study, Study)] == ["reports:1"]


# --- a folder of texts -----------------------------------------------------------------------------------------------


def test_a_folder_of_texts(tmp_path: Path) -> None:
    for name, text in {"b.txt": "IMPRESSION: Clear.", "train/a.TXT": "Two.", "x/c.txt": "", ".hid.txt": "no"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "x" / "loop").symlink_to(tmp_path)
    (tmp_path / "x" / "b.txt").write_text("IMPRESSION: Clear.", encoding="utf-8")
    (tmp_path / "y.txt").write_bytes(b"Gr\xfc")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nothing")
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "b.txt").write_text("IMPRESSION: Else.", encoding="utf-8")
    (tmp_path / "two words.txt").touch()
    data = Reports(tmp_path)
    found = data.listing()
    assert [ref.id for ref in found.studies] == [f"reports:{n}" for n in ("b", "gone", "a", "c", "y")]
    assert found.studies[2].split == "train"
    assert found.counts == {"repeated reports": 1, "linked folders not followed": 1}
    assert [(f.study_id, f.where) for f in found.failures] == [
        ("two words.txt", "two words.txt"),
        ("reports:b", "z/b.txt"),
    ]
    b, gone, a, c, y = data.studies()
    assert b == Study("reports:b", "reports", Report((Section("impression", "Clear.", 12),), "b.txt"))
    assert isinstance(a, Study)
    assert c == Study("reports:c", "reports", Report((), "x/c.txt"))
    assert isinstance(gone, Failure)
    assert isinstance(y, Failure)
    assert "cannot be read" in gone.reason
    assert y.reason == "byte 0xfc at offset 2 is not UTF-8"
    assert data.check()[0].found == 3
    before = data.fingerprint()
    (tmp_path / "b.txt").write_text("IMPRESSION: Other.", encoding="utf-8")
    assert Reports(tmp_path).fingerprint() != before
    with pytest.raises(UsageError, match="no columns to map: text"):
        Reports(tmp_path, map="text=x")
    assert isinstance(next(Reports(tmp_path, map="encoding=cp1252").studies(["reports:y"])), Study)


# --- the users' page -------------------------------------------------------------------------------------------------


def test_every_command_of_the_page_works_on_the_page_s_own_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "own-reports.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(csv|yaml|sh)\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names = {"csv": "reports.csv", "yaml": "mapping.yaml"}
    for kind, body in blocks:
        if kind in names:
            Path(names[kind]).write_text(body, encoding="utf-8")
    Path("notes").mkdir()
    Path("notes/N1.txt").write_text("FINDINGS: Clear lungs.", encoding="utf-8")
    commands = [
        line for kind, body in blocks if kind == "sh" for line in body.splitlines() if line.startswith("kgbuild")
    ]
    assert len(commands) == 9
    for command in commands:
        result = CliRunner().invoke(app, [*shlex.split(command)[1:], "--quiet"], prog_name="kgbuild")
        assert result.exit_code == 0, f"{command}: {result.output}"
