"""The layouts of a group, one forward and backward each: the prompts' cache, one row under a mask,
the same with its layers recomputed, against one padded row a completion.

All four give the same gradient; the tests hold them to it. What differs is what they compute: the
cached layout attends from a completion to its prompt and itself, the masked row from every token to
every column, and the padded rows read the prompt once for each completion.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks._training.batches import Tier, counts, make_groups
from benchmarks._training.model import copy_of, make_model
from benchmarks._training.table import show
from benchmarks._training.turns import alternate, summary
from training.engine.ranks import Ranks
from training.engine.update import Update
from training.methods import sft
from training.methods.base import Group

TIERS = (Tier(32, 32), Tier(128, 32), Tier(512, 32), Tier(128, 128))
TOKENS = 4096
LAYOUTS: dict[str, dict[str, Any]] = {
    "cache": {},
    "masked row": {"gradient_checkpointing": False},
    "masked row, recomputed": {"gradient_checkpointing": True},
}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    rows = []
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        for tier in TIERS:
            groups, model = make_groups(tier), make_model()
            for layout, settings in LAYOUTS.items():
                ours = engine(copy_of(model), groups, layout, settings)
                turns = alternate(padded(copy_of(model), groups), ours, arguments.rounds)
                rows.append(
                    {
                        "method": layout,
                        "prompt_tokens": tier.prompt_tokens,
                        "completion_tokens": tier.completion_tokens,
                        "group": tier.group,
                        **summary(turns.our_clock, turns.rival_clock),
                        "rival": "one padded row a completion, 16 rows a forward",
                        "threads": threads,
                        **counts(groups, tier.group),
                    }
                )
                show(rows[-1:])
    return {"rows": rows}


def engine(
    model: Any, groups: Sequence[Group], layout: str, settings: dict[str, Any]
) -> Callable[[], None]:
    """One forward and backward of everything by the engine."""
    update = Update(model, sft, sft.Config(tokens_per_batch=TOKENS, **settings), Ranks())
    update.policy.block = layout != "cache"

    def step() -> None:
        update._attempt(groups)
        model.zero_grad()

    return step


def padded(model: Any, groups: Sequence[Group], rows: int = 16) -> Callable[[], None]:
    """The same loss from rows of prompt and completion, padded on the right, alike in length."""
    whole = [(g.prompt, ids) for g in groups for ids in g.completions]
    ordered = sorted(whole, key=lambda pair: len(pair[0]) + len(pair[1]))
    total = sum(len(ids) for _, ids in whole)

    def step() -> None:
        for start in range(0, len(ordered), rows):
            loss_of_rows(model, ordered[start : start + rows], total).backward()
        model.zero_grad()

    return step


def loss_of_rows(model: Any, pairs: Sequence[tuple[list[int], list[int]]], total: int) -> Tensor:
    """The mean over `total` tokens, of the tokens that the model is taught alone."""
    sequences = [torch.tensor(prompt + ids) for prompt, ids in pairs]
    block = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True)
    taught = torch.zeros(block.shape, dtype=torch.bool)
    for row, (prompt, ids) in enumerate(pairs):
        taught[row, len(prompt) : len(prompt) + len(ids)] = True
    seen = torch.zeros_like(block)
    for row, sequence in enumerate(sequences):
        seen[row, : len(sequence)] = 1
    states = model.model(input_ids=block, attention_mask=seen).last_hidden_state
    logprobs = model.lm_head(states[:, :-1][taught[:, 1:]]).float().log_softmax(-1)
    chosen: Tensor = logprobs.gather(-1, block[:, 1:][taught[:, 1:]][:, None])
    return -chosen.sum() / total
