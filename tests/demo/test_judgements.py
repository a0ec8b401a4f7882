"""What a demo judge learns from: every judgement is right, and what it reads fits the model."""

from __future__ import annotations

import random

from training.decoding.verdicts import Said, read
from training.demo.annotator import grade
from training.demo.derivations import steps_hold
from training.demo.judgements import PLAN, RATINGS, example, judged, steps_again
from training.demo.problems import make_problems
from training.demo.tokenizer import LONGEST

PROBLEMS = make_problems(300, seed=31)


def test_a_judgement_by_hand():
    problem = PROBLEMS[0]
    right = judged(problem, problem.derivations[0], str(problem.answer))
    assert right.rating == 10
    assert right.thought.endswith(f"{problem.answer} {problem.answer} ok")
    assert "no" not in right.thought.split()
    wrong = judged(problem, "8 + 3 = 12\n12 - 2 = 10", str(problem.answer + 1))
    assert wrong.rating == 1
    assert "8 + 3 = 11 12 no\n12 - 2 = 10 10 ok" in wrong.thought
    assert judged(problem, "8 + 3 = 12", str(problem.answer)).rating == 7
    assert judged(problem, "8 + 3 = 11", str(problem.answer + 1)).rating == 4


def test_a_step_that_comes_to_no_whole_number_is_no_step():
    assert steps_again("7 / 2 = 3") == ["7 / 2 = ? 3 no"]
    assert steps_again("7 / 0 = 3") == ["7 / 0 = ? 3 no"]


def test_the_rating_follows_from_the_comparisons_and_is_the_annotators_grade():
    rng = random.Random(1)
    seen = set()
    for problem in PROBLEMS:
        one = example(problem, rng)
        said = one.asked.partition("Rationale:\n")[2].rpartition("\nCheck")[0]
        assert one.rating == RATINGS[grade(str(problem.answer), said)]
        *_, compared = one.thought.split("\n")
        steps_are_right = all(steps_hold(said))
        assert compared.endswith("ok") == (one.rating in (7, 10))
        assert steps_are_right == (one.rating in (4, 10))
        seen.add(one.rating)
    assert seen == set(RATINGS)


def test_what_it_reads_and_says_fits_and_is_a_verdict():
    rng = random.Random(2)
    for problem in PROBLEMS:
        one = example(problem, rng)
        reply = f"{one.thought}\n#### {one.rating}"
        assert len(one.asked) + 1 + len(reply) + 1 <= LONGEST
        assert read(PLAN, reply) == Said(rating=one.rating)
