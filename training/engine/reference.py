"""Log-probabilities under a frozen model, for the KL terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from training.engine.group import collate, group_logprobs
from training.engine.plan import micro_batches
from training.engine.shortage import in_parts
from training.methods.base import Group, window_of


@torch.no_grad()
def add_reference_logprobs(
    model: Any, groups: Sequence[Group], temperature: float, tokens: int
) -> None:
    """Set `ref_logprobs` of every group, at the temperature that the policy is trained at.

    Where memory runs out, a forward is halved, down to one group.
    """
    device = next(model.parameters()).device

    def forward(part: list[Group]) -> Any:
        batch = collate(part, window_of(part)).to(device)
        return group_logprobs(model, batch, temperature).completion.tolist()  # [B, N, T]

    for batch in micro_batches(groups, tokens):
        for part, found in in_parts(forward, batch, halves):
            for group, rows in zip(part, found, strict=True):
                lengths = [len(ids) for ids in group.completions]
                group.ref_logprobs = [
                    row[:length] for row, length in zip(rows, lengths, strict=False)
                ]


def halves(groups: list[Group]) -> list[list[Group]]:
    """Two parts; none of a group alone."""
    middle = len(groups) // 2
    return [groups[:middle], groups[middle:]] if middle else []
