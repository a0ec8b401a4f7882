"""Is the completion written as it was asked for?

1 if it is a thought, one line `#### answer` behind it and nothing after; 0 otherwise. After a given
thought the answer line is all that was asked for. A thought within `<think>` tags counts as one.
Source: the format reward of DeepSeek-R1 (2501.12948), with this project's mark for theirs.

Traps: it pays for form alone, so weigh it far below correctness. What the length limit cut off is
not in the format, even if it was cut off in the answer. Of a *stored* completion only the parts
were kept: it scores 1 if both are there.
"""

from __future__ import annotations

import re

from training.decoding.prompts import ANSWER_MARK, split_thinking
from training.decoding.record import Question
from training.rewards.sample import Sample

_MARK = re.compile(rf"^[ \t]*{ANSWER_MARK}", re.MULTILINE)


def format_kept(question: Question, sample: Sample) -> float | None:
    """1 or 0."""
    return float(not sample.truncated and as_asked(sample.text, sample.given_thought))


def as_asked(text: str, given_thought: bool = False) -> bool:
    """Whether the text is a thought (unless one was given) and one answer line, in this order."""
    inside, said = split_thinking(text)
    before, _, last = said.rpartition("\n")
    thought = f"{inside}{before}".strip()
    answer = last.removeprefix(f"{ANSWER_MARK} ").strip()
    one_mark = len(_MARK.findall(said)) == 1
    return one_mark and answer not in ("", last.strip()) and bool(thought) != given_thought


REWARDS = {"format": format_kept}
