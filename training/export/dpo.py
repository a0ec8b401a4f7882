"""Preference pairs for TRL: prompt, chosen and rejected as conversations."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from training.export.groups import MESSAGES, Group, Row, Skip
from training.export.pairs import PairOptions, about, conversation, pairs_of

TITLE = "DPO pairs (TRL)"
HELP = "prompt, chosen, rejected: TRL's DPOTrainer and axolotl read it."
SCHEMA = pa.schema([("prompt", MESSAGES), ("chosen", MESSAGES), ("rejected", MESSAGES)])
USE = """```python
from trl import DPOTrainer
DPOTrainer(model, train_dataset=load_dataset(FOLDER, split="train"))
```

axolotl: `type: chat_template.default` with `field_messages: prompt`."""

Config = PairOptions


def rows(group: Group, config: PairOptions, skip: Skip) -> Iterator[tuple[Row, Row]]:
    """One row for each pair."""
    for pair in pairs_of(group, config, skip):
        asked, chosen, rejected = conversation(group, pair, config)
        yield {"prompt": asked, "chosen": [chosen], "rejected": [rejected]}, about(pair)
