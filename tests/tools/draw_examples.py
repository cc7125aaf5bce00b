"""Draw the images of the shipped examples from their gold annotations: ``python tests/tools/draw_examples.py``.

A drawing, not a radiograph: lungs, ribs, heart and spine, and on them what the report says is there (present, or
fainter where uncertain) on the side and at the level it says. Nothing is random, so the same annotations give the same
pixels. The patient's right is on the left of a frontal view; on a lateral view the patient faces left.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFilter

ROOT = Path(__file__).parents[2] / "schemas" / "examples"
SIZE = 128
SCALE = 4
LEVELS = 8  # grey values are multiples of it, which keeps the files small

KINDS = {
    "opacity": (
        *("opacity", "opacities", "consolidation", "pneumonia", "pneumonitis", "atelectasis"),
        *("contusion", "aspiration", "hemorrhage", "haziness"),
    ),
    "effusion": ("effusion", "effusions", "hemothorax"),
    "pneumothorax": ("pneumothorax",),
    "edema": ("edema", "congestion"),
    "big heart": ("cardiomegaly", "enlarged"),
    "nodule": ("nodule", "nodules", "granuloma", "metastases"),
    "hyperinflation": ("hyperinflated",),
    "hernia": ("hernia",),
    "scoliosis": ("scoliosis", "dextroscoliosis"),
    "fracture": ("fracture", "fractures"),
    "clips": ("clips",),
    "wires": ("wires", "sternotomy"),
    "pacemaker": ("pacemaker",),
    "ET tube": ("et tube", "endotracheal tube"),
    "NG tube": ("ng tube", "nasogastric tube"),
    "chest tube": ("chest tube",),
    "central line": (
        *("central venous catheter", "catheter", "dialysis catheter", "swan - ganz catheter", "sheath"),
        "port - a - cath",
    ),
    "PICC": ("picc",),
}
KIND_OF = {word: kind for kind, words in KINDS.items() for word in words}
PLACED = frozenset({"opacity", "effusion", "pneumothorax", "nodule"})
DEVICES = frozenset({"ET tube", "NG tube", "chest tube", "central line", "PICC"})
SIDES = {"right": "R", "left": "L", "bilateral": "RL", "both": "RL", "bibasilar": "RL", "apices": "RL"}
HEIGHTS = {
    **dict.fromkeys(("apical", "apex", "apices"), 0.12),
    **{"upper": 0.2, "hilum": 0.45, "perihilar": 0.5, "middle": 0.55, "lower": 0.8, "retrocardiac": 0.82},
    **dict.fromkeys(("base", "bases", "basilar", "bibasilar"), 0.88),
}
AMOUNTS = {"trace": 0.08, "tiny": 0.08, "minimal": 0.08, "small": 0.14, "moderate": 0.3, "large": 0.6, "increased": 0.3}


@dataclass(frozen=True)
class Fact:
    """Something to draw: ``sides`` of the patient, ``height`` in the lung from 0 (apex) to 1 (base), ``amount`` 0–1."""

    kind: str
    sides: str
    height: float
    amount: float
    sure: bool


def facts(entities: dict[str, dict[str, Any]]) -> list[Fact]:
    """What the annotation says is there, or may be there, with where its relations place it."""
    found = []
    for id_, entity in entities.items():
        kind = KIND_OF.get(entity["tokens"].lower())
        if kind is None or entity["label"] not in ("OBS-DP", "OBS-U"):
            continue
        places = [target for type_, target in entity["relations"] if type_ == "located_at"]
        if kind in DEVICES:
            places = places[:1]  # where it enters; the others are where it ends
        around = [
            i
            for i, other in entities.items()
            if any(t == "modify" and g in (*places, id_) for t, g in other["relations"])
        ]
        words = {entities[i]["tokens"].lower() for i in (*places, *around)}
        if kind == "big heart" and entity["tokens"].lower() == "enlarged" and not words & {"heart", "cardiac"}:
            continue
        sides = "".join(sorted({side for word in words for side in SIDES.get(word, "")}))
        height = next((HEIGHTS[word] for word in sorted(words) if word in HEIGHTS), 0.6)
        amount = next((AMOUNTS[word] for word in sorted(words) if word in AMOUNTS), 0.2)
        found.append(Fact(kind, sides, height, amount, entity["label"] == "OBS-DP"))
    sited = {fact.kind for fact in found if fact.sides}
    return [fact for fact in dict.fromkeys(found) if fact.sides or fact.kind not in PLACED & sited]


class Canvas:
    """A greyscale sheet with coordinates from 0 to 1 in both directions."""

    def __init__(self) -> None:
        self.side = SIZE * SCALE
        self.image = Image.new("L", (self.side, self.side), 8)
        self.pen = ImageDraw.Draw(self.image)

    def _px(self, *xy: float) -> list[int]:
        return [round(value * self.side) for value in xy]

    def oval(self, x: float, y: float, rx: float, ry: float, grey: int) -> None:
        self.pen.ellipse(self._px(x - rx, y - ry, x + rx, y + ry), fill=grey)

    def shape(self, points: list[tuple[float, float]], grey: int) -> None:
        self.pen.polygon([(round(x * self.side), round(y * self.side)) for x, y in points], fill=grey)

    def line(self, points: list[tuple[float, float]], grey: int, width: float = 0.01) -> None:
        at = [(round(x * self.side), round(y * self.side)) for x, y in points]
        self.pen.line(at, fill=grey, width=max(1, round(width * self.side)), joint="curve")

    def arc(self, x: float, y: float, rx: float, ry: float, start: int, end: int, grey: int) -> None:
        self.pen.arc(self._px(x - rx, y - ry, x + rx, y + ry), start, end, fill=grey, width=round(0.008 * self.side))

    def blur(self, radius: float) -> None:
        self.image = self.image.filter(ImageFilter.GaussianBlur(radius * self.side))
        self.pen = ImageDraw.Draw(self.image)

    def finish(self) -> Image.Image:
        small = self.image.resize((SIZE, SIZE), Image.Resampling.BOX)
        return small.point([grey // LEVELS * LEVELS for grey in range(256)])


def frontal(said: list[Fact]) -> Image.Image:
    """A PA or AP view."""
    sheet = Canvas()
    kinds = {fact.kind for fact in said}
    base = 0.82 if "hyperinflation" in kinds else 0.75
    sheet.oval(0.5, 0.95, 0.46, 0.85, 120)
    for x in (0.3, 0.7):  # lungs: top at 0.12
        sheet.oval(x, (0.12 + base) / 2, 0.155, (base - 0.12) / 2, 40)
        sheet.shape([(x - 0.155, 0.55), (x + 0.155, 0.55), (x + 0.13, base), (x - 0.155, base + 0.02)], 40)
    for step in range(7):
        for x, start, end in ((0.3, 150, 330), (0.7, 210, 30)):
            sheet.arc(x, 0.24 + 0.09 * step, 0.17, 0.08, start, end, 68)
    bend = 0.05 if "scoliosis" in kinds else 0.0
    sheet.line(
        [(0.5 + bend * s, 0.04 + 0.12 * i) for i, s in enumerate((0, -0.6, -1, -0.6, 0, 0.5, 0.4, 0, 0))], 165, 0.09
    )
    if "edema" in kinds:
        for x in (0.36, 0.64):
            sheet.oval(x, 0.45, 0.09, 0.17, 95)
    wide = 0.25 if "big heart" in kinds else 0.16
    sheet.oval(0.53, 0.6, wide, 0.16, 175)
    sheet.oval(0.5, 0.4, 0.085, 0.22, 165)
    sheet.blur(0.008)
    for fact in said:
        for x, out in _columns(fact):
            _lung_finding(sheet, fact, x, out, base)
    sheet.blur(0.006)
    for fact in said:
        _hardware(sheet, fact)
    return sheet.finish()


def lateral(said: list[Fact]) -> Image.Image:
    """A side view: the spine at the right edge, the heart in front, findings at their height."""
    sheet = Canvas()
    kinds = {fact.kind for fact in said}
    sheet.oval(0.5, 0.8, 0.4, 0.75, 120)
    sheet.oval(0.5, 0.45, 0.28, 0.34, 40)
    sheet.line([(0.74, 0.05), (0.8, 0.4), (0.76, 0.95)], 165, 0.08)
    sheet.oval(0.38, 0.58, 0.2 if "big heart" in kinds else 0.14, 0.15, 170)
    sheet.oval(0.5, 0.92, 0.34, 0.18, 150)
    sheet.blur(0.008)
    for fact in said:
        if fact.kind == "opacity":
            sheet.oval(0.6, 0.15 + 0.6 * fact.height, 0.1, 0.08, 135 if fact.sure else 90)
        elif fact.kind == "effusion":
            sheet.shape([(0.55, 0.78), (0.79, 0.72 - 0.5 * fact.amount), (0.79, 0.8)], 150)
        elif fact.kind == "nodule":
            sheet.oval(0.55, 0.15 + 0.6 * fact.height, 0.03, 0.03, 150)
        elif fact.kind == "hernia":
            sheet.oval(0.62, 0.68, 0.09, 0.08, 165)
            sheet.oval(0.62, 0.65, 0.06, 0.04, 60)
    sheet.blur(0.006)
    if "wires" in kinds:
        for y in (0.3, 0.4, 0.5):
            sheet.oval(0.2, y, 0.015, 0.02, 240)
    if "pacemaker" in kinds:
        sheet.line([(0.35, 0.15), (0.45, 0.4), (0.4, 0.6), (0.28, 0.66)], 240)
    return sheet.finish()


def _columns(fact: Fact) -> list[tuple[float, int]]:
    """(middle of the lung, direction outwards) of each side the fact is on; findings of no side go left."""
    return [(0.3, -1) if side == "R" else (0.7, 1) for side in fact.sides or "L"]


def _lung_finding(sheet: Canvas, fact: Fact, x: float, out: int, base: float) -> None:
    y = 0.12 + (base - 0.12) * fact.height
    grey = 135 if fact.sure else 90
    if fact.kind == "opacity":
        sheet.oval(x, y, 0.1, 0.07, grey)
        sheet.oval(x + 0.04 * out, y - 0.03, 0.06, 0.05, grey)
    elif fact.kind == "effusion":
        top = base - (base - 0.12) * fact.amount
        edge = x + 0.17 * out
        sheet.shape(
            [(edge, top - 0.06), (x - 0.12 * out, top + 0.05), (x - 0.12 * out, base + 0.03), (edge, base + 0.03)],
            grey + 20,
        )
    elif fact.kind == "pneumothorax":
        sheet.oval(x, 0.2, 0.11, 0.08, 16)
        sheet.arc(x - 0.02 * out, 0.32, 0.12, 0.12, 200, 340, 120)
    elif fact.kind == "nodule":
        for dx, dy in ((0, 0), (0.05, 0.12), (-0.06, 0.2)) if fact.height == 0.6 else ((0, 0),):
            sheet.oval(x + dx, min(y + dy, base - 0.04), 0.022, 0.022, 150)
    elif fact.kind == "fracture":
        for rib in (0.5, 0.59):
            sheet.line([(x + 0.12 * out, rib - 0.02), (x + 0.15 * out, rib + 0.02)], 210)
    elif fact.kind == "hernia":
        sheet.oval(0.56, 0.7, 0.08, 0.07, 190)
        sheet.oval(0.56, 0.675, 0.055, 0.035, 60)


def _hardware(sheet: Canvas, fact: Fact) -> None:
    right = fact.sides != "L"
    x, out = (0.3, -1) if right else (0.7, 1)
    neck = 0.44 if right else 0.56
    if fact.kind == "ET tube":
        sheet.line([(0.5, 0.0), (0.5, 0.24)], 235, 0.02)
    elif fact.kind == "NG tube" and fact.sides:  # a side is only said where it lies in a bronchus
        sheet.line([(0.51, 0.0), (0.5, 0.35), (0.4, 0.5)], 225)
    elif fact.kind == "NG tube":
        sheet.line([(0.51, 0.0), (0.52, 0.7), (0.6, 0.86), (0.66, 0.88)], 225)
    elif fact.kind == "central line":
        sheet.line([(neck, 0.0), (neck, 0.12), (0.45, 0.3), (0.45, 0.46)], 225)
    elif fact.kind == "PICC":
        sheet.line([(x + 0.2 * out, 0.3), (x, 0.16), (0.45, 0.26), (0.45, 0.42)], 225)
    elif fact.kind == "chest tube":
        sheet.line([(x + 0.19 * out, 0.66), (x, 0.6), (x - 0.02 * out, 0.25)], 225, 0.016)
    elif fact.kind == "pacemaker":
        sheet.shape([(0.74, 0.14), (0.86, 0.14), (0.86, 0.25), (0.74, 0.25)], 245)
        sheet.line([(0.74, 0.2), (0.46, 0.28), (0.46, 0.55)], 235)
        sheet.line([(0.74, 0.22), (0.47, 0.32), (0.47, 0.6), (0.62, 0.68)], 235)
    elif fact.kind == "wires":
        for y in (0.3, 0.39, 0.48, 0.57):
            sheet.arc(0.5, y, 0.025, 0.025, 0, 360, 240)
    elif fact.kind == "clips":
        y = 0.45 if fact.height == HEIGHTS["hilum"] else 0.88
        for step in range(3):
            sheet.line([(x - 0.1 * out + 0.03 * step, y), (x - 0.1 * out + 0.03 * step, y + 0.03)], 240)


def main() -> None:
    gold = json.loads((ROOT / "gold.json").read_text(encoding="utf-8"))
    (ROOT / "images").mkdir(exist_ok=True)
    total = 0
    with (ROOT / "images.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        said = facts(gold[f"examples:{row['study_id']}"]["entities"])
        picture = lateral(said) if row["view"] == "LATERAL" else frontal(said)
        picture.save(ROOT / row["file"], optimize=True)
        total += (ROOT / row["file"]).stat().st_size
    print(f"{len(rows)} images, {total / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
