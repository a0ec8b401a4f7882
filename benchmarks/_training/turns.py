"""Both arms by turns in one process, and what comes out as one row of a result.

A rival is a transformers `Trainer`; its own loop leads, and after each of its optimizer steps our
arm takes one. The rival's clock runs from `on_step_begin` to `on_step_end`: fetching a batch and
writing logs are not counted, ours are. The first round is thrown away.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

from transformers import TrainerCallback


@dataclass
class Clock:
    """Seconds by the wall and of the processor for each timed piece of work."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def start(self) -> None:
        gc.collect()
        self._began = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        wall, processor = self._began
        self.wall.append(time.perf_counter() - wall)
        self.processor.append(time.process_time() - processor)


class Turns(TrainerCallback):
    """Times the trainer's steps and lets our arm take one after each."""

    def __init__(self, ours: Callable[[], Any] | None = None) -> None:
        self.ours = ours
        self.rival_clock, self.our_clock = Clock(), Clock()

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self.rival_clock.start()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.rival_clock.stop()
        if self.ours is not None:
            self.our_clock.start()
            self.ours()
            self.our_clock.stop()


def take_turns(trainer: Any, ours: Callable[[], Any]) -> Turns:
    """Run the trainer to its end with our arm between its steps."""
    turns = Turns(ours)
    trainer.add_callback(turns)
    trainer.train()
    return turns


def alternate(rival: Callable[[], Any], ours: Callable[[], Any], rounds: int) -> Turns:
    """The same for two plain functions."""
    turns = Turns()
    for _ in range(rounds):
        for clock, arm in ((turns.rival_clock, rival), (turns.our_clock, ours)):
            clock.start()
            arm()
            clock.stop()
    return turns


def seconds_alone(trainer: Any) -> float:
    """The median time of the trainer's steps after the first."""
    turns = Turns()
    trainer.add_callback(turns)
    trainer.train()
    return median(turns.rival_clock.wall[1:])


def quickest(trainers: Mapping[str, Callable[[], Any]]) -> str:
    """The name of the settings under which the rival is fastest. Each is built, run, dropped."""
    if len(trainers) == 1:
        return next(iter(trainers))
    seconds = {name: seconds_alone(build()) for name, build in trainers.items()}
    return min(seconds, key=seconds.__getitem__)


def summary(
    ours: Clock,
    rival: Clock,
    our_work: Sequence[float] | None = None,
    rival_work: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Median and quartiles of the rival's time over ours, round by round, the first left out.

    With work given (tokens, where the arms draw their own), times are per unit of it.
    """
    mine = per_unit(ours.wall, our_work)
    theirs = per_unit(rival.wall, rival_work)
    ratios = [one / other for one, other in zip(theirs, mine, strict=True)]
    processor = median(per_unit(rival.processor, rival_work)) / median(
        per_unit(ours.processor, our_work)
    )
    low, _, high = spread(ratios)
    return {
        "ratio_median": round(median(ratios), 3),
        "ratio_low": round(low, 3),
        "ratio_high": round(high, 3),
        "ratio_processor": round(processor, 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "seconds": round(median(ours.wall[1:]), 4),
        "rival_seconds": round(median(rival.wall[1:]), 4),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def per_unit(seconds: Sequence[float], work: Sequence[float] | None) -> list[float]:
    """Seconds a unit of work, without the first round."""
    if work is None:
        return list(seconds[1:])
    return [time / units for time, units in zip(seconds[1:], work[1:], strict=True)]


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Quartiles; of one or two values their ends."""
    if len(values) < 3:
        return min(values), median(values), max(values)
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return low, middle, high
