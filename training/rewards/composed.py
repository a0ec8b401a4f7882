"""The reward that an experiment composed for a stored sample, from all who had a say in it.

In [0, 1]; `training/experiments/rewards.py` says how it comes about. It is a fact of the dataset,
the score `composed`, so this reads it and computes nothing.

Trap: a completion that was drawn a moment ago has none; see `STORED_ONLY`.
"""

from __future__ import annotations

from training.decoding.record import Question
from training.rewards.sample import Sample

SCORER = "composed"


def composed(question: Question, sample: Sample) -> float | None:
    """The stored value, or None where the experiment had nothing to compare it by."""
    return sample.scores.get(SCORER)


REWARDS = {SCORER: composed}
STORED_ONLY = {SCORER}
