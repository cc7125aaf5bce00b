"""IU X-ray in its three forms, on made-up reports; then, where the data pack is there, on the real ones."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from kgbuild.datasets.base import Dataset, FileCheck, Listing
from kgbuild.datasets.iu_xray import IuXray
from kgbuild.domain import Failure, Image, Report, Section, Study, StudyRef
from kgbuild.errors import ColumnMissing, FileMissing, KgbuildError, RootMissing, UsageError
from kgbuild.plugins import find

HEADER = "uid,MeSH,Problems,image,indication,comparison,findings,impression"


class Made(NamedTuple):
    uid: int
    findings: str = ""
    impression: str = ""
    indication: str = ""
    comparison: str = ""
    images: tuple[tuple[str, str], ...] = ()


PLAIN = Made(
    12,
    findings=' Two wires, "crossed" at T4.\nLeft apex < 2 cm & clear. ',
    impression="No effusion.",
    indication="Cough, fever",
    comparison="None.",
    images=(("12_IM-0001-2001", "Lateral"), ("12_IM-0001-1001", "Frontal")),
)
ODD = Made(1, impression="Clear lungs.", images=(("1_IM-0009-3001", "Lateral"),))
EMPTY = Made(103)
STUDIES = (PLAIN, ODD, EMPTY)
SILENT = {
    "images listed": 0,
    "images listed but absent": 0,
    "image rows of no report": 0,
    "repeated image rows": 0,
    "studies without images": 0,
    "studies without findings and impression": 0,
    "unreadable reports": 0,
    "repeated reports": 0,
}


def write_csv(path: Path, header: str, rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", newline="") as file:
        file.write(f"{header}\n")
        csv.writer(file, lineterminator="\n").writerows(rows)


def make_csv(root: Path, studies: Iterable[Made] = STUDIES, *, prefix: str = "") -> Path:
    root.mkdir(exist_ok=True)
    write_csv(
        root / f"{prefix}reports.csv",
        HEADER,
        ([s.uid, "normal", "normal", "Xray", s.indication, s.comparison, s.findings, s.impression] for s in studies),
    )
    images = [(s.uid, f"{name}.dcm.png", view) for s in studies for name, view in s.images]
    write_csv(root / f"{prefix}projections.csv", "uid,filename,projection", images)
    return root


def xml_of(made: Made) -> bytes:
    def escape(text: str) -> str:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    parts = "".join(
        f'<AbstractText Label="{name.upper()}">{escape(getattr(made, name))}</AbstractText>'
        if getattr(made, name)
        else f'<AbstractText Label="{name.upper()}"/>'
        for name in ("comparison", "indication", "findings", "impression")
    )
    start = "CXR1_" if made.uid == 1 else "CXR"
    images = "".join(
        f'<parentImage id="{start}{name}"><caption>Two views</caption></parentImage>' for name, _ in made.images
    )
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<eCitation>\n<meta type="rr"/><uId id="CXR{made.uid}"/>'
        f"<MedlineCitation><Article><Abstract>{parts}</Abstract></Article></MedlineCitation>"
        f"<MeSH><major>normal</major></MeSH>{images}\n</eCitation>\n"
    ).encode()


def make_xml(root: Path, studies: Iterable[Made] = STUDIES, folder: str = "") -> Path:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for made in studies:
        (root / folder / f"{made.uid}.xml").write_bytes(xml_of(made))
    return root


def make_tgz(path: Path, members: Mapping[str, bytes] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if members is None:
        members = {f"ecgen-radiology/{made.uid}.xml": xml_of(made) for made in STUDIES}
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def csv_of(root: Path, text: str | bytes) -> IuXray:
    root.mkdir(exist_ok=True)
    (root / "reports.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return IuXray(root)


def one_xml(root: Path, data: bytes, name: str = "12.xml") -> IuXray:
    (root / name).write_bytes(data)
    return IuXray(root)


def sections(**parts: str) -> tuple[Section, ...]:
    return tuple(Section(name, text) for name, text in parts.items())


def expected(path: str, view: bool = True, paths: Mapping[str, str] | None = None) -> list[Study]:
    """The three studies as they should come, the report's path having ``{}`` for the uid."""
    paths = paths or {}

    def image(name: str, uid: int, seen: str) -> Image:
        return Image(name, f"CXR{uid}", seen if view else None, paths.get(name))

    return [
        Study(
            "CXR1",
            "iu-xray",
            Report(sections(impression="Clear lungs."), path.format(1)),
            (image("1_IM-0009-3001", 1, "Lateral"),),
        ),
        Study(
            "CXR12",
            "iu-xray",
            Report(
                sections(
                    findings=' Two wires, "crossed" at T4.\nLeft apex < 2 cm & clear. ',
                    impression="No effusion.",
                    indication="Cough, fever",
                    comparison="None.",
                ),
                path.format(12),
            ),
            (image("12_IM-0001-1001", 12, "Frontal"), image("12_IM-0001-2001", 12, "Lateral")),
        ),
        Study("CXR103", "iu-xray", Report((), path.format(103))),
    ]


THREE_COUNTS = SILENT | {
    "images listed": 3,
    "images listed but absent": 3,
    "studies without images": 1,
    "studies without findings and impression": 1,
}
THREE = Listing((StudyRef("CXR1"), StudyRef("CXR12"), StudyRef("CXR103")), (), THREE_COUNTS)


# --- the three forms -------------------------------------------------------------------------------------------------


def test_it_is_found_by_name() -> None:
    plugin: type[Dataset] = IuXray
    assert find("datasets", "iu-xray") is plugin
    assert (plugin.name, plugin.options) == ("iu-xray", ("form",))


@pytest.mark.parametrize("prefix", ["", "indiana_"])
def test_csv(tmp_path: Path, prefix: str) -> None:
    data = IuXray(make_csv(tmp_path, prefix=prefix))
    assert data.listing() == THREE
    assert list(data.studies()) == expected(f"{prefix}reports.csv")


@pytest.mark.parametrize("folder", ["", "ecgen-radiology", "xml"])
def test_xml(tmp_path: Path, folder: str) -> None:
    data = IuXray(make_xml(tmp_path, folder=folder))
    assert data.listing() == THREE
    assert list(data.studies()) == expected(f"{folder}/{{}}.xml".lstrip("/"), view=False)


@pytest.mark.parametrize("name", ["NLMCXR_reports.tgz", "NLMCXR_reports_part.tar.gz"])
@pytest.mark.parametrize("direct", [True, False])
def test_archive(tmp_path: Path, name: str, direct: bool) -> None:
    archive = make_tgz(tmp_path / name)
    data = IuXray(archive if direct else tmp_path)
    assert data.listing() == THREE
    assert list(data.studies()) == expected(f"{name}#ecgen-radiology/{{}}.xml", view=False)
    assert [path.name for path in tmp_path.iterdir()] == [name]  # read in place


def test_the_csv_wins_and_form_overrides(tmp_path: Path) -> None:
    make_csv(tmp_path, [PLAIN])
    make_xml(tmp_path, [ODD], "xml")
    make_tgz(tmp_path / "NLMCXR_reports.tgz", {"ecgen-radiology/103.xml": xml_of(EMPTY)})
    got = {form: IuXray(tmp_path, form=form).listing().studies for form in ("csv", "xml", "tgz")}
    assert got == {"csv": (StudyRef("CXR12"),), "xml": (StudyRef("CXR1"),), "tgz": (StudyRef("CXR103"),)}
    assert IuXray(tmp_path).listing().studies == got["csv"]


def test_studies_by_id_in_the_order_asked(tmp_path: Path) -> None:
    data = IuXray(make_csv(tmp_path))
    got = list(data.studies(["CXR103", "CXR7", "CXR1"]))
    assert got == [
        expected("reports.csv")[2],
        Failure("CXR7", "read", "no such study in this data set", "reports.csv"),
        expected("reports.csv")[0],
    ]
    assert list(data.studies([])) == []


def test_split_and_native_sizes_beside_the_reports(tmp_path: Path) -> None:
    make_csv(tmp_path, [PLAIN, ODD])
    write_csv(
        tmp_path / "r2gen_split.csv", "id,uid,split,image_ids", [("CXR12_a", 12, "val", "a;b"), ("CXR5", 5, "test", "")]
    )
    sizes = [(12, "12_IM-0001-1001.dcm.png", "2320", "2828"), (1, "1_IM-0009-3001.dcm.png", "", "wide")]
    write_csv(tmp_path / "image_info.csv", "uid,filename,native_rows,native_columns", sizes)
    data = IuXray(tmp_path)
    assert data.listing().studies == (StudyRef("CXR1"), StudyRef("CXR12", "val"))
    odd, plain = data.studies()
    assert isinstance(odd, Study)
    assert isinstance(plain, Study)
    assert (odd.split, plain.split) == (None, "val")
    assert odd.images == (Image("1_IM-0009-3001", "CXR1", "Lateral"),)
    assert plain.images == (
        Image("12_IM-0001-1001", "CXR12", "Frontal", None, 2320, 2828),
        Image("12_IM-0001-2001", "CXR12", "Lateral"),
    )


def test_only_a_header_in_the_projections(tmp_path: Path) -> None:
    data = IuXray(make_csv(tmp_path, [Made(9001, "Tube above the carina.")], prefix="indiana_"))
    assert data.listing() == Listing((StudyRef("CXR9001"),), (), SILENT | {"studies without images": 1})


def test_no_projections_no_images(tmp_path: Path) -> None:
    make_csv(tmp_path)
    (tmp_path / "projections.csv").unlink()
    data = IuXray(tmp_path)
    assert [study.images for study in data.studies() if isinstance(study, Study)] == [(), (), ()]
    assert data.listing().counts["studies without images"] == 3
    assert FileCheck("projections.csv", False, False, None, 7466, None, "absent: no study has an image") in data.check()


# --- images ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["images", "images/images_normalized", "NLMCXR_png"])
@pytest.mark.parametrize("end", [".dcm.png", ".png", ".jpg"])
def test_images_under_the_root(tmp_path: Path, folder: str, end: str) -> None:
    make_csv(tmp_path)
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / f"12_IM-0001-1001{end}").touch()
    (tmp_path / folder / "notes.txt").touch()
    data = IuXray(tmp_path)
    paths = {"12_IM-0001-1001": f"{folder}/12_IM-0001-1001{end}"}
    assert list(data.studies()) == expected("reports.csv", paths=paths)
    assert data.listing().counts["images listed but absent"] == 2


def test_images_in_a_folder_of_their_own(tmp_path: Path) -> None:
    root = make_csv(tmp_path / "root")
    for folder in (tmp_path / "elsewhere", root / "pictures"):
        folder.mkdir()
        (folder / "1_IM-0009-3001.jpg").touch()
        (folder / "1_IM-0009-3001.dcm.png").touch()  # goes first
    elsewhere = IuXray(root, tmp_path / "elsewhere")
    assert list(elsewhere.studies()) == expected("reports.csv", paths={"1_IM-0009-3001": "1_IM-0009-3001.dcm.png"})
    inside = IuXray(root, root / "pictures")
    found = {"1_IM-0009-3001": "pictures/1_IM-0009-3001.dcm.png"}
    assert list(inside.studies()) == expected("reports.csv", paths=found)


def test_image_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match=r"image folder .*nowhere is not there"):
        IuXray(make_csv(tmp_path), tmp_path / "nowhere")


def test_image_rows_that_fit_no_study_or_two(tmp_path: Path) -> None:
    make_csv(tmp_path, [PLAIN, ODD])
    rows: list[tuple[object, ...]] = [
        (12, "images_normalized/12_IM-0001-1001.dcm.png", "Frontal"),
        (77, "77_IM-0001-1001.dcm.png", "Frontal"),  # line 3: of no report
        (12, "12_IM-0001-1001.dcm.png", "Frontal"),  # repeated
        (1, "12_IM-0001-1001.dcm.png", "Frontal"),  # of another study
        ("x", "1_IM.png", "Frontal"),
        (1, "", "Frontal"),
        (1, "1_IM.png"),
    ]
    write_csv(tmp_path / "projections.csv", "uid,filename,projection", rows)
    listing = IuXray(tmp_path).listing()
    reason = "its image 12_IM-0001-1001 belongs already to CXR12 (projections.csv line 2), which keeps it"
    assert listing.failures == (
        Failure("CXR1", "read", reason, "projections.csv line 5"),
        Failure("projections.csv", "read", "uid is not an integer", "projections.csv line 6"),
        Failure("CXR1", "read", "no file name", "projections.csv line 7"),
        Failure("CXR1", "read", "2 fields where the header has 3", "projections.csv line 8"),
    )
    assert listing.counts == SILENT | {
        "images listed": 1,
        "images listed but absent": 1,
        "image rows of no report": 1,
        "repeated image rows": 1,
        "studies without images": 1,
    }


def test_projections_without_projection(tmp_path: Path) -> None:
    make_csv(tmp_path, [ODD])
    write_csv(tmp_path / "projections.csv", "filename,uid", [("1_IM-0009-3001.dcm.png", 1)])
    (odd,) = IuXray(tmp_path).studies()
    assert isinstance(odd, Study)
    assert odd.images == (Image("1_IM-0009-3001", "CXR1"),)


# --- roots and forms that are not there ------------------------------------------------------------------------------


def test_a_root_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(RootMissing) as caught:
        IuXray(tmp_path / "none")
    assert str(caught.value) == (
        f"IU X-ray root {tmp_path}/none does not exist\n"
        f"  where     {tmp_path}/none\n"
        "  expected  indiana_reports.csv or reports.csv; or *.xml directly, in ecgen-radiology/ or in xml/; "
        "or NLMCXR_reports*.tgz or .tar.gz\n"
        "  next      pass --root with the folder (or the archive) from Open-i or Kaggle, or set KGBUILD_IU_XRAY_ROOT"
    )
    assert caught.value.exit_code == 3


def test_a_root_that_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").touch()
    for root in (tmp_path, tmp_path / "readme.txt"):
        with pytest.raises(RootMissing, match="holds no form of IU X-ray"):
            IuXray(root)


def test_unknown_form_and_option(tmp_path: Path) -> None:
    make_csv(tmp_path)
    with pytest.raises(UsageError, match=r"(?s)unknown form 'json'.*one of csv, xml, tgz"):
        IuXray(tmp_path, form="json")
    with pytest.raises(UsageError, match="unknown option colour"):
        IuXray(tmp_path, colour="red")


@pytest.mark.parametrize("form", ["xml", "tgz"])
def test_a_form_that_is_not_there(tmp_path: Path, form: str) -> None:
    with pytest.raises(FileMissing, match=rf"(?s)form {form} of iu-xray is not there.*use csv"):
        IuXray(make_csv(tmp_path), form=form)


# --- CSV that is broken ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "reports.csv is empty: no header, no rows"),
        ("\n\n", "reports.csv is empty: no header, no rows"),
        ("uid,findings\n", "reports.csv has no column impression: its header is uid,findings"),
        ("uid;findings\n", "reports.csv has no column uid, findings, impression: its header is uid;findings"),
        (
            "7,normal,Clear lungs\n",
            "reports.csv has no column uid, findings, impression: "
            "its header is not one (3 fields that are not column names)",
        ),
    ],
)
def test_header(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ColumnMissing) as caught:
        csv_of(tmp_path, text).listing()
    assert caught.value.message == message
    assert caught.value.where == f"{tmp_path}/reports.csv line 1"
    assert caught.value.expected == HEADER
    assert "Clear lungs" not in str(caught.value)


def test_projections_and_split_without_a_needed_column(tmp_path: Path) -> None:
    make_csv(tmp_path)
    (tmp_path / "projections.csv").write_text("uid,file\n")
    with pytest.raises(ColumnMissing, match=r"projections.csv has no column filename: its header is uid,file"):
        IuXray(tmp_path).listing()
    (tmp_path / "projections.csv").unlink()
    (tmp_path / "r2gen_split.csv").write_text("id,uid\n")
    with pytest.raises(ColumnMissing, match=r"r2gen_split.csv has no column split"):
        IuXray(tmp_path).listing()


def test_a_header_alone_lists_nothing(tmp_path: Path) -> None:
    assert csv_of(tmp_path, HEADER).listing() == Listing((), (), SILENT)


def test_byte_order_mark_blank_lines_and_line_ends(tmp_path: Path) -> None:
    data = csv_of(tmp_path, b'\xef\xbb\xbfuid,findings,impression\r\n\r\n 5 ,"a\r\nb",\xc3\xa9 c\r\n')
    (study,) = data.studies()
    assert study == Study("CXR5", "iu-xray", Report(sections(findings="a\r\nb", impression="é c"), "reports.csv"))


GOOD = Study("CXR9", "iu-xray", Report(sections(findings="Fine."), "reports.csv"))
UNREADABLE = Study("CXR4", "iu-xray", Report((), "reports.csv"))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"4,caf\xe9,x", "byte 0xe9 at offset 30 (line 3) is not UTF-8"),
        (b'4,"a\nb\x00",x', "byte 0x00 at offset 31 (line 4) is NUL"),
        (b"4,only", "2 fields where the header has 3"),
        (b"4,a,b,c", "4 fields where the header has 3"),
        (b'4,"never closed,x', "not a CSV record: unexpected end of data"),
        (b'"4","a" b,x', "not a CSV record: ',' expected after '\"'"),
    ],
)
def test_a_broken_row_costs_that_study_only(tmp_path: Path, row: bytes, reason: str) -> None:
    # line 1 the header, line 2 blank, the broken row from line 3, one good row before and one after in uid order
    data = csv_of(tmp_path, b"uid,findings,impression\n\n" + row + b"\n9,Fine.,\n3,Fine.,\n")
    listing = data.listing()
    assert listing.studies == (StudyRef("CXR3"), StudyRef("CXR4"), StudyRef("CXR9"))
    assert listing.failures == ()
    assert listing.counts == SILENT | {"studies without images": 3, "unreadable reports": 1}
    first, broken, last = data.studies()
    assert isinstance(first, Study)
    assert first.id == "CXR3"
    assert broken == Failure("CXR4", "read", reason, "reports.csv line 3", UNREADABLE)
    assert last == GOOD


def test_byte_offset_counts_the_byte_order_mark(tmp_path: Path) -> None:
    data = csv_of(tmp_path, b"\xef\xbb\xbfuid,findings,impression\n4,\xff,\n")
    (broken,) = data.studies()
    reason = "byte 0xff at offset 29 (line 2) is not UTF-8"
    assert broken == Failure("CXR4", "read", reason, "reports.csv line 2", UNREADABLE)


def test_rows_without_a_uid(tmp_path: Path) -> None:
    rows = ["x1,a,b", ",a,b", "1.5,a,b", "-3,a,b", "12345678901,a,b", "caf\udce9,a,b", "CXR4,a", "9,Fine.,"]
    text = "\n".join(["uid,findings,impression", *rows]).encode("utf-8", "surrogateescape")
    data = csv_of(tmp_path, text)
    assert list(data.studies()) == [GOOD]
    reasons = [
        *["uid is not an integer"] * 5,
        "byte 0xe9 at offset 70 (line 7) is not UTF-8",
        "2 fields where the header has 3",
    ]
    assert data.listing().failures == tuple(
        Failure("reports.csv", "read", reason, f"reports.csv line {line}") for line, reason in enumerate(reasons, 2)
    )


def test_a_repeated_uid(tmp_path: Path) -> None:
    rows = '9,Fine.,\n9,Fine.,\n9,"Not\nfine.",\n9,Fine.,\n009,Fine.,\n'
    data = csv_of(tmp_path, f"uid,findings,impression\n{rows}")
    reason = "uid 9 stands already in reports.csv line 2 with other content; the first is used"
    assert list(data.studies()) == [GOOD]
    assert data.listing() == Listing(
        (StudyRef("CXR9"),),
        (
            Failure("CXR9", "read", reason, "reports.csv line 4"),
            Failure("CXR9", "read", reason, "reports.csv line 7"),
        ),
        SILENT | {"studies without images": 1, "repeated reports": 2},
    )


def test_a_split_that_is_broken(tmp_path: Path) -> None:
    make_csv(tmp_path, [ODD])
    rows = [("a", 1, "train"), ("b", 1, "test"), ("c", "one", "test"), ("d", 2, ""), ("e", 1)]
    write_csv(tmp_path / "r2gen_split.csv", "id,uid,split", rows)
    listing = IuXray(tmp_path).listing()
    assert listing.studies == (StudyRef("CXR1", "train"),)
    assert listing.failures == (
        Failure("CXR1", "read", "another split than in an earlier row, which is used", "r2gen_split.csv line 3"),
        Failure("r2gen_split.csv", "read", "uid is not an integer", "r2gen_split.csv line 4"),
        Failure("CXR2", "read", "no split", "r2gen_split.csv line 5"),
        Failure("CXR1", "read", "2 fields where the header has 3", "r2gen_split.csv line 6"),
    )


def test_a_foreign_image_info_is_not_used(tmp_path: Path) -> None:
    make_csv(tmp_path)
    (tmp_path / "image_info.csv").write_text("file,rows\n")
    data = IuXray(tmp_path)
    assert list(data.studies()) == expected("reports.csv")
    note = "not used: it lacks filename, native_rows or native_columns"
    assert FileCheck("image_info.csv", False, True, 0, 7466, 10, note) in data.check()


# --- XML that is broken ----------------------------------------------------------------------------------------------


def test_truncated_xml(tmp_path: Path) -> None:
    whole = xml_of(PLAIN)
    data = one_xml(tmp_path, whole[: whole.index(b"effusion")])
    (tmp_path / "1.xml").write_bytes(xml_of(ODD))
    assert data.listing().studies == (StudyRef("CXR1"), StudyRef("CXR12"))
    odd, broken = data.studies()
    assert odd == expected("{}.xml", view=False)[0]
    assert isinstance(broken, Failure)
    assert (broken.study_id, broken.stage, broken.where) == ("CXR12", "read", "12.xml")
    assert broken.reason.startswith("not well-formed XML: no element found at line 4, byte offset ")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<eCitation><IUXRId id='12'/></eCitation>", "no uId element"),
        ("<eCitation><uId id='12'/></eCitation>", "its uId is not CXR and a number"),
        ("<eCitation><uId/></eCitation>", "its uId is not CXR and a number"),
        ("", "the file is empty"),
        ("<eCitation>", "not well-formed XML: no element found at line 1, byte offset 11"),
        ("<eCitation>\n<a>&nbsp;</a></eCitation>", "not well-formed XML: undefined entity at line 2, byte offset 15"),
        ("<a>\x00</a>", "not well-formed XML: not well-formed (invalid token) at line 1, byte offset 3"),
        ("<?xml version='1.0' encoding='klingon'?><eCitation/>", "its declared encoding cannot be read (LookupError)"),
        ("<?xml version='1.0' encoding='big5'?><eCitation/>", "its declared encoding cannot be read (ValueError)"),
    ],
)
def test_xml_that_names_no_study(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "xml").mkdir()
    (tmp_path / "xml" / "12.xml").write_text(text)
    data = IuXray(tmp_path)
    assert data.listing() == Listing((), (Failure("12.xml", "read", reason, "xml/12.xml"),), SILENT)
    assert list(data.studies()) == []


@pytest.mark.parametrize(
    "subset",
    [
        '[<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]',
        '[<!ENTITY a SYSTEM "file:///etc/passwd">]',
        'SYSTEM "http://localhost/x.dtd"',
        "",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_doctype_is_refused_before_anything_expands(tmp_path: Path, subset: str, encoding: str) -> None:
    text = (
        f"<?xml version='1.0' encoding='{encoding}'?>\n<!DOCTYPE eCitation {subset}>\n<eCitation><uId id='CXR12'/>"
        "<AbstractText Label='FINDINGS'>&b;</AbstractText></eCitation>"
    )
    reason = "it has a DOCTYPE, which is refused: no report needs one (line 2)"
    data = one_xml(tmp_path, text.encode(encoding))
    assert data.listing().failures == (Failure("12.xml", "read", reason, "12.xml"),)


def test_xml_not_utf8_costs_that_study_only(tmp_path: Path) -> None:
    data = one_xml(tmp_path, xml_of(PLAIN).replace(b"effusion", b"eff\xe9sion"))
    (tmp_path / "1.xml").write_bytes(xml_of(ODD))
    odd, broken = data.studies()
    assert isinstance(odd, Study)
    assert isinstance(broken, Failure)
    offset = xml_of(PLAIN).index(b"effusion") + 3
    assert broken.reason == f"not well-formed XML: not well-formed (invalid token) at line 4, byte offset {offset}"


def test_xml_entities_comments_and_repeated_sections(tmp_path: Path) -> None:
    data = one_xml(
        tmp_path,
        b"<eCitation><uId id='CXR12'/><Abstract>"
        b"<AbstractText Label='IMPRESSION'>One &gt; two &amp; &#233;<!-- not this --> three</AbstractText>"
        b"<AbstractText Label='findings'>first <i>part</i></AbstractText><AbstractText>nameless</AbstractText>"
        b"<AbstractText Label='FINDINGS'>second</AbstractText><AbstractText Label='INDICATION'> \n </AbstractText>"
        b"<AbstractText Label='TITLE'>foreign</AbstractText></Abstract></eCitation>",
    )
    (study,) = data.studies()
    assert isinstance(study, Study)
    assert study.report == Report(
        (
            Section("findings", "first part"),
            Section("findings", "second"),
            Section("impression", "One > two & é three"),
        ),
        "12.xml",
    )


def test_repeated_uid_in_xml(tmp_path: Path) -> None:
    make_xml(tmp_path, [PLAIN])
    (tmp_path / "12b.xml").write_bytes(xml_of(PLAIN))
    (tmp_path / "100.xml").write_bytes(xml_of(Made(12, "Something else.")))
    (tmp_path / "._12.xml").write_bytes(b"\x00\x05\x16\x07")
    listing = IuXray(tmp_path).listing()
    reason = "uid 12 stands already in 12.xml with other content; the first is used"
    assert listing.failures == (Failure("CXR12", "read", reason, "100.xml"),)
    assert (listing.studies, listing.counts["repeated reports"]) == ((StudyRef("CXR12"),), 1)


# --- archives that are broken ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_a_truncated_archive(tmp_path: Path, keep: float) -> None:
    archive = make_tgz(tmp_path / "NLMCXR_reports.tgz")
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * keep)])
    with pytest.raises(KgbuildError, match=r"(?s)archive NLMCXR_reports.tgz is cut short.*download it again") as caught:
        IuXray(tmp_path).listing()
    assert caught.value.exit_code == 3


def test_an_archive_cut_before_it_was_compressed(tmp_path: Path) -> None:
    archive = make_tgz(tmp_path / "NLMCXR_reports.tgz")
    archive.write_bytes(gzip.compress(gzip.decompress(archive.read_bytes())[:700]))
    with pytest.raises(FileMissing, match=r"is damaged or no gzipped tar \(unexpected end of data\)"):
        IuXray(tmp_path).listing()


@pytest.mark.parametrize(
    "data", [b"<html>not found</html>", gzip.compress(b"no tar" * 200, mtime=0)], ids=["html", "gzip"]
)
def test_no_archive_at_all(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "NLMCXR_reports.tgz").write_bytes(data)
    with pytest.raises(FileMissing, match="is damaged or no gzipped tar"):
        IuXray(tmp_path).listing()


@pytest.mark.parametrize("members", [{}, {"NLMCXR_png/1.png": b"x"}])
def test_an_archive_without_reports(tmp_path: Path, members: dict[str, bytes]) -> None:
    make_tgz(tmp_path / "NLMCXR_reports.tgz", members)
    with pytest.raises(FileMissing, match="holds no XML report"):
        IuXray(tmp_path).listing()


def test_members_from_outside_are_passed_over(tmp_path: Path) -> None:
    bad = xml_of(Made(66, "Outside."))
    members = {"../66.xml": bad, "a/../../66.xml": bad, "/66.xml": bad, "._66.xml": bad, "./12.xml": xml_of(PLAIN)}
    archive = make_tgz(tmp_path / "NLMCXR_reports.tgz", members)
    with tarfile.open(archive, "r:gz") as old, tarfile.open(tmp_path / "new.tgz", "w:gz") as new:
        for member in old.getmembers():
            new.addfile(member, old.extractfile(member))
        link = tarfile.TarInfo("66.xml")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        new.addfile(link)
    data = IuXray(tmp_path / "new.tgz")
    assert list(data.studies()) == [expected("new.tgz#{}.xml", view=False)[1]]
    assert data.listing().failures == ()


# --- fingerprint and check -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "xml", "tgz"])
def test_fingerprint_follows_content_and_nothing_else(tmp_path: Path, form: str) -> None:
    root = make_csv(tmp_path / "a")
    make_xml(root, folder="xml")
    make_tgz(root / "NLMCXR_reports.tgz")
    first = IuXray(root, form=form).fingerprint()
    shutil.copytree(root, tmp_path / "b" / "c", copy_function=shutil.copyfile)
    assert IuXray(tmp_path / "b" / "c", form=form).fingerprint() == first
    assert len(first) == 64

    (root / "images").mkdir()
    (root / "images" / "1_IM-0009-3001.jpg").touch()
    with_image = IuXray(root, form=form).fingerprint()
    (root / "images" / "1_IM-0009-3001.jpg").write_bytes(b"pixels are not read")
    assert IuXray(root, form=form).fingerprint() == with_image != first

    changed = {"csv": root / "reports.csv", "xml": root / "xml" / "12.xml", "tgz": root / "NLMCXR_reports.tgz"}[form]
    changed.write_bytes(changed.read_bytes() + b"\n")
    assert IuXray(root, form=form).fingerprint() not in (first, with_image)


def test_fingerprint_sees_projections_split_and_names_of_xml(tmp_path: Path) -> None:
    make_csv(tmp_path)
    make_xml(tmp_path, folder="xml")
    prints = [IuXray(tmp_path, form=form).fingerprint() for form in ("csv", "xml")]
    (tmp_path / "r2gen_split.csv").write_text("uid,split\n")
    prints += [IuXray(tmp_path, form=form).fingerprint() for form in ("csv", "xml")]
    (tmp_path / "projections.csv").unlink()
    (tmp_path / "xml" / "12.xml").rename(tmp_path / "xml" / "13.xml")
    prints += [IuXray(tmp_path, form=form).fingerprint() for form in ("csv", "xml")]
    assert len(set(prints)) == 6


def test_check(tmp_path: Path) -> None:
    make_csv(tmp_path)
    make_tgz(tmp_path / "NLMCXR_reports.tgz")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1_IM-0009-3001.jpg").write_bytes(b"abc")
    write_csv(tmp_path / "r2gen_split.csv", "uid,split", [("one", "train"), (1, "val")])
    with (tmp_path / "reports.csv").open("a") as file:
        file.write("x,,,,,,,\n12,,,,,,,\n14,\n103,normal,normal,Xray,,,,\n")
    with (tmp_path / "projections.csv").open("a") as file:
        file.write("8,8.png,Frontal\nx,y.png,Frontal\n")

    def size(name: str) -> int:
        return (tmp_path / name).stat().st_size

    reports = (
        "1 exact copies skipped; 1 reports unreadable; 2 skipped (first: reports.csv line 6: uid is not an integer); "
        "1 with neither findings nor impression; 2 without images"
    )
    projections = "1 rows of no report skipped; 1 skipped (first: projections.csv line 6: uid is not an integer)"
    split = "1 skipped (first: r2gen_split.csv line 2: uid is not an integer)"
    assert IuXray(tmp_path).check() == [
        FileCheck("reports.csv", True, True, 7, 3851, size("reports.csv"), reports),
        FileCheck("projections.csv", False, True, 5, 7466, size("projections.csv"), projections),
        FileCheck("images/", False, True, 1, 7470, 3, "2 of 3 listed images are absent"),
        FileCheck("r2gen_split.csv", False, True, 2, 2955, size("r2gen_split.csv"), split),
        FileCheck("image_info.csv", False, False, None, 7466, None, "absent: images have no rows and columns"),
        FileCheck(
            "NLMCXR_reports.tgz",
            False,
            True,
            size_bytes=size("NLMCXR_reports.tgz"),
            note="not used: form=tgz reads it",
        ),
    ]


def test_check_of_xml(tmp_path: Path) -> None:
    make_xml(tmp_path, folder="ecgen-radiology")
    (tmp_path / "ecgen-radiology" / "bad.xml").touch()
    size = sum(path.stat().st_size for path in (tmp_path / "ecgen-radiology").iterdir())
    note = (
        "1 skipped (first: ecgen-radiology/bad.xml: the file is empty); "
        "1 with neither findings nor impression; 1 without images"
    )
    looked = (
        "absent (looked for images/, images/images_normalized/, NLMCXR_png/): all 3 listed images are without a file"
    )
    assert IuXray(tmp_path).check()[:2] == [
        FileCheck("ecgen-radiology/", True, True, 4, 3955, size, note),
        FileCheck("images/", False, False, None, 7470, None, looked),
    ]


def test_no_message_holds_report_text(tmp_path: Path) -> None:
    secret = "zebra"
    rows = [f"{secret},a,b", f"1,{secret}", f'2,"{secret}" {secret},x', f"3,{secret}\0,x", f"4,{secret},x", "4,x,y"]
    data = csv_of(tmp_path, "\n".join(["uid,findings,impression", *rows]))
    bad = [*data.listing().failures, *(item for item in data.studies() if isinstance(item, Failure))]
    assert len(bad) == 5
    assert secret not in repr(bad)
    assert secret not in repr(data.check())


# --- the real thing --------------------------------------------------------------------------------------------------


def real(root: Path, form: str) -> dict[str, Study]:
    data = IuXray(root / "iu_xray", form=form)
    assert data.listing().failures == ()
    studies = [study for study in data.studies() if isinstance(study, Study)]
    assert len(studies) == len(data.listing().studies)
    return {study.id: study for study in studies}


@pytest.mark.real
@pytest.mark.parametrize(
    ("form", "studies", "listed", "absent", "silent", "without_images"),
    [("csv", 3601, 6959, 40, 25, 0), ("xml", 300, 564, 20, 11, 23), ("tgz", 3705, 6963, 44, 28, 104)],
)
def test_real_counts(
    real_data: Path, form: str, studies: int, listed: int, absent: int, silent: int, without_images: int
) -> None:
    listing = IuXray(real_data / "iu_xray", form=form).listing()
    assert len(listing.studies) == studies
    assert listing.counts == SILENT | {
        "images listed": listed,
        "images listed but absent": absent,
        "studies without findings and impression": silent,
        "studies without images": without_images,
    }


@pytest.mark.real
def test_real_splits_and_check(real_data: Path) -> None:
    data = IuXray(real_data / "iu_xray")
    splits = [ref.split for ref in data.listing().studies]
    assert {split: splits.count(split) for split in set(splits)} == {"train": 1890, "val": 279, "test": 551, None: 881}
    assert [(check.path, check.found, check.expected) for check in data.check()] == [
        ("reports.csv", 3601, 3851),
        ("projections.csv", 6959, 7466),
        ("images/", 6919, 7470),
        ("r2gen_split.csv", 2720, 2955),
        ("image_info.csv", 6959, 7466),
        ("xml/", None, None),
        ("NLMCXR_reports_without_heldout.tar.gz", None, None),
    ]


@pytest.mark.real
def test_real_forms_agree(real_data: Path) -> None:
    table, archive, folder = (real(real_data, form) for form in ("csv", "tgz", "xml"))

    def parts(study: Study) -> dict[str, str]:
        assert study.report is not None
        return {part.name: part.text for part in study.report.sections}

    def ids(study: Study) -> list[str]:
        return [image.id for image in study.images]

    assert len(archive.keys() - table.keys()) == 104  # the reports without an image
    assert table.keys() <= archive.keys()
    differ = [
        (key, name)
        for key, study in table.items()
        for name in ("findings", "impression", "indication", "comparison")
        if parts(study).get(name) != parts(archive[key]).get(name)
    ]
    # A spreadsheet took "+PPD" and "-- ..." for formulas when the CSV was made: the cell is "#NAME?".
    assert differ == [("CXR1555", "indication"), ("CXR3477", "indication"), ("CXR3784", "indication")]
    # Four images are in the XML and not in the projections (data pack, README).
    more = [
        (key, len(archive[key].images) - len(study.images))
        for key, study in table.items()
        if ids(study) != ids(archive[key])
    ]
    assert more == [("CXR2084", 2), ("CXR2560", 1), ("CXR3809", 1)]
    assert {key: (parts(study), study.images) for key, study in folder.items()} == {
        key: (parts(archive[key]), archive[key].images) for key in folder
    }


@pytest.mark.real
def test_real_image(real_data: Path) -> None:
    (study,) = IuXray(real_data / "iu_xray").studies(["CXR1"])
    assert isinstance(study, Study)
    assert study.images == (
        Image("1_IM-0001-3001", "CXR1", "Lateral", "images/1_IM-0001-3001.jpg", 2828, 2320),
        Image("1_IM-0001-4001", "CXR1", "Frontal", "images/1_IM-0001-4001.jpg", 2320, 2828),
    )


@pytest.mark.real
def test_real_made_up_inpatients(real_data: Path) -> None:
    data = IuXray(real_data / "inpatient_made_up")
    assert data.listing() == Listing(
        tuple(StudyRef(f"CXR{uid}") for uid in range(9001, 9024)), (), SILENT | {"studies without images": 23}
    )
