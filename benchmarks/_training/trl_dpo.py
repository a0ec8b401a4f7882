"""The rival: TRL's DPOTrainer in its own precompute mode, without gradient checkpointing.

Its pairs go in as text, as it wants them; one character is one token here, so that it reads the
tokens that ours reads. A question with several pairs is several rows there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from datasets.utils.logging import disable_progress_bar
from trl import DPOConfig, DPOTrainer

from benchmarks._training.model import END
from benchmarks._training.trl_grpo import quiet
from training.methods.base import Group

disable_progress_bar()


def make_trainer(
    folder: Path,
    model: Any,
    tokenizer: Any,
    groups: Sequence[Group],
    steps: int,
    pairs_at_once: int,
) -> DPOTrainer:
    """One optimizer step on all the pairs, `pairs_at_once` to a forward, `steps` times over."""
    rows = as_rows(groups, tokenizer)
    settings = DPOConfig(
        output_dir=str(folder),
        use_cpu=not torch.cuda.is_available(),
        bf16=False,
        gradient_checkpointing=False,
        precompute_ref_log_probs=True,
        beta=0.1,
        max_length=None,
        learning_rate=1e-7,
        lr_scheduler_type="constant",
        max_grad_norm=1.0,
        max_steps=steps,
        per_device_train_batch_size=pairs_at_once,
        gradient_accumulation_steps=len(rows) // pairs_at_once,
        report_to="none",
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        seed=0,
    )
    data = Dataset.from_list(rows)
    return quiet(
        DPOTrainer(model=model, args=settings, train_dataset=data, processing_class=tokenizer)
    )


def as_rows(groups: Sequence[Group], tokenizer: Any) -> list[dict[str, str]]:
    """Each pair as prompt, chosen and rejected text; the end of sequence is added there."""

    def text(ids: Sequence[int]) -> str:
        return tokenizer.decode([i for i in ids if i != END], skip_special_tokens=False)

    return [
        {
            "prompt": text(group.prompt),
            "chosen": text(group.completions[pair.better]),
            "rejected": text(group.completions[pair.worse]),
        }
        for group in groups
        for pair in group.pairs
    ]


def frozen_batch(trainer: DPOTrainer) -> dict[str, Any]:
    """All the pairs as one padded batch of the trainer's own collator, in the dataset's order."""
    return trainer.data_collator(list(trainer.train_dataset))


@torch.no_grad()
def logprobs_on(trainer: DPOTrainer, batch: dict[str, Any]) -> torch.Tensor:
    """`[2 · pairs, columns - 1]`: chosen above rejected, as the trainer computes them."""
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    return trainer.model(**inputs, use_cache=False, labels=labels, fused_lm_head=True).log_probs
