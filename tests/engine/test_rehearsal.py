"""A rehearsal shows what will be read and learned, counts what is left out, and trains nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.shapes import make_model
from tests.methods.learner import save_learner
from tests.methods.tiny import make_group
from training.engine.__main__ import main
from training.engine.memory import Shape, estimated, shape_of
from training.engine.rehearsal import spread

ROOT = Path(__file__).resolve().parents[2]
TEACHER = [
    {"id": "a", "thought": "add 1 1", "answer": "2"},
    {"id": "b", "thought": "so", "answer": "2"},
]
ROWS = [
    {
        "id": str(n),
        "question": "which" + " a" * n,
        "reference_answer": "2",
        "completions": [{**one, "id": f"{one['id']}{n}"} for one in TEACHER],
    }
    for n in range(3)
]
ONE_STEP = {"epochs": 1, "groups_per_step": 3}
DRAWING = {"rounds": 2, "group_size": 4, "max_completion_tokens": 6, "groups_per_step": 3}


@pytest.fixture(scope="module")
def learner(tmp_path_factory) -> Path:
    return save_learner(tmp_path_factory.mktemp("learner"), "llama")


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "run"
    made.mkdir()
    return made


def write(folder: Path, model: Path, method: str, rows: list[dict] = ROWS, **config: Any) -> str:
    (folder / "dataset.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = {"kind": "train", "method": method, "model": str(model), "config": config}
    (folder / "run.json").write_text(json.dumps(job))
    return str(folder / "run.json")


def rehearsed(
    folder: Path, model: Path, method: str, rows: list[dict] = ROWS, measure=False, **config: Any
) -> dict[str, Any]:
    """What `rehearsal.json` says; no other file has come."""
    run = write(folder, model, method, rows, **config)
    assert main([run, "--rehearse", *([] if measure else ["--tokens-only"])]) == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "dataset.jsonl",
        "rehearsal.json",
        "run.json",
    ]
    return json.loads((folder / "rehearsal.json").read_text())


def weights(said: dict[str, Any]) -> list[float]:
    return [token["weight"] for token in said["tokens"]]


# --- What is read and learned ---------------------------------------------------------------------


def test_the_exact_prompt_and_completion_are_shown_with_the_loss_mask(folder, learner):
    found = rehearsed(folder, learner, "sft", **ONE_STEP)
    row = next(row for row in found["rows"] if row["question"] == "1")
    assert row["prompt"]["text"] == "which a\n"
    assert row["completions"][0]["text"] == "add 1 1\n#### 2<eos>"
    assert not any(token["in_loss"] for token in row["prompt"]["tokens"])
    assert all(token["in_loss"] for token in row["completions"][0]["tokens"])
    last = row["completions"][0]["tokens"][-1]
    assert (last["id"], last["text"]) == (0, "<eos>")


def test_a_token_weighs_its_share_of_the_step(folder, learner):
    found = rehearsed(folder, learner, "sft", **ONE_STEP)
    tokens = 3 * (len("add 1 1\n#### 2") + 1 + len("so\n#### 2") + 1)
    for row in found["rows"]:
        for one in row["completions"]:
            assert weights(one) == pytest.approx([1 / tokens] * len(one["tokens"]))


def test_parts_of_a_completion_weigh_by_their_own_lengths(folder, learner):
    found = rehearsed(folder, learner, "combined", ROWS[:1], **ONE_STEP, answer_weight=3)
    first, second = found["rows"][0]["completions"]
    before = [len("add 1 1\n#### "), len("so\n#### ")]
    assert weights(first) == pytest.approx([1 / sum(before)] * before[0] + [3 / 4] * 2)
    assert weights(second) == pytest.approx([1 / sum(before)] * before[1] + [3 / 4] * 2)


def test_a_thought_inside_the_prompt_is_in_the_loss(folder, learner):
    answers = [
        {"id": f"s{i}", "role": "student", "answer": str(i), "conditioned_on": "a0"} for i in (2, 3)
    ]
    rows = [{**ROWS[0], "completions": [*ROWS[0]["completions"], *answers]}]
    found = rehearsed(folder, learner, "cotd_po", rows, source="dataset", reward_from="rewards")
    (row,) = found["rows"]
    learned = [token["text"] for token in row["prompt"]["tokens"] if token["in_loss"]]
    assert row["prompt"]["text"] == "which\nadd 1 1\n"
    assert "".join(learned) == "add 1 1\n"
    right, wrong = row["completions"]
    assert (right["reward"], wrong["reward"]) == (1, 0)
    assert sum(weights(right)) == pytest.approx(-sum(weights(wrong)))  # p - q, of equal scores
    assert sum(weights(right)) > 0


def test_a_method_that_draws_is_shown_with_what_it_drew(folder, learner):
    config = {**DRAWING, "rewards": {"format": 1}, "loss_type": "dapo", "mask_truncated": False}
    found = rehearsed(folder, learner, "grpo", measure=True, **config)
    for row in found["rows"]:
        assert row["of_completions"] == 4
        for one in row["completions"]:
            assert one["tokens"]
            for weight in weights(one):
                assert weight * one["weight_in_group"] >= 0
    assert found["time"]["tokens_to_draw"] > 0
    assert found["time"]["drawing_seconds"] > 0


def test_without_a_model_a_method_that_draws_shows_its_prompts(folder, learner):
    found = rehearsed(folder, learner, "grpo", **DRAWING)
    assert {row["prompt"]["text"] for row in found["rows"]} == {
        "which\n",
        "which a\n",
        "which a a\n",
    }
    assert all(row["completions"] == [] for row in found["rows"])
    assert found["time"] is None


@pytest.mark.parametrize(
    ("method", "config"),
    [("dpo", {}), ("kto", {}), ("orpo", {}), ("contrast", {"source": "dataset"})],
)
def test_preferences_pull_the_better_up_and_the_worse_down(folder, learner, method, config):
    texts = [{"id": "x", "thought": "so", "answer": "2", "accepted": True},
             {"id": "y", "thought": "add", "answer": "3", "accepted": False}]  # fmt: skip
    rankings = [{"judge": "person-1", "ranks": {"x": 1, "y": 2}}]
    rows = [{**ROWS[0], "completions": texts, "rankings": rankings}]
    found = rehearsed(folder, learner, method, rows, **ONE_STEP, **config)
    pulls = {one["text"]: sum(weights(one)) for row in found["rows"] for one in row["completions"]}
    assert pulls["so\n#### 2<eos>"] > 0
    assert pulls["add\n#### 3<eos>"] < 0


# --- What is counted ------------------------------------------------------------------------------


def test_what_is_too_long_is_counted_and_not_cut(folder, learner):
    found = rehearsed(folder, learner, "sft", max_completion_tokens=12, **ONE_STEP)
    assert found["skipped"] == {"completion longer than max_completion_tokens": 3}
    assert found["lengths"]["completions"]["count"] == 3
    assert found["lengths"]["completions"]["max"] == len("so\n#### 2") + 1


def test_a_spread_is_by_nearest_rank():
    assert spread(range(1, 101)) == {"count": 100, "min": 1, "median": 50.5, "p95": 95, "max": 100}
    assert spread([7]) == {"count": 1, "min": 7, "median": 7, "p95": 7, "max": 7}
    assert spread([]) is None


def test_texts_that_the_tokenizer_does_not_give_back_are_counted(folder, learner):
    texts = [
        {"id": "x", "thought": "so Ä", "answer": "2"},
        {"id": "y", "thought": "", "answer": "2"},
    ]
    rows = [{**ROWS[0], "question": "which XY", "completions": texts}, ROWS[1]]
    assert rehearsed(folder, learner, "sft", rows)["lengths"]["altered_texts"] == 2


def test_the_plan_is_that_of_the_run(folder, learner):
    found = rehearsed(folder, learner, "sft", epochs=2, groups_per_step=2)
    assert main([str(folder / "run.json")]) == 0
    result = json.loads((folder / "result.json").read_text())
    assert found["plan"]["steps"] == result["steps"] == 4
    assert found["plan"]["groups"] == result["groups"] == 3
    assert found["config"] == result["config"]


def test_the_tokens_of_the_run_are_its_steps(folder, learner):
    found = rehearsed(folder, learner, "sft", measure=True, epochs=2, groups_per_step=2)
    rows = 3 * (len("add 1 1\n#### 2") + 1 + len("so\n#### 2") + 1)
    prompts = sum(len("which" + " a" * n + "\n") for n in range(3))
    assert found["time"]["tokens_to_train"] == 2 * (rows + prompts)
    assert found["time"]["total_seconds"] > 0


# --- What is refused ------------------------------------------------------------------------------


def refused(capfd: Any, folder: Path, run: str) -> str:
    """The sentence; it stands in rehearsal.json, and no result is there."""
    capfd.readouterr()
    assert main([run, "--rehearse", "--tokens-only"]) == 2
    told = capfd.readouterr().err.strip()
    assert json.loads((folder / "rehearsal.json").read_text()) == {"error": told}
    assert not (folder / "result.json").exists()
    return told


@pytest.mark.parametrize("argument", ["--rehearse", None])
def test_a_row_without_a_token_to_learn_from_is_refused(capfd, folder, tmp_path, argument):
    from transformers import Qwen2Tokenizer

    model = save_learner(tmp_path / "model", "llama")
    vocabulary = {token: n for n, token in enumerate(["<eos>", *"ĠĊ#:abcdehiklnoprstwx12"])}
    Qwen2Tokenizer(vocab=vocabulary, merges=[], eos_token="<eos>").save_pretrained(model)
    rows = [{**ROWS[0], "completions": [{"id": "u", "thought": "ÄÖ", "answer": "2"}]}]
    run = write(folder, model, "step_by_step", rows)
    if argument:
        told = refused(capfd, folder, run)
    else:
        assert main([run]) == 2
        told = json.loads((folder / "result.json").read_text())["error"]
    assert told.startswith("Question 0 has a completion without a token to learn from:")


def test_only_a_train_job_is_rehearsed(capfd, folder, learner):
    (folder / "run.json").write_text(json.dumps({"kind": "evaluate", "model": str(learner)}))
    assert "Only a train job can be rehearsed" in refused(capfd, folder, str(folder / "run.json"))


def test_flags_belong_together(capfd, folder, learner):
    run = write(folder, learner, "sft")
    assert main([run, "--tokens-only"]) == 2
    assert capfd.readouterr().err.startswith("Usage")


# --- What it takes --------------------------------------------------------------------------------


def test_the_formula_by_hand():
    shape = Shape(
        parameters=1000, trained=800, layers=2, width=10, key_width=5, feed=20, gated=True,
        vocabulary=100,
    )  # fmt: skip
    batch = [make_group([4, 2], prompt=[1, 2, 3]), make_group([1], prompt=[1])]
    tokens, keys = 2 * 3 + 4 + 2 + 1, (3 + 4) + (3 + 2) + (1 + 1)
    per_layer = tokens * (9 * 10 + 2 * 5 + 4 * 20) + keys * 2 * 10
    found = estimated(shape, batch, reference=True)
    assert found == {
        "weights": 4000,
        "gradients": 3200,
        "optimizer": 6400,
        "reference": 4000,
        "activations": 4 * 3 * per_layer,
        "logits": 16 * 7 * 100,
        "total": 4000 + 3200 + 6400 + 4000 + 12 * per_layer + 11_200,
    }


@pytest.mark.parametrize(("family", "gated", "feed"), [("llama", True, 48), ("gpt2", False, 128)])
def test_a_shape_is_read_from_the_model(family, gated, feed):
    model = make_model(family)
    shape = shape_of(model)
    assert (shape.gated, shape.feed, shape.layers, shape.width) == (gated, feed, 2, 32)
    assert shape.key_width == (16 if family == "llama" else 32)
    assert shape.parameters == sum(weight.numel() for weight in model.parameters())


@pytest.mark.slow
def test_the_command_prints_a_table_and_the_memory_is_as_estimated(folder, tmp_path):
    """In a process of its own, whose memory is nobody else's. Within a factor of 1.5."""
    from transformers import AutoConfig

    model = save_learner(tmp_path / "model", "llama")
    config = AutoConfig.from_pretrained(model)
    config.update({"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 4})
    config.update({"max_position_embeddings": 1024, "head_dim": 48})
    config.save_pretrained(model)
    long = {"thought": "1 " * 60, "answer": "2"}
    three = [{"id": str(i), **long} for i in range(3)]
    rows = [{"id": str(n), "question": "a " * 100, "completions": three} for n in range(4)]
    run = write(folder, model, "sft", rows, groups_per_step=4)
    ended = subprocess.run(
        [sys.executable, "-m", "training.engine", run, "--rehearse"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert "sft, nothing was trained" in ended.stdout
    assert "completion 1 of 3, 128 tokens" in ended.stdout
    found = json.loads((folder / "rehearsal.json").read_text())["memory"]
    tried = found["rehearsal"]
    assert tried["estimated"] == found["total"]
    if not torch.cuda.is_available():
        assert tried["estimated"] / 1.5 < tried["measured"] < tried["estimated"] * 1.5
