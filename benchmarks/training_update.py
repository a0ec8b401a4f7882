"""The training update, all but generation, against TRL's GRPOTrainer, at three prompt lengths.

With G completions a prompt, P prompt and C completion tokens, forwarding the prompt once instead of
G times saves at most G(P + C) / (P + GC): 1.78, 3.33 and 5.67 here. What goes beyond it is padding
that is not computed and a vocabulary that is read for completion tokens alone.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks._training.batches import Tier, counts, fresh, make_groups, record
from benchmarks._training.gate import Gate, compare, gradient
from benchmarks._training.memory import measured
from benchmarks._training.model import copy_of, make_model, make_tokenizer
from benchmarks._training.ours import TOKENS_AT_ONCE, Ours
from benchmarks._training.table import show
from benchmarks._training.trl_grpo import frozen_batch, logprobs_on, loss_on, make_trainer
from benchmarks._training.turns import quickest, summary, take_turns
from training.engine.group import collate, group_logprobs
from training.methods import grpo
from training.methods.base import Group, window_of

TIERS = (Tier(32, 32), Tier(128, 32), Tier(512, 32))
ROWS_AT_ONCE = (64, 32, 16, 8)  # what TRL is tried with
CONFIG = {
    "loss_type": "dapo",
    "scale_rewards": "group",
    "epsilon": 0.2,
    "epsilon_high": 0.2,
    "mask_truncated": False,
    "learning_rate": 1e-7,
    "warmup": 0.0,
}


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
        seen = gate(arms.model, arms.groups, arms.rival(64, 1), arms.config)
        seen.check(tier.name)
        tried = {str(size): lambda size=size: arms.rival(size, 3) for size in ROWS_AT_ONCE}
        best = int(quickest(tried))
        turns = take_turns(arms.rival(best, rounds), arms.ours())
    return {
        "method": "grpo",
        "prompt_tokens": tier.prompt_tokens,
        "completion_tokens": tier.completion_tokens,
        "group": tier.group,
        **summary(turns.our_clock, turns.rival_clock),
        "rival": f"TRL GRPOTrainer, no gradient checkpointing, {best} rows a forward",
        "threads": threads,
        **counts(arms.groups, tier.group),
        **measured("training_update", TIERS.index(tier), best),
        "gate": seen.row(),
    }


class Arms:
    """One tier's model and batch, for either arm."""

    def __init__(self, tier: Tier, folder: Path) -> None:
        self.folder, self.tokenizer = folder, make_tokenizer()
        self.model, self.groups = make_model(), make_groups(tier)
        record(self.model, self.groups)
        self.config = grpo.Config(
            **CONFIG,
            tokens_per_batch=TOKENS_AT_ONCE,
            max_completion_tokens=2 * tier.completion_tokens,
        )

    def ours(self) -> Ours:
        twin = copy_of(self.model)
        return Ours(self.folder / "ours", twin, self.tokenizer, self.groups, grpo, self.config)

    def rival(self, rows_at_once: int, steps: int) -> Any:
        twin = copy_of(self.model)
        return make_trainer(
            self.folder / "trl", twin, self.tokenizer, self.groups, steps, rows_at_once
        )


def arm(name: str, tier: Tier, folder: Path, at_once: int) -> Callable[[], Any]:
    """Two steps of one arm, for the memory they take."""
    arms = Arms(tier, folder)
    return arms.ours().twice if name == "ours" else arms.rival(at_once, 2).train


def gate(model: Any, groups: list[Group], trainer: Any, config: Any) -> Gate:
    """Both arms' log-probabilities, loss and gradient of the frozen batch."""
    theirs = frozen_batch(trainer, groups)
    mask = theirs["completion_mask"].bool()
    their_logprobs = logprobs_on(trainer, theirs)[mask].detach()
    their_loss = loss_on(trainer, theirs)
    twin, live = copy_of(model), fresh(groups)
    grpo.weigh(live, config)
    batch = collate(live, window_of(live))
    logprobs = group_logprobs(twin, batch)
    loss, _ = grpo.objective(logprobs, batch, config)
    return compare(
        (logprobs.completion[batch.mask.bool()].detach(), their_logprobs),
        (gradient(loss, twin), gradient(their_loss, trainer.model)),
        (float(loss.detach()), float(their_loss.detach())),
    )
