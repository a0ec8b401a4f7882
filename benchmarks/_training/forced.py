"""Lengths that are given beforehand, so that two samplers do the same work."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from transformers import StoppingCriteria


def log_normal(count: int, median: float, longest: int, dice: random.Random) -> list[int]:
    """Lengths spread as those of chains of thought are, at least 2 and at most `longest`."""
    drawn = [round(median * dice.lognormvariate(0, 0.5)) for _ in range(count)]
    return [min(max(length, 2), longest) for length in drawn]


class Limits(StoppingCriteria):
    """Ends each row of a `generate` at a length of its own, behind a prompt of `width` columns."""

    def __init__(self, width: int, lengths: Sequence[int]) -> None:
        self.width, self.lengths = width, torch.tensor(lengths)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> Any:
        """`[rows]`: which rows are at their end."""
        return input_ids.shape[1] - self.width >= self.lengths.to(input_ids.device)
