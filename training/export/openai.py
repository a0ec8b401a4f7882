"""Preference pairs as OpenAI's fine-tuning takes them; Together and Fireworks read the same."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from training.export.groups import MESSAGES, Group, Row, Skip
from training.export.pairs import PairOptions, about, conversation, pairs_of

TITLE = "DPO pairs (OpenAI)"
HELP = "input, preferred_output, non_preferred_output: OpenAI, Together and Fireworks read it."
SCHEMA = pa.schema(
    [
        ("input", pa.struct([("messages", MESSAGES)])),
        ("preferred_output", MESSAGES),
        ("non_preferred_output", MESSAGES),
    ]
)
USE = "Upload `data/train.jsonl` as the training file of a fine-tuning job with the method `dpo`."

Config = PairOptions


def rows(group: Group, config: PairOptions, skip: Skip) -> Iterator[tuple[Row, Row]]:
    """One row for each pair."""
    for pair in pairs_of(group, config, skip):
        asked, chosen, rejected = conversation(group, pair, config)
        row = {
            "input": {"messages": asked},
            "preferred_output": [chosen],
            "non_preferred_output": [rejected],
        }
        yield row, about(pair)
