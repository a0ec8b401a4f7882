"""A judgement is a fact: whole or not at all, superseded and never overwritten, never silent."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from curation.models import Assignment, Place, Question, Queue, Ranking, Review
from curation.queues.leases import claim, expire, skip
from curation.review import judging
from curation.review.judging import Result, Verdict, edition, standard_ranks
from tests.curation.test_leases import in_threads, run_out
from tests.make import make_group, make_model, make_queue


@pytest.fixture
def question(project) -> Question:
    return make_group(project)


@pytest.fixture
def queue(project, question) -> Queue:
    return make_queue(project)


@pytest.fixture
def held(queue, annotator) -> Assignment:
    return claim(queue, annotator)


def live_ranks(question: Question) -> list[dict[int, int]]:
    return [
        dict(ranking.places.values_list("rationale_id", "rank"))
        for ranking in question.rankings.live()
    ]


def test_ranks_become_competition_ranks():
    assert standard_ranks({1: 2, 2: 7, 3: 7, 4: 9}) == {1: 1, 2: 2, 3: 2, 4: 4}


@given(st.dictionaries(st.integers(1, 50), st.integers(1, 1000), min_size=1, max_size=8))
def test_normal_ranks_keep_every_comparison(ranks):
    normal = standard_ranks(ranks)
    assert standard_ranks(normal) == normal
    assert min(normal.values()) == 1
    for a in ranks:
        for b in ranks:
            assert (ranks[a] < ranks[b]) == (normal[a] < normal[b])


def test_unplaced_is_not_last(held, question):
    a, b, *others = held.shown_order
    assert judging.submit(held, {a: 1, b: 2}, {}) == Result.SUBMITTED
    assert live_ranks(question) == [{a: 1, b: 2}]
    assert not Place.objects.filter(rationale__in=others).exists()


def test_everything_is_stored_together(held, question, annotator):
    a, b, c, d = held.shown_order
    said = {a: "accept", d: Verdict("reject", ("wrong_step",), "12 is not 8 + 3")}
    judging.submit(held, {a: 1, b: 2, c: 2, d: 9}, said, seconds=12.5)
    ranking = question.rankings.get()
    assert (ranking.judge_user, ranking.seconds_spent) == (annotator, 12.5)
    assert (ranking.shown_order, ranking.assignment) == (held.shown_order, held)
    assert live_ranks(question) == [{a: 1, b: 2, c: 2, d: 4}]
    rejected = Review.objects.get(decision="reject")
    assert (rejected.reasons, rejected.note) == (["wrong_step"], "12 is not 8 + 3")
    held.refresh_from_db()
    held.queue.refresh_from_db()
    assert (held.status, held.queue.submitted) == ("submitted", 1)


def test_an_untouched_group_is_refused(held):
    with pytest.raises(ValidationError, match="Nothing is said about this group yet"):
        judging.submit(held, {}, {})
    assert not Ranking.objects.exists()


def test_right_as_shown_has_to_be_said(held, question):
    judging.submit(held, {}, {}, as_shown=True)
    assert live_ranks(question) == [{pk: n for n, pk in enumerate(held.shown_order, 1)}]


def test_a_review_alone_is_a_judgement(held, question):
    assert judging.submit(held, {}, {held.shown_order[0]: "accept"}) == Result.SUBMITTED
    assert not question.rankings.exists()


def test_one_place_alone_says_nothing(held):
    with pytest.raises(ValidationError, match="compares it with nothing"):
        judging.submit(held, {held.shown_order[0]: 1}, {})


def test_nonsense_is_refused_and_nothing_is_written(held, project):
    a, b, *_ = held.shown_order
    strange = make_group(project, text="Another?").rationales.first().pk
    for ranks, said, sentence in [
        ({a: 0, b: 1}, {}, "whole number from 1"),
        ({a: 1, strange: 2}, {}, "not shown in this group"),
        ({a: 1, b: 2}, {a: "perhaps"}, "accept or reject"),
        ({a: 1, b: 2}, {strange: "accept"}, "not shown"),
    ]:
        with pytest.raises(ValidationError, match=sentence):
            judging.submit(held, ranks, said)
    assert not Ranking.objects.exists()
    assert not Review.objects.exists()


def test_a_ranking_stays_within_its_question(question, project, annotator):
    strange = make_group(project, text="Another?").rationales.first().pk
    with pytest.raises(ValidationError, match="1 of the rationales placed does not belong to this"):
        judging.rank(question, annotator, {strange: 1})
    with pytest.raises(ValidationError, match="at least one"):
        judging.rank(question, annotator, {})


def test_ranking_anew_supersedes(question, annotator):
    a, b = question.rationales.values_list("pk", flat=True)[:2]
    old = judging.rank(question, annotator, {a: 1, b: 2})
    judging.rank(question, annotator, {a: 2, b: 1})
    assert live_ranks(question) == [{a: 2, b: 1}]
    old.refresh_from_db()
    assert old.superseded_at is not None
    assert old.places.count() == 2


def test_a_model_judges_beside_people(question, annotator, project):
    a, b = question.rationales.values_list("pk", flat=True)[:2]
    judging.rank(question, annotator, {a: 1, b: 2})
    judging.rank(question, make_model(project, "judge"), {a: 2, b: 1})
    assert len(live_ranks(question)) == 2


def test_reviewing_anew_supersedes(question, annotator):
    rationale = question.rationales.first()
    judging.review(rationale, annotator, "accept")
    judging.review(rationale, annotator, "reject", ["unclear"], "on second thoughts")
    assert rationale.reviews.count() == 2
    assert rationale.reviews.live().get().decision == "reject"


def test_a_second_click_changes_nothing(held, question):
    a, b, *_ = held.shown_order
    judging.submit(held, {a: 1, b: 2}, {a: "accept"}, seen="")
    assert judging.submit(held, {a: 1, b: 2}, {a: "accept"}, seen="") == Result.ALREADY
    assert question.rankings.count() == Review.objects.count() == 1
    held.queue.refresh_from_db()
    assert held.queue.submitted == 1


def test_a_second_window_that_says_something_else_is_kept_as_a_draft(held, question):
    a, b, *_ = held.shown_order
    judging.submit(held, {a: 1, b: 2}, {}, seen="")
    assert judging.submit(held, {a: 2, b: 1}, {}, seen="") == Result.DIFFERS
    assert live_ranks(question) == [{a: 1, b: 2}]
    held.refresh_from_db()
    assert held.draft["ranks"] == {str(a): 2, str(b): 1}


def test_an_opened_judgement_can_be_changed_and_taken_back(held, question):
    a, b, c, _ = held.shown_order
    judging.submit(held, {a: 1, b: 2}, {a: "accept", c: "reject"})
    held.refresh_from_db()
    assert judging.submit(held, {}, {a: "accept"}, seen=edition(held)) == Result.CHANGED
    assert live_ranks(question) == []
    assert list(Review.objects.live().values_list("rationale", "decision")) == [(a, "accept")]
    assert Review.objects.filter(rationale=a).count() == 1, "what did not change is not repeated"
    held.queue.refresh_from_db()
    assert held.queue.submitted == 1


def test_silence_takes_nothing_back_that_was_said_elsewhere(held, annotator):
    a, b, *_ = held.shown_order
    judging.review(held.question.rationales.get(pk=b), annotator, "reject")
    judging.submit(held, {}, {a: "accept"})
    assert Review.objects.live().count() == 2


def test_a_late_submission_takes_its_free_slot_again(held, queue):
    a, b, *_ = held.shown_order
    run_out(held)
    expire(queue)
    assert judging.submit(held, {a: 1, b: 2}, {}) == Result.SUBMITTED
    held.item.refresh_from_db()
    assert held.item.taken == 1


def test_a_late_submission_is_kept_beside_the_others(held, queue, question, second_annotator):
    a, b, *_ = held.shown_order
    run_out(held)
    theirs = claim(queue, second_annotator)
    assert theirs.item == held.item
    assert judging.submit(held, {a: 1, b: 2}, {}, seen="") == Result.EXTRA
    assert judging.submit(theirs, {a: 2, b: 1}, {}) == Result.SUBMITTED
    assert len(live_ranks(question)) == 2
    held.item.refresh_from_db()
    assert held.item.taken == 1


def test_what_was_skipped_can_still_be_judged(held, queue):
    a, b, *_ = held.shown_order
    skip(held, "The question is unclear")
    assert judging.submit(held, {a: 1, b: 2}, {}) == Result.SUBMITTED
    queue.refresh_from_db()
    assert (queue.submitted, queue.skipped) == (1, 0)


def test_a_refused_part_leaves_nothing_behind(held):
    a, b, *_ = held.shown_order
    with pytest.raises(ValidationError):
        judging.submit(held, {a: 1, b: 2000}, {a: "accept"})
    assert (Ranking.objects.count(), Review.objects.count()) == (0, 0)


def test_an_edition_changes_with_each_submission(held):
    a, b, *_ = held.shown_order
    assert edition(held) == ""
    judging.submit(held, {a: 1, b: 2}, {})
    held.refresh_from_db()
    assert held.finished_at - timezone.now() < timedelta(seconds=5)
    assert edition(held) == held.finished_at.isoformat()


@pytest.mark.django_db(transaction=True)
def test_five_clicks_at_once_are_one_submission(project, annotator):
    question = make_group(project)
    held = claim(make_queue(project), annotator)
    a, b, *_ = held.shown_order
    results = in_threads(lambda n: judging.submit(held, {a: 1, b: 2}, {a: "accept"}, seen=""), 5)
    assert sorted(results) == [Result.ALREADY] * 4 + [Result.SUBMITTED]
    assert question.rankings.count() == Review.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_rankings_of_one_judge_at_once_leave_one_alive(project, annotator):
    question = make_group(project)
    a, b = question.rationales.values_list("pk", flat=True)[:2]
    in_threads(lambda n: judging.rank(question, annotator, {a: 1, b: 2}), 5)
    assert question.rankings.count() == 5
    assert question.rankings.live().count() == 1


def test_what_is_said_anew_in_another_queue_mends_the_figures_of_the_first(
    project, question, annotator, second_annotator
):
    first, second = make_queue(project, overlap=2), make_queue(project, name="Again", overlap=2)
    for person, rank in ((annotator, 1), (second_annotator, -1)):
        held = claim(first, person)
        order = sorted(held.shown_order, key=lambda pk: rank * pk)
        judging.submit(held, dict(zip(order, range(1, 9), strict=False)), {order[0]: "accept"})
    before = first.items.get()
    assert before.concordance == 0

    again = claim(second, annotator)
    order = sorted(again.shown_order, key=lambda pk: -pk)
    judging.submit(again, dict(zip(order, range(1, 9), strict=False)), {})
    assert first.items.get().concordance is None, "one ranking of it is left"
    assert second.items.get().submitted == 1
