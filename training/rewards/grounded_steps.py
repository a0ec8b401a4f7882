"""The share of steps that hold and whose numbers have a source.

`valid_steps` asks whether each equation is true; this asks also whether every number in it comes
from the question or from an earlier step (`training/measures/grounding.py`). A true equation about
made-up numbers counts there and not here. In [0, 1].

Source: groundedness in ROSCOE (2212.07919) and ReCEval, for arithmetic. On GSM8K's own training
solutions 94 % of the steps pass: the rest use what everybody knows (a cat has four legs), so 1 is
not in reach of every honest thought.

Traps: as with `valid_steps`, a thought with one certain step scores as well as a whole chain; weigh
correctness above it. None where the thought has no step.
"""

from __future__ import annotations

from training.decoding.record import Question
from training.measures.grounding import grounded_share
from training.rewards.sample import Sample


def grounded_steps(question: Question, sample: Sample) -> float | None:
    """In [0, 1], or None where the thought has no step to check."""
    return grounded_share(sample.thought, question.question)


REWARDS = {"grounded_steps": grounded_steps}
