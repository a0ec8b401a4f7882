"""One deed on many rows: at once where they are few, else a job that may be cut off and go on."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from curation import jobs
from curation.browsing import bulk
from curation.browsing.bulk import Deed, Errand, Outcome, send
from curation.models import (
    Job,
    Membership,
    Project,
    Question,
    Queue,
    Review,
)
from curation.queues.leases import claim
from curation.review.judging import review, submit
from tests.make import make_group, make_queue

pytestmark = pytest.mark.django_db


@pytest.fixture
def group(project) -> Question:
    return make_group(project, 4)


def keys_of(group: Question) -> tuple[int, ...]:
    return tuple(group.rationales.values_list("pk", flat=True))


def done(project, errand: Errand, by) -> tuple[int, int]:
    outcome = send(project, errand, by)
    assert isinstance(outcome, Outcome)
    return outcome.changed, outcome.unchanged


def test_accepting_many_is_a_review_of_each(project, group, researcher):
    keys = keys_of(group)
    errand = Errand("rationales", Deed("accept"), keys[:3])
    assert done(project, errand, researcher) == (3, 0)
    assert done(project, errand, researcher) == (0, 3), "twice is once"
    assert Review.objects.count() == 3


def test_a_changed_mind_supersedes_and_leaves_others_alone(project, group, researcher, annotator):
    first, second, *_ = group.rationales.all()
    review(first, researcher, "accept")
    review(first, annotator, "accept")
    deed = Deed("reject", reasons=("misread",), note="takes 3 for 8")
    done(project, Errand("rationales", deed, (first.pk, second.pk)), researcher)
    live = Review.objects.live().order_by("pk")
    assert [(one.reviewer, one.decision) for one in live.filter(rationale=first)] == [
        (annotator, "accept"),
        (researcher, "reject"),
    ]
    assert live.filter(note="takes 3 for 8", reasons=["misread"]).count() == 2
    assert Review.objects.exclude(superseded_at=None).count() == 1


def test_what_is_said_in_bulk_makes_agreement_stale_and_mends_the_items(
    project, group, researcher, annotator
):
    queue = make_queue(project, overlap=2)
    other = make_queue(project, name="Another", filter={"source": "elsewhere"})
    for person, decision in ((researcher, "accept"), (annotator, "reject")):
        held = claim(queue, person)
        submit(held, {}, {min(held.shown_order): decision})
    Queue.objects.update(agreement_is_stale=False)
    assert queue.items.get().is_split
    first = min(keys_of(group))
    done(project, Errand("rationales", Deed("reject"), (first,)), researcher)
    assert Queue.objects.get(pk=queue.pk).agreement_is_stale
    assert not Queue.objects.get(pk=other.pk).agreement_is_stale, "it does not hold the question"
    assert not queue.items.get().is_split, "the vote that split it was superseded"


def test_all_that_match_means_all_that_match_now(project, group, researcher):
    review(group.rationales.first(), researcher, "reject")
    errand = Errand("rationales", Deed("accept"), search={"verdict": "undecided"})
    assert done(project, errand, researcher) == (3, 0)
    assert done(project, errand, researcher) == (0, 0)


def test_tags_go_on_and_off(project, group, researcher):
    on = Errand("questions", Deed("tag", tag="Hard"), (group.pk,))
    assert done(project, on, researcher) == (1, 0)
    again = Errand("questions", Deed("tag", tag="hard"), (group.pk,))
    assert done(project, again, researcher) == (0, 1), "the case of a letter makes no new tag"
    assert [row.tag.name for row in group.tags.all()] == ["Hard"]
    assert done(project, Errand("questions", Deed("untag", tag="HARD"), (group.pk,)), researcher)
    assert not group.tags.exists()
    its = Errand("rationales", Deed("tag", tag="short"), keys_of(group))
    assert done(project, its, researcher) == (4, 0)
    gone = Errand("rationales", Deed("untag", tag="no such tag"), keys_of(group))
    assert done(project, gone, researcher) == (0, 4)


def test_rationales_bring_their_questions_into_a_queue_once(project, group, researcher):
    queue = make_queue(project, filter={"split": "test"}, overlap=2)
    other = make_group(project, 2, "What is 9 + 3?")
    errand = Errand("rationales", Deed("queue", queue=queue.pk), keys_of(group) + keys_of(other))
    assert done(project, errand, researcher) == (2, 0)
    assert done(project, errand, researcher) == (0, 2)
    queue.refresh_from_db()
    assert queue.items_total == queue.items.count() == 2
    assert [item.overlap for item in queue.items.all()] == [2, 2]


@pytest.mark.parametrize(
    "deed",
    [Deed("tag"), Deed("queue", queue=7), Deed("queue"), Deed("burn")],
)
def test_what_cannot_be_done_is_refused_in_words(project, group, researcher, deed):
    with pytest.raises(ValidationError):
        send(project, Errand("rationales", deed, keys_of(group)), researcher)


def test_questions_are_neither_accepted_nor_rejected(project, group, researcher):
    with pytest.raises(ValidationError):
        send(project, Errand("questions", Deed("accept"), (group.pk,)), researcher)


def test_rows_of_another_project_are_out_of_reach(project, group, researcher):
    there = Project.objects.create(slug="grove", name="Grove")
    other = make_group(there, 2, "What is 7 + 3?")
    assert done(project, Errand("rationales", Deed("accept"), keys_of(other)), researcher) == (0, 0)
    queue = make_queue(there)
    with pytest.raises(ValidationError):
        send(project, Errand("questions", Deed("queue", queue=queue.pk), (group.pk,)), researcher)


def test_many_rows_are_a_job_with_a_report(project, group, researcher, monkeypatch):
    monkeypatch.setattr(bulk, "AT_ONCE", 2)
    monkeypatch.setattr(bulk, "BATCH", 3)
    errand = Errand("rationales", Deed("accept"), search={"role": "teacher"})
    job = send(project, errand, researcher)
    assert isinstance(job, Job)
    late = make_group(project, 1, "What came later?")
    assert job.claim()
    bulk.perform(job)
    job.refresh_from_db()
    assert (job.status, job.done, job.total) == ("done", 4, 4)
    assert job.report == {"changed": 4, "unchanged": 0}
    assert not Review.objects.filter(rationale__question=late).exists(), "asked before it was there"
    assert job.title == "Accept: rationales"


def test_a_job_that_was_cut_off_goes_on_where_it_was(project, group, researcher, monkeypatch):
    monkeypatch.setattr(bulk, "AT_ONCE", 0)
    job = send(project, Errand("rationales", Deed("accept"), search={}), researcher)
    bulk.act(project, "rationales", Deed("accept"), list(keys_of(group)[:2]), researcher)
    assert job.claim()
    bulk.perform(job)
    job.refresh_from_db()
    assert job.report == {"changed": 2, "unchanged": 2}
    assert Review.objects.count() == 4


def test_a_cancelled_job_stops_and_keeps_what_it_did(project, group, researcher, monkeypatch):
    monkeypatch.setattr(bulk, "AT_ONCE", 0)
    job = send(project, Errand("rationales", Deed("accept"), search={}), researcher)
    assert job.claim()
    jobs.cancel(job)
    bulk.perform(job)
    job.refresh_from_db()
    assert job.status == "cancelled"


def test_who_is_no_researcher_any_more_changes_nothing(project, group, researcher, monkeypatch):
    monkeypatch.setattr(bulk, "AT_ONCE", 0)
    job = send(project, Errand("rationales", Deed("accept"), search={}), researcher)
    Membership.objects.filter(user=researcher).update(role="annotator")
    assert job.claim()
    bulk.perform(job)
    job.refresh_from_db()
    assert (job.status, Review.objects.count()) == ("failed", 0)
    assert "no researcher" in job.error


# The page


def post(client, things: str, **data):
    return client.post(reverse(f"{things}-bulk", args=["orchard"]), data)


def test_the_bar_leads_back_to_the_same_page_of_the_list(client, project, group, researcher):
    client.force_login(researcher)
    keys = keys_of(group)
    answer = post(client, "rationales", pk=keys[:2], deed="accept", address="right=yes&after=3")
    assert answer.url == "/p/orchard/rationales/?right=yes&after=3"
    assert "2 changed" in client.get(answer.url).content.decode()


def test_nothing_selected_is_said_and_changes_nothing(client, project, group, researcher):
    client.force_login(researcher)
    answer = post(client, "rationales", deed="accept")
    assert "Nothing is selected" in client.get(answer.url).content.decode()
    assert not Review.objects.exists()


def test_all_that_match_is_asked_about_once_more(client, project, group, researcher):
    make_group(project, 2, "What is 1 + 1?")
    client.force_login(researcher)
    asked = post(
        client, "rationales", all="yes", deed="reject", reason="misread", note="no",
        address="role=teacher",
    )  # fmt: skip
    page = asked.content.decode()
    assert "Reject: 6 rationales?" in page
    assert "Written by: Teacher" in page
    assert not Review.objects.exists()
    post(
        client, "rationales", all="yes", confirmed="yes", deed="reject", reason="misread",
        note="no", address="role=teacher",
    )  # fmt: skip
    assert Review.objects.filter(decision="reject", reasons=["misread"], note="no").count() == 6


def test_a_reason_that_has_gone_meanwhile_is_told_in_words(client, project, group, researcher):
    client.force_login(researcher)
    answer = post(client, "rationales", pk=keys_of(group)[0], deed="reject", reason="too salty")
    page = client.get(answer.url).content.decode()
    assert "“too salty” is not among the project&#x27;s reasons any more." in page
    assert not Review.objects.exists()


def test_a_question_page_acts_on_its_own_rationales(client, project, group, researcher):
    client.force_login(researcher)
    keys = keys_of(group)
    answer = post(client, "rationales", pk=keys[0], deed="tag", tag="short", question=group.pk)
    assert answer.url == group.get_absolute_url()
    assert "short" in client.get(answer.url).content.decode()


def test_a_job_is_shown_while_it_goes(client, project, group, researcher, monkeypatch):
    monkeypatch.setattr(bulk, "AT_ONCE", 2)
    client.force_login(researcher)
    answer = post(client, "rationales", all="yes", confirmed="yes", deed="tag", tag="seen")
    job = Job.objects.get(kind="bulk")
    assert answer.url == job.get_absolute_url()
    assert job.claim()
    bulk.perform(job)
    page = client.get(answer.url).content.decode()
    assert "Tag “seen”: rationales" in page
    assert "4" in page


def test_nonsense_from_the_bar_is_refused_gently(client, project, group, researcher):
    client.force_login(researcher)
    for data in (
        {"pk": "x", "deed": "accept"},
        {"pk": group.rationales.first().pk, "deed": "burn"},
        {"pk": "9" * 30, "deed": "tag", "tag": "a\x00b"},
        {"all": "yes", "deed": "queue", "queue": "-1", "address": "after=" + "9" * 40},
        {"pk": 1, "deed": "tag", "tag": "y", "address": "%00&q=%00", "question": "zero"},
    ):
        for things in ("questions", "rationales"):
            assert post(client, things, **data).status_code in {200, 302}
    assert not Review.objects.exists()


def test_only_researchers_see_the_bar(client, project, group, annotator, researcher):
    url = reverse("rationales", args=["orchard"])
    client.force_login(annotator)
    assert 'id="bulk"' not in client.get(url).content.decode()
    client.force_login(researcher)
    assert 'id="bulk"' in client.get(url).content.decode()


def test_htmx_gets_the_list_alone(client, project, group, researcher):
    client.force_login(researcher)
    url = reverse("rationales", args=["orchard"])
    part = client.get(url, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert f"row-{keys_of(group)[0]}" in part
