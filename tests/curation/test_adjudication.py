"""Adjudication: what comes up, who decides, and what the decision does and leaves alone."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, transaction
from django.urls import reverse

from curation.models import Adjudication, Queue, QueueItem, Ranking, Review
from curation.queues.leases import claim
from curation.review import adjudication
from curation.review.adjudication import decide, settled, waiting
from curation.review.judging import submit
from tests.make import make_group, make_queue
from training.versions.freezing import freeze, rows_of
from training.versions.recipe import Recipe


@pytest.fixture
def queue(project, annotator, second_annotator) -> Queue:
    """Two people, three groups: alike, upside down, and alike but for a vote."""
    for n in range(3):
        make_group(project, text=f"What is 8 + {n}?")
    queue = make_queue(project, overlap=2)
    for person in (annotator, second_annotator):
        for number in range(3):
            held = claim(queue, person)
            order = sorted(held.shown_order)
            if number == 1 and person == second_annotator:
                order.reverse()
            split = number == 2 and person == second_annotator
            vote = "reject" if split else "accept"
            ranks = {pk: n for n, pk in enumerate(order, 1)}
            submit(held, ranks, {order[0]: vote} if number != 1 else {})
    return queue


@pytest.fixture
def item(queue) -> QueueItem:
    return waiting(queue).first()


def ranks_of(item: QueueItem) -> dict[int, int]:
    return {r.pk: n for n, r in enumerate(item.question.rationales.order_by("-pk"), 1)}


def test_what_people_disagree_on_comes_up_the_most_disputed_first(queue):
    texts = list(waiting(queue).values_list("question__text", flat=True))
    assert texts == ["What is 8 + 1?", "What is 8 + 2?"]
    queue.adjudicate_splits = False
    assert waiting(queue).count() == 1
    queue.adjudicate_below = None
    assert waiting(queue).count() == 0


def test_a_group_waits_until_all_have_judged_it(project, annotator, second_annotator, member):
    make_group(project)
    queue = make_queue(project, overlap=3)
    for person, sign in ((annotator, 1), (second_annotator, -1), (member("c", "annotator"), 1)):
        assert waiting(queue).count() == 0
        held = claim(queue, person)
        ordered = sorted(held.shown_order)[::sign]
        submit(held, {pk: n for n, pk in enumerate(ordered, 1)}, {})
    assert waiting(queue).count() == 1


def test_a_decision_is_a_new_fact_and_the_old_ones_stay(queue, item, researcher):
    before = (Ranking.objects.live().count(), Review.objects.live().count())
    ranks = ranks_of(item)
    best = min(ranks, key=ranks.__getitem__)
    made = decide(item, researcher, ranks, {best: "accept"}, note="Line two is right.")
    assert (Ranking.objects.live().count(), Review.objects.live().count()) == before
    assert waiting(queue).count() == 1
    found = settled([item.question_id])[item.question_id]
    assert (found.ranks, found.decisions, found.kind) == (ranks, {best: "accept"}, "adjudication")
    assert list(adjudication.decided(queue)) == [made]


def test_a_later_decision_supersedes_and_a_stale_page_does_not(queue, item, researcher, owner):
    first = decide(item, researcher, ranks_of(item), {})
    with pytest.raises(ValidationError, match="Somebody else decided"):
        decide(item, owner, ranks_of(item), {})
    second = decide(item, owner, ranks_of(item), {}, seen=first.pk)
    first.refresh_from_db()
    assert first.superseded_at is not None
    assert Adjudication.objects.live().get() == second


def test_the_database_refuses_to_rewrite_a_decision(queue, item, researcher):
    made = decide(item, researcher, ranks_of(item), {})
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        Adjudication.objects.filter(pk=made.pk).update(note="Never said")
    with pytest.raises(IntegrityError), transaction.atomic():
        Adjudication.objects.create(question=item.question, by=researcher, ranks={"1": 1})


@pytest.mark.parametrize(
    ("ranks", "decisions", "sentence"),
    [
        ({}, {}, "Nothing is decided yet"),
        ({1: 1}, {}, "Only one rationale is placed"),
        ({1: 1, 2: 0}, {}, "A rank is a whole number"),
        ({1: 1, 2: 2}, {}, "2 of these rationales were not judged"),
        ({}, {1: "maybe"}, "accept or reject"),
    ],
)
def test_a_decision_without_sense_is_refused(queue, item, researcher, ranks, decisions, sentence):
    shift = item.question.rationales.latest("pk").pk if "not judged" in sentence else 0
    with pytest.raises(ValidationError, match=sentence):
        decide(item, researcher, {pk + shift: r for pk, r in ranks.items()}, decisions)
    assert not Adjudication.objects.exists()


def test_who_may_decide(client, project, queue, annotator, viewer, researcher):
    url = reverse("adjudication", args=[project.slug, queue.pk])
    for user, status in ((annotator, 403), (viewer, 403), (researcher, 200)):
        client.force_login(user)
        assert client.get(url).status_code == status
    queue.people.create(user=annotator, judges=False, adjudicates=True)
    client.force_login(annotator)
    assert client.get(url).status_code == 200


def test_the_page_shows_everybodys_word_and_goes_on_to_the_next(
    client, project, queue, item, owner
):
    client.force_login(owner)
    url = reverse("adjudicate", args=[project.slug, queue.pk, item.question_id])
    shown = client.get(url).content.decode()
    assert "anna" in shown
    assert "ben" in shown
    hidden = client.get(url, {"names": "hidden"}).content.decode()
    assert "anna" not in hidden
    assert "Person 2" in hidden
    voice = adjudication.voices(item)[0]
    taken = client.get(url, {"from": voice.assignment}).content.decode()
    best = min(voice.ranks, key=voice.ranks.__getitem__)
    assert f'name="rank-{best}" value="1"' in taken
    said = {f"rank-{pk}": rank for pk, rank in ranks_of(item).items()}
    answer = client.post(url, said | {"seen": "", "note": "So it is."})
    following = waiting(queue).get()
    assert answer.url == reverse("adjudicate", args=[project.slug, queue.pk, following.question_id])
    assert Adjudication.objects.get().note == "So it is."


def test_a_refusal_keeps_what_was_typed(client, project, queue, item, owner):
    client.force_login(owner)
    url = reverse("adjudicate", args=[project.slug, queue.pk, item.question_id])
    one = next(iter(ranks_of(item)))
    answer = client.post(url, {f"rank-{one}": "1", "note": "half"})
    assert answer.status_code == 422
    shown = answer.content.decode()
    assert "Only one rationale is placed" in shown
    assert f'name="rank-{one}" value="1"' in shown
    assert 'value="half"' in shown


def test_names_stay_hidden_where_the_queue_hides_them(client, project, queue, item, owner):
    Queue.objects.update(adjudicate_blind=True)
    client.force_login(owner)
    url = reverse("adjudicate", args=[project.slug, queue.pk, item.question_id])
    assert "anna" not in client.get(url, {"names": "shown"}).content.decode()


def test_a_version_holds_exactly_what_was_decided(project, queue, item, researcher):
    ranks = ranks_of(item)
    best = min(ranks, key=ranks.__getitem__)
    decide(item, researcher, ranks, {best: "accept"})
    recipe = {"selection": "accepted", "adjudicated": "only"}
    version = freeze(project, Recipe(**recipe, settings={"accepts": 2}), researcher)
    assert list(version.items.values_list("rationale", flat=True)) == [best]
    whole = freeze(project, Recipe(adjudicated="only"), researcher)
    (row,) = rows_of(whole)
    assert row["rankings"] == [
        {"judge": "adjudication", "kind": "adjudication",
         "ranks": {str(pk): ranks[pk] for pk in sorted(ranks)}}
    ]  # fmt: skip
    deaf = freeze(project, Recipe(adjudicated="ignore"), researcher)
    judges = {one["judge"] for row in rows_of(deaf) for one in row["rankings"]}
    assert "adjudication" not in judges
    assert len(list(rows_of(freeze(project, Recipe(), researcher)))) == 3


def test_the_list_asks_a_bounded_number_of_questions(
    client, project, queue, owner, django_assert_max_num_queries
):
    client.force_login(owner)
    with django_assert_max_num_queries(14):
        client.get(reverse("adjudication", args=[project.slug, queue.pk]))
