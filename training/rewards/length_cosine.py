"""A bonus for right answers that falls with their length along half a cosine.

Of L tokens among at most Lmax (`max_completion_tokens`):

    right  (1 + cos(pi L / Lmax)) / 2, from 1 for the shortest to 0 at the limit
    wrong  0, whatever its length

Source: Yeo et al., "Demystifying Long Chain-of-Thought Reasoning in LLMs" (2502.03373), and the
reward of open-r1. Departure: theirs is right-or-wrong and length in one, and pays wrong answers
more for being *longer*; here correctness has its own weight and only right answers gain, so that
brevity is never bought with mistakes. `answer_correct=0.5, length_cosine=0.5` is open-r1's branch
for right answers (0.5 to 1).

Traps: with the limit far above usual lengths the cosine is flat, and rewards hardly differ. None
where nobody can tell what is right, or nobody counted the tokens.
"""

from __future__ import annotations

from math import cos, pi

from training.decoding.record import Question
from training.rewards.answer import answer_correct
from training.rewards.length import length
from training.rewards.sample import Sample


def length_cosine(question: Question, sample: Sample) -> float | None:
    """In [0, 1]; 0 for wrong answers."""
    correct, share = answer_correct(question, sample), length(question, sample)
    if correct is None or share is None:
        return None
    return correct * (1 + cos(pi * share)) / 2


REWARDS = {"length_cosine": length_cosine}
