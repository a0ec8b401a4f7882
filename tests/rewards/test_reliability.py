"""Judges: who ranks at random is found out, nobody can praise themselves, and islands are seen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import spearmanr

from training.decoding.record import Completion, JudgeRanking, Question
from training.engine.__main__ import main
from training.rewards.from_dataset import ranked_in_parts, stored_rewards
from training.rewards.from_ranking import (
    from_ranking,
    log_posterior,
    plackett_luce,
    separate_parts,
    tied_stages,
)
from training.rewards.reliability import gold_accuracy, reliability, weighed

STUDENT = Path(__file__).resolve().parents[2] / "training" / "demo" / "student"
IDS = list("abcdef")
KEEN = {"keen": 2.0, "good": 1.5, "usual": 1.0}
RANDOM = {"random": 0.0}


def ranked(
    judges: dict[str, float], questions: int, each: int, seed: int = 0
) -> tuple[list[Question], np.ndarray]:
    """Questions ranked by `each` of the judges under the Plackett-Luce model, and the truth."""
    dice = np.random.default_rng(seed)
    truth = dice.normal(size=(questions, len(IDS)))
    made = []
    for n in range(questions):
        rankings = []
        for judge in dice.choice(list(judges), size=each, replace=False):
            order = np.argsort(-(judges[judge] * truth[n] + dice.gumbel(size=len(IDS))))
            ranks = {IDS[place]: rank for rank, place in enumerate(order, 1)}
            rankings.append(JudgeRanking(judge=judge, ranks=ranks))
        completions = [Completion(id=one) for one in IDS]
        made.append(Question(id=str(n), question="?", completions=completions, rankings=rankings))
    return made, truth


def agreement(questions: Sequence[Question], truth: np.ndarray) -> float:
    """Mean Spearman correlation of the rewards with the truth."""
    found = [stored_rewards(one, one.completions, {}, "rankings")[0] for one in questions]
    return float(np.mean([spearmanr(u, v)[0] for u, v in zip(found, truth, strict=True)]))


def test_who_ranks_at_random_counts_for_nothing_and_the_rest_in_their_order():
    found = reliability(ranked({**KEEN, **RANDOM}, questions=200, each=3)[0])
    assert found["random"] < 0.15
    assert found["keen"] > found["good"] > found["usual"] > 0.7


def test_utilities_near_the_truth_as_comparisons_grow():
    curve = [agreement(*ranked(KEEN, questions=60, each=each)) for each in (1, 2, 3)]
    assert curve == sorted(curve)
    assert curve[-1] > curve[0] + 0.08


def test_weighing_the_judges_brings_the_rewards_nearer_to_the_truth():
    questions, truth = ranked({**KEEN, **RANDOM}, questions=150, each=3)
    assert agreement(weighed(questions), truth) > agreement(questions, truth) + 0.03


def test_a_judge_alone_cannot_praise_themselves():
    """Fitted together with the utilities, each would have looked perfect to themselves."""
    questions, _ = ranked({**KEEN, **RANDOM}, questions=60, each=1)
    assert set(reliability(questions).values()) == {1.0}


def test_the_order_of_questions_and_of_judges_does_not_matter():
    questions, _ = ranked({**KEEN, **RANDOM}, questions=40, each=3)
    turned = [
        one.model_copy(update={"rankings": one.rankings[::-1]}) for one in reversed(questions)
    ]
    assert reliability(turned) == pytest.approx(reliability(questions), abs=5e-3)


def test_no_rankings_are_no_trouble():
    bare = Question(id="1", question="?")
    alone = Question(id="2", question="?", rankings=[JudgeRanking(judge="p", ranks={"a": 1})] * 2)
    assert reliability([]) == {}
    assert reliability([bare]) == {}
    assert reliability([bare, alone]) == {"p": 1.0}
    assert weighed([bare]) == [bare]


def test_a_judge_of_weight_zero_is_not_heard():
    sure = JudgeRanking(judge="p", ranks={"a": 1, "b": 2})
    noise = JudgeRanking(judge="q", ranks={"b": 1, "a": 2, "c": 3}, weight=0.0)
    completions = [Completion(id=one) for one in "abc"]
    question = Question(id="1", question="?", completions=completions, rankings=[sure, noise])
    rewards, present = stored_rewards(question, completions, {}, "rankings")
    assert rewards[0] > rewards[1]
    assert present == [True, True, False]


def test_gold_accuracy_is_the_share_of_right_above_wrong_and_never_quite_sure():
    marks = {"a": 1.0, "b": 0.0, "c": 1.0, "d": None}
    completions = [
        Completion(id=one, scores={"answer_correct": mark}) for one, mark in marks.items()
    ]
    rankings = [
        JudgeRanking(judge="sees", ranks={"a": 1, "c": 1, "b": 2, "d": 3}),
        JudgeRanking(judge="ties", ranks={"a": 1, "b": 1}),
        JudgeRanking(judge="errs", ranks={"b": 1, "a": 2, "c": 3}),
        JudgeRanking(judge="elsewhere", ranks={"a": 1, "c": 2, "d": 3}),
    ]
    question = Question(id="1", question="?", completions=completions, rankings=rankings)
    found = gold_accuracy([question])
    assert found == pytest.approx({"sees": 2.5 / 3, "ties": 1 / 2, "errs": 0.5 / 3})


# --- Islands --------------------------------------------------------------------------------------


def test_completions_that_nobody_compared_fall_into_parts():
    assert separate_parts("abcd", [{"a": 1, "b": 2}, {"c": 1, "d": 2}]) == 2
    assert separate_parts("abcd", [{"a": 1, "b": 2}, {"c": 1, "d": 2}, {"b": 1, "c": 1}]) == 1
    assert separate_parts("abcd", [{"a": 1}, {}]) == 0
    assert separate_parts("ab", [{"a": 1, "b": 2}, {"x": 1, "y": 2}]) == 1


def test_between_islands_only_the_prior_speaks_and_it_is_told():
    ranks = [{"a": 1, "b": 2}, {"c": 1, "d": 2}]
    high, low, *others = from_ranking("abcd", ranks)[0]
    assert others == pytest.approx([high, low])  # nothing says that a is better than c
    question = Question(
        id="1",
        question="?",
        completions=[Completion(id=one) for one in "abcd"],
        rankings=[JudgeRanking(judge=str(n), ranks=one) for n, one in enumerate(ranks)],
    )
    assert ranked_in_parts([question, Question(id="2", question="?")]) == 1


# --- The optimum ----------------------------------------------------------------------------------


def test_plackett_luce_is_the_optimum_that_a_general_optimiser_finds():
    rankings = [
        ({"a": 1, "b": 2, "c": 2, "d": 4}, 1.0),
        ({"d": 1, "a": 2}, 0.5),
        ({"b": 1, "c": 2, "e": 3}, 2.0),
        ({"e": 1, "a": 1, "d": 3}, 1.0),
    ]
    ids = list("abcde")
    place = {one: n for n, one in enumerate(ids)}
    stages = [stage for ranks, weight in rankings for stage in tied_stages(ranks, weight, place)]
    theirs = minimize(
        lambda u: -log_posterior(u, stages, 0.1)[0], np.zeros(5), method="BFGS", tol=1e-9
    ).x
    ours = plackett_luce(ids, rankings)
    assert [ours[one] for one in ids] == pytest.approx(list(theirs - theirs.mean()), abs=1e-5)


def test_the_likelihood_of_ranks_without_ties_is_that_of_the_model():
    at = np.array([0.4, -0.3, 0.1])
    stages = tied_stages({"a": 2, "b": 3, "c": 1}, 1.0, {"a": 0, "b": 1, "c": 2})
    e = np.exp(at)
    by_hand = np.log(e[2] / e.sum()) + np.log(e[0] / (e[0] + e[1]))
    assert log_posterior(at, stages, prior=0.0)[0] == pytest.approx(by_hand)


# --- In a run -------------------------------------------------------------------------------------


def test_a_run_weighs_its_judges_and_says_how_much_each_counted(tmp_path):
    questions, _ = ranked({**KEEN, **RANDOM}, questions=40, each=3)
    rows = [one.model_dump(exclude={"completions"}) for one in questions]
    for row in rows:
        row["completions"] = [{"id": n, "thought": f"{n} + 1 = 2", "answer": n} for n in IDS]
    (tmp_path / "dataset.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = {
        "kind": "train", "method": "dpo", "model": str(STUDENT),
        "config": {
            "judge_weights": "reliability", "reward_from": "rankings", "pairs": "best_worst",
            "max_steps": 1, "groups_per_step": 2,
        },
    }  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps(job))
    assert main([str(tmp_path / "run.json")]) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["judges"]["random"] < 0.3 < 0.7 < result["judges"]["keen"]
    assert result["ranked_in_parts"] == 0
