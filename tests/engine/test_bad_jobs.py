"""What cannot be done is refused by the command itself: one sentence on standard error and in
result.json, exit code 2, and a folder that is as it was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.shapes import make_model
from tests.methods.learner import save_learner
from training.engine.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    {
        "id": str(n),
        "question": "which" + " a" * n,
        "reference_answer": "2",
        "completions": [{"id": f"t{n}", "thought": "add", "answer": "2"}],
    }
    for n in range(3)
]
DRAWING = {"rounds": 2, "group_size": 4, "max_completion_tokens": 4, "groups_per_step": 3}
SHORT = {"epochs": 2, "groups_per_step": 3}


@pytest.fixture(scope="module")
def learner(tmp_path_factory) -> Path:
    return save_learner(tmp_path_factory.mktemp("learner"), "llama")


@pytest.fixture
def model(learner, tmp_path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(learner, tmp_path / "model"))


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "run"
    made.mkdir()
    return made


def write(folder: Path, model: Path, method: str, config: dict, rows: list[dict]) -> Path:
    (folder / "dataset.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = {"kind": "train", "method": method, "model": str(model), "config": config}
    (folder / "run.json").write_text(json.dumps(job))
    return folder / "run.json"


def refused(
    capfd: Any,
    folder: Path,
    model: Path,
    method: str = "sft",
    config: dict | None = None,
    rows: list[dict] = ROWS,
) -> str:
    """The sentence. Nothing but run.json, the dataset and the refusal is in the folder."""
    told = said(capfd, write(folder, model, method, config or {}, rows))
    assert sorted(path.name for path in folder.iterdir()) == [
        "dataset.jsonl",
        "result.json",
        "run.json",
    ]
    return told


def said(capfd: Any, run: Path) -> str:
    capfd.readouterr()
    assert main([str(run)]) == 2
    told = capfd.readouterr().err.strip()
    assert "\n" not in told
    assert json.loads((run.parent / "result.json").read_text()) == {"error": told}
    assert len(told) < 400
    return told


# --- Settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "config", "expected"),
    [
        ("sft", {"learning_rte": 1e-5}, "config: learning_rte is not a known setting."),
        ("sft", {"learning_rate": float("nan")}, "config: learning_rate: Input should be a finite"),
        ("sft", {"max_grad_norm": float("inf")}, "config: max_grad_norm: Input should be a finite"),
        ("grpo", {"rewards": {"answer_correct": float("nan")}}, "rewards.answer_correct: Input"),
        ("grpo", {"group_size": 1}, "config: group_size: Input should be greater than or equal"),
        ("step_by_step", {"alpha": -1}, "config: alpha: Input should be greater than or equal"),
        (
            "combined",
            {"consistency": float("inf")},
            "config: consistency: Input should be a finite",
        ),
    ],
)
def test_a_setting_without_sense_is_named(capfd, folder, learner, method, config, expected):
    assert expected in refused(capfd, folder, learner, method, config)


@pytest.mark.parametrize("kind", ["generate", "evaluate"])
def test_settings_of_other_jobs_are_finite_too(capfd, folder, learner, kind):
    run = write(folder, learner, "sft", {}, ROWS)
    warm = {"temperatures": [float("nan")]} if kind == "generate" else {"temperature": float("nan")}
    run.write_text(json.dumps({"kind": kind, "model": str(learner), "config": warm}))
    assert "temperature" in (told := said(capfd, run))
    assert "finite number" in told


# --- Columns --------------------------------------------------------------------------------------


def test_a_method_that_lacks_its_rationales_says_so(capfd, folder, learner):
    bare = [{**row, "completions": []} for row in ROWS]
    told = refused(capfd, folder, learner, "sft", rows=bare)
    assert told == (
        "The dataset holds nothing to train on (question without a usable rationale: 3)."
    )


def test_stored_samples_without_rankings_or_scores_cannot_be_compared(capfd, folder, learner):
    samples = [
        {"id": f"s{i}", "role": "student", "thought": "add", "answer": str(i)} for i in range(2)
    ]
    rows = [{**row, "reference_answer": "", "completions": samples} for row in ROWS]
    config = {"source": "dataset", "condition": "question"}
    told = refused(capfd, folder, learner, "cotd_po", config, rows)
    assert "fewer than two rated student completions: 3" in told


def test_a_thought_to_answer_after_has_to_be_there(capfd, folder, learner):
    bare = [{**row, "completions": []} for row in ROWS]
    told = refused(capfd, folder, learner, "cotd_po", DRAWING, bare)
    assert "question without a teacher's thought: 3" in told


@pytest.mark.parametrize("rows", [[], [{**ROWS[0], "split": "test"}]])
def test_a_dataset_without_a_group_is_refused(capfd, folder, learner, rows):
    told = refused(capfd, folder, learner, rows=rows)
    assert "has no questions" in told or "nothing to train on" in told


# --- Models ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen2"])
def test_a_model_without_a_tokenizer_is_refused(capfd, folder, tmp_path, family):
    model = save_learner(tmp_path / "model", family)
    for path in model.glob("tokenizer*"):
        path.unlink()
    assert "has no tokenizer" in refused(capfd, folder, model)


def test_pickled_weights_are_refused_unread(capfd, folder, model):
    torch.save(make_model("llama").state_dict(), model / "pytorch_model.bin")
    assert "has pickled weights, which can run code" in refused(capfd, folder, model)


def test_weights_that_were_cut_off_are_refused(capfd, folder, model):
    (model / "model.safetensors").write_bytes(b"cut")
    assert "cannot be loaded: Error while deserializing header" in refused(capfd, folder, model)


def test_a_model_that_is_not_there_is_refused(capfd, folder, tmp_path):
    assert "There is no model folder" in refused(capfd, folder, tmp_path / "none")


def test_a_tokenizer_without_an_end_is_refused(capfd, folder, model):
    settings = json.loads((model / "tokenizer_config.json").read_text())
    settings["eos_token"] = None
    (model / "tokenizer_config.json").write_text(json.dumps(settings))
    assert "no end-of-sequence token" in refused(capfd, folder, model)


def test_a_tokenizer_of_another_model_is_refused(capfd, folder, model):
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "vocab_size": 5}))
    assert "this tokenizer is not the model's" in refused(capfd, folder, model)


def word_level(model: Path) -> None:
    """A tokenizer that transformers reads as one without a word, as the model is a Qwen2."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = Tokenizer(models.WordLevel({"<eos>": 0, "which": 1, "<unk>": 2}, "<unk>"))
    pieces.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=pieces, eos_token="<eos>").save_pretrained(model)


def test_a_prompt_without_a_token_is_refused(capfd, folder, tmp_path):
    model = save_learner(tmp_path / "model", "qwen2")
    word_level(model)
    told = refused(capfd, folder, model)
    assert told.startswith("The tokenizer reads nothing in the prompt of question 0;")


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize(
    ("method", "thought", "question", "expected"),
    [
        ("sft", "a" * 60, "which", "has 74 tokens with its longest completion"),
        ("grpo", "a", "w" * 70, "has 72 tokens with its longest completion"),
    ],
)
def test_what_the_model_has_no_positions_for_is_refused(
    capfd, folder, tmp_path, family, method, thought, question, expected
):
    model = save_learner(tmp_path / "model", family)  # of 64 positions
    rows = [
        {
            **ROWS[0],
            "question": question,
            "completions": [{"id": "t", "thought": thought, "answer": "2"}],
        }
    ]
    told = refused(capfd, folder, model, method, rows=rows)
    assert expected in told
    assert "the model has positions for 64; lower max_prompt_tokens or" in told
    left_out = {"max_prompt_tokens": 20, "max_completion_tokens": 40}
    assert "nothing to train on" in refused(capfd, folder, model, method, left_out, rows)


@pytest.mark.parametrize("kind", ["generate", "evaluate"])
def test_a_prompt_that_leaves_no_position_for_an_answer_is_refused(capfd, folder, tmp_path, kind):
    model = save_learner(tmp_path / "model", "gpt2")
    write(folder, model, "sft", {}, [ROWS[0], {**ROWS[1], "question": "w" * 70}])
    run = folder / "run.json"
    run.write_text(json.dumps({"kind": kind, "model": str(model), "config": {}}))
    told = said(capfd, run)
    assert told.startswith("The prompt of question 1 has 71 tokens, and the model has positions")


# --- Checkpoints ----------------------------------------------------------------------------------


def trained(folder: Path, model: Path) -> Path:
    """The folder of a run's last checkpoint."""
    assert main([str(write(folder, model, "sft", SHORT, ROWS))]) == 0
    return folder / json.loads((folder / "result.json").read_text())["checkpoint"]


def spoil(path: Path) -> None:
    """One bit of the last byte."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_damaged_checkpoint_is_not_gone_on_from(capfd, folder, learner):
    checkpoint = trained(folder, learner)
    spoil(checkpoint / "optimizer.safetensors")
    before = sorted(path.name for path in folder.rglob("*"))
    told = said(capfd, folder / "run.json")
    assert "checkpoints/step-000002 is damaged: optimizer.safetensors does not have" in told
    assert sorted(path.name for path in folder.rglob("*")) == before


def test_without_the_damaged_folder_the_run_goes_on(folder, learner):
    checkpoint = trained(folder, learner)
    whole = (checkpoint / "manifest.json").read_bytes()
    shutil.rmtree(checkpoint)
    assert main([str(folder / "run.json")]) == 0
    assert (checkpoint / "manifest.json").read_bytes() == whole


def test_a_damaged_checkpoint_is_no_model(capfd, folder, tmp_path, learner):
    (tmp_path / "first").mkdir()
    checkpoint = trained(tmp_path / "first", learner)
    spoil(checkpoint / "model.safetensors")
    assert "model.safetensors does not have the hash" in refused(capfd, folder, checkpoint)


# --- Rewards --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "config"),
    [("grpo", {}), ("cotd_po", {"condition": "question", "ties": "skip"})],
)
def test_a_run_whose_rewards_are_all_equal_says_that_nothing_was_learned(
    capfd, folder, learner, method, config
):
    rows = [{**row, "reference_answer": "7" * 9} for row in ROWS]  # longer than any completion
    told = said(capfd, write(folder, learner, method, {**DRAWING, **config}, rows))
    assert told.startswith("Nothing was learned in")
    assert "its rewards are all equal or missing" in told
    assert not (folder / "checkpoints").exists()


def test_a_run_without_any_reward_says_that_nothing_was_learned(capfd, folder, learner):
    rows = [{**row, "reference_answer": ""} for row in ROWS]
    told = said(capfd, write(folder, learner, "grpo", DRAWING, rows))
    assert told.startswith("Nothing was learned in")


# --- The folder -----------------------------------------------------------------------------------


def test_a_mended_job_may_have_the_folder(capfd, folder, learner, tmp_path):
    refused(capfd, folder, tmp_path / "none")
    assert main([str(write(folder, learner, "sft", SHORT, ROWS))]) == 0


def test_the_command_itself_exits_with_2_and_its_last_line_says_why(folder, model):
    for path in model.glob("tokenizer*"):
        path.unlink()
    run = write(folder, model, "sft", {}, ROWS)
    ended = subprocess.run(
        [sys.executable, "-m", "training.engine", str(run)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    sentence = json.loads((folder / "result.json").read_text())["error"]
    assert ended.stderr.strip().splitlines()[-1] == sentence
