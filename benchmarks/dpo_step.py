"""A DPO step with a precomputed reference, against TRL's own precompute mode.

One pair a question, where sharing the prompt saves a quarter at prompts as long as completions and
less than half at any; then all pairs of three and of four completions, as rankings give them, of
which ours reads each once and TRL's rows each two or three times.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import torch

from benchmarks._training import trl_dpo
from benchmarks._training.batches import Tier, counts, fresh, make_groups, record
from benchmarks._training.gate import Gate, compare, gradient
from benchmarks._training.memory import measured
from benchmarks._training.model import copy_of, make_model, make_tokenizer
from benchmarks._training.ours import TOKENS_AT_ONCE, Ours
from benchmarks._training.table import show
from benchmarks._training.turns import quickest, summary, take_turns
from training.engine.group import collate, group_logprobs
from training.methods import dpo
from training.methods.base import Group, Pair, window_of

RESULT = "dpo"
TIERS = (
    Tier(32, 32, groups=24, group=2),
    Tier(128, 32, groups=24, group=2),
    Tier(32, 32, groups=8, group=3),
    Tier(32, 32, groups=8, group=4),
)
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
    """One tier: the gate, the rival's best setting, the turns, the memory."""
    with tempfile.TemporaryDirectory() as name:
        arms = Arms(tier, Path(name))
        seen = gate(arms.model, arms.groups, arms.rival(PAIRS_AT_ONCE[0], 1), arms.config)
        seen.check(f"dpo {tier.name}")
        tried = {str(size): lambda size=size: arms.rival(size, 3) for size in PAIRS_AT_ONCE}
        best = int(quickest(tried))
        turns = take_turns(arms.rival(best, rounds), arms.ours())
    pairs = sum(len(group.pairs) for group in arms.groups)
    return {
        "method": "dpo",
        "prompt_tokens": tier.prompt_tokens,
        "completion_tokens": tier.completion_tokens,
        "group": tier.group,
        "pairs": pairs,
        **summary(turns.our_clock, turns.rival_clock),
        "rival": f"TRL DPOTrainer, precomputed reference, {best} pairs a forward",
        "threads": threads,
        **counts(arms.groups, 2 * pairs // tier.groups),
        **measured("dpo_step", TIERS.index(tier), best),
        "gate": seen.row(),
    }


class Arms:
    """One tier's model and pairs, for either arm."""

    def __init__(self, tier: Tier, folder: Path) -> None:
        self.folder, self.tokenizer = folder, make_tokenizer()
        self.model, self.groups = make_model(), paired(make_groups(tier))
        record(self.model, self.groups)
        for group in self.groups:  # the reference is what the run begins with
            group.ref_logprobs, group.old_logprobs = group.old_logprobs, None
        self.config = dpo.Config(
            beta=0.1,
            learning_rate=1e-7,
            warmup=0.0,
            schedule="constant",
            groups_per_step=tier.groups,
            tokens_per_batch=TOKENS_AT_ONCE,
        )

    def ours(self) -> Ours:
        twin = copy_of(self.model)
        return Ours(self.folder / "ours", twin, self.tokenizer, self.groups, dpo, self.config)

    def rival(self, pairs_at_once: int, steps: int) -> Any:
        return trl_dpo.make_trainer(
            self.folder / "trl",
            copy_of(self.model),
            self.tokenizer,
            self.groups,
            steps,
            pairs_at_once,
        )


def arm(name: str, tier: Tier, folder: Path, at_once: int) -> Callable[[], Any]:
    """Two steps of one arm, for the memory they take."""
    arms = Arms(tier, folder)
    return arms.ours().twice if name == "ours" else arms.rival(at_once, 2).train


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
