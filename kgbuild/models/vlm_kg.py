"""VLM-KG: a causal language model that reads an image embedding as if it were the first words of its prompt.

Shaped like LLaVA, because that shape passes through ``generate``, beams, TRL, PEFT and Accelerate as it is: the prompt
begins with n times the token ``<image>``, and the projector's n vectors take those tokens' places. A row without an
image has no such token.

Source: Abdullah & Kim, VLM-KG, §3; Liu et al., LLaVA (2023) for the shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from kgbuild.errors import KgbuildError
from kgbuild.models._loading import VLM_TYPE
from kgbuild.models.projector import TransformerMapper
from kgbuild.recipes import Projector

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

IMAGE = "<image>"
_HEADS_WITH_MORE = (
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "lm_head_multiplier",
    "output_multiplier",
)  # names of what models do to their logits after the linear layer


def image_prompt(prompt: str, n: int) -> str:
    """The prompt with room for an image: n image tokens before it; n = 0, none, is a row without an image.

    A report that itself says ``<image>`` is changed by two spaces, or it would be taken for one.
    """
    return IMAGE * n + prompt.replace(IMAGE, "< image >")


class VLMKGConfig(PretrainedConfig):
    """The language model's configuration, the projector's sizes, and which token stands for the image."""

    model_type = VLM_TYPE
    sub_configs = {"text_config": AutoConfig}  # noqa: RUF012 - transformers reads it from the class

    def __init__(
        self,
        text_config: dict[str, Any] | PretrainedConfig | None = None,
        image_token_id: int | None = None,
        image_width: int = 512,
        prefix_length: int = 64,
        clip_length: int = 64,
        projector_layers: int = 8,
        projector_heads: int = 8,
        projector_read: Literal["prefix", "image"] = "prefix",
        **kwargs: Any,
    ) -> None:
        self.text_config: Any = text_config
        if text_config is None or isinstance(text_config, dict):
            self.text_config = AutoConfig.for_model(**{"model_type": "qwen2", **(text_config or {})})
        self.image_token_id = image_token_id
        self.image_width = image_width
        self.prefix_length = prefix_length
        self.clip_length = clip_length
        self.projector_layers = projector_layers
        self.projector_heads = projector_heads
        self.projector_read = projector_read
        kwargs.setdefault("tie_word_embeddings", bool(self.text_config.tie_word_embeddings))
        super().__init__(**kwargs)


class VLMKGPreTrainedModel(PreTrainedModel):
    """What both classes below share; transformers looks here for what the model supports."""

    config_class = VLMKGConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _skip_keys_device_placement = "past_key_values"


class VLMKGModel(VLMKGPreTrainedModel):
    """Projector and decoder: tokens and image embedding → hidden states."""

    def __init__(self, config: VLMKGConfig) -> None:
        super().__init__(config)
        self.projector = TransformerMapper(
            config.image_width,
            config.text_config.hidden_size,
            config.prefix_length,
            config.clip_length,
            config.projector_layers,
            config.projector_heads,
            read=config.projector_read,
        )
        self.language_model = AutoModel.from_config(config.text_config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:  # noqa: D102 - transformers' name
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:  # noqa: D102
        self.language_model.set_input_embeddings(value)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        image_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Hidden states of every position; arguments as in ``VLMKGForCausalLM.forward``."""
        if inputs_embeds is None:
            if input_ids is None:
                raise ValueError("input_ids or inputs_embeds must be given")
            inputs_embeds = self.get_input_embeddings()(input_ids)
            inputs_embeds = self._with_images(input_ids, inputs_embeds, image_embeds)
        return self.language_model(
            inputs_embeds=inputs_embeds, attention_mask=attention_mask, position_ids=position_ids, **kwargs
        )

    def _with_images(self, input_ids: Tensor, words: Tensor, image_embeds: Tensor | None) -> Tensor:
        """Put the projected images in the image tokens' places.

        Returns:
            *Shape:* ``(batch, tokens, width)``
        """
        places = input_ids == self.config.image_token_id
        counts = places.sum(1)
        seen = counts > 0
        n = self.projector.n_tokens
        if not bool(seen.any()):
            if self.training:  # so that every process has a gradient for the projector, image or not
                nothing = self.projector(words.new_zeros(1, self.config.image_width))
                words = words + 0.0 * nothing.sum()
            return words
        if image_embeds is None or bool((counts[seen] != n).any()):
            raise KgbuildError(
                "image tokens and image do not match",
                where=f"rows with {sorted(set(counts.tolist()))} image tokens"
                + ("" if image_embeds is not None else ", no image embeddings given"),
                expected=f"{n} in each row with an image, none in others; a prompt cut short loses some",
            )
        images = image_embeds[seen]
        if not bool(images.isfinite().all()):
            raise KgbuildError(
                "a row with image tokens has no image", expected=f"finite embeddings, or a prompt without {IMAGE}"
            )
        projected = self.projector(images.to(self.projector.linear.weight.dtype)).to(words.dtype)
        return words.masked_scatter(places.unsqueeze(-1), projected)


class VLMKGForCausalLM(VLMKGPreTrainedModel, GenerationMixin):
    """The model of the checkpoints of kind ``vlm-kg``; made with ``from_language`` or ``from_pretrained``."""

    _tied_weights_keys = {"lm_head.weight": "model.language_model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: VLMKGConfig) -> None:
        super().__init__(config)
        self.model = VLMKGModel(config)
        width, rows = config.text_config.hidden_size, config.text_config.vocab_size
        self.lm_head = nn.Linear(width, rows, bias=False)
        self._tied_weights_keys = {"lm_head.weight": f"model.language_model.{_embedding_name(self.model)}"}
        self.post_init()

    @classmethod
    def from_language(
        cls,
        language_model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        projector: Projector | None = None,
        *,
        image_width: int = 512,
        seed: int = 0,
    ) -> VLMKGForCausalLM:
        """Give a language model eyes: a new projector before it, its own weights taken over, not copied.

        Args:
            language_model: any causal language model of transformers whose head is one linear layer.
            tokenizer: its own; gets the token ``<image>``, and the model a row for it where it has none to spare.
            projector: sizes; None: the paper's.
            image_width: of the image embeddings.
            seed: of all new weights; the process's own random state is left as it was.

        Raises:
            KgbuildError: a language model whose head does more than multiply.
        """
        head = language_model.get_output_embeddings()
        extras = [name for name in _HEADS_WITH_MORE if getattr(language_model.config, name, None) not in (None, 1.0)]
        if not isinstance(head, nn.Linear) or head.bias is not None or extras:
            raise KgbuildError(
                "this language model's head is not supported",
                where=f"{type(language_model).__name__} {' '.join(extras)}".strip(),
                expected="one linear layer without bias, as in Qwen2, Llama and SmolLM2",
            )
        sizes = projector or Projector()
        if tokenizer.convert_tokens_to_ids(IMAGE) in (None, tokenizer.unk_token_id):
            tokenizer.add_tokens([IMAGE], special_tokens=True)
        token = tokenizer.convert_tokens_to_ids(IMAGE)
        if token >= language_model.get_input_embeddings().weight.shape[0]:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                language_model.resize_token_embeddings(token + 1, mean_resizing=False)
        config = VLMKGConfig(
            text_config=language_model.config,
            image_token_id=token,
            image_width=image_width,
            prefix_length=sizes.prefix_length,
            clip_length=sizes.clip_length,
            projector_layers=sizes.layers,
            projector_heads=sizes.heads,
            projector_read=sizes.read,
        )
        weight = language_model.get_input_embeddings().weight
        with torch.device("meta"):
            model = cls(config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model.model.projector = TransformerMapper(
                image_width,
                config.text_config.hidden_size,
                sizes.prefix_length,
                sizes.clip_length,
                sizes.layers,
                sizes.heads,
                read=sizes.read,
            ).to(weight.device, weight.dtype)
        model.model.language_model = language_model.base_model
        model.lm_head = head
        model.config.dtype = language_model.config.dtype
        model.tie_weights()
        model.generation_config = language_model.generation_config
        model.generation_config.suppress_tokens = [token]  # it is never an answer
        for name in ("eos_token_id", "pad_token_id", "bos_token_id"):
            setattr(model.config, name, getattr(language_model.config, name, None))
        return model.eval()

    @property
    def n_image_tokens(self) -> int:
        """How many image tokens a row with an image begins with."""
        return self.model.projector.n_tokens

    def freeze_language_model(self) -> None:
        """Leave only the projector to be trained (the paper's Table 2)."""
        self.requires_grad_(False)
        self.model.projector.requires_grad_(True)

    def get_input_embeddings(self) -> nn.Module:  # noqa: D102 - transformers' name
        return self.model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:  # noqa: D102
        self.model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:  # noqa: D102
        return self.lm_head

    def set_output_embeddings(self, value: nn.Linear) -> None:  # noqa: D102
        self.lm_head = value

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        image_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Predict each position's next token.

        Args:
            input_ids: rows with an image begin (after padding) with n image tokens. *Shape:* ``(batch, tokens)``
            attention_mask: 0 on padding. *Shape:* ``(batch, tokens)``
            position_ids: as for the language model.
            inputs_embeds: instead of ``input_ids``, images already in place. *Shape:* ``(batch, tokens, width)``
            image_embeds: rows without image tokens are not looked at, and may be NaN. *Shape:* ``(batch, 512)``
            labels: ``input_ids`` where they count for the loss, -100 elsewhere. *Shape:* ``(batch, tokens)``
            logits_to_keep: how many of the last positions' logits to compute (0: all), or which.
            **kwargs: for the language model, its cache among them; ``num_items_in_batch`` goes to the loss.

        Returns:
            ``logits``, *shape* ``(batch, tokens, vocabulary)``, and ``loss`` where labels were given.

        Raises:
            KgbuildError: a row with another number of image tokens than n, or image tokens but no image.
        """
        items = kwargs.pop("num_items_in_batch", None)
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            image_embeds=image_embeds,
            **kwargs,
        )
        states = outputs.last_hidden_state
        if isinstance(logits_to_keep, Tensor):
            states = states[:, logits_to_keep]
        elif logits_to_keep:
            states = states[:, -logits_to_keep:]
        logits = self.lm_head(states)
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits=logits, labels=labels, vocab_size=logits.shape[-1], num_items_in_batch=items
            )
        # The cache's name among them has changed from one transformers to the next.
        rest = {name: value for name, value in outputs.items() if name != "last_hidden_state"}
        return CausalLMOutputWithPast(loss=loss, logits=logits, **rest)

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        image_embeds: Tensor | None = None,
        is_first_iteration: bool | None = False,
        cache: Any = None,
        past_key_values: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """As transformers does; the image goes along in the first step only.

        ``cache`` and ``past_key_values`` are one argument's names in two releases of transformers, which refuses what
        it does not find in this signature.
        """
        both = {"cache": cache, "past_key_values": past_key_values}
        kwargs |= {name: value for name, value in both.items() if value is not None}
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(
            input_ids, is_first_iteration=is_first_iteration, **kwargs
        )
        if is_first_iteration or not kwargs.get("use_cache", True):
            inputs["image_embeds"] = image_embeds
        return inputs


def _embedding_name(model: VLMKGModel) -> str:
    """The language model's own name of its word embeddings' weight."""
    words = model.language_model.get_input_embeddings().weight
    return next(name for name, value in model.language_model.named_parameters() if value is words)


AutoConfig.register(VLM_TYPE, VLMKGConfig, exist_ok=True)
AutoModel.register(VLMKGConfig, VLMKGModel, exist_ok=True)
AutoModelForCausalLM.register(VLMKGConfig, VLMKGForCausalLM, exist_ok=True)
