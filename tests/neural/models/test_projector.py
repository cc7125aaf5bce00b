"""ClipCap's projector: names, sizes, and the numbers that NumPy gets from the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from kgbuild.errors import KgbuildError, UsageError
from kgbuild.models.projector import TransformerMapper, load_clipcap


def clipcap_names(n: int, k: int, width: int, clip: int, layers: int) -> dict[str, tuple[int, ...]]:
    """A ClipCap checkpoint's projector keys and shapes, as its code defines them."""
    names: dict[str, tuple[int, ...]] = {
        "linear.weight": (k * width, clip),
        "linear.bias": (k * width,),
        "prefix_const": (n, width),
    }
    for layer in range(layers):
        stem = f"transformer.layers.{layer}."
        names |= {
            f"{stem}norm1.weight": (width,),
            f"{stem}norm1.bias": (width,),
            f"{stem}attn.to_queries.weight": (width, width),
            f"{stem}attn.to_keys_values.weight": (2 * width, width),
            f"{stem}attn.project.weight": (width, width),
            f"{stem}attn.project.bias": (width,),
            f"{stem}norm2.weight": (width,),
            f"{stem}norm2.bias": (width,),
            f"{stem}mlp.fc1.weight": (2 * width, width),
            f"{stem}mlp.fc1.bias": (2 * width,),
            f"{stem}mlp.fc2.weight": (width, 2 * width),
            f"{stem}mlp.fc2.bias": (width,),
        }
    return names


def test_the_papers_projector_has_clipcaps_keys_and_100_86_million_parameters() -> None:
    with torch.device("meta"):
        projector = TransformerMapper()
    shapes = {name: tuple(value.shape) for name, value in projector.state_dict().items()}
    assert shapes == clipcap_names(64, 64, 1024, 512, 8)
    assert sum(value.numel() for value in projector.parameters()) == 100_859_904


def reference(weights: dict[str, Any], embeds: Any, *, k: int, layers: int, heads: int) -> Any:
    """The same in NumPy, one row and one head at a time."""
    width = weights["prefix_const"].shape[1]
    rows = []
    for embed in embeds:
        spread = (weights["linear.weight"] @ embed + weights["linear.bias"]).reshape(k, width)
        x = np.concatenate([spread, weights["prefix_const"]])
        for layer in range(layers):
            w = {
                key.split(".", 3)[3]: v for key, v in weights.items() if key.startswith(f"transformer.layers.{layer}.")
            }
            y = norm(x, w["norm1.weight"], w["norm1.bias"])
            queries = y @ w["attn.to_queries.weight"].T
            keys, values = np.split(y @ w["attn.to_keys_values.weight"].T, 2, axis=1)
            mixed, size = np.empty_like(queries), width // heads
            for head in range(heads):
                part = slice(head * size, (head + 1) * size)
                scores = queries[:, part] @ keys[:, part].T / np.sqrt(size)
                scores = np.exp(scores - scores.max(1, keepdims=True))
                mixed[:, part] = scores / scores.sum(1, keepdims=True) @ values[:, part]
            x = x + mixed @ w["attn.project.weight"].T + w["attn.project.bias"]
            y = norm(x, w["norm2.weight"], w["norm2.bias"])
            y = np.maximum(y @ w["mlp.fc1.weight"].T + w["mlp.fc1.bias"], 0)
            x = x + y @ w["mlp.fc2.weight"].T + w["mlp.fc2.bias"]
        rows.append(x)
    return np.stack(rows)


def norm(x: Any, weight: Any, bias: Any) -> Any:
    return (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5) * weight + bias


@pytest.mark.parametrize("read", ["prefix", "image"])
def test_its_output_is_what_numpy_computes(read: Any) -> None:
    torch.manual_seed(0)
    projector = TransformerMapper(7, 24, prefix_length=5, clip_length=3, num_layers=2, num_heads=4, read=read).double()
    with torch.no_grad():
        for value in projector.parameters():
            value.add_(0.3 * torch.randn_like(value))
    embeds = torch.randn(2, 7, dtype=torch.float64)
    weights = {key: value.numpy() for key, value in projector.state_dict().items()}
    whole = reference(weights, embeds.numpy(), k=3, layers=2, heads=4)
    expected = whole[:, 3:] if read == "prefix" else whole[:, :3]
    given = projector(embeds).detach().numpy()
    assert given.shape == (2, projector.n_tokens, 24) == (2, 5 if read == "prefix" else 3, 24)
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-12)


def test_a_clipcap_checkpoint_loads_without_its_gpt() -> None:
    torch.manual_seed(1)
    trained, fresh = (TransformerMapper(6, 8, 2, 2, 1, 2) for _ in range(2))
    saved = {f"clip_project.{key}": value for key, value in trained.state_dict().items()}
    load_clipcap(fresh, {**saved, "gpt.transformer.wte.weight": torch.zeros(3, 8)})
    embeds = torch.randn(1, 6)
    assert torch.equal(fresh(embeds), trained(embeds))


def test_a_checkpoint_that_does_not_fit_lists_its_keys() -> None:
    projector = TransformerMapper(6, 8, 2, 2, 1, 2)
    saved = {f"clip_project.{key}": value for key, value in projector.state_dict().items()}
    del saved["clip_project.transformer.layers.0.mlp.fc1.bias"]
    saved["clip_project.transformer.layers.1.norm1.weight"] = torch.ones(8)
    saved["clip_project.prefix_const"] = torch.zeros(3, 8)
    with pytest.raises(KgbuildError) as error:
        load_clipcap(projector, saved)
    assert "1 missing: clip_project.transformer.layers.0.mlp.fc1.bias" in str(error.value)
    assert "1 extra: clip_project.transformer.layers.1.norm1.weight" in str(error.value)
    assert "1 of another shape: clip_project.prefix_const" in str(error.value)


def test_heads_that_do_not_divide_the_width_are_named() -> None:
    with pytest.raises(UsageError, match="5 heads do not divide the projector's width 24"):
        TransformerMapper(6, 24, num_heads=5)


def test_whitened_by_images_that_are_nearly_alike_it_tells_them_apart() -> None:
    torch.manual_seed(0)
    spread = torch.logspace(0, -1.2, 32)  # of the directions: the last differ a sixteenth as much as the first
    embeds = functional.normalize(torch.ones(4000, 32) + 0.1 * torch.randn(4000, 32) * spread, dim=-1)
    projector = TransformerMapper(32, 16, 2, 3, 1, 2)
    drawn = projector.linear.weight.detach().double().numpy().copy()
    assert projector.linear(embeds).std(0).mean() < 0.05
    projector.whiten(embeds)
    after = projector.linear(embeds)
    torch.testing.assert_close(after.mean(0), torch.zeros(48), rtol=0, atol=1e-4)
    torch.testing.assert_close(after.pow(2).mean(), torch.tensor(1.0), rtol=0, atol=1e-3)
    # by numpy, which needs no eigenvectors for it: W W' is the drawn weights' R C^-1 R', up to one factor
    covariance = np.cov(embeds.double().numpy().T, bias=True)
    largest = np.linalg.eigvalsh(covariance)[-1]
    inverse = np.linalg.inv(covariance + 1e-3 * largest * np.eye(32))
    expected = drawn @ inverse @ drawn.T
    found = projector.linear.weight.double().detach().numpy()
    scale = np.trace(expected) / np.trace(found @ found.T)
    np.testing.assert_allclose(found @ found.T * scale, expected, rtol=1e-4, atol=1e-4 * abs(expected).max())


def test_whitening_by_no_image_or_one_changes_nothing() -> None:
    projector = TransformerMapper(8, 16, 2, 3, 1, 2)
    before = projector.linear.weight.clone()
    projector.whiten(torch.zeros(0, 8))
    projector.whiten(torch.ones(3, 8))
    assert torch.equal(projector.linear.weight, before)
