"""Pixels of small pictures and DICOM files made here; every expected value is worked out by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kgbuild.errors import DependencyMissing, StudyError
from kgbuild.pixels import Size, read_pixels, read_size

np = pytest.importorskip("numpy")
Image = pytest.importorskip("PIL.Image")
pydicom = pytest.importorskip("pydicom")

RAMP = [[0, 1000], [2000, 4095]]


def make_dicom(path: Path, values: Any = RAMP, *, bits: int = 12, signed: bool = False, **tags: Any) -> Path:
    """A DICOM of the values in 16 bits each, ``bits`` of them used; ``tags`` are set as they stand."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

    array = np.asarray(values, dtype="<i2" if signed else "<u2")
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.PatientName = "Nobody^At^All"
    data.Rows, data.Columns = array.shape
    data.SamplesPerPixel, data.BitsAllocated, data.BitsStored, data.HighBit = 1, 16, bits, bits - 1
    data.PixelRepresentation = int(signed)
    data.PhotometricInterpretation = "MONOCHROME2"
    data.PixelData = array.tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def pixels(path: Path) -> list[list[int]]:
    found = read_pixels(path)
    assert found.dtype == np.uint8
    return [[int(value) for value in row] for row in found]


def test_without_a_window_the_image_spans_its_own_range(tmp_path: Path) -> None:
    assert pixels(make_dicom(tmp_path / "a.dcm")) == [[0, 62], [125, 255]]  # 255/4095 of 0, 1000, 2000, 4095
    assert pixels(make_dicom(tmp_path / "b.dcm", [[500, 600], [600, 700]])) == [[0, 128], [128, 255]]
    assert pixels(make_dicom(tmp_path / "c.dcm", [[7, 7]])) == [[0, 0]]


def test_monochrome1_is_turned_over(tmp_path: Path) -> None:
    path = make_dicom(tmp_path / "a.dcm", PhotometricInterpretation="MONOCHROME1")
    assert pixels(path) == [[255, 193], [130, 0]]
    windowed = make_dicom(
        tmp_path / "b.dcm", PhotometricInterpretation="MONOCHROME1", WindowCenter="1000.5", WindowWidth="2001"
    )
    assert pixels(windowed) == [[255, 128], [0, 0]]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        # LINEAR: ((x - (c - 0.5)) / (w - 1) + 0.5) * 255 with c 1000.5, w 2001: 0 at 0, 255 at 2000
        ({"WindowCenter": "1000.5", "WindowWidth": "2001"}, [[0, 128], [255, 255]]),
        # the first of several windows
        ({"WindowCenter": ["1000.5", "10"], "WindowWidth": ["2001", "20"]}, [[0, 128], [255, 255]]),
        # LINEAR_EXACT: (x - c) / w + 0.5: 0 at 0, 1 at 2000
        ({"WindowCenter": "1000", "WindowWidth": "2000", "VOILUTFunction": "LINEAR_EXACT"}, [[0, 128], [255, 255]]),
        # SIGMOID: 1 / (1 + exp(-4 (x - c) / w)): 0.1192, 0.5, 0.8808, 0.99795
        ({"WindowCenter": "1000", "WindowWidth": "2000", "VOILUTFunction": "SIGMOID"}, [[30, 128], [225, 254]]),
        # windows that are none: the image's own range
        ({"WindowCenter": "1000", "WindowWidth": "0"}, [[0, 62], [125, 255]]),
        ({"WindowCenter": None, "WindowWidth": None}, [[0, 62], [125, 255]]),
        ({"WindowCenter": "1000"}, [[0, 62], [125, 255]]),
    ],
)
def test_windows(tmp_path: Path, tags: dict[str, Any], expected: list[list[int]]) -> None:
    assert pixels(make_dicom(tmp_path / "a.dcm", **tags)) == expected


def test_the_window_is_one_of_rescaled_values(tmp_path: Path) -> None:
    # 2x - 1000: -1000, 1000, 3000, 7190
    path = make_dicom(
        tmp_path / "a.dcm", RescaleSlope="2", RescaleIntercept="-1000", WindowCenter="1000.5", WindowWidth="4001"
    )
    assert pixels(path) == [[0, 128], [255, 255]]


def test_sixteen_bits_signed(tmp_path: Path) -> None:
    path = make_dicom(tmp_path / "a.dcm", [[-1000, 0], [500, 1000]], bits=16, signed=True)
    assert pixels(path) == [[0, 128], [191, 255]]


def test_bits_above_those_stored_are_not_part_of_the_picture(tmp_path: Path) -> None:
    overlay = [[0, 1000 | 0x8000], [2000, 4095]]
    assert pixels(make_dicom(tmp_path / "a.dcm", overlay)) == [[0, 62], [125, 255]]
    twelve_signed = [[0x0FFF, 0x0000], [0x0001, 0x0003]]  # -1, 0, 1, 3 with the upper four bits empty
    assert pixels(make_dicom(tmp_path / "b.dcm", twelve_signed, signed=True)) == [[0, 64], [128, 255]]


def test_a_table_of_values_of_interest_goes_before_a_window(tmp_path: Path) -> None:
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4, 0, 8])
    item.add_new("LUTData", "US", [0, 10, 100, 255])
    path = make_dicom(tmp_path / "a.dcm", [[0, 1], [2, 9]], WindowCenter="1", WindowWidth="2")
    data = pydicom.dcmread(path)
    data.VOILUTSequence = Sequence([item])
    data.save_as(path)
    assert pixels(path) == [[0, 10], [100, 255]]


def test_padding_is_black_and_does_not_stretch_the_range(tmp_path: Path) -> None:
    values = [[0, 1000], [1500, 2000]]
    tags: dict[str, Any] = {"PixelPaddingValue": 0}
    assert pixels(make_dicom(tmp_path / "a.dcm", values, **tags)) == [[0, 0], [128, 255]]
    tags["PhotometricInterpretation"] = "MONOCHROME1"
    assert pixels(make_dicom(tmp_path / "b.dcm", values, **tags)) == [[0, 255], [128, 0]]


def test_a_dicom_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    assert pixels(make_dicom(tmp_path / "no_suffix")) == [[0, 62], [125, 255]]


def test_colour_becomes_grey(tmp_path: Path) -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 9, 9]]], dtype=np.uint8)
    tags: dict[str, Any] = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB"}
    tags |= {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelData": colours.tobytes()}
    assert pixels(make_dicom(tmp_path / "a.dcm", [[0, 0], [0, 0]], **tags)) == [[76, 150], [29, 9]]


def test_jpeg_within_dicom(tmp_path: Path) -> None:
    import io

    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEGBaseline8Bit

    grey, packed = Image.fromarray(np.full((8, 8), 77, dtype=np.uint8)), io.BytesIO()
    grey.save(packed, "JPEG", quality=95)
    path = make_dicom(tmp_path / "a.dcm", np.zeros((8, 8)), BitsAllocated=8, BitsStored=8, HighBit=7)
    data = pydicom.dcmread(path)
    data.PixelData = encapsulate([packed.getvalue()])
    data["PixelData"].VR = "OB"
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.WindowCenter, data.WindowWidth = "128", "256"
    data.save_as(path)
    assert {value for row in pixels(path) for value in row} == {77}
    data.PixelData = encapsulate([packed.getvalue()[:100]])
    data.save_as(path)
    with pytest.raises(StudyError, match=r"image a\.dcm is damaged"):
        read_pixels(path)
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.70"
    data.save_as(path)
    with pytest.raises(StudyError, match=r"is compressed as JPEG Lossless.*pylibjpeg"):
        read_pixels(path)


def test_a_compression_without_decoder_is_named(tmp_path: Path) -> None:
    from pydicom.encaps import encapsulate
    from pydicom.uid import MPEG2MPML

    path = make_dicom(tmp_path / "a.dcm")
    data = pydicom.dcmread(path)
    data.PixelData = encapsulate([b"\0\0"])
    data["PixelData"].VR = "OB"
    data.file_meta.TransferSyntaxUID = MPEG2MPML
    data.save_as(path)
    with pytest.raises(StudyError, match=r"a\.dcm is compressed as MPEG2 .*, for which pydicom has no decoder"):
        read_pixels(path)


def test_frames_are_refused(tmp_path: Path) -> None:
    path = make_dicom(tmp_path / "a.dcm", NumberOfFrames=2, PixelData=np.zeros((2, 2, 2), "<u2").tobytes())
    with pytest.raises(StudyError, match=r"image a\.dcm holds 2 frames"):
        read_pixels(path)


def test_pictures_of_every_mode(tmp_path: Path) -> None:
    grey = np.array([[0, 100], [200, 255]], dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert pixels(tmp_path / "grey.png") == grey.tolist()
    Image.fromarray(np.dstack([grey] * 3)).save(tmp_path / "rgb.png")
    assert pixels(tmp_path / "rgb.png") == grey.tolist()
    Image.fromarray(np.dstack([grey] * 3 + [np.full_like(grey, 255)])).save(tmp_path / "rgba.png")
    assert pixels(tmp_path / "rgba.png") == grey.tolist()
    Image.fromarray(np.array([[0, 1000], [2000, 4000]], dtype=np.uint16)).save(tmp_path / "deep.png")
    assert pixels(tmp_path / "deep.png") == [[0, 64], [128, 255]]
    Image.fromarray(np.full((16, 24), 77, dtype=np.uint8)).save(tmp_path / "a.jpg")
    assert read_pixels(tmp_path / "a.jpg").shape == (16, 24)
    assert set(read_pixels(tmp_path / "a.jpg").ravel()) == {77}


def test_sizes_from_the_header_alone(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((64, 48), dtype=np.uint8)).save(tmp_path / "a.jpg")
    make_dicom(tmp_path / "a.dcm", [[1, 2, 3], [4, 5, 6]])
    assert read_size(tmp_path / "a.jpg") == Size(rows=64, columns=48)
    assert read_size(tmp_path / "a.dcm") == Size(rows=2, columns=3)
    for name, keep in (("a.jpg", 500), ("a.dcm", -2)):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:keep])
    assert read_size(tmp_path / "a.jpg") == Size(64, 48)
    assert read_size(tmp_path / "a.dcm") == Size(2, 3)


def broken(tmp_path: Path) -> dict[str, Path]:
    rng = np.random.default_rng(7)
    Image.fromarray(rng.integers(0, 255, (64, 64), dtype=np.uint8)).save(tmp_path / "cut.jpg")
    Image.fromarray(rng.integers(0, 255, (64, 64), dtype=np.uint8)).save(tmp_path / "cut.png")
    make_dicom(tmp_path / "cut.dcm")
    make_dicom(tmp_path / "header.dcm")
    for name, keep in (("cut.jpg", 1500), ("cut.png", 1500), ("cut.dcm", -4), ("header.dcm", 200)):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:keep])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.jpg").write_bytes(b"not an image at all")
    (tmp_path / "text.dcm").write_bytes(b"not a DICOM file at all" * 20)
    return {path.name: path for path in tmp_path.iterdir()}


@pytest.mark.parametrize("name", ["cut.jpg", "cut.png", "cut.dcm", "header.dcm", "text.jpg", "text.dcm", "empty.png"])
def test_a_broken_file_is_named(tmp_path: Path, name: str) -> None:
    path = broken(tmp_path)[name]
    with pytest.raises(StudyError) as caught:
        read_pixels(path, "s1")
    assert caught.value.study_id == "s1"
    assert name in caught.value.reason
    assert caught.value.where == str(path)
    assert "Nobody" not in str(caught.value)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    for read in (read_pixels, read_size):
        with pytest.raises(StudyError, match=r"study x\.png: image x\.png is absent"):
            read(tmp_path / "x.png")


def test_what_must_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_dicom(tmp_path / "a.dcm")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(DependencyMissing, match=r"pip install 'kgbuild\[images\]'"):
        read_pixels(path)


def test_nothing_heavy_is_imported_before_an_image_is_read() -> None:
    code = "import sys, kgbuild.pixels; print(*{'numpy', 'PIL', 'pydicom', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
