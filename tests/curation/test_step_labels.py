"""Labels of steps: asked for by the queue, stored with the judgement, never overwritten."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from curation.models import Assignment, Queue, StepLabel
from curation.queues.leases import claim
from curation.review import judging
from curation.review.judging import Result, edition
from curation.text.stepping import StepsSaid
from tests.make import make_model, make_question, make_queue, make_rationale

THOUGHT = "8 + 3 = 11\nHalf of it is 5.\nSo 5."


@pytest.fixture
def queue(project) -> Queue:
    question = make_question(project)
    for n in range(2):
        make_rationale(question, THOUGHT + "!" * n, author_model=make_model(project, f"m{n}"))
    return make_queue(project, asked=["rank", "accept", "steps"])


@pytest.fixture
def held(queue, annotator) -> Assignment:
    return claim(queue, annotator)


def live(pk: int) -> dict[int, str]:
    return dict(StepLabel.objects.live().filter(rationale=pk).values_list("step", "label"))


def test_the_first_wrong_step_is_stored_with_those_before_it(held):
    a, b = held.shown_order
    said = {a: StepsSaid(2), b: StepsSaid(None, {3: "neutral"})}
    assert judging.submit(held, {}, {}, steps=said) == Result.SUBMITTED
    assert live(a) == {1: "good", 2: "bad"}
    assert live(b) == {3: "neutral"}
    held.refresh_from_db()
    assert judging.said_of_steps(held) == said
    second = StepLabel.objects.get(rationale=a, step=2)
    assert second.rationale.thought[second.start : second.end] == "Half of it is 5."


def test_labels_come_with_the_rest_or_not_at_all(held):
    a, b = held.shown_order
    with pytest.raises(ValidationError, match="has 3 steps; there is no step 7"):
        judging.submit(held, {a: 1, b: 2}, {}, steps={a: StepsSaid(7)})
    assert not held.rankings.exists()
    with pytest.raises(ValidationError, match="good, neutral or bad"):
        judging.submit(held, {}, {}, steps={a: StepsSaid(None, {1: "fine"})})
    with pytest.raises(ValidationError, match="not shown"):
        judging.submit(held, {}, {}, steps={10**9: StepsSaid(None, {})} | {0: StepsSaid(0)})
    assert not StepLabel.objects.exists()


def test_a_queue_that_does_not_ask_takes_none(held, queue):
    Queue.objects.update(asked=["rank"])
    with pytest.raises(ValidationError, match="does not ask"):
        judging.submit(held, {}, {}, steps={held.shown_order[0]: StepsSaid(0)})


def test_a_changed_mind_is_a_new_label_and_the_rest_is_not_repeated(held):
    a, _ = held.shown_order
    judging.submit(held, {}, {}, steps={a: StepsSaid(3)})
    held.refresh_from_db()
    changed = judging.submit(held, {}, {}, steps={a: StepsSaid(2)}, seen=edition(held))
    assert changed == Result.CHANGED
    assert live(a) == {1: "good", 2: "bad"}
    assert StepLabel.objects.filter(rationale=a, step=1).count() == 1
    assert StepLabel.objects.filter(rationale=a, step=2).count() == 2
    assert StepLabel.objects.exclude(superseded_at=None).count() == 2


def test_the_same_labels_twice_count_once(held):
    a, _ = held.shown_order
    judging.submit(held, {}, {}, steps={a: StepsSaid(2)}, seen="")
    spelled_out = StepsSaid(None, {1: "good", 2: "bad"})
    assert judging.submit(held, {}, {}, steps={a: spelled_out}, seen="") == Result.ALREADY
    assert judging.submit(held, {}, {}, steps={a: StepsSaid(0)}, seen="") == Result.DIFFERS
    held.refresh_from_db()
    assert held.draft["steps"] == {str(a): {"first_wrong": 0, "labels": {}}}


def test_steps_are_labelled_without_javascript(client, annotator, project, queue):
    client.force_login(annotator)
    page = reverse("review", args=[project.slug, queue.pk])
    shown = client.get(page).content.decode()
    held = Assignment.objects.get()
    a, b = held.shown_order
    assert f'name="label-{a}-3"' in shown
    item = reverse("review-item", args=[project.slug, queue.pk, held.pk])
    draft = reverse("review-draft", args=[project.slug, queue.pk, held.pk])
    said = {f"wrong-{a}": "2", f"label-{b}-1": "good", "label-9999-1": "good"}
    assert client.post(draft, said).json() == {"state": "kept"}
    again = client.get(page).content.decode()
    assert f'name="wrong-{a}" value="2"' in again
    assert f'name="label-{b}-1" value="good" checked' in again
    assert client.post(item, said).status_code == 302
    assert live(a) == {1: "good", 2: "bad"}
    assert live(b) == {1: "good"}


def test_a_step_that_is_no_number_is_refused_and_kept_on_the_page(
    client, annotator, project, queue
):
    client.force_login(annotator)
    client.get(reverse("review", args=[project.slug, queue.pk]))
    held = Assignment.objects.get()
    item = reverse("review-item", args=[project.slug, queue.pk, held.pk])
    a, b = held.shown_order
    refused = client.post(item, {f"wrong-{a}": "two", f"label-{b}-1": "good"})
    assert refused.status_code == 422
    assert "is not the number of a step" in refused.content.decode()
    assert f'name="label-{b}-1" value="good" checked' in refused.content.decode()


def test_labels_of_folded_steps_travel_with_the_form(client, annotator, project):
    question = make_question(project, "How many?")
    long = "\n".join(f"Line {n} of a long way to the answer." for n in range(1000))
    for n in range(2):
        make_rationale(question, long + "!" * n, author_model=make_model(project, f"m{n}"))
    queue = make_queue(project, asked=["steps"])
    held = claim(queue, annotator)
    a = held.shown_order[0]
    client.force_login(annotator)
    url = [project.slug, queue.pk, held.pk]
    client.post(reverse("review-draft", args=url), {f"label-{a}-900": "bad"})
    shown = client.get(reverse("review-item", args=url)).content.decode()
    assert f'type="hidden" name="label-{a}-900" value="bad"' in shown
    assert "of 1,000" in shown
    more = client.get(reverse("review-more", args=url), {"card": 1, "after": 500})
    assert 'data-step="501"' in more.content.decode()
    assert 'data-step="500"' not in more.content.decode()
    assert client.get(reverse("review-more", args=url), {"card": 9}).status_code == 404


def test_hints_beside_steps_are_shown_or_kept_back(client, annotator, project):
    question = make_question(project)
    for thought in ("8 + 3 = 12", "8 + 3 = 13"):
        make_rationale(question, thought)
    queue = make_queue(project)
    client.force_login(annotator)
    page = reverse("review", args=[project.slug, queue.pk])
    assert "is wrong; right is" in client.get(page).content.decode()
    Queue.objects.update(filter={"step_hints": False})
    assert "is wrong; right is" not in client.get(page).content.decode()
