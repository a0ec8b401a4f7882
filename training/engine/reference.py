"""Log-probabilities under a frozen model, for the KL terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from training.engine.group import collate, group_logprobs
from training.engine.plan import micro_batches
from training.methods.base import Group, window_of


@torch.no_grad()
def add_reference_logprobs(
    model: Any, groups: Sequence[Group], temperature: float, tokens: int
) -> None:
    """Set `ref_logprobs` of every group, at the temperature that the policy is trained at."""
    device = next(model.parameters()).device
    for part in micro_batches(groups, tokens):
        scored = group_logprobs(model, collate(part, window_of(part)).to(device), temperature)
        for group, rows in zip(part, scored.completion.tolist(), strict=True):
            lengths = [len(ids) for ids in group.completions]
            group.ref_logprobs = [row[:length] for row, length in zip(rows, lengths, strict=False)]
