"""Batches of given sizes: random tokens, lengths spread as samples' lengths are, random rewards."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks._training.model import CHARACTERS, END, SPECIAL
from training.engine.group import collate, group_logprobs
from training.engine.plan import micro_batches
from training.methods.base import Group, window_of


@dataclass(frozen=True)
class Tier:
    """How large a batch is: mean lengths in tokens, groups, completions a group."""

    prompt_tokens: int
    completion_tokens: int
    groups: int = 8
    group: int = 8

    @property
    def name(self) -> str:
        return f"P={self.prompt_tokens} C={self.completion_tokens} G={self.group}"

    def around(self, mean: int, dice: random.Random) -> int:
        """A length between half and one and a half of the mean."""
        return dice.randint(mean // 2, mean + mean // 2)


def make_groups(tier: Tier, seed: int = 0) -> list[Group]:
    """Groups whose completions end, each with a reward of its own."""
    dice = random.Random(seed)
    return [_group(str(place), tier, dice) for place in range(tier.groups)]


def _group(name: str, tier: Tier, dice: random.Random) -> Group:
    near = tier.prompt_tokens // 4
    prompt = tier.prompt_tokens + dice.randint(-near, near)
    lengths = [tier.around(tier.completion_tokens, dice) for _ in range(tier.group)]
    return Group(
        question=name,
        prompt=_tokens(prompt, dice),
        completions=[[*_tokens(length - 1, dice), END] for length in lengths],
        present=[True] * tier.group,
        rewards=[dice.random() for _ in lengths],
    )


def _tokens(count: int, dice: random.Random) -> list[int]:
    first = len(SPECIAL)  # characters, so that text and tokens are each other's
    return [dice.randrange(first, first + len(CHARACTERS)) for _ in range(count)]


@torch.no_grad()
def record(model: Any, groups: Sequence[Group]) -> None:
    """Set `old_logprobs` as the sampler would have left them."""
    for part in micro_batches(groups, 16_384):
        scored = group_logprobs(model, collate(part, window_of(part))).completion.tolist()
        for group, rows in zip(part, scored, strict=True):
            pairs = zip(rows, group.completions, strict=True)
            group.old_logprobs = [row[: len(ids)] for row, ids in pairs]


def fresh(groups: Sequence[Group]) -> list[Group]:
    """The same groups, not yet weighed."""
    return [replace(group, weights=[]) for group in groups]


def counts(groups: Sequence[Group], group: int) -> dict[str, int]:
    """Tokens that teach, tokens that one padded row a completion takes, and tokens ours take."""
    longest = max(len(ids) for each in groups for ids in each.completions)
    prompt = max(len(each.prompt) for each in groups)
    return {
        "trained_tokens": sum(len(ids) for each in groups for ids in each.completions),
        "padded_tokens": len(groups) * group * (prompt + longest),
        "group_tokens": sum(each.tokens for each in groups),
    }
