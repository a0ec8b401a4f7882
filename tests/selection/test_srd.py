"""SRD's fused ranks on paper."""

from __future__ import annotations

import pytest

from tests.selection.cast import STUDENT, asked, candidate, ranked, verdicts
from training.selection import selection
from training.selection.record import Candidate
from training.selection.srd import fused, ranks


def read(rouge: float, logprob: float) -> Candidate:
    """A rationale that the student answered this near to, and read with this mean log-prob."""
    scores = {"rationale_rouge_l": rouge, "rationale_logprob": logprob}
    return candidate(scores={f"{name}@{STUDENT}": value for name, value in scores.items()})


def test_ranks_begin_at_one_and_equal_values_share_theirs():
    assert ranks([0.2, 0.9, 0.2, 0.1]) == [2, 1, 2, 4]


def test_the_ranks_are_fused_as_reciprocals():
    first, second, third = read(0.9, -3.0), read(0.5, -1.0), read(0.1, -2.0)
    found = fused([first, second, third], STUDENT)
    assert found[first.id] == pytest.approx(1 / 61 + 1 / 63)
    assert found[second.id] == pytest.approx(1 / 62 + 1 / 61)
    assert found[third.id] == pytest.approx(1 / 63 + 1 / 62)


def test_stages_are_cumulative_over_all_questions():
    easy, middling = read(0.9, -1.0), read(0.8, -2.0)
    hard, hardest = read(0.2, -3.0), read(0.1, -4.0)
    questions = [asked(hard, easy), asked(middling), asked(hardest)]
    kept = [ranked("srd", questions, student=STUDENT, stage=stage) for stage in (1, 2, 3, 4)]
    assert kept == [
        [[False, True], [False], [False]],
        [[False, True], [True], [False]],
        [[True, True], [True], [False]],
        [[True, True], [True], [True]],
    ]


def test_what_the_student_has_not_answered_is_left_out():
    loss_only = candidate(scores={f"rationale_logprob@{STUDENT}": -1.0})
    assert (
        verdicts("srd", asked(loss_only, candidate()), student=STUDENT)
        == ["Not scored by model-9"] * 2
    )


def test_there_is_no_stage_beyond_the_last():
    with pytest.raises(ValueError, match="beyond the last"):
        selection("srd").Config(stage=5)
