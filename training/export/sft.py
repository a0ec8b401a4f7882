"""Supervised fine-tuning: one conversation for each rationale."""

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
    Skip,
    answered,
    prompt,
    reply,
    turn,
)

TITLE = "SFT messages"
HELP = "One conversation a rationale: TRL, LLaMA-Factory, axolotl and OpenAI read it."
SCHEMA = pa.schema([("messages", MESSAGES)])
USE = """```python
from trl import SFTTrainer
SFTTrainer(model, train_dataset=load_dataset(FOLDER, split="train"))
```

LLaMA-Factory: `"formatting": "sharegpt"` with the tags `role`, `content`, `user`, `assistant`.
axolotl: `type: chat_template`."""


class Config(Options):
    """Whose rationales are imitated."""

    roles: list[Literal["teacher", "human", "student"]] = Field(
        ["teacher", "human"],
        min_length=1,
        title="Written by",
        description="Whose rationales are to be imitated.",
    )


def rows(group: Group, config: Config, skip: Skip) -> Iterator[tuple[Row, Row]]:
    """One row for each rationale that is not rejected. A given thought is nobody's to imitate."""
    for one in answered(group, skip):
        if group.thought is not None:
            skip(one.id, "It answers a given thought")
        elif one.role not in config.roles:
            skip(one.id, f"Written by a {one.role}")
        elif one.accepted is False:
            skip(one.id, "Reviewers rejected it")
        else:
            reply_turn = turn("assistant", reply(group, one, config))
            known = {"rationale": one.id, "role": one.role, "author": one.author}
            yield {"messages": [*prompt(group, config), reply_turn]}, known
