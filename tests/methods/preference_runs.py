"""Runs of the preference methods through the real engine, small enough for a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import (
    GPT2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2Tokenizer,
    Qwen3Config,
)

from training.engine.job import Job
from training.engine.stop import Stop
from training.engine.train import train

ANSWERS = [f"#### {digit}" for digit in range(4)]
WORDS = ["<eos>", "<unk>", "\n", *ANSWERS, "which", "one", "so", "then"]
SETTINGS = {
    "groups_per_step": 4,
    "epochs": 4,
    "learning_rate": 0.01,
    "schedule": "constant",
    "checkpoint_every": 100,
}


def make_tokenizer(family: str) -> Any:
    """An answer line is one token; for Qwen, which is always read by its own class, a letter."""
    if family in ("qwen2", "qwen3"):
        letters = sorted(set("".join(WORDS[2:])) - {" ", "\n"})
        letters += ["Ġ", "Ċ"]  # as byte-level tokenizers write a blank and a line end
        vocabulary = {word: n for n, word in enumerate(["<eos>", "<unk>", *letters])}
        return Qwen2Tokenizer(
            vocab=vocabulary, merges=[], eos_token="<eos>", unk_token="<unk>", pad_token="<eos>"
        )
    pieces = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, "<unk>"))
    pieces.pre_tokenizer = pre_tokenizers.Split(Regex(r"#### \d|\n|[a-z]+|\d"), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=pieces, eos_token="<eos>", unk_token="<unk>")


def make_folder(folder: Path, family: str) -> Path:
    """A tokenizer and the configuration of a new model."""
    tokenizer = make_tokenizer(family)
    wide: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
        "max_position_embeddings": 64, "bos_token_id": None, "eos_token_id": 0,
    }  # fmt: skip
    narrow: dict[str, Any] = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    config = {
        "llama": lambda: LlamaConfig(**wide),
        "qwen2": lambda: Qwen2Config(**wide, tie_word_embeddings=True),
        "qwen3": lambda: Qwen3Config(**wide, head_dim=8),
        "gpt2": lambda: GPT2Config(vocab_size=len(tokenizer), **narrow, **ends),
    }[family]()
    tokenizer.save_pretrained(folder)
    config.save_pretrained(folder)
    return folder


def make_rows(count: int = 8) -> list[dict[str, Any]]:
    """Questions with four rationales of unlike lengths: 2 is right, accepted and ranked first."""
    thoughts = ["so", "then so", "so then", "then"]
    return [
        {
            "id": str(n),
            "question": "which" + " one" * (1 + n % 3),
            "reference_answer": "2",
            "completions": [
                {"id": f"{n}-{k}", "role": "student", "thought": thought, "answer": str(k),
                 "accepted": k == 2}
                for k, thought in enumerate(thoughts)
            ],
            "rankings": [
                {"judge": "person-1", "ranks": {f"{n}-{k}": 1 + abs(k - 2) for k in range(4)}}
            ],
        }
        for n in range(count)
    ]  # fmt: skip


def trained(
    folder: Path,
    family: str,
    method: str,
    rows: list[dict[str, Any]] | None = None,
    **settings: Any,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Metrics and result of a run in `folder`."""
    model = make_folder(folder / "model", family)
    lines = "".join(json.dumps(row) + "\n" for row in rows or make_rows())
    (folder / "dataset.jsonl").write_text(lines)
    config = {**SETTINGS, **settings}
    job = Job(kind="train", method=method, model=str(model), seed=1, config=config)
    result = train(job, folder, Stop())
    metrics = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in metrics], result
