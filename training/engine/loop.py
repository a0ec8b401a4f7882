"""The training loop, blind to the method.

A run is a table of optimizer steps. Each step takes some groups of a round, splits them into
forwards, adds up the method's shares of the loss, clips, and moves. Everything random derives from
the seed and the step, the learning rate is a function of the step, and a round's samples are on
disk before they are trained on; so weights, optimizer and step number are the whole state, and a
run that is killed and resumed ends with the same bits on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from types import ModuleType
from typing import Any

import torch

from training.engine import checkpoint
from training.engine.checkpoint import Checkpoint
from training.engine.files import append_rows, keep_rows, read_rows, write_json
from training.engine.host import memory_in_use
from training.engine.job import BadJob
from training.engine.plan import Step, learning_rate
from training.engine.probe import Probe
from training.engine.ranks import Ranks
from training.engine.rounds import Rounds
from training.engine.seeds import seed_for
from training.engine.sharding import restore_optimizer
from training.engine.stop import Stop, Stopped
from training.engine.update import Update, whole_state
from training.methods.base import MethodConfig


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
    probe: Probe | None
    steps: list[Step]
    stop: Stop
    found: Checkpoint | None
    ranks: Ranks = field(default_factory=Ranks)
    last_row: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.update = Update(self.model, self.method, self.config, self.ranks)

    def run(self) -> dict[str, Any]:
        """Train to the end, or raise `Stopped` after a checkpoint. Returns the last metrics."""
        self.resume()
        self.begin()
        for step in self.steps[self.saved :]:
            try:
                self.take(step)
            except Stopped:  # while a round was drawn
                self._save(step.number - 1)
                raise
            last = step.number == len(self.steps)
            if last and not self.moved:
                raise BadJob(nothing_learned(len(self.steps)))
            stopping = self.ranks.any(self.stop.requested()) and not last
            if stopping or self._is_kept(step):
                self._save(step.number)
            if stopping:
                raise Stopped(f"Stopped after step {step.number}; run again to go on.")
        return self.last_row

    def resume(self) -> None:
        """Go on from the checkpoint: its optimizer, and no row that is later than it."""
        self.saved = self.found.step if self.found else 0
        if self.found:
            state = checkpoint.optimizer_state(self.found.path)
            restore_optimizer(self.update.policy, self.update.optimizer, state)
        rows = self._cut_back()
        self.last_row = rows[-1] if rows else {}
        self.moved = any("grad_norm" in row for row in rows)

    def begin(self) -> None:
        """Ask the probe's questions once before the first step, for what comes after."""
        asked = any(row["step"] == 0 for row in read_rows(self.folder / "probes.jsonl"))
        if self.probe and not self.saved and not self.ranks.any(asked):
            with self.update.drawing() as model:
                self.probe.take(model, 0, self.ranks.is_first)

    def _is_kept(self, step: Step) -> bool:
        """Whether a checkpoint follows the step, whatever happens."""
        last = step.number == len(self.steps)
        return last or step.number % self.config.checkpoint_every == 0

    def _is_probed(self, step: Step) -> bool:
        """At every checkpoint, and as often as the settings say."""
        every = self.config.probe_every
        return self._is_kept(step) or bool(every and step.number % every == 0)

    def _cut_back(self) -> list[dict[str, Any]]:
        """The metrics so far. Rows later than the checkpoint leave the files."""
        if self.ranks.is_first:
            keep_rows(self.folder / "probes.jsonl", self._is_saved)
            keep_rows(self.folder / "metrics.jsonl", self._is_saved)
        self.ranks.wait()
        return list(read_rows(self.folder / "metrics.jsonl"))

    def _is_saved(self, row: dict[str, Any]) -> bool:
        return bool(row["step"] <= self.saved)

    def take(self, step: Step) -> None:
        """One step of the plan: draw its round if that is not done, train, tell."""
        began = drawn = monotonic()
        torch.manual_seed(seed_for(self.seed, "step", step.number))
        if step.round != self.rounds.opened:
            with self.update.drawing() as model:
                self.rounds.open(step.round, model, self.stop)
            drawn = monotonic()
        groups = [self.rounds.groups[place] for place in step.places]
        rate = self._rate(step)
        row = {"step": step.number, "round": step.round, "learning_rate": rate}
        row |= self.update.step(groups, rate)
        self.moved = self.moved or "grad_norm" in row
        row |= self._effort(began, drawn, sum(group.tokens for group in groups))
        if self.probe and self._is_probed(step):
            with self.update.drawing() as model:
                row |= self.probe.take(model, step.number, self.ranks.is_first)
        self.last_row = row
        if self.ranks.is_first:
            self._tell(row)

    def _effort(self, began: float, drawn: float, tokens: int) -> dict[str, Any]:
        """Seconds of the step, of them those that drew its round, its pace, and memory held."""
        now = monotonic()
        facts: dict[str, Any] = {"seconds": round(now - began, 4)}
        if drawn > began:
            facts["drawing_seconds"] = round(drawn - began, 4)
        facts["tokens_per_second"] = round(tokens / max(now - drawn, 1e-6), 1)
        if held := memory_in_use(self.ranks.device):
            facts["memory_bytes"] = held
        return facts

    def _tell(self, row: dict[str, Any]) -> None:
        append_rows(self.folder / "metrics.jsonl", [row])
        progress = {"done": row["step"], "total": len(self.steps), "unit": "steps"}
        write_json(self.folder / "progress.json", {**progress, "doing": "training"})

    def _rate(self, step: Step) -> float:
        config, total = self.config, len(self.steps)
        peak, warmup, schedule = config.learning_rate, config.warmup, config.schedule
        return learning_rate(step.number, total, peak, warmup, schedule)

    def _save(self, step: int) -> None:
        """A checkpoint of the state after `step`, unless there is one."""
        if step == self.saved:
            return
        weights, optimizer = whole_state(self.update)
        if self.ranks.is_first:
            folder = self.folder / "checkpoints"
            checkpoint.save(folder, step, self.model, self.tokenizer, optimizer, weights)
            checkpoint.forget_old(folder, self.config.keep_checkpoints)
        self.ranks.wait()
        self.saved = step


def nothing_learned(steps: int) -> str:
    """What to say of a run in which no step had a group that teaches."""
    return (
        f"Nothing was learned in {steps} steps: every group was skipped, because its rewards are "
        "all equal or missing; see the rewards in samples.jsonl, then change the rewards, the "
        "temperature or the questions."
    )
