"""Training pairs as token ids on disk, memory-mapped: 220,000 pairs cost no more memory than 200.

Prompt and completion are turned into tokens apart, so that the model is asked with exactly the tokens that it was
trained on: no token ever joins the end of one and the start of the other. A pair that is longer than the limit is
counted and refused, or dropped and counted; nothing is cut.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from kgbuild import files
from kgbuild.errors import KgbuildError
from kgbuild.recipes import DataPart
from kgbuild.trainers import _processes

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

    from kgbuild.trainers._images import Embeddings

Wrap = Callable[[str, bool], str]
"""(prompt, has an image) → the prompt as the model sees it."""
SCHEMA = pa.schema(
    [
        ("study_id", pa.string()),
        ("image_id", pa.string()),
        ("input_ids", pa.list_(pa.int32())),
        ("n_prompt", pa.int32()),
    ]
)
IGNORED = -100
_ROWS = 1024


def as_it_is(prompt: str, image: bool) -> str:
    """A Wrap for models that see no image."""
    return prompt


@dataclass(frozen=True, slots=True)
class Tokens:
    """One split's pairs.

    Attributes:
        rows: a data set of ``SCHEMA``.
        lengths: tokens of each row.
        dropped: pairs left out because they were too long.
        unreadable: pairs left out because their image cannot be read.
        longest_completion: in tokens, without the one that ends it.
    """

    rows: Dataset
    lengths: list[int]
    dropped: int
    unreadable: int
    longest_completion: int


def encode(tokenizer: PreTrainedTokenizerFast, prompt: str, completion: str) -> tuple[list[int], list[int]]:
    """Token ids of the prompt, and of the completion with the token that ends it."""
    begin: list[int] = tokenizer(prompt)["input_ids"]
    rest: list[int] = tokenizer(completion, add_special_tokens=False)["input_ids"]
    return begin, [*rest, int(tokenizer.eos_token_id)]


def tokenize(
    pairs: Path,
    tokenizer: PreTrainedTokenizerFast,
    part: DataPart,
    limit: int,
    *,
    wrap: Wrap = as_it_is,
    embeds: Embeddings | None = None,
) -> Tokens:
    """Read pairs as tokens, made once and kept beside the pairs.

    Args:
        pairs: a Parquet file of ``tables.TRAINING_PAIRS``.
        tokenizer: the model's.
        part: ``too_long`` says what to do with those longer than ``limit``.
        limit: tokens of prompt and completion together.
        wrap: (prompt, has an image) → the prompt as the model sees it.
        embeds: image embeddings; a pair whose image cannot be read is treated as the recipe says of those without.

    Raises:
        KgbuildError: some pairs are too long and the recipe refuses that.
    """
    from datasets import Dataset

    spelling = tokenizer.backend_tokenizer.to_str() + wrap("{report}", True)
    parts = [files.sha256(pairs), spelling, tokenizer.eos_token_id, limit, part.no_image, embeds and embeds.name]
    name = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
    made = pairs.with_name(f"{pairs.stem}-{name}.arrow")
    with _processes.first(made):
        if not made.is_file():
            _write(pairs, made, _Writer(tokenizer, limit, wrap, embeds, part.no_image == "skip"))
    rows = Dataset.from_file(str(made))
    facts = json.loads(made.with_suffix(".json").read_text(encoding="utf-8"))
    dropped = int(facts["dropped"])
    if dropped and part.too_long == "refuse":
        raise KgbuildError(
            f"{dropped:,} of {dropped + len(rows):,} pairs of {pairs.name} are longer than {limit:,} tokens; "
            f"the longest has {facts['longest']:,}. Cutting them would teach unfinished answers",
            where=f"study {facts['first']}" + (" and others" if dropped > 1 else ""),
            expected=f"data.max_length of at least {facts['longest']:,}, as far as the model's context reaches",
            next_step="--set data.max_length=N, or --set data.too_long=drop to train without them",
        )
    return Tokens(rows, _lengths(rows), dropped, int(facts["unreadable"]), int(facts["longest completion"]))


def _lengths(rows: Dataset) -> list[int]:
    import pyarrow.compute as pc

    counted: list[int] = pc.list_value_length(rows.data.column("input_ids")).to_pylist()
    return counted


@dataclass
class _Writer:
    """One pair into tokens, counting what is left out."""

    tokenizer: PreTrainedTokenizerFast
    limit: int
    wrap: Wrap
    embeds: Embeddings | None
    skips: bool
    facts: dict[str, Any] = field(
        default_factory=lambda: {"dropped": 0, "unreadable": 0, "longest": 0, "first": "", "longest completion": 0}
    )

    def row(self, row: dict[str, Any]) -> dict[str, Any] | None:
        """Null for a pair that is left out."""
        image = row["image_id"] if self.embeds is not None else None
        if self.embeds is not None and image is not None and not self.embeds.usable(image):
            image = None
            if self.skips:
                self.facts["unreadable"] += 1
                return None
        begin, rest = encode(self.tokenizer, self.wrap(row["prompt"], image is not None), row["completion"])
        size = len(begin) + len(rest)
        if size > self.limit:
            self.facts["first"] = self.facts["first"] or row["study_id"]
            self.facts["dropped"] += 1
            self.facts["longest"] = max(self.facts["longest"], size)
            return None
        self.facts["longest completion"] = max(self.facts["longest completion"], len(rest) - 1)
        own = {"study_id": row["study_id"], "image_id": image}
        return {**own, "input_ids": [*begin, *rest], "n_prompt": len(begin)}


def _write(pairs: Path, made: Path, writer: _Writer) -> None:
    with files.atomic(made) as part:
        with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_stream(sink, SCHEMA) as stream:
            for batch in pq.ParquetFile(pairs).iter_batches(_ROWS):
                rows = (writer.row(row) for row in batch.to_pylist())
                stream.write_table(pa.Table.from_pylist([row for row in rows if row], schema=SCHEMA))
        files.write_text(made.with_suffix(".json"), json.dumps(writer.facts))  # there before the tokens are


def labelled(rows: Dataset) -> Dataset:
    """Rows with a ``labels`` column, as TRL's packing wants them."""

    def labels(row: dict[str, Any]) -> dict[str, Any]:
        ids = row["input_ids"]
        return {"labels": [IGNORED] * row["n_prompt"] + ids[row["n_prompt"] :]}

    return rows.map(labels, remove_columns=["study_id", "image_id", "n_prompt"])


@dataclass(frozen=True, slots=True)
class Collate:
    """Rows into a batch, padded on the right; the loss counts completions only.

    Where ``embeds`` are given the batch has ``image_embeds``, shape (rows, width), NaN in rows without an image.
    """

    pad: int
    embeds: Embeddings | None = None

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Tensors of shape (rows, longest)."""
        size = max(len(row["input_ids"]) for row in rows)
        ids = torch.full((len(rows), size), self.pad)
        labels = torch.full((len(rows), size), IGNORED)
        mask = torch.zeros((len(rows), size), dtype=torch.long)
        for place, row in enumerate(rows):
            tokens = torch.tensor(row["input_ids"])
            ids[place, : len(tokens)] = tokens
            labels[place, row["n_prompt"] : len(tokens)] = tokens[row["n_prompt"] :]
            mask[place, : len(tokens)] = 1
        batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        if self.embeds is not None:
            batch["image_embeds"] = torch.stack([self.embeds[row["image_id"]] for row in rows])
        return batch
