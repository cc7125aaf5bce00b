"""What a recipe holds, as frozen dataclasses, one sentence a key. Defaults are the paper's, where it states them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

TrainerName = Literal["llm-kg", "vlm-kg", "medclip"]


@dataclass(frozen=True, slots=True)
class Projector:
    """VLM-KG's projector (ClipCap's TransformerMapper)."""

    prefix_length: int = 64  # n: positions the language model sees
    clip_length: int = 64  # k: positions the image embedding is spread over
    layers: int = 8
    heads: int = 8
    read: Literal["prefix", "image"] = "prefix"  # which positions go on: the learned ones (ClipCap), or the image's
    whiten: bool = False  # begin with whitened embeddings of the training's images; not ClipCap's


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adapters instead of full tuning; merged into the weights when the checkpoint is written."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")


@dataclass(frozen=True, slots=True)
class Scratch:
    """A small language model that starts from random weights, its tokenizer trained on the training texts."""

    hidden: int = 128
    layers: int = 3
    heads: int = 4
    feed_forward: int = 384
    vocabulary: int = 1000


@dataclass(frozen=True, slots=True)
class ModelPart:
    """What is trained."""

    base: str = "Qwen/Qwen1.5-0.5B"  # a Hugging Face name, a folder, a kgbuild checkpoint, or "scratch"
    scratch: Scratch | None = None  # needed where base is scratch
    freeze_language_model: bool = False
    lora: Lora | None = None
    projector: Projector | None = None  # vlm-kg
    image_encoder: str | None = None  # vlm-kg, medclip: a MedCLIP file or folder; null = random weights (medclip only)
    image_variant: Literal["vit", "resnet"] = "vit"
    image_tiny: bool = False  # medclip: a few channels of that shape, for trials on a CPU
    text_encoder: str | None = None  # medclip: a BERT by name or folder; null = a small one from random weights


@dataclass(frozen=True, slots=True)
class DataPart:
    """What it is trained on."""

    dataset: str = "mimic"
    certainty: Literal["full", "none"] = "full"  # none: the paper's triplets, which drop presence
    prompt: str | None = None  # name in training/prompts; null = triplets for full, triplets_plain for none
    max_length: int = 1024  # tokens of prompt and completion; longer ones are counted and refused, never cut
    too_long: Literal["refuse", "drop"] = "refuse"
    images: Literal["frontal", "first"] = "frontal"  # which image of a study
    no_image: Literal["skip", "text-only"] = "skip"


@dataclass(frozen=True, slots=True)
class TrainingPart:
    """How it is trained."""

    epochs: float = 5.0
    max_steps: int | None = None
    batch_size: int = 2
    accumulation: int = 2
    learning_rate: float = 1e-4
    warmup_steps: int = 0
    schedule: str = "linear"
    weight_decay: float = 0.0
    precision: Literal["bf16", "fp32"] = "bf16"
    gradient_checkpointing: bool = False
    packing: bool = False
    seed: int = 0
    save_steps: int = 500
    log_steps: int = 10
    evaluate_steps: int | None = None  # null: at the end of an epoch
    evaluate_studies: int = 100  # how many of the validation split are written out and scored
    patience: int | None = None  # early stopping on triplet F1: evaluations without a better one
    report_to: Literal["none", "tensorboard", "wandb"] = "none"


@dataclass(frozen=True, slots=True)
class Decoding:
    """How text is generated, in validation and by the extractors (``generate --option`` overrides)."""

    strategy: Literal["beam", "greedy", "top-p", "top-k"] = "beam"
    beams: int = 4
    max_new_tokens: int = 300
    top_p: float = 0.9
    top_k: int = 50
    temperature: float = 1.0
    batch_size: int = 16
    constraint: Literal["none", "triplets", "copy"] = "none"  # only legal triplets; also only words of the report
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training configuration. ``purpose`` and ``memory`` are for people; ``paper`` names table and row."""

    name: str
    trainer: TrainerName
    purpose: str = ""
    paper: str | None = None
    memory: str = ""
    model: ModelPart = field(default_factory=ModelPart)
    data: DataPart = field(default_factory=DataPart)
    training: TrainingPart = field(default_factory=TrainingPart)
    decoding: Decoding = field(default_factory=Decoding)
