"""The methods in the engine: a new tiny model comes to prefer what is rewarded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ANSWERS = [f"#### {digit}" for digit in range(4)]
SETTINGS = {
    "rounds": 10,
    "groups_per_step": 8,
    "group_size": 8,
    "epochs": 2,
    "learning_rate": 0.015,
    "schedule": "constant",
    "max_completion_tokens": 3,
    "checkpoint_every": 100,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """The configuration of a new Llama, and a tokenizer in which an answer line is one token."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, PreTrainedTokenizerFast

    words = ["<eos>", "<unk>", "\n", *ANSWERS, "which", "one", "hint"]
    pieces = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, "<unk>"))
    pieces.pre_tokenizer = pre_tokenizers.Split(Regex(r"#### \d|\n|[a-z]+|\d"), "isolated")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=pieces, eos_token="<eos>", unk_token="<unk>"
    )
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=32,
        bos_token_id=None,
        eos_token_id=0,
    )
    folder = tmp_path_factory.mktemp("model")
    tokenizer.save_pretrained(folder)
    config.save_pretrained(folder)
    return folder


def trained(folder: Path, model: Path, method: str, **settings) -> list[dict]:
    """The metrics of a run on eight questions whose answer is 2."""
    teacher = {"id": "t", "role": "teacher", "thought": "hint", "answer": "2"}
    rows = [
        {
            "id": str(n),
            "question": "which one" + " one" * n,
            "reference_answer": "2",
            "completions": [teacher],
        }
        for n in range(8)
    ]
    (folder / "dataset.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = {
        "kind": "train",
        "method": method,
        "model": str(model),
        "seed": 1,
        "config": {**SETTINGS, **settings},
    }
    (folder / "run.json").write_text(json.dumps(job))
    ended = subprocess.run(
        [sys.executable, "-m", "training.engine", str(folder / "run.json")],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def rewards(steps: list[dict]) -> list[float]:
    """Each round's mean reward: the probability of what is rewarded, as sampled."""
    return list({step["round"]: step["reward_mean"] for step in steps}.values())


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("cotd_po", {"condition": "thought"}),
        ("cotd_po", {"condition": "question", "nll": 0, "beta": 0.01}),
        ("grpo", {}),
        ("grpo", {"loss_type": "gspo", "beta": 0.01, "rounds": 16}),
    ],
)
def test_rewarded_completions_become_likelier(tmp_path, model, method, settings):
    found = rewards(trained(tmp_path, model, method, **settings))
    early, late = sum(found[:2]) / 2, sum(found[-3:]) / 3
    assert late > early + 0.25


def test_a_run_cut_off_in_the_middle_of_a_round_draws_nothing_twice(tmp_path, model):
    settings = {"rounds": 2, "rows_per_batch": 16}
    trained(tmp_path, model, "grpo", **settings)
    samples, manifests = tmp_path / "samples.jsonl", tmp_path / "checkpoints"
    drawn = samples.read_bytes()
    ended = {path.parent.name: path.read_bytes() for path in manifests.glob("*/manifest.json")}
    shutil.rmtree(manifests)
    samples.write_bytes(drawn[: len(drawn) * 2 // 3])  # a row, and a chunk, in two
    trained(tmp_path, model, "grpo", **settings)
    assert samples.read_bytes() == drawn
    assert ended == {
        path.parent.name: path.read_bytes() for path in manifests.glob("*/manifest.json")
    }
