"""Preference pairs for LLaMA-Factory, with the dataset_info.json that it wants beside them.

Its converter takes pairs only where chosen and rejected are single messages, not lists, and drops
what it cannot read with no more than a line in its log (LLaMA-Factory#2962, #8197). "formatting":
"openai" would add to the system prompt, so it is "sharegpt" with tags.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pyarrow as pa

from training.export.groups import MESSAGE, MESSAGES, Group, Row, Skip
from training.export.pairs import PairOptions, about, conversation, pairs_of

TITLE = "DPO pairs (LLaMA-Factory)"
HELP = "messages, chosen, rejected with dataset_info.json, for LLaMA-Factory."
SCHEMA = pa.schema([("messages", MESSAGES), ("chosen", MESSAGE), ("rejected", MESSAGE)])
USE = "`llamafactory-cli train --dataset_dir FOLDER --dataset stillroom_train --stage dpo …`"

Config = PairOptions


def rows(group: Group, config: PairOptions, skip: Skip) -> Iterator[tuple[Row, Row]]:
    """One row for each pair."""
    for pair in pairs_of(group, config, skip):
        asked, chosen, rejected = conversation(group, pair, config)
        yield {"messages": asked, "chosen": chosen, "rejected": rejected}, about(pair)


def extra_files(files: Mapping[str, str]) -> dict[str, str]:
    """dataset_info.json; `files` maps each split to its data file."""
    roles = ("user", "assistant", "system")
    tags = {"role_tag": "role", "content_tag": "content"} | {f"{role}_tag": role for role in roles}
    columns = {name: name for name in SCHEMA.names}
    entry = {"formatting": "sharegpt", "ranking": True, "columns": columns, "tags": tags}
    info = {f"stillroom_{split}": {"file_name": name, **entry} for split, name in files.items()}
    return {"dataset_info.json": json.dumps(info, indent=2) + "\n"}
