"""Training on a recorded CoTD-PO round, against the same loss as a Trainer with padded rows.

The prompt holds the question and the teacher's whole thought, which is also imitated; completions
are drawn after it. Both arms get the recorded log-probabilities. The second tier has answers of a
few tokens, as where the thought leaves little to be said.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks._training import padded_cotd_po
from benchmarks._training.batches import Tier, counts, fresh, make_groups, record
from benchmarks._training.gate import Gate, compare, gradient
from benchmarks._training.memory import measured
from benchmarks._training.model import copy_of, make_model, make_tokenizer
from benchmarks._training.ours import TOKENS_AT_ONCE, Ours
from benchmarks._training.table import show
from benchmarks._training.turns import quickest, summary, take_turns
from training.engine.group import collate, group_logprobs
from training.methods import cotd_po
from training.methods.base import Group, window_of

TIERS = (Tier(160, 40), Tier(160, 10))
GROUPS_AT_ONCE = (8, 4, 2, 1)  # what the rival is tried with
CONFIG = {
    "merge_copies": False,
    "learning_rate": 1e-7,
    "warmup": 0.0,
    "schedule": "constant",
    "tokens_per_batch": TOKENS_AT_ONCE,
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
        seen = gate(arms)
        seen.check(f"cotd_po {tier.name}")
        options = [(size, on_all) for size in GROUPS_AT_ONCE for on_all in (True, False)]
        tried = {str(each): lambda each=each: arms.rival(*each, steps=3) for each in options}
        best = dict(zip(tried, options, strict=True))[quickest(tried)]
        turns = take_turns(arms.rival(*best, steps=rounds), arms.ours())
        tokens = counts(arms.groups, tier.group)
    head = "head on every position" if best[1] else "head on scored positions"
    return {
        "method": "cotd_po",
        "prompt_tokens": tier.prompt_tokens,
        "completion_tokens": tier.completion_tokens,
        "group": tier.group,
        **summary(turns.our_clock, turns.rival_clock),
        "rival": f"Trainer subclass, padded rows, {best[0] * tier.group} a forward, {head}",
        "threads": threads,
        **tokens,
        **measured("cotd_po_round", TIERS.index(tier), best[0]),
        "gate": seen.row(),
    }


class Arms:
    """One tier's model and round, for either arm."""

    def __init__(self, tier: Tier, folder: Path) -> None:
        self.folder, self.config = folder, cotd_po.Config(**CONFIG)
        self.model, self.groups = make_model(), make_groups(tier)
        for group in self.groups:
            group.scored_from = len(group.prompt) // 4  # the rest of it is the thought
        record(self.model, self.groups)

    def ours(self) -> Ours:
        twin, tokenizer = copy_of(self.model), make_tokenizer()
        return Ours(self.folder / "ours", twin, tokenizer, self.groups, cotd_po, self.config)

    def weighed(self) -> list[Group]:
        live = fresh(self.groups)
        cotd_po.weigh(live, self.config)
        return live

    def rival(self, groups_at_once: int, head_on_all: bool, steps: int) -> Any:
        return padded_cotd_po.make_trainer(
            self.folder / "padded",
            copy_of(self.model),
            self.weighed(),
            steps,
            groups_at_once,
            head_on_all,
        )


def arm(name: str, tier: Tier, folder: Path, at_once: int) -> Callable[[], None]:
    """Two steps of one arm, for the memory they take."""
    arms = Arms(tier, folder)
    if name == "rival":
        return arms.rival(at_once, False, steps=2).train
    return arms.ours().twice


def gate(arms: Arms) -> Gate:
    """Both arms' log-probabilities, loss and gradient of the round."""
    trainer = arms.rival(8, False, steps=1)
    rows = trainer.data_collator(list(trainer.train_dataset))
    wanted = rows["completion_mask"][:, 1:]
    with torch.no_grad():
        their_logprobs = trainer.token_logprobs(trainer.model, rows, wanted)[wanted]
    their_loss = trainer.compute_loss(trainer.model, rows)
    live, twin = arms.weighed(), copy_of(arms.model)
    batch = collate(live, window_of(live))
    logprobs = group_logprobs(twin, batch)
    loss, _ = cotd_po.objective(logprobs, batch, arms.config)
    return compare(
        (logprobs.completion[batch.mask.bool()].detach(), their_logprobs),
        (gradient(loss, twin), gradient(their_loss, trainer.model)),
        (float(loss.detach()), float(their_loss.detach())),
    )
