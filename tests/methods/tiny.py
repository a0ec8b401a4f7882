"""Groups, batches and log-probabilities small enough to work out on paper."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any

import torch

from training.engine.group import Batch, LogProbs, collate
from training.methods.base import Group, MethodConfig, Window, window_of

Numbers = Sequence[Sequence[float]]  # [N, T]


def make_group(lengths: Sequence[int], rewards: Sequence[float] = (), **fields: Any) -> Group:
    """Completions of these lengths, no two alike; all present unless said otherwise."""
    completions = [[100 * n + t for t in range(length)] for n, length in enumerate(lengths)]
    fields.setdefault("present", [True] * len(lengths))
    fields.setdefault("prompt", [7, 8, 9])
    fields.setdefault("completions", completions)
    return Group("q", rewards=list(rewards), **fields)


def weighed(method: ModuleType, groups: list[Group], config: MethodConfig) -> list[Group]:
    method.weigh(groups, config)
    return groups


def make_logprobs(numbers: Sequence[Numbers], prompt: Numbers | None = None) -> LogProbs:
    """`[B, N, T]` from ragged rows, 0 where there is none, ready for a gradient."""
    shape = (
        len(numbers),
        max(map(len, numbers)),
        max(len(row) for rows in numbers for row in rows),
    )
    block = torch.zeros(shape)
    for b, rows in enumerate(numbers):
        for n, row in enumerate(rows):
            block[b, n, : len(row)] = torch.tensor(row)
    targets = None if prompt is None else torch.tensor(prompt)
    return LogProbs(block.requires_grad_(), targets)


def make_batch(groups: Sequence[Group], window: Window | None = None) -> Batch:
    return collate(groups, window or window_of(groups))


def loss_of(
    method: ModuleType, groups: Sequence[Group], logprobs: LogProbs, config: MethodConfig
) -> tuple[torch.Tensor, dict[str, Any]]:
    return method.objective(logprobs, make_batch(groups), config)


def random_numbers(groups: Iterable[Group], seed: int = 0) -> list[list[list[float]]]:
    """A log-probability for each token."""
    dice = torch.Generator().manual_seed(seed)
    return [
        [(-2 * torch.rand(len(ids), generator=dice)).tolist() for ids in group.completions]
        for group in groups
    ]


def splits(count: int) -> Iterator[list[list[int]]]:
    """The same places together, each alone, and unevenly."""
    places = list(range(count))
    yield [places]
    yield [[place] for place in places]
    yield [places[:1], places[1:]]


def summed_over(
    method: ModuleType,
    groups: Sequence[Group],
    numbers: Sequence[Numbers],
    parts: Sequence[Sequence[int]],
    config: MethodConfig,
) -> dict[str, float]:
    """Every share of the step, added up over its micro-batches."""
    window, totals = window_of(groups), dict[str, float]()
    for part in parts:
        batch = make_batch([groups[b] for b in part], window)
        _, shares = method.objective(make_logprobs([numbers[b] for b in part]), batch, config)
        for name, share in shares.items():
            totals[name] = totals.get(name, 0.0) + float(share)
    return totals
