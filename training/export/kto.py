"""Unpaired preferences for KTO: a completion and whether it is desirable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pyarrow as pa
from pydantic import Field

from training.export.groups import (
    MESSAGES,
    Group,
    Options,
    Row,
    Said,
    Skip,
    answered,
    prompt,
    reply,
    turn,
)

TITLE = "KTO (TRL)"
HELP = "prompt, completion, label: unpaired, from accepts and rejects."
SCHEMA = pa.schema([("prompt", MESSAGES), ("completion", MESSAGES), ("label", pa.bool_())])
USE = """```python
from trl import KTOTrainer
KTOTrainer(model, train_dataset=load_dataset(FOLDER, split="train"))
```"""


class Config(Options):
    """Where the label comes from."""

    label_from: Literal["reviews", "correct"] = Field(
        "reviews",
        title="Label from",
        description="reviews: accepted or rejected. correct: a right or a wrong answer.",
    )


def rows(group: Group, config: Config, skip: Skip) -> Iterator[tuple[Row, Row]]:
    """One row for each completion that has a label."""
    for one in answered(group, skip):
        label = label_of(one, config)
        if label is None:
            skip(one.id, f"Its {config.label_from} say neither good nor bad")
            continue
        row = {
            "prompt": prompt(group, config),
            "completion": [turn("assistant", reply(group, one, config))],
            "label": label,
        }
        yield row, {"rationale": one.id, "role": one.role, "author": one.author}


def label_of(said: Said, config: Config) -> bool | None:
    """Desirable, undesirable, or unknown."""
    if config.label_from == "reviews":
        return said.accepted
    correct = said.scores.get("answer_correct")
    return None if correct is None else correct == 1
