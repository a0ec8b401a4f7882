"""The demo's problems: what a reader may take for granted about them."""

import random
import re

import pytest

from training.demo.derivations import steps_hold
from training.demo.problems import (
    HABITS,
    LONGEST_QUESTION,
    LONGEST_THOUGHT,
    demo_problems,
    make_problems,
    write_rationale,
)

EQUATION = re.compile(r"^(?:.*: )?(\d+ [-+*/] \d+) = (\d+)$")


@pytest.fixture(scope="module")
def problems():
    return make_problems(400, seed=5)


def test_no_question_comes_twice(problems):
    assert len({problem.question for problem in problems}) == len(problems)


def test_the_same_seed_tells_the_same_stories(problems):
    assert make_problems(50, seed=5) == problems[:50]
    assert make_problems(50, seed=6) != problems[:50]


def test_excluded_questions_do_not_come(problems):
    excluded = {problem.question for problem in problems[:20]}
    again = make_problems(100, seed=5, exclude=excluded)
    assert not excluded & {problem.question for problem in again}


def test_only_so_many_questions_are_kept_for_the_demo():
    with pytest.raises(ValueError, match="2000"):
        demo_problems(2001)


def test_questions_and_thoughts_are_short(problems):
    assert max(len(problem.question) for problem in problems) <= LONGEST_QUESTION
    assert max(len(way) for problem in problems for way in problem.derivations) <= LONGEST_THOUGHT


def test_each_problem_has_several_derivations(problems):
    for problem in problems:
        assert len(set(problem.derivations)) == len(problem.derivations) >= 3
        assert len({equations(way) for way in problem.derivations}) >= 2


def test_every_derivation_is_right_line_by_line_and_ends_in_the_answer(problems):
    for problem in problems:
        for way in problem.derivations:
            lines = [EQUATION.match(line) for line in way.split("\n")]
            assert 2 <= len(lines) <= 4
            assert all(line and eval(line[1]) == int(line[2]) for line in lines)
            assert int(lines[-1][2]) == problem.answer


def test_every_number_comes_from_the_question_or_from_an_earlier_step(problems):
    for problem in problems:
        for way in problem.derivations:
            known = {*re.findall(r"\d+", problem.question), "2"}  # 2: "doubles", "half"
            for line in way.split("\n"):
                sides, result = EQUATION.match(line).groups()
                assert set(re.findall(r"\d+", sides)) <= known
                known.add(result)


def test_a_careful_rationale_is_one_of_the_derivations(problems):
    rng = random.Random(0)
    for problem in problems:
        written = write_rationale(problem, "careful", rng)
        assert written.thought in problem.derivations
        assert written.answer == problem.answer


@pytest.mark.parametrize("habit", [habit for habit in HABITS if habit != "careful"])
def test_a_careless_rationale_is_fluent_and_ends_in_a_wrong_answer(problems, habit):
    rng = random.Random(0)
    wrong = 0
    for problem in problems:
        written = write_rationale(problem, habit, rng)
        assert all(EQUATION.match(line) for line in written.thought.split("\n"))
        assert written.thought.endswith(f"= {written.answer}")
        wrong += written.answer != problem.answer
    assert wrong >= 0.98 * len(problems)


def test_a_misread_operation_is_still_worked_out_correctly(problems):
    rng = random.Random(0)
    for problem in problems:
        assert all(steps_hold(write_rationale(problem, "misread", rng).thought))


def test_a_slip_is_one_wrong_equation(problems):
    rng = random.Random(0)
    for problem in problems:
        thought = write_rationale(problem, "slip", rng).thought
        assert steps_hold(thought).count(False) <= 1


def equations(thought: str) -> str:
    return re.sub(r"^.*: ", "", thought, flags=re.MULTILINE)
