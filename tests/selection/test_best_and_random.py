"""The best by a judge, and the control that draws at random."""

from __future__ import annotations

from tests.selection.cast import asked, candidate, ranked, verdicts
from training.selection import selection
from training.selection.best_by_judge import rating


def test_ratings_of_several_judges_count_by_their_mean():
    question = asked(
        candidate(scores={"judge_rating@model-1": 9.0, "judge_rating@model-2": 3.0}),
        candidate(scores={"judge_rating@model-1": 7.0, "judge_rating@model-2": 8.0}),
        candidate(scores={"judge_rating": 5.0}),
    )
    assert ranked("best_by_judge", [question]) == [[False, True, False]]
    assert ranked("best_by_judge", [question], k=2) == [[True, True, False]]


def test_one_judge_can_be_heard_alone():
    question = asked(
        candidate(scores={"judge_rating@model-1": 9.0}),
        candidate(scores={"judge_rating@model-2": 10.0}),
    )
    found = verdicts("best_by_judge", question, judge="model-1")
    assert found == [None, "Not rated by model-1"]


def test_rankings_of_all_judges_become_one_order():
    first, second, third, unseen = (candidate() for _ in range(4))
    question = asked(
        first,
        second,
        third,
        unseen,
        rankings={
            "person-1": {first.id: 2, second.id: 1, third.id: 3},
            "person-2": {first.id: 3, second.id: 1, third.id: 2},
        },
    )
    reasons = verdicts("best_by_judge", question, by="rankings")
    assert reasons == [None, None, None, "Not ranked beside another by any judge"]
    question.candidates.remove(unseen)
    assert ranked("best_by_judge", [question], by="rankings") == [[False, True, False]]
    alone = ranked("best_by_judge", [question], by="rankings", judge="person-1", k=2)
    assert alone == [[True, True, False]]


def test_one_that_lost_its_company_to_a_duplicate_goes_last():
    left, right = candidate(), candidate()
    question = asked(left, right, rankings={"person-1": {right.id: 1, 999_999: 2}})
    assert ranked("best_by_judge", [question], by="rankings") == [[True, False]]


def test_a_random_draw_stays_when_others_join():
    pool = [candidate() for _ in range(20)]
    (few,) = ranked("random_k", [asked(*pool[:10])], k=3)
    (many,) = ranked("random_k", [asked(*pool)], k=10)
    chosen = {one.id for one, kept in zip(pool, many, strict=True) if kept}
    assert sum(few) == 3
    assert len(chosen) == 10
    (again,) = ranked("random_k", [asked(*reversed(pool))], k=10)
    assert {one.id for one, kept in zip(reversed(pool), again, strict=True) if kept} == chosen


def test_another_seed_draws_others():
    question = asked(*(candidate() for _ in range(20)))
    assert ranked("random_k", [question], k=10) != ranked("random_k", [question], k=10, seed=1)


def test_a_random_share_is_one_of_the_whole_dataset():
    questions = [asked(*(candidate() for _ in range(5))) for _ in range(4)]
    kept = ranked("random_k", questions, keep="share", share=0.3)
    assert sum(map(sum, kept)) == 6
    assert selection("random_k").Config(keep="share").over_dataset


def test_a_rating_is_what_the_reward_of_that_name_is():
    silent = candidate(scores={"judge_rating@model-7": None, "judge_rating": 4.0})
    endless = candidate(scores={"judge_rating@model-7": float("inf"), "judge_rating@model-8": 3.0})
    assert [rating(one, "") for one in (silent, endless)] == [None, 3.0]
