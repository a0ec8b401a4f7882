"""The share of steps that hold: see `training/measures/steps.py` for what a step is.

A thought without any step gets no value, so that its completion leaves the group instead of
passing for a perfect or a worthless one.
"""

from __future__ import annotations

from training.decoding.record import Question
from training.measures.steps import valid_share
from training.rewards.sample import Sample


def valid_steps(question: Question, sample: Sample) -> float | None:
    """In [0, 1], or None where the thought has no step to check."""
    return valid_share(sample.thought)


REWARDS = {"valid_steps": valid_steps}
