"""Rounds: their sizes are known before the first is drawn, and no prompt is there twice."""

from __future__ import annotations

from pathlib import Path

from tests.methods.renderer import Words
from training.decoding.record import Question
from training.engine.rounds import Rounds
from training.engine.stop import Stop
from training.methods import cotd_po, grpo

TEACHER = {"id": "t", "role": "teacher", "thought": "two and two", "answer": "4"}
ANSWERS = [
    {"id": "a", "role": "student", "answer": "4", "conditioned_on": "t"},
    {"id": "b", "role": "student", "answer": "5", "conditioned_on": "t"},
]
LINES = [
    {"id": "1-t", "thought": "two and two", "conditioned_on": "t", "completions": ANSWERS},
    {"id": "1", "completions": [TEACHER]},
]


def rounds_of(method, folder: Path, **settings) -> Rounds:
    questions = [Question(question="what is it", reference_answer="4", **line) for line in LINES]
    return Rounds(folder, 0, method, method.Config(**settings), Words(), questions, [0])


def test_a_question_with_two_lines_is_asked_once(tmp_path):
    assert [p.question for p in rounds_of(grpo, tmp_path).prompts] == ["1"]
    assert [p.question for p in rounds_of(cotd_po, tmp_path).prompts] == ["1"]
    (prompt,) = rounds_of(cotd_po, tmp_path, condition="question").prompts
    assert len(prompt.anchors) == 1  # of the line that holds the teacher's rationale


def test_a_first_round_from_the_dataset_is_weighed_and_not_drawn(tmp_path):
    rounds = rounds_of(cotd_po, tmp_path, source="dataset_first", rounds=3)
    assert rounds.sizes() == [1, 1, 1]
    rounds.open(0, None, Stop())
    (group,) = rounds.groups
    assert group.rewards == [1.0, 0.0]
    assert group.weights[0] > 0.9
    assert not (tmp_path / "samples.jsonl").exists()
