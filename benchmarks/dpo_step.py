"""A DPO step with a precomputed reference, against TRL's own precompute mode.

Two tiers: one pair a question, where sharing the prompt can save a quarter at most, and all six
pairs of four completions, of which ours reads each once and TRL's rows each three times.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import combinations
from pathlib import Path
from typing import Any

import torch

from benchmarks._training import trl_dpo
from benchmarks._training.batches import Tier, counts, fresh, make_groups, record
from benchmarks._training.gate import Gate, compare, gradient
from benchmarks._training.model import copy_of, make_model, make_tokenizer
from benchmarks._training.ours import Ours
from benchmarks._training.table import show
from benchmarks._training.turns import quickest, summary, take_turns
from training.engine.group import collate, group_logprobs
from training.methods import dpo
from training.methods.base import Group, Pair, window_of

RESULT = "dpo"
TIERS = (Tier(32, 32, groups=24, group=2), Tier(32, 32, groups=8, group=4))
PAIRS_AT_ONCE = (24, 12, 8, 4)  # what TRL is tried with


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    rows = []
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        for tier in TIERS:
            rows.append(timed(tier, threads, arguments.rounds))
            show(rows[-1:])
    return {"rows": rows}


def timed(tier: Tier, threads: int, rounds: int) -> dict[str, Any]:
    """One tier: the gate, the rival's best setting, the turns."""
    model, tokenizer = make_model(), make_tokenizer()
    groups = paired(make_groups(tier))
    record(model, groups)
    for group in groups:
        group.ref_logprobs, group.old_logprobs = group.old_logprobs, None
    config = dpo.Config(
        beta=0.1, learning_rate=1e-7, warmup=0.0, schedule="constant", groups_per_step=tier.groups
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def rival(pairs_at_once: int, steps: int) -> Any:
            twin = copy_of(model)
            return trl_dpo.make_trainer(
                folder / "trl", twin, tokenizer, groups, steps, pairs_at_once
            )

        seen = gate(model, groups, rival(PAIRS_AT_ONCE[0], 1), config)
        seen.check(f"dpo {tier.name}")
        tried = {str(size): lambda size=size: rival(size, 3) for size in PAIRS_AT_ONCE}
        best = int(quickest(tried))
        ours = Ours(folder / "ours", copy_of(model), tokenizer, groups, dpo, config)
        turns = take_turns(rival(best, rounds), ours)
    return {
        "method": "dpo",
        "prompt_tokens": tier.prompt_tokens,
        "completion_tokens": tier.completion_tokens,
        "group": tier.group,
        "pairs": sum(len(group.pairs) for group in groups),
        **summary(turns.our_clock, turns.rival_clock),
        "rival": f"TRL DPOTrainer, precomputed reference, {best} pairs a forward",
        "threads": threads,
        **counts(groups, 2 * len(groups[0].pairs)),
        "gate": seen.row(),
    }


def paired(groups: list[Group]) -> list[Group]:
    """All pairs of each group, the higher reward preferred."""
    for group in groups:
        order = sorted(range(len(group.completions)), key=lambda n: -group.rewards[n])
        group.pairs = [Pair(better, worse) for better, worse in combinations(order, 2)]
    return groups


def gate(model: Any, groups: list[Group], trainer: Any, config: Any) -> Gate:
    """Both arms' log-probabilities, loss and gradient of the frozen batch."""
    theirs = trl_dpo.frozen_batch(trainer)
    mask = theirs["completion_mask"][:, 1:].bool()
    their_rows = trl_dpo.logprobs_on(trainer, theirs)
    their_loss = trainer.compute_loss(trainer.model, theirs)
    twin, live = copy_of(model), fresh(groups)
    batch = collate(live, window_of(live))
    logprobs = group_logprobs(twin, batch)
    loss, _ = dpo.objective(logprobs, batch, config)
    rows = [(b, pair) for b, group in enumerate(groups) for pair in group.pairs]
    order = [(b, pair.better) for b, pair in rows] + [(b, pair.worse) for b, pair in rows]
    ours = [logprobs.completion[b, n][batch.mask[b, n].bool()].detach() for b, n in order]
    return compare(
        (torch.cat(ours), their_rows[mask]),
        (gradient(loss, twin), gradient(their_loss, trainer.model)),
        (float(loss.detach()), float(their_loss.detach())),
    )
