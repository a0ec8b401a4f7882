"""Our arm: the engine's own loop, step by step, on groups that stand ready.

What is timed is what a run does for a step: weigh, collate, forward, objective, backward, clip,
move, and write the row of metrics and the progress file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks._training.batches import fresh
from training.engine.loop import Loop
from training.engine.plan import Step
from training.engine.stop import Stop
from training.methods.base import Group, MethodConfig

TOKENS_AT_ONCE = 2048  # a forward of ours: on a CPU more leaves the cache and takes memory


class Ready:
    """Stands where the loop has its rounds, and opens the same recorded groups each step."""

    def __init__(self, groups: Sequence[Group], method: ModuleType, config: MethodConfig) -> None:
        self.recorded, self.method, self.config = groups, method, config
        self.groups: list[Group] = []
        self.opened = -1

    def open(self, number: int, model: Any, stop: Stop) -> None:
        self.groups = fresh(self.recorded)
        self.method.weigh(self.groups, self.config)
        self.opened = number


def make_loop(
    folder: Path,
    model: Any,
    tokenizer: Any,
    rounds: Any,
    steps: list[Step],
) -> Loop:
    """A loop that is ready for its first step."""
    loop = Loop(
        folder,
        seed=0,
        method=rounds.method,
        config=rounds.config,
        model=model,
        tokenizer=tokenizer,
        rounds=rounds,
        probe=None,
        steps=steps,
        stop=Stop(),
        found=None,
    )
    loop.resume()
    return loop


class Ours:
    """One call is one optimizer step on the recorded groups."""

    def __init__(
        self,
        folder: Path,
        model: Any,
        tokenizer: Any,
        groups: Sequence[Group],
        method: ModuleType,
        config: MethodConfig,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.places = tuple(range(len(groups)))
        rounds = Ready(groups, method, config)
        self.number = 0
        self.loop = make_loop(folder, model, tokenizer, rounds, [Step(1, 0, self.places)])

    def twice(self) -> None:
        """Two steps, for the memory they take."""
        self()
        self()

    def __call__(self) -> dict[str, Any]:
        """The metrics of one step."""
        self.number += 1
        self.loop.take(Step(self.number, self.number, self.places))
        return self.loop.last_row
