"""What was drawn is what is trained on: the same tokens, the log-probabilities of the model that
drew them, and, where the settings say so, that model as the one to be held to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine.test_bad_jobs import ROWS
from tests.methods.learner import save_learner, train
from training.decoding.prompts import Renderer
from training.decoding.record import Question
from training.engine.files import read_rows
from training.engine.model import end_ids, load_model
from training.engine.rounds import Rounds
from training.engine.stop import Stop
from training.methods import grpo

DRAWN = {
    "rounds": 2, "group_size": 4, "groups_per_step": 3, "max_completion_tokens": 5,
    "questions_per_round": 0, "learning_rate": 1e-2, "temperature": 0.7, "beta": 0.1,
    "rewards": {"length": 1.0}, "mask_truncated": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def learner(tmp_path_factory) -> Path:
    return save_learner(tmp_path_factory.mktemp("learner"), "gpt2")


def drawn_rounds(folder: Path, learner: Path, **settings: Any) -> Rounds:
    """The first round of an untrained model, whose texts are noise, drawn."""
    model, tokenizer = load_model(str(learner), folder, seed=1)
    config = grpo.Config(**{**DRAWN, **settings})
    questions = [Question.model_validate(row) for row in ROWS]
    ends = end_ids(model, tokenizer)
    rounds = Rounds(folder, 0, grpo, config, Renderer(tokenizer), questions, ends)
    rounds.open(0, model, Stop())
    return rounds


def test_tokens_are_trained_on_as_they_were_drawn_and_no_end_is_invented(tmp_path, learner):
    rounds = drawn_rounds(tmp_path, learner)
    rows = list(read_rows(tmp_path / "samples.jsonl"))
    groups = {(g.question, n): ids for g in rounds.groups for n, ids in enumerate(g.completions)}
    assert len(groups) == len(rows) == 12
    retold = 0
    for row in rows:
        ids = groups[row["question"], row["index"]]
        assert ids == row["token_ids"]
        assert (row["finish_reason"] == "stop") == (ids[-1] in rounds.ends)
        assert len(row["logprobs"]) == len(ids) <= 5
        retold += rounds.text.thought(row["text"])[: len(ids)] != ids
    assert retold  # the text alone would give other tokens
    assert any(row["finish_reason"] == "length" for row in rows)


def test_a_sample_says_how_it_was_drawn(tmp_path, learner):
    drawn_rounds(tmp_path, learner)
    for row in read_rows(tmp_path / "samples.jsonl"):
        assert row["sampling"] == {"temperature": 0.7, "top_p": 1.0, "max_new_tokens": 5}
        assert row["seed"] >= 0
        assert row["prompt"].endswith("\n")


def test_a_round_can_be_held_to_the_model_that_drew_it(tmp_path, learner):
    for group in drawn_rounds(tmp_path, learner, reference="round").groups:
        assert group.ref_logprobs == group.old_logprobs
        assert group.ref_logprobs is not None


@pytest.mark.parametrize("settings", [{}, {"precision": "bf16"}, {"gradient_checkpointing": True}])
def test_what_was_recorded_is_what_training_computes(tmp_path, learner, settings):
    """So at the first step no ratio has moved, and nothing is far from the start."""
    first = train(tmp_path / "run", learner, "grpo", ROWS, **{**DRAWN, **settings})[0]
    close = 0.02 if "precision" in settings else 1e-5
    assert first["logprob_gap"] <= close
    assert first["ratio"] == pytest.approx(1, abs=close)
    assert first["kl"] == pytest.approx(0, abs=close)


@pytest.mark.parametrize("reference", ["start", "round"])
def test_after_a_step_the_two_references_are_two(tmp_path, learner, reference):
    settings = {**DRAWN, "reference": reference}
    first, second = train(tmp_path / "run", learner, "grpo", ROWS, **settings)
    assert first["kl"] == pytest.approx(0, abs=1e-5)
    if reference == "round":
        assert second["kl"] == pytest.approx(0, abs=1e-5)
    else:
        assert second["kl"] > 1e-4


@pytest.mark.parametrize("reference", ["start", "round"])
def test_stored_completions_are_held_to_the_start(tmp_path, learner, reference):
    samples = [
        {"id": f"s{n}", "role": "student", "thought": "add", "answer": str(n)} for n in range(3)
    ]
    rows = [{**row, "completions": samples} for row in ROWS]
    settings = {"source": "dataset", "condition": "question", "beta": 0.5, "epochs": 2}
    settings |= {"reference": reference, "learning_rate": 1e-2, "schedule": "constant"}
    first, second = train(tmp_path / "run", learner, "cotd_po", rows, **settings)
    assert first["kl"] == pytest.approx(0, abs=1e-5)
    assert second["kl"] > 1e-4
