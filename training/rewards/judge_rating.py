"""What judges said of a stored completion: the mean of their last ratings.

On the judges' own scale, whatever that is (1 to 10 in the project's rubric). Ratings are facts of
the dataset (`judge_rating@model-7` for each judge, `judge_rating` for the last of any), so this
reads them and asks nobody. Source: the ratings of a black-box teacher in CoTD-PO (EMNLP 2025).

Traps: a completion that was drawn a moment ago has no rating. An online round that weighs this
finds it missing everywhere, and no group has anything to compare; rate a round's samples first and
train from the dataset. Judges differ in severity: with other judges for other completions of one
question, the mean compares judges; let the same judges rate the whole group, or rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import fsum, isfinite

from training.decoding.record import Question
from training.rewards.sample import Sample

SCORER = "judge_rating"


def judge_rating(question: Question, sample: Sample) -> float | None:
    """The mean over judges, or None where nobody rated."""
    return mean_rating(sample.scores)


def mean_rating(scores: Mapping[str, float | None]) -> float | None:
    """Of scores by scorer: the mean of each judge's last, or the last one of unnamed judges."""
    by_judge = [value for name, value in scores.items() if name.startswith(f"{SCORER}@")]
    known = [v for v in by_judge or [scores.get(SCORER)] if v is not None and isfinite(v)]
    return fsum(known) / len(known) if known else None


REWARDS = {SCORER: judge_rating}
STORED_ONLY = {SCORER}
