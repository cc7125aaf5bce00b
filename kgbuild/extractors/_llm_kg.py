"""What LLM-KG and VLM-KG share: prompt, batched generation, reading the output into annotations.

torch is imported when the first study comes, not before. What decides the output (checkpoint, options, code) goes
into the fingerprint; paths, device and batch size do not, so that a run can go on elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.resources import files
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from kgbuild.domain import Annotation, Failure, Study, Token
from kgbuild.errors import DependencyMissing, KgbuildError
from kgbuild.extractors._llm_options import COMMON, check_device, read_options
from kgbuild.extractors._llm_reading import Reader
from kgbuild.extractors._llm_vllm import check_vllm, generate_with_vllm
from kgbuild.extractors._rules import lexicon
from kgbuild.models import checkpoint
from kgbuild.notation.prompts import instruction_prompt
from kgbuild.text import DEFAULT_SECTIONS, study_tokens

if TYPE_CHECKING:
    from torch import Tensor

    from kgbuild.models.generated import Generated
    from kgbuild.models.memory import BatchLimit

_CODE = (
    "extractors/_llm_kg.py",
    "extractors/_llm_reading.py",
    "extractors/_llm_vllm.py",
    "models/constraints.py",
    "models/generating.py",
    "notation/assemble.py",
    "notation/grounding.py",
    "notation/prompts.py",
    "notation/triplets.py",
)
_log = logging.getLogger("kgbuild")


class Tools(NamedTuple):
    """What is loaded once: the model, its tokenizer, and the batch size that was found to fit."""

    model: Any
    tokenizer: Any
    encoder: Any
    limit: BatchLimit


class LanguageExtractor:
    """Base of both extractors.

    Args:
        sections: names of the sections to read, in order.
        options: see ``_llm_options``; docs/generate.md explains them.

    Raises:
        UsageError: an unknown option, a value out of range, no checkpoint.
        DependencyMissing: torch or transformers is not installed.
        FileMissing, KgbuildError: the checkpoint is absent, half-written, or of another kind.
    """

    name = "llm-kg"
    kind: Literal["llm-kg", "vlm-kg"] = "llm-kg"
    options: Mapping[str, str] = COMMON
    code: tuple[str, ...] = ()
    workers = 1

    def __init__(self, sections: Sequence[str] = DEFAULT_SECTIONS, **options: str) -> None:
        self.sections = tuple(sections)
        self.settings = read_options(self.name, self.options, options)
        if self.settings.engine == "transformers":
            _need("torch", "transformers")
            check_device(self.settings.device)  # here, since a run that is done already loads nothing
        if self.settings.checkpoint is not None:
            self.meta = checkpoint.read_meta(self.settings.checkpoint)
            if self.meta.kind != self.kind:
                raise KgbuildError(
                    f"the checkpoint is of kind {self.meta.kind}",
                    where=str(self.settings.checkpoint),
                    expected=f"one of kind {self.kind} for the extractor {self.name}",
                )
        else:
            self.meta = checkpoint.CheckpointMeta(kind=self.kind, base=self.settings.model or "")
        self.decoding = self.settings.decode_with(self.meta.recipe.get("decoding") or {})
        if self.settings.engine == "vllm":
            check_vllm(self.decoding)
        self.chunk = self.settings.chunk
        presence = "stated" if self.meta.certainty == "full" else self.settings.certainty
        self._reader = Reader(self.name, presence)
        self.hints = _hints(presence, self.settings.model)
        self._tools: Tools | None = None
        self._progress: Callable[[int, int], None] = lambda done, total: None

    def watch(self, progress: Callable[[int, int], None]) -> None:
        """Tell of studies done within each call of ``extract``."""
        self._progress = progress

    def fingerprint(self) -> str:
        """SHA-256 over checkpoint, decoding, sections, code and the rules (which give types, and presence if asked)."""
        settings = self.settings
        said: dict[str, Any] = {
            "sections": self.sections,
            "decoding": {key: value for key, value in asdict(self.decoding).items() if key != "batch_size"},
            "checkpoint": checkpoint.fingerprint(settings.checkpoint) if settings.checkpoint else settings.model,
            "options": [settings.certainty, settings.dtype, settings.engine, *self._own_options()],
            "lexicon": lexicon.digest().hex(),
        }
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
        package = files("kgbuild")
        rules = [f"extractors/_rules/{part.name}" for part in package.joinpath("extractors/_rules").iterdir()]
        for name in (*_CODE, *self.code, *sorted(name for name in rules if name.endswith(".py"))):
            digest.update(package.joinpath(name).read_bytes())
        return digest.hexdigest()

    def _own_options(self) -> tuple[str | None, ...]:
        return ()

    def extract(self, studies: Iterable[Study]) -> Iterator[Annotation | Failure]:
        """One result a study, in order; ``chunk`` studies are taken at a time and sorted by length inside."""
        rest = iter(studies)
        while part := list(islice(rest, self.chunk)):
            yield from self._part(part)

    def _part(self, studies: list[Study]) -> list[Annotation | Failure]:
        tokens = [tuple(study_tokens(study.report, self.sections)) for study in studies]
        results: dict[int, Annotation | Failure] = {
            i: Annotation(study.id, (), extractor=self.name) for i, study in enumerate(studies) if not tokens[i]
        }
        todo = [i for i in range(len(studies)) if i not in results]
        with _of_the_batch("preparing images"):
            images, notes = self._images({i: studies[i] for i in todo}, results) if todo else (None, {})
        todo = [i for i in todo if i not in results]
        texts = [" ".join(token.text for token in tokens[i]) for i in todo]
        prompts = [instruction_prompt(text, self.meta.prompt or None) for text in texts]
        settled = len(studies) - len(todo)
        self._progress(settled, len(studies))
        with _of_the_batch("generating"):
            written = self._generate(
                prompts,
                [[token.text for token in tokens[i]] for i in todo],
                [images[i] for i in todo] if images is not None else None,
                lambda done, total: self._progress(settled + done, len(studies)),
            )
        for i, one in zip(todo, written, strict=True):
            results[i] = self._read(studies[i].id, tokens[i], one, notes.get(i, ()))
        return [results[i] for i in range(len(studies))]

    def _images(
        self, studies: dict[int, Study], results: dict[int, Annotation | Failure]
    ) -> tuple[dict[int, Tensor] | None, dict[int, tuple[str, ...]]]:
        """Embeddings and notes by number; what cannot be used is put into ``results``."""
        return None, {}

    def _read(
        self, study_id: str, tokens: tuple[Token, ...], one: Generated, notes: tuple[str, ...]
    ) -> Annotation | Failure:
        if one.error is not None:
            return Failure(study_id, "extract", one.error)
        try:
            annotation = self._reader.read(one.text, tokens, study_id, finished=one.finished)
        except Exception as error:  # it is this output's alone; the other studies go on
            return Failure(study_id, "extract", f"{type(error).__name__} in reading the model's output")
        return replace(annotation, notes=(*annotation.notes, *notes))

    def _generate(
        self,
        prompts: list[str],
        words: list[list[str]],
        images: list[Tensor] | None,
        on_batch: Callable[[int, int], None],
    ) -> list[Generated]:
        if not prompts:
            return []
        if self.settings.engine == "vllm":
            return generate_with_vllm(self.settings, self.decoding, prompts, on_batch)
        import torch

        from kgbuild.models.generating import generate

        tools = self.tools()
        return generate(
            tools.model,
            tools.tokenizer,
            prompts,
            decoding=self.decoding,
            image_embeds=torch.stack(images) if images else None,
            on_batch=on_batch,
            allowed_words=words,
            certainty=self.meta.certainty,
            limit=tools.limit,
        )

    def tools(self) -> Tools:
        """Load what is needed, once.

        Raises:
            KgbuildError: the weights do not fit, or the image encoder is another than the one trained with.
        """
        if self._tools is None:
            import torch

            from kgbuild.models.memory import BatchLimit, is_out_of_memory

            cuda = torch.cuda.is_available()
            device = self.settings.device or ("cuda" if cuda else "cpu")
            dtype = self.settings.dtype
            if dtype == "auto":
                dtype = "bf16" if device.startswith("cuda") else "fp32"
            try:
                self._tools = self._load(device, dtype, BatchLimit(warn=self._warn))
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                raise KgbuildError(
                    f"the memory of {device} is too small for the model's weights",
                    where=str(self.settings.checkpoint or self.settings.model),
                    expected="free memory beside what other programs hold",
                    next_step="end the other programs (nvidia-smi lists them), or --option device=cpu",
                ) from None
        return self._tools

    def _load(self, device: str, dtype: Any, limit: BatchLimit) -> Tools:
        if self.settings.checkpoint is None:
            from kgbuild.models.language import load_language

            model, tokenizer = load_language(self.settings.model or "", dtype=dtype, device=device)
            return Tools(model, tokenizer, None, limit)
        loaded = checkpoint.load_checkpoint(self.settings.checkpoint, dtype=dtype, device=device, kind=self.kind)
        return Tools(loaded.model, loaded.tokenizer, loaded.image_encoder, limit)

    def _warn(self, message: str) -> None:
        _log.warning(message)
        self.hints.append(message)


@contextmanager
def _of_the_batch(doing: str) -> Iterator[None]:
    """A fault in here is the machine's or the model's: no study can be blamed, and the run stops."""
    try:
        yield
    except KgbuildError:
        raise
    except Exception as error:
        raise KgbuildError(
            f"{type(error).__name__} while {doing}", next_step="run with --debug to see where"
        ) from error


def _need(*packages: str) -> None:
    for package in packages:
        if find_spec(package) is None:
            raise DependencyMissing(
                f"language models need the Python package {package}", next_step="pip install 'kgbuild[train]'"
            )


def _hints(presence: str, model: str | None) -> list[str]:
    hints = []
    if presence == "rules":
        hints.append(
            "the checkpoint's triplets carry no presence (certainty none): it was read from the report by the rules; "
            "where these have no opinion a finding is uncertain"
        )
    elif presence == "none":
        hints.append("the checkpoint's triplets carry no presence (certainty none): every finding is uncertain")
    if model is not None:
        hints.append(f"{model} was not trained for triplets by kgbuild: this is a baseline")
    return hints
