"""PEFT, Accelerate and TRL take a VLM-KG as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from kgbuild.models.vlm_kg import VLMKGForCausalLM, image_prompt

from .conftest import tiny_vlm

ROWS = [
    ("the heart is enlarged .", " heart , located_at , left"),
    ("no pneumothorax .", " pneumothorax (absent)"),
    ("opacity .", " opacity , located_at , right lower lobe"),
    ("lungs are clear .", " clear"),
]
N = 4


def collated(tokenizer: Any, rows: Any, embeds: Any) -> dict[str, torch.Tensor]:
    """Right-padded training rows: the loss counts the completion and the token that ends it."""
    ids, labels = [], []
    for prompt, completion in rows:
        before = tokenizer(image_prompt(prompt, N)).input_ids
        after = [*tokenizer(completion).input_ids, tokenizer.eos_token_id]
        ids.append(torch.tensor(before + after))
        labels.append(torch.tensor([-100] * len(before) + after))
    padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=tokenizer.pad_token_id)
    return {
        "input_ids": padded,
        "attention_mask": (padded != tokenizer.pad_token_id).long(),
        "labels": torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=-100),
        "image_embeds": embeds,
    }


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks by that name
def test_peft_wraps_trains_and_merges_it() -> None:
    from peft import LoraConfig, get_peft_model

    model, tokenizer = tiny_vlm()
    batch = collated(tokenizer, ROWS, torch.randn(4, 512))
    before = model.model.language_model.layers[0].self_attn.q_proj.weight.detach().clone()
    config = LoraConfig(
        r=4,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
        modules_to_save=["projector"],
        task_type="CAUSAL_LM",
    )
    wrapped: Any = get_peft_model(model, config)
    learning = [name for name, value in wrapped.named_parameters() if value.requires_grad]
    assert {name.split(".")[3] for name in learning} == {"language_model", "projector"}
    assert not [name for name in learning if "lora" not in name and "modules_to_save" not in name]
    assert len([name for name in learning if "lora" in name]) == 2 * 2 * 4  # A and B, two layers, four matrices
    optimizer = torch.optim.AdamW([value for value in wrapped.parameters() if value.requires_grad], lr=1e-2)
    losses = []
    for _ in range(4):
        loss = wrapped(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    wrapped.eval()
    expected = wrapped(**batch).logits
    merged = wrapped.merge_and_unload()
    assert type(merged) is VLMKGForCausalLM
    assert not torch.equal(merged.model.language_model.layers[0].self_attn.q_proj.weight, before)
    torch.testing.assert_close(merged(**batch).logits, expected, rtol=1e-3, atol=1e-3)
    ids = tokenizer([image_prompt("no", N)], return_tensors="pt")
    assert merged.generate(**ids, image_embeds=torch.randn(1, 512), max_new_tokens=3).shape[1] <= N + 4


def test_accelerate_prepares_it() -> None:
    from accelerate import Accelerator

    model, tokenizer = tiny_vlm()
    accelerator = Accelerator(cpu=True)
    prepared, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), lr=1e-3))
    batch = collated(tokenizer, ROWS, torch.randn(4, 512))
    losses = []
    for _ in range(4):
        loss = prepared(**batch).loss
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert accelerator.unwrap_model(prepared) is model


def test_trls_trainer_trains_it_with_gradient_checkpointing(tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    model, tokenizer = tiny_vlm()
    embeds = torch.randn(4, 512)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    config = SFTConfig(
        str(tmp_path),
        max_steps=2,
        per_device_train_batch_size=4,
        learning_rate=1e-3,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        activation_checkpointing=True,
        bf16=False,
        use_cpu=True,
        report_to="none",
        logging_steps=1,
        disable_tqdm=True,
        save_strategy="no",
    )
    trainer = SFTTrainer(
        model,
        args=config,
        train_dataset=Dataset.from_list([{"row": i} for i in range(4)]),
        processing_class=tokenizer,
        data_collator=lambda rows: collated(
            tokenizer, [ROWS[row["row"]] for row in rows], torch.stack([embeds[row["row"]] for row in rows])
        ),
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 2
    assert losses[1] < losses[0]
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert {"model.projector.prefix_const", "model.language_model.layers.1.mlp.up_proj.weight"} <= moved
    trainer.save_model(str(tmp_path / "saved"))
    loaded = VLMKGForCausalLM.from_pretrained(tmp_path / "saved")
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), model.parameters(), strict=True))
