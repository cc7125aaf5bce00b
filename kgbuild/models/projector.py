"""VLM-KG's projector: one image embedding into a sequence of vectors that a language model reads like words.

ClipCap's TransformerMapper, with its parameter names, so that its checkpoints load. A linear layer spreads the
embedding over k positions, n learned positions stand after them, a transformer without a position code mixes all, and
n of them go on to the language model. The VLM-KG paper says "the original image features", which may mean the k
others: ``read="image"`` takes those.

Source: Mokady et al., ClipCap (2021), §3; Abdullah & Kim, VLM-KG, Fig. 2 (n = k = 64, 8 layers).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from kgbuild.errors import UsageError

_MLP_RATIO = 2.0
_CLIPCAP = "clip_project."
_SHRINK = 1e-3


class TransformerMapper(nn.Module):
    """Image embedding → positions of a language model. n = k = 64 at width 1024 has 100.86 M parameters.

    Args:
        dim_clip: width of the image embedding.
        dim_embedding: width of the language model.
        prefix_length: n, how many learned positions there are.
        clip_length: k, how many positions the embedding is spread over.
        num_layers: of the transformer.
        num_heads: of its attention; must divide ``dim_embedding``.
        read: which positions go on: the n learned ones (ClipCap), or the k of the image.

    Raises:
        UsageError: the heads do not divide the width.
    """

    def __init__(
        self,
        dim_clip: int = 512,
        dim_embedding: int = 1024,
        prefix_length: int = 64,
        clip_length: int = 64,
        num_layers: int = 8,
        num_heads: int = 8,
        read: Literal["prefix", "image"] = "prefix",
    ) -> None:
        super().__init__()
        if dim_embedding % num_heads:
            raise UsageError(
                f"{num_heads} heads do not divide the projector's width {dim_embedding}",
                where="model.projector.heads",
                expected="a divisor of the language model's width",
            )
        self.clip_length = clip_length
        self.read = read
        self.n_tokens = prefix_length if read == "prefix" else clip_length
        self.linear = nn.Linear(dim_clip, clip_length * dim_embedding)
        self.prefix_const = nn.Parameter(torch.randn(prefix_length, dim_embedding))
        self.transformer = _Transformer(dim_embedding, num_heads, num_layers)

    @torch.no_grad()
    def whiten(self, embeds: Tensor) -> None:
        """Begin the linear layer with whitening by the images to come: all that tells them apart counts alike.

        Embeddings of radiographs point nearly the same way (cosines of 0.98), and most of what differs between two of
        them says which projection or how much heart; a side or a size is a direction of little variance. ClipCap's
        beginning hands that on as it is, and the language model learns to do without the image. Here the layer's
        weights are multiplied by the inverse square root of the embeddings' covariance (its eigenvalues raised by a
        thousandth of the largest, so that noise is not), and what it makes of the images has mean 0 and variance 1.
        Nothing is changed if all images are alike, or there are none. Source: Kessy et al., Optimal Whitening and
        Decorrelation (2018), ZCA; the idea of such a beginning: Mishkin & Matas, All you need is a good init (2016).

        Args:
            embeds: of some images of the training. *Shape:* ``(images, dim_clip)``
        """
        if not len(embeds):
            return
        centred = embeds.double() - embeds.double().mean(0)
        variances, axes = torch.linalg.eigh(centred.T @ centred / len(centred))
        if not variances[-1] > 0:
            return
        root = (variances.clamp(min=0) + _SHRINK * variances[-1]).rsqrt()
        weight = self.linear.weight.double() @ (axes * root) @ axes.T
        weight /= functional.linear(centred, weight).pow(2).mean().sqrt()
        self.linear.weight.copy_(weight)
        self.linear.bias.copy_(-(weight @ embeds.double().mean(0)))

    def forward(self, embeds: Tensor) -> Tensor:
        """Project.

        Args:
            embeds: *Shape:* ``(batch, dim_clip)``

        Returns:
            *Shape:* ``(batch, n_tokens, dim_embedding)``
        """
        image = self.linear(embeds).view(embeds.shape[0], self.clip_length, -1)
        learned = self.prefix_const.expand(embeds.shape[0], *self.prefix_const.shape)
        mixed = self.transformer(torch.cat((image, learned), dim=1))
        return mixed[:, self.clip_length :] if self.read == "prefix" else mixed[:, : self.clip_length]


class _Transformer(nn.Module):
    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Layer(width, heads) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class _Layer(nn.Module):
    """Normalised before attention and before the MLP; nothing is normalised after the last layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = _Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = _Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_queries = nn.Linear(width, width, bias=False)
        self.to_keys_values = nn.Linear(width, 2 * width, bias=False)  # all keys, then all values
        self.project = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape  # Shape: (B, T, C), heads apart below: (B, H, T, C / H)
        queries = self.to_queries(x).view(batch, length, self.heads, -1).transpose(1, 2)
        both = self.to_keys_values(x).view(batch, length, 2, self.heads, -1)
        keys, values = both.unbind(2)
        mixed = functional.scaled_dot_product_attention(queries, keys.transpose(1, 2), values.transpose(1, 2))
        return self.project(mixed.transpose(1, 2).reshape(batch, length, width))


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, int(width * _MLP_RATIO))
        self.fc2 = nn.Linear(int(width * _MLP_RATIO), width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.relu(self.fc1(x)))


def load_clipcap(
    projector: TransformerMapper, weights: Mapping[str, Tensor], where: str = "ClipCap checkpoint"
) -> None:
    """Load a ClipCap state dict's ``clip_project.*``; its GPT-2 (``gpt.*``) is left out.

    Raises:
        KgbuildError: missing or extra keys or other shapes, listed.
    """
    from kgbuild.models._loading import fit

    mine = {key.removeprefix(_CLIPCAP): value for key, value in weights.items() if key.startswith(_CLIPCAP)}
    fit(projector, mine, where, _CLIPCAP)
