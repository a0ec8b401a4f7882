"""What a policy may write to break a reward: every one answers, and long texts take time in
proportion to their length. The limits here are of work, not of time: a quadratic reader would need
hours for these texts."""

from __future__ import annotations

import pytest

from training.decoding.record import Completion, Question
from training.rewards import reward_functions
from training.rewards.compose import scored
from training.rewards.sample import Sample

LONG = 100_000
TEACHER = Completion(id="t", thought="40 - 3 = 37\n37 + 5 = 42", answer="42")
TEXTS = {
    "blanks": " " * LONG,
    "lines": "\n" * LONG,
    "brackets": "(" * LONG,
    "braces": "{" * LONG,
    "boxes": "\\boxed{" * (LONG // 7),
    "fractions": "\\frac{" * (LONG // 6),
    "marks": "#### " * (LONG // 5),
    "mark lines": "\n####" * (LONG // 5),
    "thinking": "<think>" * (LONG // 7),
    "thought": "</think>" * (LONG // 8),
    "sums": "1+" * (LONG // 2),
    "equals": "=" * LONG,
    "steps": "1+1=2 " * (LONG // 6),
    "calculator": "<<1+1=2" * (LONG // 7),
    "digits": "9" * LONG,
    "commas": "1," * (LONG // 2),
    "fraction of blanks": "1" + " " * LONG + "/ 2",
    "power": "1e999999",
    "powers": "9^9^9^9^9^9",
    "exponent": "10^" + "9" * 500,
    "other digits": "٣ + ٤ = ٧\n#### ٧",
    "superscripts": "²³¹ = ½⅓",
    "nothing": "",
    "zero": "1/0 = 0/0\n#### 1/0",
    "not a number": "nan\n#### inf",
    "control": "\x00\x01\ud800",
    "backslashes": "\\" * LONG,
    "dollars": "$" * LONG,
    "stars": "**" * (LONG // 2),
    "answers": "Answer:" * (LONG // 7),
    "words": "a " * (LONG // 2),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("kind", ["number", "choice", "text"])
def test_every_reward_answers_whatever_was_written(name, kind):
    text = TEXTS[name]
    question = Question(
        id="1",
        question="What is 45 - 3?",
        reference_answer="42",
        answer_kind=kind,
        completions=[TEACHER],
    )
    sample = Sample(text, text, text, tokens=LONG, limit=LONG)
    found = scored(question, sample, dict.fromkeys(reward_functions(), 1.0))
    assert not {"errors", "not_finite"} & set(found.faults.values())
    assert found.values["answer_correct"] == 0.0


@pytest.mark.parametrize("name", TEXTS)
def test_every_reward_answers_whatever_was_asked(name):
    text = TEXTS[name]
    question = Question(id="1", question=text, reference_answer=text, completions=[TEACHER])
    sample = Sample("8 + 3 = 11", "11", "8 + 3 = 11\n#### 11", tokens=9, limit=99)
    found = scored(question, sample, dict.fromkeys(reward_functions(), 1.0))
    assert not {"errors", "not_finite"} & set(found.faults.values())
