"""The training loop, blind to the method.

A run is a table of optimizer steps. Each step takes some groups of a round, splits them into
forwards, adds up the method's shares of the loss, clips, and moves. Everything random derives from
the seed and the step, the learning rate is a function of the step, and a round's samples are on
disk before they are trained on; so weights, optimizer and step number are the whole state, and a
run that is killed and resumed ends with the same bits on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from types import ModuleType
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from training.engine import checkpoint
from training.engine.checkpoint import Checkpoint
from training.engine.files import append_rows, keep_rows, write_json
from training.engine.group import Batch, LogProbs, collate, group_logprobs
from training.engine.job import BadJob
from training.engine.plan import Step, learning_rate, micro_batches
from training.engine.probe import Probe
from training.engine.rounds import Rounds
from training.engine.seeds import seed_for
from training.engine.stop import Stop, Stopped
from training.methods.base import Group, MethodConfig, Window, group_facts, window_of


class Policy(nn.Module):
    """The model with the group forward as its `forward`, so that accelerate can wrap it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, temperature: float) -> LogProbs:
        """See `group_logprobs`."""
        return group_logprobs(self.model, batch, temperature)


@dataclass
class Loop:
    """One training run in one folder. `found` is the checkpoint that `model` was loaded from."""

    folder: Path
    seed: int
    method: ModuleType
    config: MethodConfig
    model: Any
    tokenizer: Any
    rounds: Rounds
    probe: Probe
    steps: list[Step]
    stop: Stop
    found: Checkpoint | None
    last_row: dict[str, Any] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Train to the end, or raise `Stopped` after a checkpoint. Returns the last metrics."""
        self._prepare()
        self._resume()
        for step in self.steps[self.saved :]:
            try:
                self._one(step)
            except Stopped:  # while a round was drawn
                self._save(step.number - 1)
                raise
            last = step.number == len(self.steps)
            if last and not self.moved:
                raise BadJob(nothing_learned(len(self.steps)))
            stopping = self.stop.requested() and not last
            if last or stopping or step.number % self.config.checkpoint_every == 0:
                self._save(step.number)
            if stopping:
                raise Stopped(f"Stopped after step {step.number}; run again to go on.")
        return self.last_row

    def _prepare(self) -> None:
        bf16 = self.config.precision == "bf16"
        self.accelerator = Accelerator(mixed_precision="bf16" if bf16 else "no")
        policy = Policy(self.model)
        optimizer = torch.optim.AdamW(
            policy.parameters(),
            lr=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
        )
        self.policy, self.optimizer = self.accelerator.prepare(policy, optimizer)

    def _resume(self) -> None:
        """Go on from the checkpoint: its optimizer, and no row that is later than it."""
        self.saved = self.found.step if self.found else 0
        if self.found:
            checkpoint.restore_optimizer(self.optimizer, self.found.path)
        keep_rows(self.folder / "probes.jsonl", lambda row: row["step"] <= self.saved)
        rows = keep_rows(self.folder / "metrics.jsonl", lambda row: row["step"] <= self.saved)
        self.last_row = rows[-1] if rows else {}
        self.moved = any("grad_norm" in row for row in rows)

    def _one(self, step: Step) -> None:
        began = monotonic()
        torch.manual_seed(seed_for(self.seed, "step", step.number))
        self.rounds.open(step.round, self.model, self.stop)
        groups = [self.rounds.groups[place] for place in step.places]
        rate = self._rate(step)
        row = {"step": step.number, "round": step.round, "learning_rate": rate}
        row |= self._update(groups, rate)
        self.moved = self.moved or "grad_norm" in row
        row["seconds"] = round(monotonic() - began, 4)
        if self.config.probe_every and step.number % self.config.probe_every == 0:
            row |= self.probe.take(self.model, step.number)
        append_rows(self.folder / "metrics.jsonl", [row])
        progress = {"done": step.number, "total": len(self.steps), "unit": "steps"}
        write_json(self.folder / "progress.json", {**progress, "doing": "training"})
        self.last_row = row

    def _update(self, groups: list[Group], rate: float) -> dict[str, float]:
        """One optimizer step over the trainable groups; without any, nothing moves."""
        live = [group for group in groups if self.method.trainable(group, self.config)]
        metrics = group_facts(groups, live)
        if not live:
            return metrics
        window = self._with_aside(live, window_of(live))
        for part in micro_batches(live, self.config.tokens_per_batch):
            batch = collate(part, window).to(self.accelerator.device)
            logprobs = self.policy(batch, getattr(self.config, "temperature", 1.0))
            loss, shares = self.method.objective(logprobs, batch, self.config)
            self.accelerator.backward(loss)
            for name, share in shares.items():
                metrics[name] = metrics.get(name, 0.0) + float(share)
        return {**metrics, "grad_norm": self._move(rate)}

    def _with_aside(self, live: list[Group], window: Window) -> Window:
        """The window with the method's one number of the whole step, if it asks for one."""
        asides = [group.aside for group in live if group.aside]
        totals, shares = window_of(asides), 0.0
        for part in micro_batches(asides, self.config.tokens_per_batch):
            batch = collate(part, totals).to(self.accelerator.device)
            with torch.no_grad():
                logprobs = self.policy(batch, getattr(self.config, "temperature", 1.0))
                shares += float(self.method.aside(logprobs, batch, self.config))
        return replace(window, aside=shares)

    def _move(self, rate: float) -> float:
        """Clip and step; returns the norm before clipping. A gradient of NaN ends the run."""
        parameters, limit = self.policy.parameters(), self.config.max_grad_norm
        norm: Tensor = self.accelerator.clip_grad_norm_(parameters, limit)
        if not norm.isfinite():
            raise FloatingPointError("The gradient is not finite; lower the learning rate.")
        for settings in self.optimizer.param_groups:
            settings["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(norm)

    def _rate(self, step: Step) -> float:
        config, total = self.config, len(self.steps)
        peak, warmup, schedule = config.learning_rate, config.warmup, config.schedule
        return learning_rate(step.number, total, peak, warmup, schedule)

    def _save(self, step: int) -> None:
        """A checkpoint of the state after `step`, unless there is one."""
        if step == self.saved:
            return
        folder = self.folder / "checkpoints"
        checkpoint.save(folder, step, self.model, self.tokenizer, self.optimizer)
        checkpoint.forget_old(folder, self.config.keep_checkpoints)
        self.saved = step


def nothing_learned(steps: int) -> str:
    """What to say of a run in which no step had a group that teaches."""
    return (
        f"Nothing was learned in {steps} steps: every group was skipped, because its rewards are "
        "all equal or missing; see the rewards in samples.jsonl, then change the rewards, the "
        "temperature or the questions."
    )
