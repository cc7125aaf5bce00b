"""Draw a state as a radiograph-like picture, with boxes of what was drawn; needs Pillow (extra ``images``).

A drawing, not a radiograph: body, lungs, ribs, heart, spine; on them what the state holds, at the stated side, zone,
size and degree, fainter where the report is not sure. The patient's right is on the left of a frontal view. Noise comes
from the image's own id, so the same study gives the same bytes (with the same Pillow and libjpeg).
"""

from __future__ import annotations

from random import Random
from typing import Any

from kgbuild.errors import DependencyMissing
from kgbuild.synthesis.patients import Device, Finding, State

SIDE_PX = 320
_QUALITY = 80
_NOISE = 0.05
_MM = 1 / 400  # the picture is 400 mm wide
_HEIGHTS = {
    **{"rul": 0.22, "lul": 0.22, "rml": 0.6, "lingula": 0.62, "rll": 0.78, "lll": 0.78, "rbase": 0.9, "lbase": 0.9},
    **{"bases": 0.88, "rapex": 0.1, "lapex": 0.1, "rhil": 0.45, "lhil": 0.45, "bhil": 0.45, "rmid": 0.5, "lmid": 0.5},
    **{"retro": 0.8, "both": 0.55},
}
_BOTH = frozenset(("bases", "bhil", "both", "B"))
_LEFT = frozenset(("lingula", "retro"))
_OPAQUE = {"opacity": 70, "opacities": 60, "consolidation": 95, "atelectasis": 55, "scarring": 45}
_TOP, _BASE, _HALF = 0.12, 0.76, 0.155
Box = tuple[float, float, float, float]


class Artist:
    """Draws views and saves them.

    Raises:
        DependencyMissing: there is no Pillow.
    """

    def __init__(self) -> None:
        try:
            from PIL import Image, ImageDraw, ImageFilter
        except ImportError:
            raise DependencyMissing(
                "images are drawn with Pillow, which is not installed", next_step="pip install 'kgbuild[images]'"
            ) from None
        self._image, self._pens, self._filters = Image, ImageDraw, ImageFilter

    def save(self, state: State, position: str, name: str, path: str) -> list[str]:
        """Draw one view into ``path``; rows ``finding,x,y,w,h`` in pixels, none on a lateral view."""
        boxes: list[tuple[str, Box]] = []
        picture = self._lateral(state) if position == "LATERAL" else self._frontal(state, boxes)
        noise = self._image.frombytes("L", (SIDE_PX, SIDE_PX), Random(name).randbytes(SIDE_PX * SIDE_PX))  # noqa: S311
        noise = noise.filter(self._filters.BoxBlur(1))
        self._image.blend(picture, noise, _NOISE).save(path, "JPEG", quality=_QUALITY)
        return [f"{kind},{_pixels(box)}" for kind, box in boxes]

    def _frontal(self, state: State, boxes: list[tuple[str, Box]]) -> Any:
        there = [finding for finding in state.findings if finding.change != "resolved"]
        kinds = {finding.kind: finding for finding in there}
        bases = _bases(there)
        sheet = _Sheet(self)
        sheet.oval((0.5, 0.95), (0.46, 0.85), 120)
        for x, base in bases.items():
            sheet.oval((x, (_TOP + base) / 2), (_HALF, (base - _TOP) / 2), 40)
            sheet.shape([(x - _HALF, 0.55), (x + _HALF, 0.55), (x + 0.13, base), (x - 0.13, base)], 40)
        for rib in range(7):
            for x, start, end in ((0.3, 150, 330), (0.7, 210, 390)):
                sheet.arc((x, 0.24 + 0.09 * rib), (0.17, 0.08), start, end, 66)
        sheet.shape([(0.46, 0.0), (0.54, 0.0), (0.54, 1.0), (0.46, 1.0)], 160)
        wide = 0.15 + 0.025 * kinds["cardiomegaly"].grade if "cardiomegaly" in kinds else 0.145
        sheet.oval((0.53, 0.6), (wide, 0.16), 175)
        upper = 0.07 + 0.018 * kinds["mediastinum"].grade if "mediastinum" in kinds else 0.065
        sheet.oval((0.5, 0.36), (upper, 0.2), 165)
        if "cardiomegaly" in kinds:
            boxes.append(("cardiomegaly", (0.53 - wide, 0.44, 0.53 + wide, 0.76)))
        if "mediastinum" in kinds:
            boxes.append(("mediastinum", (0.5 - upper, 0.16, 0.5 + upper, 0.56)))
        sheet.blur(0.012)
        for finding in there:
            for x, out in _columns(finding.place):
                box = _finding(sheet, finding, x, out, bases[x])
                if box:
                    boxes.append((finding.kind, box))
        sheet.blur(0.006)
        boxes.extend((device.kind, _device(sheet, device)) for device in state.devices if not device.gone)
        return sheet.image

    def _lateral(self, state: State) -> Any:
        there = [finding for finding in state.findings if finding.change != "resolved"]
        kinds = {finding.kind: finding for finding in there}
        sheet = _Sheet(self)
        sheet.oval((0.5, 0.8), (0.4, 0.75), 120)
        sheet.oval((0.5, 0.45), (0.28, 0.34), 40)
        sheet.line([(0.74, 0.05), (0.8, 0.4), (0.76, 0.95)], 165, 0.08)
        sheet.oval((0.38, 0.58), (0.2 if "cardiomegaly" in kinds else 0.14, 0.15), 170)
        sheet.oval((0.5, 0.92), (0.34, 0.18), 150)
        sheet.blur(0.01)
        for finding in there:
            y = 0.15 + 0.6 * _HEIGHTS.get(finding.place, 0.6)
            if finding.kind in _OPAQUE:
                sheet.glow((0.6, y), (0.09, 0.07), _OPAQUE[finding.kind])
            elif finding.kind in ("nodule", "mass", "granuloma"):
                sheet.glow((0.55, y), (finding.mm * _MM, finding.mm * _MM), 90)
            elif finding.kind in ("effusion", "effusions"):
                sheet.shape([(0.55, 0.78), (0.79, 0.78 - 0.08 * finding.grade), (0.79, 0.8)], 150)
        sheet.blur(0.006)
        return sheet.image


class _Sheet:
    """A greyscale picture; places and radii are fractions of its side."""

    def __init__(self, artist: Artist) -> None:
        self._artist = artist
        self.image: Any = artist._image.new("L", (SIDE_PX, SIDE_PX), 8)
        self._pen: Any = artist._pens.Draw(self.image)

    def oval(self, at: tuple[float, float], radii: tuple[float, float], grey: int) -> None:
        self._pen.ellipse(_around(at, radii), fill=grey)

    def shape(self, points: list[tuple[float, float]], grey: int) -> None:
        self._pen.polygon([(x * SIDE_PX, y * SIDE_PX) for x, y in points], fill=grey)

    def line(self, points: list[tuple[float, float]], grey: int, width: float = 0.01) -> None:
        places = [(x * SIDE_PX, y * SIDE_PX) for x, y in points]
        self._pen.line(places, fill=grey, width=max(1, round(width * SIDE_PX)), joint="curve")

    def arc(self, at: tuple[float, float], radii: tuple[float, float], start: int, end: int, grey: int) -> None:
        self._pen.arc(_around(at, radii), start, end, fill=grey, width=3)

    def glow(self, at: tuple[float, float], radii: tuple[float, float], grey: int) -> None:
        """A soft-edged oval, ``grey`` brighter in its middle than what is under it."""
        mask = self._artist._image.new("L", (SIDE_PX, SIDE_PX), 0)
        self._artist._pens.Draw(mask).ellipse(_around(at, radii), fill=2 * grey)
        mask = mask.filter(self._artist._filters.BoxBlur(max(1, min(radii) * SIDE_PX / 3)))
        self.image.paste(215, mask=mask)

    def blur(self, radius: float) -> None:
        self.image = self.image.filter(self._artist._filters.GaussianBlur(radius * SIDE_PX))
        self._pen = self._artist._pens.Draw(self.image)


def _around(at: tuple[float, float], radii: tuple[float, float]) -> list[float]:
    return [
        (at[0] - radii[0]) * SIDE_PX,
        (at[1] - radii[1]) * SIDE_PX,
        (at[0] + radii[0]) * SIDE_PX,
        (at[1] + radii[1]) * SIDE_PX,
    ]


def _pixels(box: Box) -> str:
    left, top = (max(0, min(SIDE_PX - 1, int(value * SIDE_PX))) for value in box[:2])
    right, bottom = (max(1, min(SIDE_PX, round(value * SIDE_PX))) for value in box[2:])
    return f"{left},{top},{max(1, right - left)},{max(1, bottom - top)}"


def _columns(place: str) -> list[tuple[float, int]]:
    """(middle of the lung, direction outwards) of each side a place is on."""
    right, left = (0.3, -1), (0.7, 1)
    if place in _BOTH:
        return [right, left]
    if place in _LEFT or place[0] in "lL":
        return [left]
    return [right]


def _bases(there: list[Finding]) -> dict[float, float]:
    """Middle of each lung → how far down it reaches."""
    kinds = {finding.kind for finding in there}
    base = _BASE + 0.05 * ("emphysema" in kinds) - 0.07 * ("lowvol" in kinds)
    bases = {x: base for x, _ in _columns("both")}
    for finding in there:
        if finding.kind == "elevation":
            for x, _ in _columns(finding.place):
                bases[x] -= 0.03 + 0.02 * finding.grade
    return bases


def _finding(sheet: _Sheet, finding: Finding, x: float, out: int, base: float) -> Box | None:
    """Draw a finding of the lungs, the pleura or a rib; its box, None where there is nothing to see."""
    kind, grade = finding.kind, finding.grade
    y = _TOP + (base - _TOP) * _HEIGHTS.get(finding.place, 0.6)
    faint = 1.0 if finding.sure else 0.6
    if kind in _OPAQUE:
        radii = (0.05 + 0.012 * grade, 0.03 + 0.01 * grade)
        if finding.mm:
            radii = (finding.mm * _MM / 2 + 0.01, finding.mm * _MM / 2 + 0.01)
        if kind == "atelectasis":
            radii = (radii[0] + 0.02, radii[1] * 0.5)
        at = (x - 0.07 * out if finding.place in ("rhil", "lhil", "bhil", "retro") else x, min(y, base - 0.03))
        sheet.glow(at, radii, round(_OPAQUE[kind] * faint))
        return _box(at, radii)
    if kind == "edema":
        radii = (0.06 + 0.01 * grade, 0.14 + 0.02 * grade)
        sheet.glow((x - 0.06 * out, 0.46), radii, round((18 + 12 * grade) * faint))
        return _box((x - 0.06 * out, 0.46), radii)
    if kind in ("effusion", "effusions"):
        top = base - 0.07 * grade
        edge, inner = x + _HALF * out, x - 0.13 * out
        sheet.shape([(edge, top - 0.05), (inner, top + 0.04), (inner, base + 0.02), (edge, base + 0.02)], 165)
        return (min(edge, inner), top - 0.05, max(edge, inner), base + 0.02)
    if kind == "pneumothorax":
        low = _TOP + 0.06 + 0.06 * grade
        sheet.oval((x, (_TOP + low) / 2 + 0.01), (0.11, (low - _TOP) / 2), 16)
        sheet.line([(x - 0.1, low + 0.015), (x, low - 0.005), (x + 0.1, low + 0.015)], 125, 0.008)
        return (x - 0.11, _TOP, x + 0.11, low + 0.025)
    if kind in ("nodule", "mass", "granuloma"):
        radius = max(0.008, finding.mm * _MM / 2)
        at = (x + 0.02 * out, min(y, base - radius))
        sheet.glow(at, (radius, radius), round(100 * faint))
        return _box(at, (radius, radius))
    if kind == "fracture":
        y = 0.13 if finding.place[1:] == "c" else 0.2 + 0.055 * int(finding.place[1:])
        sheet.line([(x + 0.11 * out, y - 0.02), (x + 0.15 * out, y + 0.02)], 215)
        return _box((x + 0.13 * out, y), (0.03, 0.03))
    if kind == "elevation":  # the lung above it is drawn shorter
        return (x - _HALF, base - 0.03, x + _HALF, base + 0.05)
    if kind == "hernia":
        middle, radii = (0.54, 0.8), (0.03 + 0.012 * grade, 0.025 + 0.01 * grade)
        sheet.oval(middle, radii, 205)
        sheet.oval((middle[0], middle[1] - 0.3 * radii[1]), (0.6 * radii[0], 0.4 * radii[1]), 60)  # the air in it
        return _box(middle, radii)
    if kind == "thickening":
        edge = x + _HALF * out
        sheet.line([(edge, 0.35), (edge + 0.005 * out, 0.6)], 140, 0.008 + 0.004 * grade)
        return _box((edge, 0.475), (0.02, 0.13))
    return None


def _device(sheet: _Sheet, device: Device) -> Box:
    """Draw a device from where it enters to where it ends; its box."""
    right = device.side == "R"
    x, out = (0.3, -1) if right else (0.7, 1)
    width, grey = 0.01, 228
    if device.kind == "ett":
        points, width = [(0.5, 0.0), (0.5, 0.22)], 0.018
    elif device.kind == "ng":
        points = [(0.51, 0.0), (0.52, 0.7), (0.6, 0.86), (0.66, 0.88)]
    elif device.kind == "line":
        neck, width = 0.38 if right else 0.62, 0.016
        points = [(neck, 0.0), (neck, 0.12), (0.45, 0.3), (0.45, 0.46)]
    elif device.kind == "tube":
        points, width = [(x + 0.19 * out, 0.66), (x, 0.6), (x - 0.02 * out, 0.25)], 0.016
    elif device.kind == "pacer":
        middle = x + 0.09 * out
        sheet.shape([(middle - 0.06, 0.14), (middle + 0.06, 0.14), (middle + 0.06, 0.24), (middle - 0.06, 0.24)], 245)
        points = [(middle, 0.2), (0.46, 0.28), (0.46, 0.55), (0.62, 0.68)]
        sheet.line(points, grey)
        return (min(middle - 0.06, 0.46), 0.14, max(middle + 0.06, 0.62), 0.68)
    else:
        points = [(0.5, y) for y in (0.3, 0.39, 0.48, 0.57)]
        for _, y in points:
            sheet.arc((0.5, y), (0.025, 0.025), 0, 360, 240)
        return (0.475, 0.275, 0.525, 0.595)
    sheet.line(points, grey, width)
    across, down = [at for at, _ in points], [at for _, at in points]
    return (min(across) - 0.01, min(down), max(across) + 0.01, max(down) + 0.01)


def _box(at: tuple[float, float], radii: tuple[float, float]) -> Box:
    return (at[0] - radii[0], at[1] - radii[1], at[0] + radii[0], at[1] + radii[1])
