"""What a queue holds and in which order, who works in it, gold, and counters that add up."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.urls import reverse

from curation.models import (
    Assignment,
    AssignmentStatus,
    Gold,
    Membership,
    Queue,
    QueueItem,
    Rationale,
    Tally,
    User,
)
from curation.queues import counters, gold, leases, priorities
from curation.queues.contents import Filter, count_matches
from curation.queues.leases import claim, claim_ahead, expire, skip
from curation.queues.progress import people_in
from curation.review import judging
from curation.review.judging import submit
from tests.make import make_group, make_model, make_queue


@pytest.fixture
def groups(project):
    return [make_group(project, text=f"What is 8 + {n}?") for n in range(4)]


def score(rationale: Rationale, scorer: str, value: float, model=None, version: str = "1") -> None:
    rationale.scores.create(scorer=scorer, scorer_version=version, value=value, model=model)


def judge(held: Assignment, order=None, decisions=None) -> None:
    order = order or held.shown_order
    submit(held, {pk: n for n, pk in enumerate(order, 1)}, decisions or {}, seconds=30)


# Filters


def test_a_range_of_scores_looks_at_the_last_score(project, groups):
    for value, group in zip((2, 5, 8), groups, strict=False):
        for rationale in group.rationales.all():
            score(rationale, "judge_rating", 9)
            score(rationale, "judge_rating", value, version="2")
    found = [
        count_matches(project, Filter(scores=(("judge_rating", low, high),)))
        for low, high in ((5, None), (None, 5), (5, 5), (9, None))
    ]
    assert found == [2, 2, 1, 0]


def test_what_was_accepted_rejected_or_left_open_can_be_chosen(project, groups, annotator):
    first, second = groups[0].rationales.all()[:2]
    judging.review(first, annotator, "accept")
    judging.review(second, annotator, "reject")
    found = {
        decision: count_matches(project, Filter(decision=decision, min=1))
        for decision in ("accepted", "rejected", "undecided")
    }
    assert found == {"accepted": 1, "rejected": 1, "undecided": 4}


def test_a_batch_chooses_what_a_run_wrote(project, groups):
    batch = "6f1c3a52-6d1e-4b0e-9d6e-0f2d4d9f6a11"
    question = make_group(project, texts=0, text="Drawn?")
    for n in range(2):
        question.rationales.create(
            role="student", thought=f"{n}", author_model=make_model(project), batch=batch, index=n
        )
    assert count_matches(project, Filter(batch=batch)) == 1


def test_a_filter_survives_the_database(project, groups):
    chosen = Filter(scores=(("tokens", None, 50.0),), decision="undecided", roles=("teacher",))
    queue = make_queue(project, filter=chosen.stored())
    queue.refresh_from_db()
    assert Filter.of(queue.filter) == chosen


# Orders


def order_of(queue: Queue) -> list[str]:
    return list(queue.items.order_by("position").values_list("question__text", flat=True))


def test_the_highest_variance_comes_first_and_the_unknown_last(project, groups):
    for right, group in zip((4, 2, 1), groups, strict=False):
        for n, rationale in enumerate(group.rationales.all()):
            score(rationale, "answer_correct", float(n < right))
    queue = make_queue(project, ordering="variance")
    # Variances 0, 1/4 and 3/16, times four.
    assert list(queue.items.order_by("position").values_list("priority", flat=True)) == [
        1, 0.75, 0, None,
    ]  # fmt: skip
    assert order_of(queue)[:2] == [groups[1].text, groups[2].text]


def test_the_most_disagreement_comes_first(project, groups, annotator, second_annotator):
    for group, other in ((groups[1], [2, 1, 3, 4]), (groups[2], [4, 3, 2, 1])):
        pks = [rationale.pk for rationale in group.rationales.all()]
        judging.rank(group, annotator, dict(zip(pks, [1, 2, 3, 4], strict=True)))
        judging.rank(group, second_annotator, dict(zip(pks, other, strict=True)))
    judging.review(groups[3].rationales.first(), annotator, "accept")
    judging.review(groups[3].rationales.first(), second_annotator, "reject")
    queue = make_queue(project, ordering="disagreement")
    assert order_of(queue) == [groups[n].text for n in (3, 2, 1, 0)]


def test_the_lowest_accord_of_verifier_and_judge_comes_first(project, groups):
    model = make_model(project, "judge")
    for group, ratings in ((groups[0], (9, 1, 1, 1)), (groups[1], (1, 9, 9, 9))):
        for n, rationale in enumerate(group.rationales.all()):
            score(rationale, "answer_correct", float(n == 0))
            score(rationale, "judge_rating", ratings[n], model)
    queue = make_queue(project, ordering="accord")
    assert order_of(queue)[:2] == [groups[1].text, groups[0].text]


def test_the_closest_utilities_come_first(project, groups, annotator, second_annotator):
    for group, other in ((groups[0], [1, 2, 3, 4]), (groups[1], [2, 1, 3, 4])):
        pks = [rationale.pk for rationale in group.rationales.all()]
        judging.rank(group, annotator, dict(zip(pks, [1, 2, 3, 4], strict=True)))
        judging.rank(group, second_annotator, dict(zip(pks, other, strict=True)))
    queue = make_queue(project, ordering="closest")
    assert order_of(queue)[:2] == [groups[1].text, groups[0].text]


def test_an_order_is_computed_anew_when_asked(client, project, groups, researcher):
    queue = make_queue(project, ordering="variance")
    for n, rationale in enumerate(groups[3].rationales.all()):
        score(rationale, "answer_correct", float(n < 2))
    client.force_login(researcher)
    client.post(reverse("queue-refresh", args=[project.slug, queue.pk]))
    assert order_of(queue)[0] == groups[3].text
    assert priorities.refresh(queue) == 0


# People


def test_a_queue_given_to_some_hands_others_nothing(project, groups, annotator, second_annotator):
    queue = make_queue(project)
    queue.people.create(user=annotator)
    assert claim(queue, annotator)
    assert claim(queue, second_annotator) is None
    assert claim_ahead(queue, second_annotator) is None


def test_an_adjudicator_alone_closes_the_queue_to_nobody(project, groups, annotator, researcher):
    queue = make_queue(project)
    queue.people.create(user=researcher, judges=False, adjudicates=True)
    assert claim(queue, annotator)


def test_settings_name_people_and_thresholds(client, project, groups, researcher, annotator):
    queue = make_queue(project)
    url = reverse("queue-settings", args=[project.slug, queue.pk])
    client.force_login(researcher)
    said = {"name": "Anew", "lease_minutes": 5, "gold_share": 0.2, "adjudicate_below": ""}
    assert client.post(url, said | {f"judges-{annotator.pk}": "on"}).url == queue.get_absolute_url()
    queue.refresh_from_db()
    assert (queue.name, queue.adjudicate_below, queue.adjudicate_splits) == ("Anew", None, False)
    assert [(p.user, p.judges) for p in queue.people.all()] == [(annotator, True)]
    client.post(url, said)
    assert not queue.people.exists()


def test_settings_name_people_of_four_figures_too(client, project, groups, researcher):
    many = User.objects.create(pk=12_345, username="late")
    Membership.objects.create(project=project, user=many, role="annotator")
    client.force_login(researcher)
    queue = make_queue(project)
    page = client.get(reverse("queue-settings", args=[project.slug, queue.pk])).content.decode()
    assert 'name="judges-12345"' in page


def test_too_few_people_for_the_overlap_are_refused(client, project, groups, researcher, annotator):
    client.force_login(researcher)
    said = {"name": "x", "overlap": 2, "ordering": "random", "lease_minutes": 30, "min": 2,
            "max": 8, "asked": ["rank"], "people": [annotator.pk]}  # fmt: skip
    page = client.post(reverse("queue-new", args=[project.slug]), said)
    assert "Each question is judged by 2; tick as many at least." in page.content.decode()


def test_what_has_gone_since_the_page_was_opened_is_told_in_words(
    client, project, groups, researcher, annotator
):
    client.force_login(researcher)
    said = {"name": "x", "overlap": 1, "ordering": "random", "lease_minutes": 30, "min": 2,
            "max": 8, "asked": ["rank"], "people": [annotator.pk], "source": "gone"}  # fmt: skip
    Membership.objects.filter(user=annotator).delete()
    page = client.post(reverse("queue-new", args=[project.slug]), said).content.decode()
    assert "Somebody who was ticked may not judge here any more." in page
    assert "What was chosen here is not there any more. Choose again." in page
    assert "Select a valid choice" not in page


def test_one_question_is_spoken_of_as_one(client, project, groups, researcher):
    client.force_login(researcher)
    said = {"name": "x", "overlap": 1, "ordering": "random", "lease_minutes": 30, "min": 2,
            "max": 8, "limit": 1, "asked": ["rank"]}  # fmt: skip
    made = client.post(reverse("queue-new", args=[project.slug]), said)
    page = client.get(made.url).content.decode()
    assert "The queue holds 1 question." in page
    assert "of 1 judgement</span>" in page
    assert "of 1 question complete</span>" in page


# The next item, kept ready


def test_the_next_item_is_kept_ready_and_then_held(project, groups, annotator):
    queue = make_queue(project)
    assert claim_ahead(queue, annotator) is None, "nobody is at work yet"
    held = claim(queue, annotator)
    ready = claim_ahead(queue, annotator)
    assert ready.item != held.item
    assert claim_ahead(queue, annotator) == ready
    assert claim(queue, annotator) == held, "the item at hand comes first"
    judge(held)
    following = claim(queue, annotator)
    assert (following.pk, following.status) == (ready.pk, AssignmentStatus.LEASED)


def test_what_is_merely_kept_ready_is_released(project, groups, annotator, second_annotator):
    queue = make_queue(project)
    claim(queue, annotator)
    ready = claim_ahead(queue, annotator)
    Assignment.objects.filter(pk=ready.pk).update(leased_until="2020-01-01T00:00Z")
    assert expire(queue) == 1
    assert not Assignment.objects.filter(pk=ready.pk).exists()
    assert QueueItem.objects.get(pk=ready.item_id).taken == 0
    assert claim(queue, second_annotator).item == ready.item


def test_nobody_is_told_done_while_others_only_keep_ready(project, annotator, second_annotator):
    for n in range(2):
        make_group(project, text=f"What is 8 + {n}?")
    queue = make_queue(project)
    claim(queue, annotator)
    ready = claim_ahead(queue, annotator)
    assert claim(queue, second_annotator).item == ready.item
    assert claim_ahead(queue, annotator) is None


def test_work_on_the_item_at_hand_keeps_the_next_one(project, groups, annotator):
    queue = make_queue(project)
    held = claim(queue, annotator)
    ready = claim_ahead(queue, annotator)
    Assignment.objects.filter(pk=ready.pk).update(leased_until=held.leased_at)
    leases.renew(held)
    ready.refresh_from_db()
    assert ready.leased_until > held.leased_at


def test_closing_a_queue_lets_go_of_what_is_kept_ready(
    client, project, groups, researcher, annotator
):
    queue = make_queue(project)
    claim(queue, annotator)
    claim_ahead(queue, annotator)
    client.force_login(researcher)
    client.post(reverse("queue-open", args=[project.slug, queue.pk]), {"open": "no"})
    assert not Assignment.objects.filter(status=AssignmentStatus.AHEAD).exists()


def test_the_page_asks_for_the_next_item_without_a_word(client, project, groups, annotator):
    queue = make_queue(project)
    claim(queue, annotator)
    client.force_login(annotator)
    url = reverse("review-ahead", args=[project.slug, queue.pk])
    assert client.post(url).status_code == 204
    assert Assignment.objects.filter(user=annotator, status=AssignmentStatus.AHEAD).count() == 1


# Gold


@pytest.fixture
def golden(project, groups, researcher):
    """A queue in which every other item handed out is gold, as long as there is any."""
    queue = make_queue(project, gold_share=0.5, name="Sprinkled")
    question = make_group(project, text="What is known?")
    ranks = {r.pk: n for n, r in enumerate(question.rationales.all(), 1)}
    gold.make_gold(queue, question, (ranks, {min(ranks): "accept"}), researcher)
    return queue


def test_gold_comes_to_everybody_once_and_counts_nowhere(
    golden, annotator, second_annotator, monkeypatch
):
    monkeypatch.setattr("curation.queues.leases.random.random", lambda: 0.0)
    for person in (annotator, second_annotator):
        first, second = claim(golden, person), None
        assert first.item.is_gold
        judge(first)
        second = claim(golden, person)
        assert not second.item.is_gold
    golden.refresh_from_db()
    assert (golden.items_total, golden.submitted) == (4, 0)
    assert Tally.objects.get(user=annotator).submitted == 1
    assert counters.recount(golden) == []


def test_gold_does_not_keep_a_queue_alive(project, annotator, researcher, monkeypatch):
    monkeypatch.setattr("curation.queues.leases.random.random", lambda: 0.0)
    question = make_group(project)
    queue = make_queue(project)
    known = ({r.pk: n for n, r in enumerate(question.rationales.all(), 1)}, {})
    gold.make_gold(queue, question, known, researcher)
    assert claim(queue, annotator) is None


def test_an_item_becomes_gold_and_an_ordinary_one_again(project, groups, annotator, researcher):
    golden = make_queue(project)
    held = claim(golden, annotator)
    judge(held)
    golden.refresh_from_db()
    before = (golden.items_total, golden.submitted, golden.complete)
    known = gold.known_by(held.question, annotator)
    gold.make_gold(golden, held.question, known, researcher)
    golden.refresh_from_db()
    assert (golden.items_total, golden.submitted, golden.complete) == (3, 0, 0)
    gold.unmake_gold(held.item)
    golden.refresh_from_db()
    assert (golden.items_total, golden.submitted, golden.complete) == before
    assert counters.recount(golden) == []


def test_the_page_never_tells_gold_apart(client, golden, annotator, monkeypatch):
    client.force_login(annotator)
    url = reverse("review", args=[golden.project.slug, golden.pk])
    monkeypatch.setattr("curation.queues.leases.random.random", lambda: 0.0)
    page = client.get(url).content.decode()
    assert Assignment.objects.get(user=annotator).item.is_gold
    assert "gold" not in page.lower()


def test_accuracy_counts_pairs_and_decisions_that_were_said():
    known = ({1: 1, 2: 2, 3: 2}, {1: "accept", 2: "reject"})
    assert gold.accuracy(known, {1: 1, 2: 2, 3: 3}, {1: "accept"}) == 1
    # Pairs 1-2 right and 1-3 wrong, one decision of two right: 2 of 4.
    assert gold.accuracy(known, {1: 2, 2: 3, 3: 1}, {1: "accept", 2: "accept"}) == 0.5
    assert gold.accuracy(known, {1: 1, 2: 1}, {}) == 0, "a tie is no order"
    assert gold.accuracy(known, {}, {3: "accept"}) is None


def test_gold_is_named_by_number_or_id(client, project, groups, researcher):
    queue = make_queue(project)
    judging.rank(
        groups[0], researcher, {r.pk: n for n, r in enumerate(groups[0].rationales.all(), 1)}
    )
    client.force_login(researcher)
    url = reverse("queue-gold", args=[project.slug, queue.pk])
    assert client.post(url, {"question": groups[0].external_id}).status_code == 302
    assert Gold.objects.get().item.question == groups[0]
    refused = client.post(url, {"question": str(groups[1].pk)})
    assert refused.status_code == 422
    assert "Nothing is known of question" in refused.content.decode()
    assert "has no question" in client.post(url, {"question": "½"}).content.decode()
    client.post(
        reverse("queue-gold-remove", args=[project.slug, queue.pk, Gold.objects.get().item_id])
    )
    assert not Gold.objects.exists()


# Counters


def test_counters_move_with_the_deeds(project, groups, annotator, second_annotator):
    queue = make_queue(project, overlap=2)
    first = claim(queue, annotator)
    judge(first)
    skip(claim(queue, annotator), "The question is unclear")
    judge(claim(queue, second_annotator))
    queue.refresh_from_db()
    assert (queue.submitted, queue.skipped, queue.complete) == (2, 1, 1)
    assert queue.agreement_is_stale
    tallies = dict(queue.tallies.values_list("user__username", "submitted"))
    assert tallies == {"anna": 1, "ben": 1}
    assert [p.submitted for p in people_in(queue)] == [1, 1]
    assert counters.recount(queue) == []


def test_what_was_skipped_and_judged_after_all_is_no_skip(project, groups, annotator):
    queue = make_queue(project)
    held = claim(queue, annotator)
    skip(held, "The question is unclear")
    judge(held)
    tally = Tally.objects.get(user=annotator)
    assert (tally.submitted, tally.skipped) == (1, 0)
    queue.refresh_from_db()
    assert (queue.submitted, queue.skipped) == (1, 0)


def test_a_recount_finds_and_mends_what_drifted(project, groups, annotator, capsys):
    queue = make_queue(project)
    judge(claim(queue, annotator))
    Queue.objects.filter(pk=queue.pk).update(submitted=7, complete=0)
    Tally.objects.update(submitted=3)
    QueueItem.objects.update(submitted=9)
    with pytest.raises(SystemExit):
        call_command("recount", "--check")
    assert "queue: submitted is 7, counted 1" in capsys.readouterr().out
    call_command("recount")
    queue.refresh_from_db()
    assert (queue.submitted, queue.complete) == (1, 1)
    assert counters.recount(queue) == []


def test_pages_of_a_queue_ask_a_bounded_number_of_questions(
    client, project, groups, researcher, member, django_assert_max_num_queries
):
    queue = make_queue(project, overlap=6)
    for n in range(6):
        judge(claim(queue, member(f"person-{n}", "annotator")))
    client.force_login(researcher)
    with django_assert_max_num_queries(22):
        client.get(queue.get_absolute_url())
    for n in range(5):
        make_queue(project, name=f"Queue {n}")
    with django_assert_max_num_queries(10):
        client.get(reverse("queues", args=[project.slug]))
