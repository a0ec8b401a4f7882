"""Several rewards together: negative weights, and faults that are counted and never zero."""

from __future__ import annotations

import json
import sys
from collections import Counter
from math import inf, nan
from pathlib import Path

import pytest

from tests.methods.tiny import make_group
from training.decoding.record import Completion, Question
from training.demo.problems import demo_problems
from training.engine.__main__ import main
from training.methods.base import group_facts
from training.rewards import known_of_stored_only, reward_functions
from training.rewards.compose import Scored, combined, fault_counts, scored, valued
from training.rewards.from_dataset import stored_rewards
from training.rewards.sample import Sample

ASKED = Question(id="1", question="What is 8 + 3?", reference_answer="11")


def raises(question: Question, sample: Sample) -> float:
    raise ZeroDivisionError


def never_ends(question: Question, sample: Sample) -> float:
    raise TimeoutError


@pytest.mark.parametrize(
    ("reward", "found"),
    [
        (lambda question, sample: 0.0, (0.0, None)),
        (lambda question, sample: None, (None, "missing")),
        (lambda question, sample: nan, (None, "not_finite")),
        (lambda question, sample: -inf, (None, "not_finite")),
        (lambda question, sample: "ten", (None, "errors")),
        (raises, (None, "errors")),
        (never_ends, (None, "timeouts")),
    ],
)
@pytest.mark.filterwarnings("ignore:The reward")
def test_a_reward_has_a_value_or_a_fault(reward, found):
    assert valued(reward, ASKED, Sample()) == found


@pytest.mark.filterwarnings("default")
def test_where_a_reward_raised_is_told_once(recwarn):
    for _ in range(3):
        valued(raises, ASKED, Sample())
    (told,) = recwarn
    assert "The reward raises raised ZeroDivisionError at" in str(told.message)
    assert "test_compose.py" in str(told.message)


def test_every_named_reward_is_asked_and_a_fault_takes_the_sample_out():
    weights = {"answer_correct": 1.0, "valid_steps": 0.5}
    whole = scored(ASKED, Sample("8 + 3 = 11", "11"), weights)
    stepless = scored(ASKED, Sample("I know it.", "11"), weights)
    assert whole == Scored({"answer_correct": 1.0, "valid_steps": 1.0}, {})
    assert stepless.values == {"answer_correct": 1.0, "valid_steps": None}
    assert stepless.faults == {"valid_steps": "missing"}
    rewards, present = combined([whole.values, stepless.values], weights)
    assert (rewards[0], present) == (1.5, [True, False])


def test_a_cost_has_a_negative_weight():
    weights = {"answer_correct": 1.0, "length": -0.5}
    short, long = (Sample("", "11", tokens=n, limit=100) for n in (10, 90))
    values = [scored(ASKED, one, weights).values for one in (short, long)]
    assert combined(values, weights)[0] == pytest.approx([0.95, 0.55])


def test_an_unknown_reward_is_an_error_and_not_a_fault():
    with pytest.raises(KeyError):
        scored(ASKED, Sample(), {"beauty": 1.0})


def test_the_log_counts_faults_by_kind_and_by_name():
    fine = Scored({"a": 1.0, "b": 0.5})
    late = Scored({"a": 0.0, "b": None}, {"b": "timeouts"})
    lost = Scored({"a": None, "b": None}, {"a": "errors", "b": "errors"})
    groups = [
        make_group([1, 1, 1], scored=[fine, fine, late]),
        make_group([1, 1], scored=[fine, lost]),
    ]
    facts = group_facts(groups, groups)
    assert facts["groups_unscored"] == 1  # the second has one left
    assert (facts["reward_timeouts"], facts["b_timeouts"]) == (1, 1)
    assert (facts["reward_errors"], facts["a_errors"], facts["b_errors"]) == (1, 1, 1)
    assert (facts["a_mean"], facts["b_mean"]) == (0.75, 0.5)


def test_what_went_well_says_nothing():
    groups = [make_group([1, 1], scored=[Scored({"a": 1.0}), Scored({"a": 0.0})])]
    assert not [name for name in group_facts(groups, groups) if name.startswith(("reward_", "a_"))]


def test_faults_are_counted_over_the_rows_of_a_run():
    rows = [{"faults": {"a": "errors"}}, {"faults": {"a": "errors", "b": "missing"}}, {}]
    assert fault_counts(rows) == {"a": {"errors": 2}, "b": {"missing": 1}}


def test_faults_of_stored_completions_are_counted_in_words():
    completions = [Completion(id=n, thought="I know it.", answer=n) for n in ("11", "12")]
    counted = Counter[str]()
    weights = {"valid_steps": 1.0}
    _, present = stored_rewards(ASKED, completions, weights, "rewards", counted=counted)
    assert present == [False, False]
    assert counted == {"reward valid_steps: missing": 2}


def test_judges_ratings_reach_stored_completions_as_their_mean():
    scores = [{"judge_rating@model-1": 8.0, "judge_rating@model-2": 4.0}, {"judge_rating": 3.0}]
    completions = [Completion(id=str(n), answer="11", scores=one) for n, one in enumerate(scores)]
    assert stored_rewards(ASKED, completions, {"judge_rating": 1.0})[0] == [6.0, 3.0]


def test_every_reward_is_pure_and_says_what_it_is():
    assert known_of_stored_only() == {"composed", "judge_rating"}
    for name, reward in reward_functions().items():
        assert reward.__doc__, name
        assert sys.modules[reward.__module__].__doc__, name


def test_the_docs_name_every_reward():
    page = (STUDENT.parents[2] / "docs" / "rewards.md").read_text()
    assert [name for name in reward_functions() if f"| `{name}` |" not in page] == []


# --- In a run -------------------------------------------------------------------------------------

STUDENT = Path(__file__).resolve().parents[2] / "training" / "demo" / "student"


def run(folder, rewards: dict[str, float]) -> int:
    rows = [
        {"id": str(n), "question": problem.question, "reference_answer": str(problem.answer)}
        for n, problem in enumerate(demo_problems(2))
    ]
    job = {
        "kind": "train", "method": "grpo", "model": str(STUDENT),
        "config": {
            "rewards": rewards, "rounds": 1, "group_size": 16, "groups_per_step": 2,
            "max_completion_tokens": 11, "mask_truncated": False,
        },
    }  # fmt: skip
    (folder / "dataset.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "run.json").write_text(json.dumps(job))
    return main([str(folder / "run.json")])


def test_a_run_shows_what_its_rewards_could_not_say(tmp_path):
    assert run(tmp_path, {"length": -0.1, "valid_steps": 1}) == 0
    row = json.loads((tmp_path / "metrics.jsonl").read_text())
    result = json.loads((tmp_path / "result.json").read_text())
    samples = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    without = [one for one in samples if one["faults"]]  # eleven characters are not always a step
    assert 0 < len(without) < len(samples)
    assert all(one["faults"] == {"valid_steps": "missing"} for one in without)
    assert all((one["reward"] is None) == (one in without) for one in samples)
    assert row["reward_missing"] == row["valid_steps_missing"] == len(without)
    assert result["reward_faults"] == {"valid_steps": {"missing": len(without)}}


def test_a_run_that_draws_cannot_be_rewarded_by_what_was_not_rated(tmp_path, capsys):
    assert run(tmp_path, {"judge_rating": 1}) == 2
    assert "'judge_rating' is known of stored completions only" in capsys.readouterr().err


def test_a_run_that_draws_needs_a_reward(tmp_path, capsys):
    assert run(tmp_path, {}) == 2
    assert "No reward is named" in capsys.readouterr().err
