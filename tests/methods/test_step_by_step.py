"""Distilling step-by-step: two means of their own, and what each task asks for and is told."""

from __future__ import annotations

import json

import pytest

from tests.engine.shapes import FAMILIES
from tests.methods.learner import save_learner, train
from tests.methods.renderer import Words
from tests.methods.tiny import (
    loss_of,
    make_group,
    make_logprobs,
    random_numbers,
    splits,
    summed_over,
)
from training.decoding.record import Question
from training.engine.__main__ import main
from training.methods import step_by_step
from training.methods.base import Group, Skipped
from training.methods.step_by_step import Config


def label(*lengths: int) -> Group:
    return make_group(lengths, answer_from=[0] * len(lengths))


def rationale(*lengths: int) -> Group:
    return make_group(lengths, answer_from=list(lengths))


# --- The loss -------------------------------------------------------------------------------------


def test_each_task_is_the_mean_over_its_own_tokens():
    groups = [label(2), rationale(1, 3)]
    numbers = [[[-1.0, -2.0]], [[-4.0], [-5.0, -6.0, -9.0]]]
    loss, shares = loss_of(step_by_step, groups, make_logprobs(numbers), Config(alpha=0.25))
    assert float(shares["label"]) == pytest.approx((1 + 2) / 2)
    assert float(shares["rationale"]) == pytest.approx((4 + 5 + 6 + 9) / 4)
    assert loss.item() == pytest.approx(0.25 * 1.5 + 0.75 * 6)


def test_a_long_rationale_takes_no_weight_from_the_labels():
    def pull_on_label(length: int) -> float:
        logprobs = make_logprobs([[[-1.0]], [[-1.0] * length]])
        loss, _ = loss_of(step_by_step, [label(1), rationale(length)], logprobs, Config())
        loss.backward()
        return logprobs.completion.grad[0, 0, 0].item()

    assert pull_on_label(2) == pull_on_label(200) == pytest.approx(-0.5)


@pytest.mark.parametrize("parts", splits(3))
def test_shares_of_a_step_add_up_however_it_is_split(parts):
    groups = [label(2), rationale(5, 3), label(1)]
    numbers = random_numbers(groups)
    means = [
        sum(sum(row) for group in task for row in group) / sum(len(r) for g in task for r in g)
        for task in ([numbers[0], numbers[2]], [numbers[1]])
    ]
    totals = summed_over(step_by_step, groups, numbers, parts, Config(alpha=0.3))
    assert totals["label"] == pytest.approx(-means[0])
    assert totals["rationale"] == pytest.approx(-means[1])
    assert totals["loss"] == pytest.approx(-0.3 * means[0] - 0.7 * means[1])


def test_a_step_of_one_task_alone_has_its_share_and_no_more():
    loss, _ = loss_of(step_by_step, [label(2)], make_logprobs([[[-1.0, -3.0]]]), Config())
    assert loss.item() == pytest.approx(0.5 * 2)


def test_a_task_without_weight_is_not_forwarded():
    assert not step_by_step.trainable(rationale(3), Config(alpha=1))
    assert not step_by_step.trainable(label(3), Config(alpha=0))
    assert step_by_step.trainable(label(3), Config())
    assert step_by_step.trainable(rationale(3), Config())


# --- Where groups come from -----------------------------------------------------------------------


def asked(*completions: dict, **fields) -> Question:
    numbered = [{"id": str(n), **each} for n, each in enumerate(completions)]
    fields = {"reference_answer": "4", **fields}
    return Question(id="1", question="two and two", completions=numbered, **fields)


def made(question: Question, **settings):
    skipped = Skipped()
    return step_by_step.groups(question, Config(**settings), Words(), skipped), skipped


def test_a_question_is_asked_twice_and_never_for_both_at_once():
    (first, second), skipped = made(asked({"thought": "I count", "answer": "4"}))
    assert first.prompt == Words().for_task("label").prompt("two and two")
    assert second.prompt == Words().for_task("rationale").prompt("two and two")
    assert first.prompt != second.prompt != Words().prompt("two and two")
    assert first.completions == [Words().answer("4")]
    assert second.completions == [Words().rationale("I count")]
    assert not skipped


def test_all_rationales_are_explanations_of_one_label():
    question = asked({"thought": "a", "answer": "4"}, {"thought": "b", "answer": "5"})
    first, second = made(question)[0]
    assert first.completions == [Words().answer("4")]
    assert len(second.completions) == 2


def test_labels_may_come_from_the_rationales():
    question = asked(
        {"thought": "a", "answer": "4"},
        {"thought": "b", "answer": "4"},
        {"thought": "c", "answer": "5"},
        reference_answer="",
    )
    first, _ = made(question, labels="rationales")[0]
    assert first.completions == [Words().answer("4"), Words().answer("5")]
    (only,), skipped = made(question)
    assert only.completions[0] == Words().rationale("a")
    assert skipped["question without a usable label"] == 1


def test_a_label_needs_no_rationale():
    (only,), skipped = made(asked())
    assert only.completions == [Words().answer("4")]
    assert skipped["question without a usable rationale"] == 1


def test_only_the_best_ranked_rationale_on_request():
    texts = [{"thought": "worse", "answer": "4"}, {"thought": "better", "answer": "4"}]
    rankings = [{"judge": "person-1", "ranks": {"0": 2, "1": 1}}]
    _, second = made(asked(*texts, rankings=rankings), rationales="best")[0]
    assert second.completions == [Words().rationale("better")]


# --- How a task is asked for ----------------------------------------------------------------------


class Chat:
    """A tokenizer with a template: a turn is a line."""

    chat_template = "yes"
    eos_token_id = 0

    def apply_chat_template(self, turns, tokenize, add_generation_prompt):
        return "".join(f"<{turn['role']}> {turn['content']}" for turn in turns) + "<assistant>"


def test_a_chat_model_is_asked_in_a_users_turn():
    from training.decoding.prompts import INSTRUCTION, Renderer

    plain = Renderer(Chat(), "Be brief.")
    label = plain.for_task("label").prompt_text("two and two")
    assert label.startswith("<system> Be brief.<user> predict: two and two\n\nReply with one line")
    assert INSTRUCTION not in label
    assert INSTRUCTION in plain.prompt_text("two and two")
    assert "predict" not in plain.prompt_text("two and two")


# --- In the engine --------------------------------------------------------------------------------

ROWS = [
    {
        "id": str(n),
        "question": "which" + " a" * n,
        "reference_answer": str(n),
        "completions": [{"id": f"t{n}", "thought": "add" + " 1" * n, "answer": str(n)}],
    }
    for n in range(4)
]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_student_learns_both_tasks_and_is_asked_for_the_label(tmp_path, family):
    model = save_learner(tmp_path / "model", family)
    settings = {"learning_rate": 0.01, "schedule": "constant", "epochs": 40, "groups_per_step": 8}
    asking = {"probe_every": 40, "max_completion_tokens": 16}
    found = train(tmp_path / "run", model, "step_by_step", ROWS, **settings, **asking)
    first, last = found[0], found[-1]
    assert last["label"] < first["label"] / 3
    assert last["rationale"] < first["rationale"] / 3
    assert last["probe_accuracy"] >= 0.75
    probes = (tmp_path / "run" / "probes.jsonl").read_text()
    asked = [json.loads(row) for row in probes.splitlines()]
    assert all(row["thought"] == "" for row in asked if row["step"] == last["step"])


def test_an_evaluation_asks_for_the_label_on_request(tmp_path):
    model = save_learner(tmp_path / "model", "llama")
    settings = {"learning_rate": 0.01, "schedule": "constant", "epochs": 40, "groups_per_step": 8}
    train(tmp_path / "run", model, "step_by_step", ROWS, **settings)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    trained = tmp_path / "run" / result["checkpoint"]

    def answered(ask_for: str) -> dict:
        folder = tmp_path / ask_for
        folder.mkdir()
        (folder / "dataset.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        config = {"ask_for": ask_for, "samples_per_question": 0, "max_new_tokens": 16}
        job = {"kind": "evaluate", "model": str(trained), "config": config}
        (folder / "run.json").write_text(json.dumps(job))
        assert main([str(folder / "run.json")]) == 0
        return json.loads((folder / "result.json").read_text())["summary"]

    label, whole = answered("label"), answered("rationale")
    assert label["accuracy"] >= 0.75
    assert label["completion_tokens"] == 7  # the answer line and the end
    assert whole["accuracy"] < label["accuracy"] or whole["completion_tokens"] > 7
