"""An evaluation's figures, from rows worked out by hand and from the demo's own models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.demo.problems import demo_problems
from training.engine.__main__ import main
from training.engine.evaluate import accuracy, diversity, form
from training.engine.files import read_rows
from training.measures.intervals import wilson
from training.reports.comparison import MEASURES

DEMO = Path(__file__).resolve().parents[2] / "training" / "demo"


def row(question: str, index: int, correct: bool | None, thought: str = "1 + 1 = 2", **more: Any):
    facts = {"parsed": True, "token_count": 9, "finish_reason": "stop", "answer": "2"}
    return {"question": question, "index": index, "correct": correct, "thought": thought} | (
        facts | more
    )


def test_accuracy_counts_questions_that_have_an_answer():
    greedy = [row("1", 0, True), row("2", 0, False), row("3", 0, None)]
    groups = [[row("1", 1, True), row("1", 2, True)], [row("2", 1, False), row("2", 2, True)]]
    found = accuracy(greedy, groups, seed=0)
    assert found["accuracy"] == 0.5
    assert (found["accuracy_low"], found["accuracy_high"]) == wilson(1, 2)
    assert found["sampled_accuracy"] == 0.75
    assert found["sampled_accuracy_low"] <= 0.75 <= found["sampled_accuracy_high"]
    assert accuracy([row("3", 0, None)], [], seed=0)["accuracy"] is None


def test_form_tells_of_chains_limits_and_lengths():
    greedy = [
        row("1", 0, True),
        row("2", 0, False, "1 + 1 = 3"),
        row("3", 0, False, "I guess", parsed=False, finish_reason="length", token_count=3),
    ]
    found = form(greedy, [*greedy, row("1", 1, True)])
    assert found["valid_chain_share"] == pytest.approx(1 / 3)
    assert found["parsed_share"] == pytest.approx(2 / 3)
    assert found["truncated_share"] == 0.25
    assert found["completion_tokens"] == 7


def test_derivations_count_right_samples_alone():
    groups = [
        [row("1", 1, True), row("1", 2, True, "2 * 1 = 2"), row("1", 3, False, "4 - 2 = 2")],
        [row("2", 1, False), row("2", 2, False), row("2", 3, False)],
    ]
    found = diversity(groups)
    assert found["distinct_derivations"] == 1.0  # two and none
    assert 1.0 <= found["vendi"] <= 3.0


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory) -> dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The demo's student and teacher on thirty questions: result and items."""
    found = {}
    for name in ("student", "teacher"):
        folder = tmp_path_factory.mktemp(name)
        rows = [
            {
                "id": str(number),
                "question": problem.question,
                "reference_answer": str(problem.answer),
                "completions": [
                    {"id": "r", "thought": problem.derivations[0], "answer": str(problem.answer)}
                ],
            }
            for number, problem in enumerate(demo_problems(30))
        ]
        (folder / "dataset.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        config = {"samples_per_question": 2, "max_new_tokens": 100}
        job = {"kind": "evaluate", "config": config, "model": str(DEMO / name)}
        (folder / "run.json").write_text(json.dumps(job))
        assert main([str(folder / "run.json")]) == 0
        result = json.loads((folder / "result.json").read_text())
        found[name] = result, list(read_rows(folder / "items.jsonl"))
    return found


def test_every_measure_of_the_page_is_in_the_summary(evaluated):
    for result, _ in evaluated.values():
        for measure in MEASURES:
            for key in filter(None, (measure.key, measure.low, measure.high, measure.baseline)):
                assert result["summary"][key] is not None, key


def test_the_teacher_is_better_than_the_student_and_both_are_what_they_were_made(evaluated):
    student, teacher = (evaluated[name][0]["summary"] for name in ("student", "teacher"))
    assert teacher["accuracy"] >= 0.9
    assert 0.55 <= student["accuracy"] <= 0.95
    assert student["sampled_accuracy"] < student["accuracy"]
    assert teacher["similarity"] > teacher["similarity_shuffled"]
    assert teacher["length_ratio"] == pytest.approx(1.0, abs=0.25)


def test_every_answer_behind_the_figures_is_kept(evaluated):
    result, items = evaluated["student"]
    assert len(items) == 30 * 3
    greedy = [item["correct"] for item in items if item["index"] == 0]
    assert sum(greedy) / 30 == result["summary"]["accuracy"]
    assert {item["finish_reason"] for item in items} <= {"stop", "length"}
    assert result["embedding"] == "all-MiniLM-L6-v2"
