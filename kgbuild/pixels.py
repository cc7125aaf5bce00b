"""Image files as 8-bit greyscale pixels, however they are kept: PNG, JPEG or DICOM, told apart by their first bytes.

Nothing here knows of data sets or models. Needs the extra ``images`` (Pillow, pydicom, NumPy), imported when an image
is read. A DICOM goes the way of its standard (PS3.3 C.11, C.7.6.3): stored value → modality (rescale or table) →
values of interest (table or window, else the image's own range) → 0…255, and MONOCHROME1 is turned over, so that bone
is bright in every picture. Of several windows the first is used.

A file that cannot be read is a ``StudyError`` with its path; no message holds what a header says of a patient.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from kgbuild.errors import DependencyMissing, StudyError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Values = NDArray[np.float64]

_T = TypeVar("_T")
_DICOM_AT = 128
_DICOM = b"DICM"
_DICOM_ENDS = (".dcm", ".dicom")


class Size(NamedTuple):
    """Of an image, in pixels."""

    rows: int
    columns: int


def read_pixels(path: Path, study_id: str | None = None) -> Pixels:
    """Decode one image.

    Args:
        path: a PNG, JPEG or DICOM file of one frame, grey or colour, of any bit depth.
        study_id: for the error message; the file name if None.

    Returns:
        0 is black. Shape: (rows, columns)

    Raises:
        StudyError: the file is absent, damaged, or none of these; carries the path.
        DependencyMissing: Pillow or pydicom is not installed.
    """
    return _read(path, study_id, _dicom_pixels, _picture_pixels)


def read_size(path: Path, study_id: str | None = None) -> Size:
    """Rows and columns from the file's header, without decoding the pixels.

    Raises:
        StudyError: the file is absent, its header is damaged, or it is none of the three kinds.
        DependencyMissing: Pillow or pydicom is not installed.
    """
    return _read(path, study_id, _dicom_size, _picture_size)


def _read(path: Path, study_id: str | None, dicom: Callable[[Path], _T], picture: Callable[[Path], _T]) -> _T:
    with _named(path, study_id):
        return (dicom if _is_dicom(path) else picture)(path)


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(_DICOM_AT + len(_DICOM))
    if not start:
        raise _Refused("is empty")
    return start[_DICOM_AT:] == _DICOM or path.suffix.lower() in _DICOM_ENDS


@contextmanager
def _named(path: Path, study_id: str | None) -> Iterator[None]:
    """Turn whatever a decoder raises into a StudyError that names the file, and keep its warnings to itself."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImportError as error:
        raise DependencyMissing(
            f"images need {error.name}", where=str(path), next_step="pip install 'kgbuild[images]'"
        ) from None
    except FileNotFoundError:
        raise StudyError(study_id or path.name, f"image {path.name} is absent", where=str(path)) from None
    except _Refused as error:
        raise StudyError(study_id or path.name, f"image {path.name} {error}", where=str(path)) from None
    except Exception as error:  # decoders raise anything on damaged data; their words may quote a header
        what = f"is damaged or no PNG, JPEG or DICOM file ({type(error).__name__})"
        raise StudyError(study_id or path.name, f"image {path.name} {what}", where=str(path)) from error


class _Refused(Exception):
    """A file that is not read, and why; the message goes on after the file's name."""


def _picture_size(path: Path) -> Size:
    from PIL import Image

    with Image.open(path) as picture:
        return Size(picture.height, picture.width)


def _picture_pixels(path: Path) -> Pixels:
    """PNG or JPEG; one of 16 bits is spread from its own darkest to its own brightest value."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as picture:
        picture.load()
        if picture.mode.startswith(("I", "F")):
            values = np.asarray(picture, dtype=np.float64)
            return _to_bytes(_spread(values, values))
        return np.array(picture.convert("L"), dtype=np.uint8)


def _dicom_size(path: Path) -> Size:
    from pydicom import dcmread

    header = dcmread(path, stop_before_pixels=True, force=True, specific_tags=["Rows", "Columns"])
    return Size(int(header.Rows), int(header.Columns))


def _dicom_pixels(path: Path) -> Pixels:
    """One frame of a DICOM file as a radiograph is looked at."""
    import numpy as np
    from pydicom import dcmread
    from pydicom.pixels.processing import apply_modality_lut
    from pydicom.pixels.utils import pixel_array
    from pydicom.uid import ImplicitVRLittleEndian

    header = dcmread(path, force=True)
    frames = int(header.get("NumberOfFrames") or 1)
    if frames != 1:
        raise _Refused(f"holds {frames} frames; only single radiographs are read")
    if "TransferSyntaxUID" not in header.file_meta:
        header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian  # the standard's default where a file names none
    try:
        stored = pixel_array(header)
    except (NotImplementedError, RuntimeError) as error:
        if not isinstance(error, NotImplementedError) and "missing dependencies" not in str(error):
            raise
        name = header.file_meta.TransferSyntaxUID.name
        raise _Refused(f"is compressed as {name}, for which pydicom has no decoder (pylibjpeg brings some)") from None
    kind = str(header.get("PhotometricInterpretation", "MONOCHROME2"))
    if stored.ndim == 3:
        return _to_bytes(stored[..., :3] @ np.array([0.299, 0.587, 0.114]) / (2.0 ** int(header.BitsStored) - 1))
    if kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise _Refused(f"has the photometric interpretation {kind}; MONOCHROME1, MONOCHROME2 and colour are read")
    stored = _only_stored_bits(stored, header)
    padding = _padding(stored, header)
    grey = _of_interest(np.asarray(apply_modality_lut(stored, header)), header, padding)
    if kind == "MONOCHROME1":
        grey = 1.0 - grey
    return _to_bytes(grey if padding is None else np.where(padding, 0.0, grey))


def _only_stored_bits(stored: NDArray[Any], header: Any) -> NDArray[Any]:
    """Clear what stands above ``BitsStored`` (old overlays), and carry the sign up through it."""
    import numpy as np

    bits, signed = int(header.BitsStored), int(header.get("PixelRepresentation") or 0)
    if bits >= int(header.BitsAllocated):
        return stored
    low = stored.astype(np.int64) & ((1 << bits) - 1)
    return np.where(low >> (bits - 1), low - (1 << bits), low) if signed else low


def _padding(stored: NDArray[Any], header: Any) -> NDArray[np.bool_] | None:
    """Where the picture is only filled up to a rectangle; None where nowhere."""
    first = header.get("PixelPaddingValue")
    if first is None:
        return None
    limit = header.get("PixelPaddingRangeLimit")
    low, high = sorted((int(first), int(first if limit is None else limit)))
    mask: NDArray[np.bool_] = (stored >= low) & (stored <= high)
    return mask if mask.any() and not mask.all() else None


def _of_interest(values: NDArray[Any], header: Any, padding: NDArray[np.bool_] | None) -> Values:
    """Values as shares of full brightness, before MONOCHROME1 is turned over."""
    import numpy as np
    from pydicom.pixels.processing import apply_voi

    tables = header.get("VOILUTSequence")
    if tables and "LUTDescriptor" in tables[0] and "LUTData" in tables[0]:
        bits = int(tables[0].LUTDescriptor[2])
        shown = apply_voi(values.astype(np.int64), header)
        return np.asarray(shown, dtype=np.float64) / (2.0**bits - 1)
    window = _window(header)
    floats = values.astype(np.float64)
    if window is None:
        return _spread(floats, floats if padding is None else floats[~padding])
    centre, width = window
    function = str(header.get("VOILUTFunction") or "LINEAR")
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            return np.asarray(1.0 / (1.0 + np.exp(-4.0 * (floats - centre) / width)))
    if function == "LINEAR_EXACT" or width <= 1:
        return np.asarray((floats - centre) / width + 0.5)
    return np.asarray((floats - (centre - 0.5)) / (width - 1) + 0.5)


def _window(header: Any) -> tuple[float, float] | None:
    """The first window's centre and width, None where there is none that can be used."""
    import math

    found = []
    for name in ("WindowCenter", "WindowWidth"):
        value = header.get(name)
        if value is not None and not isinstance(value, (str, int, float)) and hasattr(value, "__len__"):
            value = value[0] if len(value) else None
        if value is None or value == "":
            return None
        found.append(float(value))
    centre, width = found
    return (centre, width) if math.isfinite(centre) and math.isfinite(width) and width > 0 else None


def _spread(values: Values, seen: Values) -> Values:
    """0 at the smallest of ``seen``, 1 at its largest; 0 throughout where these are one."""
    import numpy as np

    low, high = float(seen.min()), float(seen.max())
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _to_bytes(shares: NDArray[Any]) -> Pixels:
    import numpy as np

    return np.asarray(np.rint(np.clip(shares, 0.0, 1.0) * 255.0), dtype=np.uint8)
