"""One optimizer step: forwards within a budget of tokens, the method's shares, one move.

What a share is divided by are totals of the whole step, over every forward and every process, so
neither the split nor the number of processes changes the gradient. Where memory runs out, the
budget halves and the same step begins again; nothing has moved by then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from training.engine import sharding
from training.engine.block import allow_recomputing, recomputed
from training.engine.group import Batch, LogProbs, collate, group_logprobs
from training.engine.plan import micro_batches, padded_tokens
from training.engine.ranks import Ranks
from training.engine.shortage import is_shortage, let_go
from training.methods.base import (
    Group,
    MethodConfig,
    Window,
    group_facts,
    temperature_of,
    window_of,
)

ANY = Group("", prompt=[0], completions=[[0, 0]], present=[True])


class Policy(nn.Module):
    """The model with the group forward as its `forward`, in the layout that the settings need."""

    def __init__(self, model: Any, config: MethodConfig) -> None:
        super().__init__()
        self.model = model
        self.bf16 = config.precision == "bf16"
        self.recompute = config.gradient_checkpointing
        self.block = config.gradient_checkpointing or config.shard_weights
        if self.recompute:
            allow_recomputing(model)

    def forward(self, batch: Batch, temperature: float) -> LogProbs:
        """See `group_logprobs`."""
        with ExitStack() as within:
            within.enter_context(self.precision())
            if self.recompute and torch.is_grad_enabled():
                within.enter_context(recomputed(self.model))
            return group_logprobs(self.model, batch, temperature, block=self.block)

    def precision(self) -> Any:
        """Within it, matrices are multiplied in bf16 if the settings say so."""
        device = next(self.model.parameters()).device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.bf16)


class Update:
    """The policy, its optimizer, and how they move."""

    def __init__(self, model: Any, method: ModuleType, config: MethodConfig, ranks: Ranks) -> None:
        self.method, self.config, self.ranks = method, config, ranks
        self.sharded = config.shard_weights and ranks.count > 1
        self.tokens = config.tokens_per_batch  # halves when memory runs out
        self.policy = Policy(model.to(ranks.device), config)
        if self.sharded:
            sharding.shard(self.policy, ranks)
            # It has to be called whole before a part of it is, in a draw.
            with torch.no_grad(), sharding.gathered(self.policy):
                self._read([ANY], window_of([ANY]))
        trained = [weight for weight in self.policy.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(
            trained, lr=config.learning_rate, weight_decay=config.weight_decay
        )

    def step(self, groups: Sequence[Group], rate: float) -> dict[str, float]:
        """Train once on these groups and return the metrics; without one that teaches, nothing
        moves."""
        live = [group for group in groups if self.method.trainable(group, self.config)]
        facts = group_facts(groups, live)
        if not live:
            return facts
        shares = self.ranks.summed(self._accumulate(live))
        if not self.sharded:
            self.ranks.add_up(self.policy.parameters())
        return {**facts, **shares, "grad_norm": self.move(rate)}

    def _accumulate(self, live: Sequence[Group]) -> dict[str, float]:
        """Forward and backward of this process's groups, again with half the budget until they
        fit. Returns its shares of the metrics; raises `MemoryError` if one group alone does not."""
        while True:
            shares: dict[str, float] = {}
            try:
                shares = self._attempt(live)
                short = False
            except RuntimeError as error:
                if self.sharded or not is_shortage(error):
                    raise
                short = True
            if not self.ranks.any(short):
                return shares
            self._halve(live)

    def _halve(self, live: Sequence[Group]) -> None:
        """Forget the attempt and take half the tokens from now on."""
        self.optimizer.zero_grad(set_to_none=True)
        let_go()
        sizes = [padded_tokens([group]) for group in live]
        if len(list(micro_batches(live, self.tokens))) == len(live):
            raise MemoryError(
                f"A group of {max(sizes):,} tokens does not fit into the device's memory; lower "
                "the longest completion or the group size, or turn gradient checkpointing on."
            )
        self.tokens = min(self.tokens, sum(sizes)) // 2

    def _attempt(self, live: Sequence[Group]) -> dict[str, float]:
        window = self.window(live)
        totals: dict[str, Tensor] = {}
        for part, counts in self._parts(live):
            for name, share in self.forward_and_backward(part, window, counts).items():
                totals[name] = totals.get(name, 0.0) + share
        return {name: float(total) for name, total in totals.items()}

    def _parts(self, live: Sequence[Group]) -> Iterator[tuple[list[Group], bool]]:
        """This process's forwards. Sharded, all processes make as many as the busiest: the rest
        are of a group that does not count."""
        by_length = sorted(live, key=lambda group: group.tokens)
        shares = [self.ranks.share(by_length, rank) for rank in range(self.ranks.count)]
        parts = [list(micro_batches(share, self.tokens)) for share in shares]
        mine = parts[self.ranks.number]
        yield from ((part, True) for part in mine)
        if self.sharded:
            yield from (([by_length[0]], False) for _ in range(max(map(len, parts)) - len(mine)))

    def forward_and_backward(
        self, part: Sequence[Group], window: Window, counts: bool = True
    ) -> dict[str, Tensor]:
        """Add the part's share of the loss to the gradients; returns its shares of the metrics."""
        logprobs, batch = self._read(part, window)
        loss, shares = self.method.objective(logprobs, batch, self.config)
        # Shards are averaged over the processes, where ours add up.
        scale = (self.ranks.count if self.sharded else 1) if counts else 0
        (loss * scale).backward()
        return shares if counts else {}

    def window(self, live: Sequence[Group]) -> Window:
        """Totals of the step, with the method's one number of the whole step if it asks for one."""
        window = window_of(live)
        asides = [group.aside for group in live if group.aside]
        if not asides:
            return window
        totals, share = window_of(asides), 0.0
        with torch.no_grad():
            for part in micro_batches(asides, self.tokens):
                share += float(self.method.aside(*self._read(part, totals), self.config))
        return replace(window, aside=share)

    def _read(self, part: Sequence[Group], window: Window) -> tuple[LogProbs, Batch]:
        batch = collate(part, window).to(self.ranks.device)
        return self.policy(batch, temperature_of(self.config)), batch

    def move(self, rate: float) -> float:
        """Clip and step; returns the norm before clipping. A gradient of NaN ends the run."""
        norm: Any = nn.utils.clip_grad_norm_(self.policy.parameters(), self.config.max_grad_norm)
        norm = norm.full_tensor() if self.sharded else norm
        if not norm.isfinite():
            raise FloatingPointError("The gradient is not finite; lower the learning rate.")
        for settings in self.optimizer.param_groups:
            settings["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(norm)

    @contextmanager
    def drawing(self) -> Iterator[Any]:
        """Within it, the model can be drawn from: all weights here, in the precision that is
        trained in."""
        with ExitStack() as within:
            within.enter_context(self.policy.precision())
            if self.sharded:
                within.enter_context(sharding.gathered(self.policy))
            yield self.policy.model


def whole_state(update: Update) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The weights by name, or none where the model itself holds them whole; and the optimizer's
    state by parameter. All processes have to ask; the first one gets it."""
    optimizer = sharding.whole_optimizer(update.policy, update.optimizer)
    if not update.sharded:
        return None, optimizer
    model = update.policy.model
    found = sharding.whole_weights(update.policy)
    tied = model._tied_weights_keys or () if model.config.tie_word_embeddings else ()
    weights = {name.removeprefix("model."): tensor for name, tensor in found.items()}
    return {name: tensor for name, tensor in weights.items() if name not in tied}, optimizer
