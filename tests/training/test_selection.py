"""Selections: each rationale is kept, or left out for a reason in words."""

from __future__ import annotations

import pytest

from training.selection import selection, selections
from training.selection.record import Asked, Candidate


def asked(*candidates: Candidate) -> Asked:
    return Asked(1, "What is 8 + 3?", "11", "number", "train", list(candidates))


def candidate(**facts) -> Candidate:
    return Candidate(1, "teacher", "model-1", "8 + 3 = 11", "11", **facts)


def verdict(name: str, one: Candidate, **settings) -> str | None:
    chosen = selection(name)
    return chosen.select(asked(one), chosen.Config(**settings))[0]


def test_the_folder_is_the_registry():
    assert list(selections())[:3] == ["everything", "accepted", "best_by_judge"]
    assert {"correct", "morsd", "random_k", "self_consistency", "srd"} < set(selections())
    for module in selections().values():
        assert module.TITLE
        assert module.HELP


def test_an_unknown_selection_is_told_with_those_there_are():
    with pytest.raises(KeyError, match="there are everything, accepted, "):
        selection("best")


def test_everything_keeps_everything():
    assert verdict("everything", candidate(rejects=3, scores={"answer_correct": 0})) is None


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ({"answer_correct": 1.0}, None),
        ({"answer_correct": 0.0}, "Its answer is wrong"),
        ({"answer_correct": None}, "Its answer could not be checked"),
        ({}, "Its answer has not been checked"),
    ],
)
def test_correct_keeps_right_answers(scores, reason):
    assert verdict("correct", candidate(scores=scores)) == reason


def test_correct_can_ask_for_valid_steps():
    half = candidate(scores={"answer_correct": 1.0, "valid_steps": 0.5})
    assert verdict("correct", half, valid_steps=0.5) is None
    assert verdict("correct", half, valid_steps=1) == "Too few of its steps are valid"


@pytest.mark.parametrize(
    ("accepts", "rejects", "rule", "reason"),
    [
        (1, 0, "no_reject", None),
        (0, 0, "no_reject", "Nobody has reviewed it"),
        (2, 1, "no_reject", "A reviewer rejected it"),
        (2, 1, "majority", None),
        (1, 1, "majority", "No majority of reviewers accepted it"),
        (0, 2, "majority", "No majority of reviewers accepted it"),
    ],
)
def test_accepted_keeps_what_reviewers_accepted(accepts, rejects, rule, reason):
    assert verdict("accepted", candidate(accepts=accepts, rejects=rejects), rule=rule) == reason


def test_accepted_can_ask_for_two_accepts():
    assert verdict("accepted", candidate(accepts=1), accepts=2) == "Too few reviewers accepted it"
    assert verdict("accepted", candidate(accepts=2), accepts=2) is None
