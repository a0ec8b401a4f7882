"""Prompts with their reference answers, for trainers that draw their own completions."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from training.export.groups import MESSAGES, Group, Options, Row, Skip, prompt

TITLE = "GRPO prompts"
HELP = "prompt and reference_answer; the other columns reach TRL's reward functions."
SCHEMA = pa.schema(
    [("prompt", MESSAGES), ("reference_answer", pa.string()), ("answer_kind", pa.string())]
)
USE = """```python
from trl import GRPOTrainer
GRPOTrainer(model, reward_funcs=my_reward, train_dataset=load_dataset(FOLDER, split="train"))
```

`my_reward(completions, reference_answer, **_)` gets the reference answers as a list."""

Config = Options


def rows(group: Group, config: Options, skip: Skip) -> Iterator[tuple[Row, Row]]:
    """One row for each question that has a reference answer."""
    question = group.question
    if group.thought is not None:
        skip(group.id, "A group of answers to a given thought")
    elif not question.reference_answer:
        skip(group.id, "The question has no reference answer")
    else:
        row = {
            "prompt": prompt(group, config),
            "reference_answer": question.reference_answer,
            "answer_kind": question.answer_kind,
        }
        yield row, {"rationales": [one.id for one in group.completions]}
