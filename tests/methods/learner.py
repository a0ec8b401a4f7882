"""A tiny model of each family in a folder, and a run of the real command on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.engine.__main__ import main

CHARACTERS = (
    "ĠĊ#:abcdefghijklmnopqrstuvwxyz0123456789"  # a space and a line feed as bytes stand first
)


def save_learner(folder: Path, family: str) -> Path:
    """A configuration to initialise from a seed, and a tokenizer in which a character is a token.

    It is of Qwen2's class for all: for a Qwen2 model transformers takes no other, whatever the
    folder says, and would read a word-level tokenizer as one that knows no word.
    """
    from transformers import Qwen2Tokenizer

    from tests.engine.shapes import make_model

    vocabulary = {token: n for n, token in enumerate(["<eos>", "<unk>", *CHARACTERS])}
    special = {"eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<eos>"}
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[], **special)
    config = make_model(family).config
    config.vocab_size, config.eos_token_id = len(tokenizer), 0
    config.bos_token_id = config.pad_token_id = None
    tokenizer.save_pretrained(folder)
    config.save_pretrained(folder)
    return folder


def train(
    folder: Path, model: Path, method: str, rows: list[dict[str, Any]], **settings: Any
) -> list[dict[str, Any]]:
    """The metrics of a run of the method on these questions."""
    folder.mkdir(exist_ok=True)
    (folder / "dataset.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = {"kind": "train", "method": method, "model": str(model), "seed": 1, "config": settings}
    (folder / "run.json").write_text(json.dumps(job))
    assert main([str(folder / "run.json")]) == 0
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
