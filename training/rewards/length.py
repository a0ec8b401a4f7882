"""How much of the allowed length a completion took.

`tokens / limit`, in [0, 1]; the limit is `max_completion_tokens`. It is a cost, so give it a
negative weight: `answer_correct=1, length=-0.2`. Source: the plainest of the length penalties
(compare L1, 2503.04697).

Traps: it does not ask whether the answer is right, so a weight near that of correctness teaches
short wrong answers; `length_cosine` shortens right ones only. None where nobody counted the tokens:
completions that were imported or written by people have no count.
"""

from __future__ import annotations

from training.decoding.record import Question
from training.rewards.sample import Sample


def length(question: Question, sample: Sample) -> float | None:
    """In [0, 1], or None where tokens or limit are unknown."""
    if sample.tokens is None or not sample.limit:
        return None
    return min(sample.tokens / sample.limit, 1.0)


REWARDS = {"length": length}
