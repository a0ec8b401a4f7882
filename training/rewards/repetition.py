"""The share of n-grams that say again what was said.

`-(1 - unique / total)` over the trigrams of words, lower case; in (-1, 0], 0 where there are fewer
than three words. Source: Yeo et al. (2502.03373) and the repetition penalty of open-r1, with its
n = 3 and largest penalty 1.

Traps: arithmetic repeats itself by right ("5 + 5 = 10"), so weigh it low, 0.1 to 0.3, with a
*positive* weight: the value is a penalty already. It says nothing of loops within one long word.
"""

from __future__ import annotations

from training.decoding.record import Question
from training.rewards.sample import Sample

N = 3


def repetition(question: Question, sample: Sample) -> float | None:
    """In (-1, 0]."""
    return -repeated_share(sample.text)


def repeated_share(text: str, n: int = N) -> float:
    """1 - unique/total n-grams of words, in [0, 1)."""
    words = text.lower().split()
    total = len(words) - n + 1
    if total < 1:
        return 0.0
    return 1 - len(set(zip(*(words[k:] for k in range(n)), strict=False))) / total


REWARDS = {"repetition": repetition}
