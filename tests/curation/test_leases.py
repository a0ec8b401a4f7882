"""The server alone hands out work, never too often, and nothing is lost when a lease runs out."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from curation.models import Assignment, AssignmentStatus, Queue, QueueItem, User
from curation.queues.contents import Filter, count_matches, fill
from curation.queues.counters import recount
from curation.queues.leases import claim, claim_ahead, expire, renew, skip
from curation.review.judging import submit
from tests.make import make_group, make_model, make_queue, make_rationale


@pytest.fixture
def groups(project):
    return [make_group(project, text=f"What is 8 + {n}?") for n in range(3)]


@pytest.fixture
def queue(project, groups):
    return make_queue(project)


def run_out(assignment: Assignment) -> None:
    past = Now() - timedelta(seconds=1)
    Assignment.objects.filter(pk=assignment.pk).update(leased_until=past)


@pytest.fixture(params=[300, -300], ids=["ahead", "behind"])
def a_wrong_clock(request, monkeypatch) -> None:
    """This web process's clock is five minutes off that of the database."""
    right = timezone.now
    off = timedelta(seconds=request.param)
    monkeypatch.setattr(timezone, "now", lambda: right() + off)


def seconds_left(assignment: Assignment) -> float:
    here = Assignment.objects.annotate(left=F("leased_until") - Now())
    return here.values_list("left", flat=True).get(pk=assignment.pk).total_seconds()


def test_a_queue_holds_what_its_filter_chooses(project, groups):
    groups[0].split = "test"
    groups[0].save()
    assert count_matches(project, Filter(split="train")) == 2
    assert make_queue(project, filter={"split": "train"}).items_total == 2


def test_questions_with_too_few_different_texts_stay_out(project, groups):
    lonely = make_group(project, texts=1, text="Alone?")
    again = lonely.rationales.get()
    make_rationale(
        lonely, again.thought, answer=again.answer, author_model=make_model(project, "copycat")
    )
    assert count_matches(project, Filter(min=2)) == 3
    assert count_matches(project, Filter(min=1)) == 4


def test_the_latest_score_says_which_answers_are_correct(project, groups):
    for rationale in groups[0].rationales.all():
        for version, value in (("1", 0), ("2", 1)):
            rationale.scores.create(scorer="answer_correct", scorer_version=version, value=value)
    assert count_matches(project, Filter(correct=True)) == 1
    assert count_matches(project, Filter(correct=False)) == 0


def test_filling_again_adds_only_what_is_new(project, queue):
    assert fill(queue) == 0
    make_group(project, text="A late one?")
    assert fill(queue) == 1
    queue.refresh_from_db()
    assert queue.items_total == queue.items.count() == 4
    assert queue.items.order_by("position").last().question.text == "A late one?"


def test_a_limit_bounds_the_queue_and_random_order_is_an_order(project, groups):
    queue = make_queue(project, filter={"limit": 2}, ordering="random")
    assert sorted(queue.items.values_list("position", flat=True)) == [1, 2]
    assert fill(queue) == 0


def test_each_person_sees_an_order_of_their_own_which_is_kept(queue, annotator):
    held = claim(queue, annotator)
    assert sorted(held.shown_order) == sorted(held.question.rationales.values_list("pk", flat=True))
    assert claim(queue, annotator).shown_order == held.shown_order


def test_the_same_words_are_shown_once(project, annotator):
    question = make_group(project, texts=2)
    twin = question.rationales.first()
    make_rationale(
        question, twin.thought, answer=twin.answer, author_model=make_model(project, "copycat")
    )
    assert len(claim(make_queue(project), annotator).shown_order) == 2


def test_a_person_goes_on_with_what_they_hold(queue, annotator, second_annotator):
    first = claim(queue, annotator)
    assert claim(queue, annotator) == first
    assert claim(queue, second_annotator).item != first.item


def test_nobody_gets_an_item_twice_and_then_there_is_nothing_left(project, annotator):
    make_group(project)
    queue = make_queue(project, overlap=2)
    held = claim(queue, annotator)
    Assignment.objects.filter(pk=held.pk).update(status=AssignmentStatus.SUBMITTED)
    assert claim(queue, annotator) is None


def test_a_closed_queue_hands_out_nothing_new(queue, annotator, second_annotator):
    held = claim(queue, annotator)
    Queue.objects.update(is_open=False)
    queue.refresh_from_db()
    assert claim(queue, annotator) == held
    assert claim(queue, second_annotator) is None


def test_an_expired_lease_frees_its_slot_and_keeps_the_draft(project, annotator, second_annotator):
    make_group(project)
    queue = make_queue(project)
    held = claim(queue, annotator)
    Assignment.objects.filter(pk=held.pk).update(draft={"ranks": {"1": 1}})
    assert claim(queue, second_annotator) is None
    run_out(held)
    theirs = claim(queue, second_annotator)
    assert theirs.item == held.item
    held.refresh_from_db()
    assert (held.status, held.draft) == (AssignmentStatus.EXPIRED, {"ranks": {"1": 1}})
    assert not renew(held)
    skip(theirs, "The question is unclear")
    again = claim(queue, annotator)
    assert (again.pk, again.status, again.draft) == (held.pk, "leased", {"ranks": {"1": 1}})


def test_a_late_person_keeps_what_nobody_else_took(queue, annotator):
    held = claim(queue, annotator)
    run_out(held)
    again = claim(queue, annotator)
    assert again == held
    assert Assignment.objects.get().leased_until > timezone.now()


def test_a_skipped_item_is_offered_to_others(project, annotator, second_annotator):
    make_group(project)
    queue = make_queue(project)
    held = claim(queue, annotator)
    assert skip(held, "The question is unclear")
    assert not skip(held, "twice")
    assert claim(queue, annotator) is None
    assert claim(queue, second_annotator).item == held.item
    queue.refresh_from_db()
    assert queue.skipped == 1


def test_expiring_twice_frees_a_slot_once(queue, annotator):
    run_out(claim(queue, annotator))
    assert (expire(queue), expire(queue)) == (1, 0)
    assert not QueueItem.objects.filter(taken__gt=0).exists()


@pytest.mark.usefixtures("a_wrong_clock")
def test_a_wrong_clock_takes_nothing_early_and_keeps_nothing_for_ever(
    project, annotator, second_annotator
):
    make_group(project)
    queue = make_queue(project, lease_minutes=4)
    held = claim(queue, annotator)
    in_four_minutes = Now() + timedelta(minutes=4)  # as a host with the right time writes it
    Assignment.objects.filter(pk=held.pk).update(leased_until=in_four_minutes)
    assert claim(queue, second_annotator) is None
    run_out(held)
    assert claim(queue, second_annotator).item == held.item


@pytest.mark.usefixtures("a_wrong_clock")
def test_a_lease_lasts_as_long_as_it_should_whatever_the_clock_says(queue, annotator):
    held = claim(queue, annotator)
    assert 26 * 60 < seconds_left(held) <= 30 * 60
    run_out(held)
    assert renew(held)
    assert 26 * 60 < seconds_left(held) <= 30 * 60
    ready = claim_ahead(queue, annotator)
    assert 0 < seconds_left(ready) <= 3 * 60
    assert expire(queue) == 0
    run_out(ready)
    renew(held)
    assert 0 < seconds_left(ready) <= 3 * 60
    submit(held, dict.fromkeys(held.shown_order, 1), {})
    assert claim(queue, annotator) == ready
    assert 26 * 60 < seconds_left(ready) <= 30 * 60


@pytest.mark.usefixtures("a_wrong_clock")
def test_what_is_kept_ready_ends_by_the_databases_clock_too(queue, annotator):
    claim(queue, annotator)
    run_out(claim_ahead(queue, annotator))
    assert expire(queue) == 1


def in_threads(work, count: int) -> list:
    """Run `work(n)` in so many threads at once, each with a connection of its own."""
    connection.pool.resize(1, count + 2)
    results: list = [None] * count
    barrier = threading.Barrier(count)

    def one(n: int) -> None:
        try:
            barrier.wait()
            results[n] = work(n)
        except Exception as error:
            results[n] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [r for r in results if isinstance(r, Exception)] == []
    return results


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("overlap", [1, 3])
def test_ten_people_at_once_never_pass_the_overlap(project, member, overlap):
    for n in range(12):
        make_group(project, texts=2, text=f"What is 8 + {n}?")
    queue = make_queue(project, overlap=overlap)
    people = [member(f"person-{n}", "annotator") for n in range(10)]

    def work(n: int) -> list[int]:
        had = []
        while held := claim(Queue.objects.get(pk=queue.pk), people[n]):
            had.append(held.item_id)
            Assignment.objects.filter(pk=held.pk).update(status=AssignmentStatus.SUBMITTED)
        return had

    given = Counter(item for had in in_threads(work, 10) for item in had)
    assert len(given) == 12
    assert set(given.values()) == {overlap}
    assert set(QueueItem.objects.values_list("taken", flat=True)) == {overlap}


@pytest.mark.django_db(transaction=True)
def test_what_is_kept_ready_is_never_given_twice(project, member):
    """Ten people claim, keep the next one ready, take over and submit, all at once."""
    for n in range(15):
        make_group(project, texts=2, text=f"What is 8 + {n}?")
    queue = make_queue(project, overlap=2)
    people = [member(f"person-{n}", "annotator") for n in range(10)]

    def work(n: int) -> list[int]:
        had, here = [], Queue.objects.get(pk=queue.pk)
        while held := claim(here, people[n]):
            claim_ahead(here, people[n])
            submit(held, dict.fromkeys(held.shown_order, 1), {})
            had.append(held.item_id)
        return had

    given = Counter(item for had in in_threads(work, 10) for item in had)
    assert len(given) == 15
    assert set(given.values()) == {2}
    assert recount(queue) == []


@pytest.mark.django_db(transaction=True)
def test_two_windows_of_one_person_get_the_same_item(project, annotator):
    for n in range(4):
        make_group(project, texts=2, text=f"What is 8 + {n}?")
    queue = make_queue(project)
    got = in_threads(lambda n: claim(queue, User.objects.get(pk=annotator.pk)).pk, 6)
    assert len(set(got)) == 1
