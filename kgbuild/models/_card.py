"""The model card of a checkpoint: what it is, what it was trained on, how it measured, how to use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kgbuild.models.checkpoint import CheckpointMeta

_WHAT = {
    "llm-kg": "LLM-KG: writes the RadGraph triplets of a chest X-ray report.",
    "vlm-kg": "VLM-KG: writes the RadGraph triplets of a chest X-ray report and the radiograph that it is about.",
    "medclip": "MedCLIP: embeds chest radiographs and sentences about them in one space.",
}
_LIMITS = """It was trained on annotations that a program made, repeats that program's errors, and is not
for use on patients. Weights trained on MIMIC-CXR may hold text of it: share them only as its data use agreement
allows."""


def card(meta: CheckpointMeta) -> str:
    """Markdown with the front matter that model hubs read. Holds no report text and no paths."""
    name = str(meta.recipe.get("name", meta.kind))
    lines = ["---", "library_name: transformers", f"tags: [kgbuild, {meta.kind}, radiology, radgraph]"]
    lines += ["---", "", f"# {name}", "", _WHAT[meta.kind], "", _LIMITS, ""]
    if meta.recipe.get("purpose"):
        lines += [str(meta.recipe["purpose"]), ""]
    if meta.kind != "medclip":
        form = "presence" if meta.certainty == "full" else "no presence, as in the VLM-KG paper"
        lines += [
            "```sh",
            f"kgbuild generate --dataset NAME --root DIR --extractor {meta.kind} --checkpoint THIS",
            "```",
        ]
        lines += ["", f"Its triplets carry {form}.", ""]
    facts: dict[str, Any] = {"base": meta.base or "random weights"}
    if meta.image_encoder:
        facts |= {f"image encoder, {key}": value for key, value in meta.image_encoder.items()}
    lines += _table("Model", facts) + _table("Data", _flat(meta.data)) + _table("Measures", _flat(meta.metrics))
    settings = {key: meta.recipe[key] for key in ("model", "data", "training", "decoding") if key in meta.recipe}
    lines += _table("Settings", _flat(settings))
    if meta.recipe.get("changed"):
        lines += [f"Changed when it was resumed: {'; '.join(meta.recipe['changed'])}.", ""]
    lines += _table("Versions", meta.versions)
    return "\n".join(lines).rstrip() + "\n"


def _flat(values: Mapping[str, Any], stem: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{stem}{key}.")
        else:
            flat[f"{stem}{key}"] = value
    return flat


def _table(title: str, rows: Mapping[str, Any]) -> list[str]:
    if not rows:
        return []
    return [
        f"## {title}",
        "",
        "| | |",
        "|---|---|",
        *(f"| {key} | {_shown(value)} |" for key, value in rows.items()),
        "",
    ]


def _shown(value: Any) -> str:
    text = f"{value:.4f}" if isinstance(value, float) and 0 < abs(value) < 1 and abs(value) > 1e-3 else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
