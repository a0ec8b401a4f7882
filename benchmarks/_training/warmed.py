"""The small model after a little arithmetic, so that it ends its completions by itself.

Prompts of about 40 tokens ("Start with 27; add 5, take 8.") and completions of 24 to 48 in the
form "27+5=32\\n32-8=24\\n#### 24". The answers are of no importance: the lengths are.
"""

from __future__ import annotations

import random
from typing import Any

import torch

from training.decoding.prompts import Renderer
from training.decoding.record import Question
from training.engine.group import collate, group_logprobs
from training.methods import sft
from training.methods.base import Group, window_of

LONGEST = 48
STEPS, ROWS, RATE = 80, 32, 4e-3


def make_questions(count: int, seed: int = 1) -> list[Question]:
    """Questions that differ, with their answers."""
    dice = random.Random(seed)
    made = [problem(dice) for _ in range(count)]
    return [
        Question(id=str(place), question=text, reference_answer=thought.rsplit("=", 1)[1])
        for place, (text, thought) in enumerate(made)
    ]


def problem(dice: random.Random) -> tuple[str, str]:
    """A question and the working that answers it, of two to five steps."""
    value = dice.randint(10, 99)
    told, steps = [], []
    for _ in range(dice.randint(2, 5)):
        amount = dice.randint(2, 9)
        sign = "+" if value < 20 or dice.random() < 0.5 else "-"
        result = value + amount if sign == "+" else value - amount
        told.append(f"{'add' if sign == '+' else 'take'} {amount}")
        steps.append(f"{value}{sign}{amount}={result}")
        value = result
    start = steps[0][:2]
    return f"Start with {start}; {', '.join(told)}.", "\n".join(steps)


def warm(model: Any, tokenizer: Any, seed: int = 2) -> Any:
    """The model after a short supervised run."""
    text, dice = Renderer(tokenizer), random.Random(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    for step in range(STEPS):
        rate = RATE * min(1.0, (step + 1) / 20, (STEPS - step) / STEPS * 2)
        for settings in optimizer.param_groups:
            settings["lr"] = rate
        groups = [example(text, dice) for _ in range(ROWS)]
        batch = collate(groups, window_of(groups))
        loss, _ = sft.objective(group_logprobs(model, batch), batch, sft.Config())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return model


def example(text: Renderer, dice: random.Random) -> Group:
    """One question with its working, as tokens."""
    asked, thought = problem(dice)
    answer = thought.rsplit("=", 1)[1]
    return Group("", text.prompt(asked), [text.completion(thought, answer)], present=[True])
