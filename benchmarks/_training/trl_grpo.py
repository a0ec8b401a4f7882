"""The rival: TRL's GRPOTrainer, on completions that stand ready or on its own generation.

Given completions go in through its own door for them, `rollout_func`; what is left is exactly "all
but generation": tokens to padded rows, rewards, advantages, forward, loss, backward, clip, step.
Settings are its defaults but for what the comparison fixes (fp32, batch, constant rate) and for
gradient checkpointing, which is off because that is faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from training.methods.base import Group


def arguments(folder: Path, **options: Any) -> GRPOConfig:
    """What every GRPO rival has in common."""
    settings: dict[str, Any] = {
        "output_dir": str(folder),
        "use_cpu": not torch.cuda.is_available(),
        "bf16": False,
        "gradient_checkpointing": False,
        "learning_rate": 1e-7,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 1.0,
        "loss_type": "dapo",
        "scale_rewards": "group",
        "beta": 0.0,
        "num_generations": 8,
        "shuffle_dataset": False,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "seed": 0,
    }
    return GRPOConfig(**settings | options)


def make_trainer(
    folder: Path,
    model: Any,
    tokenizer: Any,
    groups: Sequence[Group],
    steps: int,
    rows_at_once: int,
) -> GRPOTrainer:
    """One optimizer step on all the groups, `rows_at_once` to a forward, `steps` times over."""
    rows = sum(len(group.completions) for group in groups)
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=given_rewards,
        args=arguments(
            folder,
            max_steps=steps,
            per_device_train_batch_size=rows_at_once,
            gradient_accumulation_steps=rows // rows_at_once,
            max_completion_length=max(len(ids) for g in groups for ids in g.completions),
        ),
        train_dataset=Dataset.from_list([{"prompt": group.question} for group in groups]),
        processing_class=tokenizer,
        rollout_func=rollout(groups),
    )
    return quiet(trainer)


def quiet(trainer: Any) -> Any:
    """No metrics on the screen between the rows of our table."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return trainer


def given_rewards(reward: Sequence[float], **rest: Any) -> list[float]:
    """The rewards that came with the completions."""
    return list(reward)


def rollout(groups: Sequence[Group]) -> Callable[..., dict[str, Any]]:
    """The recorded completions, in the order in which the prompts are asked for."""
    by_name = {group.question: group for group in groups}

    def given(prompts: list[str], trainer: Any) -> dict[str, Any]:
        asked = [(by_name[name], prompts[:place].count(name)) for place, name in enumerate(prompts)]
        return {
            "prompt_ids": [list(group.prompt) for group, _ in asked],
            "completion_ids": [list(group.completions[n]) for group, n in asked],
            "logprobs": [list((group.old_logprobs or [])[n]) for group, n in asked],
            "reward": [group.rewards[n] for group, n in asked],
        }

    return given


def frozen_batch(trainer: GRPOTrainer, groups: Sequence[Group]) -> dict[str, Any]:
    """The tensors that the trainer makes of the groups: `[rows, …]`, group by group."""
    trainer.model.train()
    asked = [{"prompt": group.question} for group in groups for _ in group.completions]
    return trainer._generate_and_score_completions(asked)


def logprobs_on(trainer: GRPOTrainer, batch: dict[str, Any]) -> torch.Tensor:
    """`[rows, T]` as the trainer computes them."""
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    kept = batch["completion_ids"].shape[1]
    found, *_ = trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, kept)
    return found


def loss_on(trainer: GRPOTrainer, batch: dict[str, Any]) -> torch.Tensor:
    """The trainer's loss of the whole batch as one micro-batch, in the graph."""
    trainer.current_gradient_accumulation_steps = 1
    return trainer.compute_loss(trainer.model, batch)
