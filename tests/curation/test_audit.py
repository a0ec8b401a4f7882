"""Who did what, when, to which row: from the triggers, for owners, and all of it as a file."""

from __future__ import annotations

import csv
import json
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from curation import audit, members
from curation.audit import Asked, Trail, every, page_of
from curation.browsing import bulk
from curation.browsing.bulk import Deed, Errand
from curation.models import LanguageModel, Membership, Project, Question
from curation.review.judging import rank, review
from tests.make import make_group, make_queue

pytestmark = pytest.mark.django_db


def page(client, **query) -> str:
    return client.get(reverse("audit", args=["orchard"]), query).content.decode()


def deeds(project, **asked) -> list[tuple[str, str]]:
    """(kind, deed) of each entry, the newest first."""
    entries, _ = page_of(project, Asked(**asked))
    return [(entry.trail.name, entry.deed) for entry in entries]


def test_every_kind_of_change_is_there(project, owner, annotator, researcher):
    question = make_group(project, 2)
    one, two = question.rationales.all()
    project.name = "Old orchard"
    project.save()
    members.change_role(Membership.objects.get(user=annotator), "viewer")
    make_queue(project)
    rank(question, annotator, {one.pk: 1, two.pk: 2})
    rank(question, annotator, {one.pk: 2, two.pk: 1})
    review(one, annotator, "accept")
    bulk.send(project, Errand("rationales", Deed("tag", tag="x"), (one.pk,)), researcher)
    bulk.send(project, Errand("rationales", Deed("untag", tag="x"), (one.pk,)), researcher)
    Question.objects.filter(pk=question.pk).update(reference_answer="12")
    LanguageModel.objects.filter(name="model-0").update(licence="mit")
    told = deeds(project)
    for expected in (
        ("project", "changed"), ("member", "added"), ("member", "changed"), ("queue", "added"),
        ("ranking", "added"), ("ranking", "changed"), ("review", "added"),
        ("rationale-tag", "added"), ("rationale-tag", "removed"), ("question", "changed"),
        ("model", "added"), ("model", "changed"),
    ):  # fmt: skip
        assert expected in told, expected


def test_an_entry_says_what_was_and_what_became(project, annotator):
    members.change_role(Membership.objects.get(user=annotator), "viewer")
    entry = next(e for e in page_of(project, Asked(kind="member"))[0] if e.deed == "changed")
    assert [(c.name, c.old, c.new) for c in entry.changes] == [("role", "annotator", "viewer")]
    assert entry.about == "anna"


def test_an_account_that_is_switched_off_is_told_to_its_projects(project, annotator, stranger):
    annotator.preferences = {"review_layout": "stack"}
    annotator.save()
    annotator.is_active = False
    annotator.save()
    stranger.is_active = False
    stranger.save()
    told = [e for e in page_of(project, Asked(kind="account"))[0] if e.deed == "changed"]
    assert [(e.about, [(c.name, c.new) for c in e.changes]) for e in told] == [
        ("anna", [("is active", "False")])
    ], "tastes are nobody's business, and strangers no business of the project's"


def test_even_the_first_change_of_a_question_says_what_was(project):
    question = make_group(project, 1)
    Question.objects.filter(pk=question.pk).update(reference_answer="12")
    (entry,) = page_of(project, Asked(kind="question"))[0]
    assert [(c.old, c.new) for c in entry.changes] == [("11", "12")]


def test_the_person_of_the_request_is_named(client, project, owner, annotator):
    client.force_login(owner)
    membership = Membership.objects.get(user=annotator)
    client.post(reverse("member-role", args=["orchard", membership.pk]), {"role": "viewer"})
    entries, _ = page_of(project, Asked(who=owner.pk))
    assert [(entry.who, entry.deed) for entry in entries] == [(owner, "changed")]
    assert entries[0].url.endswith("/role/")
    assert page_of(project, Asked(who=annotator.pk))[0] == []


def test_a_job_acts_in_the_name_of_who_asked_for_it(project, researcher, monkeypatch):
    monkeypatch.setattr(bulk, "AT_ONCE", 0)
    question = make_group(project, 2)
    job = bulk.send(project, Errand("rationales", Deed("accept"), search={}), researcher)
    assert job.claim()
    bulk.perform(job)
    entries, _ = page_of(project, Asked(who=researcher.pk, kind="review"))
    assert len(entries) == 2
    assert entries[0].url == job.get_absolute_url()
    assert deeds(project, question=question.pk, kind="review") == [("review", "added")] * 2
    assert ("job", "changed") in deeds(project)


def test_days_narrow_it(project):
    make_group(project, 1)
    today = timezone.localdate()
    assert deeds(project, since=today, until=today)
    assert not deeds(project, since=today + timedelta(days=1))
    assert not deeds(project, until=today - timedelta(days=1))


def test_pages_go_by_key_through_all_kinds(project, annotator, monkeypatch):
    monkeypatch.setattr(audit, "PAGE", 4)
    question = make_group(project, 5)
    for one in question.rationales.all():
        review(one, annotator, "accept")
    make_queue(project)
    whole = [entry.place for entry in every(project, Asked())][::-1]
    seen, key = [], None
    while True:
        entries, key = page_of(project, Asked(), key)
        seen += [entry.place for entry in entries]
        if key is None:
            break
    assert seen == whole
    assert len(whole) > 10


def test_another_project_is_another_audit(project, owner):
    other = Project.objects.create(slug="grove", name="Grove")
    make_queue(other)
    assert "queue" not in {kind for kind, _ in deeds(project)}


def test_the_page_asks_the_database_the_same_however_much_there_is(
    client, project, owner, annotator, django_assert_max_num_queries
):
    question = make_group(project, 20)
    for one in question.rationales.all():
        review(one, annotator, "accept")
        review(one, annotator, "reject")
    client.force_login(owner)
    with django_assert_max_num_queries(45):
        assert "Review" in page(client)


def test_an_owner_takes_all_of_it_away(client, project, owner, annotator):
    question = make_group(project, 2)
    review(question.rationales.first(), annotator, "reject", ["misread"], "=1+1")
    client.force_login(owner)
    url = reverse("audit-file", args=["orchard"])
    lines = client.get(url).getvalue().decode().splitlines()
    records = [json.loads(line) for line in lines]
    assert [r["at"] for r in records] == sorted(r["at"] for r in records)
    (told,) = [record for record in records if record["kind"] == "review"]
    assert told["is_now"]["decision"] == "reject"
    assert told["is_now"]["note"] == "=1+1"
    answer = client.get(url, {"format": "csv", "kind": "review"})
    rows = list(csv.DictReader(answer.getvalue().decode().splitlines()))
    assert [row["deed"] for row in rows] == ["added"]
    assert answer["Content-Disposition"] == 'attachment; filename="orchard-audit.csv"'


def test_a_spreadsheet_reads_no_formula(client, project, owner):
    make_queue(project, name="=HYPERLINK(1)")
    client.force_login(owner)
    url = reverse("audit-file", args=["orchard"])
    rows = list(csv.DictReader(client.get(url, {"format": "csv"}).getvalue().decode().splitlines()))
    assert "'=HYPERLINK(1)" in {row["about"] for row in rows}


def test_nonsense_in_the_address_is_as_good_as_none(client, project, owner):
    make_group(project, 1)
    client.force_login(owner)
    for query in (
        {"until": "9999-12-31"}, {"since": "0001-01-01"}, {"who": "x"},
        {"who": "9" * 30}, {"kind": "none"}, {"since": "yesterday"},
        {"question": "-1"}, {"question": "9" * 30}, {"before": "a~b~c"},
        {"before": "2026-99-99T00:00:00+00:00~queue~1"}, {"before": "2026-01-01T00:00:00~queue~1"},
    ):  # fmt: skip
        response = client.get(reverse("audit", args=["orchard"]), query)
        assert response.status_code == 200, query


def test_who_left_can_still_be_asked_about(client, project, owner, annotator):
    members.remove(Membership.objects.get(user=annotator))
    client.force_login(owner)
    assert f'<option value="{annotator.pk}">' in page(client)


def test_other_apps_add_their_histories(project):
    assert "run" in audit.TRAILS
    assert isinstance(audit.TRAILS["run"], Trail)


def test_every_model_with_a_history_has_a_trail():
    from django.apps import apps
    from pghistory.models import Event

    tracked = {
        model.pgh_tracked_model._meta.label
        for model in apps.get_models()
        if issubclass(model, Event) and not model._meta.proxy
    }
    assert tracked == {trail.model for trail in audit.TRAILS.values()}
