"""The checkpoint folder: what a training leaves behind, and what a generation is given.

    config.json  model.safetensors  tokenizer.json  …   as ``save_pretrained`` writes them
    image_encoder/                                      what a VLM-KG sees through (optional)
    README.md                                           the model card
    kgbuild.json                                        kind, recipe, prompt, data, measures; **written last**

A folder with a ``kgbuild.json`` is therefore complete. Nothing in it names a machine or holds report text. This module
imports torch only to load a model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kgbuild.errors import FileMissing, KgbuildError
from kgbuild.files import sha256, write_text

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from kgbuild.models.medclip import ImageEncoder

FORMAT = 1
META = "kgbuild.json"
ENCODER = "image_encoder"
Kind = Literal["llm-kg", "vlm-kg", "medclip"]
KINDS = ("llm-kg", "vlm-kg", "medclip")
_PACKAGES = ("kgbuild", "torch", "transformers", "trl", "accelerate", "peft", "tokenizers")
_UNSTABLE = ("_name_or_path", "transformers_version")  # of config.json: where a model came from, who wrote it


@dataclass(frozen=True, slots=True)
class CheckpointMeta:
    """What ``kgbuild.json`` says.

    Attributes:
        kind: which extractor can use the folder (``medclip``: none, it is an image encoder to train with).
        recipe: the recipe as a dict, with the settings that were in force.
        prompt: the template that the model was trained with, its text; empty for ``medclip``.
        certainty: ``full`` if completions carry presence, ``none`` if not (the paper's form).
        base: the model that the training began with, by name.
        image_encoder: ``variant`` and ``sha256`` (its ``ImageEncoder.hash``) of the encoder trained with, or None.
        data: ``fingerprint``, ``source`` and ``counts`` of the training pairs.
        metrics: measures on the validation split.
        versions: of the packages that wrote it.
    """

    kind: Kind
    recipe: Mapping[str, Any] = field(default_factory=dict)
    prompt: str = ""
    certainty: Literal["full", "none"] = "full"
    base: str = ""
    image_encoder: Mapping[str, str] | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checkpoint ready to generate with; ``image_encoder`` is None where the folder holds none."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    meta: CheckpointMeta
    image_encoder: ImageEncoder | None


def package_versions() -> dict[str, str]:
    """Of what a checkpoint depends on, as far as it is installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def begin(folder: Path) -> None:
    """Make the folder; an older checkpoint in it counts as unfinished from now on. Call before writing weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / META).unlink(missing_ok=True)


def write_card(folder: Path, meta: CheckpointMeta) -> None:
    """Write the model card and, last of all, ``kgbuild.json``. From then on the folder counts as complete.

    Raises:
        FileMissing: the weights are not there yet.
    """
    from kgbuild.models._card import card

    if not list(folder.glob("*.safetensors")):
        raise FileMissing(
            "a checkpoint's card is written after its weights", where=str(folder), expected="model.safetensors in it"
        )
    meta = replace(meta, base=_portable(meta.base), recipe=_portable(meta.recipe))
    write_text(folder / "README.md", card(meta))
    write_text(folder / META, json.dumps({"format": FORMAT, **asdict(meta)}, indent=2, ensure_ascii=False) + "\n")


def _portable(value: Any) -> Any:
    """A setting without the folders of this machine: an absolute path is cut to its last name."""
    if isinstance(value, Mapping):
        return {key: _portable(inner) for key, inner in value.items()}
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def save_checkpoint(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    meta: CheckpointMeta,
    image_encoder: ImageEncoder | None = None,
) -> None:
    """Write a whole checkpoint folder: weights and tokenizer, the image encoder where there is one, the card."""
    from kgbuild.models._loading import quiet

    begin(folder)
    for config in (model.config, getattr(model.config, "text_config", None)):
        if config is not None:
            config._name_or_path = ""  # a folder of this machine, where the base was one
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    if image_encoder is not None:
        image_encoder.save(folder / ENCODER)
    write_card(folder, meta)


def read_meta(folder: Path) -> CheckpointMeta:
    """What a checkpoint folder says of itself; reads one small file.

    Raises:
        FileMissing: no such folder.
        KgbuildError: it was never finished, is no checkpoint, or was written by another version.
    """
    path = folder / META
    if not folder.is_dir():
        raise FileMissing("no such checkpoint", where=str(folder), expected="a folder that `kgbuild train` wrote")
    if not path.is_file():
        raise KgbuildError(
            f"the checkpoint is half-written, or is none: it holds no {META}",
            where=str(folder),
            expected=f"a folder that `kgbuild train` finished; {META} is written last",
            next_step="go on with the training (`kgbuild train RECIPE --out DIR --resume`), or name another folder",
        )
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise KgbuildError(f"{META} cannot be read ({type(error).__name__})", where=str(path)) from None
    if not isinstance(said, dict) or said.pop("format", None) != FORMAT or said.get("kind") not in KINDS:
        raise KgbuildError(
            f"{META} is of another kind or version",
            where=str(path),
            expected=f'"format": {FORMAT} and "kind" one of {", ".join(KINDS)}',
        )
    known = CheckpointMeta.__dataclass_fields__
    for name in ("recipe", "data", "metrics", "versions"):
        if name in said and not isinstance(said[name], dict):
            raise KgbuildError(f"{META} cannot be read", where=f"{path}: {name}", expected="a JSON object")
    return CheckpointMeta(**{key: value for key, value in said.items() if key in known})


def fingerprint(folder: Path) -> str:
    """Hex digest of everything that decides what the checkpoint generates: weights, tokenizer, prompt, decoding.

    Times, paths, measures and versions have no part in it: the same training twice gives the same fingerprint.

    Raises:
        KgbuildError: as ``read_meta``.
    """
    meta = read_meta(folder)
    parts: dict[str, Any] = {
        "kind": meta.kind,
        "prompt": meta.prompt,
        "certainty": meta.certainty,
        "decoding": meta.recipe.get("decoding"),
        "data": meta.recipe.get("data"),
        "image_encoder": dict(meta.image_encoder) if meta.image_encoder else None,
    }
    for path in sorted([*folder.glob("*.safetensors"), *(folder / ENCODER).glob("*.safetensors")]):
        parts[path.relative_to(folder).as_posix()] = sha256(path)
    for name in ("config.json", "generation_config.json", "tokenizer.json", f"{ENCODER}/encoder.json"):
        path = folder / name
        if path.is_file():
            parts[name] = _settled(json.loads(path.read_text(encoding="utf-8")))
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _settled(value: Any) -> Any:
    """A configuration without what changes from machine to machine."""
    if isinstance(value, dict):
        return {key: _settled(inner) for key, inner in value.items() if key not in _UNSTABLE}
    return value


def load_checkpoint(
    folder: Path, *, dtype: Literal["fp32", "bf16"] = "fp32", device: str | None = None, kind: Kind | None = None
) -> Loaded:
    """Load model, tokenizer and, where the folder holds one, the image encoder; all in evaluation mode.

    Args:
        folder: a checkpoint of kind ``llm-kg`` or ``vlm-kg``.
        dtype: of the language model and projector; the image encoder stays in fp32.
        device: where to put them, None leaves them on the CPU.
        kind: what the caller can use; None takes either.

    Raises:
        FileMissing: the folder, or one of its files, is absent.
        KgbuildError: half-written, of another kind or architecture, with missing or extra keys (listed), or its
            image encoder is not the one it was trained with.
    """
    from kgbuild.models._loading import load_model
    from kgbuild.models.language import load_tokenizer

    meta = read_meta(folder)
    if meta.kind == "medclip" or kind not in (None, meta.kind):
        raise KgbuildError(
            f"the checkpoint is of kind {meta.kind}",
            where=str(folder),
            expected=f"one of kind {kind or 'llm-kg, vlm-kg'}",
        )
    model = load_model(folder, meta.kind, dtype)
    encoder = None
    if (folder / ENCODER).is_dir():
        from kgbuild.models.medclip import load_image_encoder

        encoder = load_image_encoder(folder / ENCODER)
        check_encoder(meta, encoder.hash, where=folder / ENCODER)
        encoder.eval()
    if device is not None:
        model.to(device)
        if encoder is not None:
            encoder.to(device)
    return Loaded(model.eval(), load_tokenizer(folder), meta, encoder)


def check_encoder(meta: CheckpointMeta, encoder_hash: str, *, where: Path) -> None:
    """Refuse an image encoder that differs from the one trained with: its embeddings would mean something else.

    Raises:
        KgbuildError: names both digests.
    """
    trained = (meta.image_encoder or {}).get("sha256")
    if trained is not None and trained != encoder_hash:
        raise KgbuildError(
            "the image encoder differs from the one that the checkpoint was trained with",
            where=str(where),
            expected=f"weights and preprocessing of sha256 {trained[:16]}…, these have {encoder_hash[:16]}…",
            next_step="give the encoder named in the checkpoint's README.md",
        )
