"""The pages of queues and review, without JavaScript: plain forms, redirects, and who may what."""

from __future__ import annotations

import pytest
from django.urls import reverse

from curation.models import Assignment, Queue, Ranking, Review
from curation.queues.leases import claim
from tests.curation.test_leases import run_out
from tests.make import make_group, make_queue


@pytest.fixture
def groups(project):
    return [make_group(project, text=f"What is 8 + {n}?") for n in range(3)]


@pytest.fixture
def queue(project, groups):
    return make_queue(project)


@pytest.fixture
def at(client, annotator, project, queue):
    """A function that gives the URL of a page of the queue; the client is Anna."""
    client.force_login(annotator)

    def url(name: str = "review", *args: int) -> str:
        return reverse(name, args=[project.slug, queue.pk, *args])

    return url


def fields(held: Assignment, *ranks: int | str, **more: str) -> dict[str, str]:
    return {f"rank-{pk}": str(r) for pk, r in zip(held.shown_order, ranks, strict=False)} | more


def test_a_stranger_sees_nothing(client, stranger, project, queue, annotator):
    held = claim(queue, annotator)
    client.force_login(stranger)
    for name, args in [
        ("queues", []),
        ("queue-new", []),
        ("queue", [queue.pk]),
        ("review", [queue.pk]),
        ("review-mine", [queue.pk]),
        ("review-item", [queue.pk, held.pk]),
    ]:
        assert client.get(reverse(name, args=[project.slug, *args])).status_code == 404


def test_a_viewer_reads_queues_but_does_not_judge(client, viewer, project, queue):
    client.force_login(viewer)
    assert client.get(reverse("queues", args=[project.slug])).status_code == 200
    assert client.get(queue.get_absolute_url()).status_code == 200
    assert client.get(reverse("review", args=[project.slug, queue.pk])).status_code == 403
    assert not Assignment.objects.exists()


def test_an_annotator_makes_no_queues(client, annotator, project, queue):
    client.force_login(annotator)
    assert client.get(reverse("queue-new", args=[project.slug])).status_code == 403
    for name in ("queue-open", "queue-fill"):
        assert client.post(reverse(name, args=[project.slug, queue.pk])).status_code == 403


def test_other_peoples_items_do_not_exist(client, at, queue, second_annotator):
    theirs = claim(queue, second_annotator)
    for name in ("review-item", "review-draft", "review-skip"):
        assert client.post(at(name, theirs.pk), {"reason": "x"}).status_code == 404


def test_a_queue_of_another_project_does_not_exist(client, at, member, queue):
    from curation.models import Membership, Project

    other = Project.objects.create(slug="cellar", name="Cellar")
    user = member("otto")
    Membership.objects.create(project=other, user=user, role="owner")
    client.force_login(user)
    assert client.get(reverse("review", args=["cellar", queue.pk])).status_code == 404


def test_a_researcher_makes_a_queue_from_a_filter(client, researcher, project, groups):
    client.force_login(researcher)
    said = {
        "name": "Second look",
        "overlap": "2",
        "ordering": "random",
        "blind": "on",
        "asked": ["rank"],
        "lease_minutes": "15",
        "min": "2",
        "max": "4",
        "limit": "2",
        "split": "train",
    }
    made = client.post(reverse("queue-new", args=[project.slug]), said)
    queue = Queue.objects.get(name="Second look")
    assert made.url == queue.get_absolute_url()
    assert (queue.items_total, queue.overlap, queue.asked) == (2, 2, ["rank"])
    assert queue.filter["hints"] is False
    assert client.get(made.url).status_code == 200


def test_the_form_counts_before_anything_is_made(client, researcher, project, groups):
    client.force_login(researcher)
    url = reverse("queue-new", args=[project.slug])
    assert "<b>3 questions</b>" in client.get(url).content.decode()
    counted = client.post(url, {"preview": "yes", "min": "2", "max": "8", "split": "test"})
    assert "No question matches." in counted.content.decode()
    part = client.post(reverse("queue-preview", args=[project.slug]), {"min": "5", "max": "8"})
    assert part.content.decode().strip().startswith("<p")
    assert not Queue.objects.exists()


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"name": "First look"}, "already a queue named"),
        ({"overlap": "0"}, "Give 1 to 100 people"),
        ({"min": "4", "max": "2"}, "fewer than the least number"),
        ({"min": "1"}, "at least two rationales"),
        ({"asked": []}, "This field is required"),
    ],
)
def test_a_queue_that_makes_no_sense_is_refused(client, researcher, project, queue, said, sentence):
    client.force_login(researcher)
    good = {"name": "New", "overlap": "1", "ordering": "random", "lease_minutes": "9"}
    good |= {"min": "2", "max": "8", "asked": ["rank"]}
    page = client.post(reverse("queue-new", args=[project.slug]), good | said)
    assert sentence in page.content.decode()
    assert Queue.objects.count() == 1


def test_closing_and_opening(client, researcher, project, queue):
    client.force_login(researcher)
    url = reverse("queue-open", args=[project.slug, queue.pk])
    for said, is_open in (("no", False), ("no", False), ("yes", True)):
        client.post(url, {"open": said})
        queue.refresh_from_db()
        assert queue.is_open is is_open


def test_pages_ask_a_constant_number_of_questions(
    client, researcher, project, queue, django_assert_max_num_queries
):
    for n in range(5):
        make_queue(project, name=f"Queue {n}")
    client.force_login(researcher)
    for url in (reverse("queues", args=[project.slug]), queue.get_absolute_url()):
        with django_assert_max_num_queries(14):
            client.get(url)


def test_counts_above_a_thousand_stay_readable_for_machines(client, viewer, project, queue):
    Queue.objects.update(submitted=1200, items_total=3400)
    client.force_login(viewer)
    for url in (reverse("queues", args=[project.slug]), queue.get_absolute_url()):
        page = client.get(url).content.decode()
        assert 'value="1200"' in page
        assert 'max="3400"' in page
        assert "1,200" in page


def test_the_page_shows_the_group_and_hides_its_authors(client, at, annotator):
    page = client.get(at()).content.decode()
    held = Assignment.objects.get()
    for pk in held.shown_order:
        assert f'name="rank-{pk}"' in page
        assert f'name="decision-{pk}"' in page
    assert "model-0" not in page
    assert "Reference answer" in page
    Queue.objects.update(blind=False, filter={"hints": False})
    page = client.get(at()).content.decode()
    assert "model-0" in page
    assert "Reference answer" not in page


def test_a_group_goes_through_as_plain_inputs(client, at, annotator):
    client.get(at())
    held = Assignment.objects.get()
    a, b, c, _ = held.shown_order
    said = fields(held, 2, 1, 1, **{f"decision-{b}": "accept", "seconds": "9"})
    said |= {f"decision-{c}": "reject", f"reason-{c}": ["wrong_step"], f"note-{c}": "8 + 3"}
    went = client.post(at("review-item", held.pk), said)
    assert went.url == at()
    ranking = Ranking.objects.get()
    assert dict(ranking.places.values_list("rationale_id", "rank")) == {b: 1, c: 1, a: 3}
    assert ranking.seconds_spent == 9
    assert Review.objects.get(rationale=c).reasons == ["wrong_step"]
    following = client.get(at()).content.decode()
    assert "Submitted." in following
    assert Assignment.objects.count() == 2


def test_silence_is_refused_and_what_was_typed_comes_back(client, at):
    client.get(at())
    held = Assignment.objects.get()
    refused = client.post(at("review-item", held.pk), fields(held))
    assert refused.status_code == 422
    assert "Nothing is said about this group yet" in refused.content.decode()
    refused = client.post(at("review-item", held.pk), fields(held, "first", 1, 2))
    assert "is not a whole number from 1 up" in refused.content.decode()
    assert f'name="rank-{held.shown_order[2]}" value="2"' in refused.content.decode()
    assert not Ranking.objects.exists()


def test_a_form_of_another_group_is_refused_and_stores_nothing(client, at):
    client.get(at())
    held = Assignment.objects.get()
    foreign = {"rank-999999": "1", "decision-999998": "accept"}
    refused = client.post(at("review-item", held.pk), fields(held, 1, 2, 3, **foreign))
    assert refused.status_code == 422
    assert "2 of the rationales that were sent were not shown" in refused.content.decode()
    assert not Ranking.objects.exists()


def test_a_note_of_a_megabyte_is_refused_and_comes_back(client, at):
    client.get(at())
    held = Assignment.objects.get()
    first = held.shown_order[0]
    said = {f"decision-{first}": "reject", f"note-{first}": "n" * 1_000_000}
    refused = client.post(at("review-item", held.pk), said)
    assert refused.status_code == 422
    assert "The note on rationale 1 has 1,000,000 characters" in refused.content.decode()
    assert "n" * 1_000_000 in refused.content.decode(), "nothing is lost"
    assert not Review.objects.exists()


def test_a_note_without_a_verdict_is_kept_and_asked_about(client, at):
    client.get(at())
    held = Assignment.objects.get()
    first = held.shown_order[0]
    said = fields(held, 1, 2, 3) | {f"note-{first}": "Line 2 is odd.\0", f"decision-{first}": ""}
    client.post(at("review-draft", held.pk), said)
    assert "Line 2 is odd." in client.get(at()).content.decode(), "the draft has it"
    refused = client.post(at("review-item", held.pk), said)
    assert "The note on rationale 1 belongs to a verdict" in refused.content.decode()
    assert not Ranking.objects.exists()


def test_bytes_that_are_no_text_do_no_harm(client, at):
    client.get(at())
    held = Assignment.objects.get()
    first = held.shown_order[0]
    body = f"decision-{first}=reject&note-{first}=a%00b%ED%A0%80%FFc".encode()
    form = "application/x-www-form-urlencoded"
    client.post(at("review-item", held.pk), body, content_type=form)
    assert Review.objects.get().note.startswith("ab")


def test_right_as_shown_is_one_tick(client, at):
    client.get(at())
    held = Assignment.objects.get()
    client.post(at("review-item", held.pk), fields(held, as_shown="yes"))
    assert list(Ranking.objects.get().places.values_list("rationale_id", flat=True)) == (
        held.shown_order
    )


def test_a_draft_survives_a_reload_and_prolongs_the_hold(client, at):
    client.get(at())
    held = Assignment.objects.get()
    run_out(held)
    a = held.shown_order[0]
    kept = client.post(at("review-draft", held.pk), fields(held, 3, **{f"decision-{a}": "accept"}))
    assert kept.json() == {"state": "kept"}
    was = held.leased_until
    held.refresh_from_db()
    assert held.leased_until >= was
    page = client.get(at()).content.decode()
    assert f'name="rank-{a}" value="3"' in page
    assert f'name="decision-{a}" value="accept" checked' in page


def test_a_draft_that_comes_after_the_submission_is_dropped(client, at):
    client.get(at())
    held = Assignment.objects.get()
    client.post(at("review-item", held.pk), fields(held, 1, 2))
    late = client.post(at("review-draft", held.pk), fields(held, 2, 1))
    assert late.json() == {"state": "submitted"}
    held.refresh_from_db()
    assert held.draft == {}


def test_the_page_says_when_others_took_the_item(client, project, annotator, second_annotator):
    make_group(project)
    queue = make_queue(project)
    client.force_login(annotator)
    client.get(reverse("review", args=[project.slug, queue.pk]))
    held = Assignment.objects.get()
    run_out(held)
    claim(queue, second_annotator)
    url = reverse("review-item", args=[project.slug, queue.pk, held.pk])
    draft = reverse("review-draft", args=[project.slug, queue.pk, held.pk])
    assert client.post(draft, fields(held, 1, 2)).json() == {"state": "lost"}
    assert "kept beside theirs" in client.get(url).content.decode()
    client.post(url, fields(held, 1, 2))
    assert Ranking.objects.count() == 1
    done = client.get(reverse("review", args=[project.slug, queue.pk])).content.decode()
    assert "one judgement more" in done


def test_a_second_submission_says_so_and_goes_on(client, at):
    client.get(at())
    held = Assignment.objects.get()
    for _ in range(2):
        went = client.post(at("review-item", held.pk), fields(held, 1, 2))
    assert went.url == at()
    assert "submitted already" in client.get(at()).content.decode()
    assert Ranking.objects.count() == 1


def test_what_was_submitted_can_be_opened_and_changed(client, at):
    client.get(at())
    held = Assignment.objects.get()
    client.post(at("review-item", held.pk), fields(held, 1, 2))
    mine = client.get(at("review-mine")).content.decode()
    assert at("review-item", held.pk) in mine
    assert "1 &gt; 2" in mine
    page = client.get(at("review-item", held.pk)).content.decode()
    held.refresh_from_db()
    assert f'name="seen" value="{held.finished_at.isoformat()}"' in page
    said = fields(held, 2, 1, seen=held.finished_at.isoformat())
    client.post(at("review-item", held.pk), said)
    assert Ranking.objects.live().get().places.first().rationale_id == held.shown_order[1]
    assert Ranking.objects.count() == 2


def test_a_skip_needs_a_reason(client, at, queue):
    client.get(at())
    held = Assignment.objects.get()
    refused = client.post(at("review-skip", held.pk), fields(held, 1, 2))
    assert refused.status_code == 422
    assert f'name="rank-{held.shown_order[1]}" value="2"' in refused.content.decode()
    client.post(at("review-skip", held.pk), {"reason": "The question is unclear"})
    held.refresh_from_db()
    assert (held.status, held.skip_reason) == ("skipped", "The question is unclear")


def test_the_end_of_a_queue_says_how_much_was_done(client, at):
    for _ in range(3):
        client.get(at())
        held = Assignment.objects.get(status="leased")
        client.post(at("review-item", held.pk), fields(held, 1, 2))
    page = client.get(at()).content.decode()
    assert "This queue is done for you" in page
    assert "3 of 3" in page


def test_htmx_gets_the_next_item_alone(client, at):
    client.get(at())
    held = Assignment.objects.get()
    swapped = client.post(
        at("review-item", held.pk), fields(held, 1, 2), headers={"hx-request": "true"}
    )
    page = swapped.content.decode()
    assert page.strip().startswith("<section")
    assert "<html" not in page
    assert swapped["HX-Replace-Url"] == at()
    assert str(Assignment.objects.get(status="leased").pk) in page


def test_the_layout_is_remembered(client, at, project, annotator):
    url = reverse("review-layout", args=[project.slug])
    assert client.post(url, {"layout": "stack", "next": at()}).url == at()
    assert 'data-layout="stack"' in client.get(at()).content.decode()
    away = client.post(url, {"layout": "stack", "next": "https://elsewhere.example/"})
    assert away.url == reverse("queues", args=[project.slug])


def test_a_page_costs_a_bounded_number_of_queries(client, at, django_assert_max_num_queries):
    client.get(at())
    with django_assert_max_num_queries(21):
        client.get(at())
