"""Keys belong to the person, reasons to the project."""

from __future__ import annotations

import pytest
from django.urls import reverse

from curation.review.keys import ACTIONS, conflicts, keys_of, objection
from curation.review.reasons import in_words, reasons_of

pytestmark = pytest.mark.django_db


def fields(**chosen: str) -> dict[str, str]:
    return {action.name: action.key for action in ACTIONS} | chosen


@pytest.fixture
def page(client, annotator, project):
    client.force_login(annotator)
    return reverse("review-keys", args=[project.slug])


def test_the_first_keys_are_in_no_conflict():
    keys = {action.name: action.key for action in ACTIONS}
    assert conflicts(keys) == []
    assert [objection(key) for key in keys.values() if objection(key)] == []


def test_keys_are_kept_with_the_account(client, page, annotator):
    said = client.post(page, fields(accept="q", submit="F8", skip=""))
    assert said.status_code == 302
    annotator.refresh_from_db()
    own = keys_of(annotator)
    assert (own["accept"], own["submit"], own["skip"], own["reject"]) == ("q", "F8", "", "r")
    assert annotator.preferences["review_keys"] == {"accept": "q", "submit": "F8", "skip": ""}
    assert 'value="q"' in client.get(page).content.decode()


def test_a_key_for_two_deeds_is_refused_in_a_sentence(client, page, annotator):
    refused = client.post(page, fields(accept="r"))
    assert refused.status_code == 422
    told = refused.content.decode()
    assert "“r” would do two things: Accept the card" in told
    assert "Reject the card" in told
    annotator.refresh_from_db()
    assert keys_of(annotator)["accept"] == "a"


@pytest.mark.parametrize(
    ("key", "sentence"), [("3", "belongs to a card"), ("ctrl", "is no key"), ("\t\t", "")]
)
def test_what_can_be_no_key_is_refused(client, page, key, sentence):
    told = client.post(page, fields(accept=key))
    assert told.status_code == (422 if sentence else 302)
    assert sentence in told.content.decode()


def test_keys_can_be_as_at_first_again(client, page, annotator):
    client.post(page, fields(accept="q"))
    client.post(page, {"reset": "yes"})
    annotator.refresh_from_db()
    assert keys_of(annotator)["accept"] == "a"


def test_printed_keys_are_read_back(client, page, annotator):
    client.post(page, fields(left="←", submit="Space", right="→"))
    annotator.refresh_from_db()
    assert keys_of(annotator)["left"] == "ArrowLeft"
    assert keys_of(annotator)["submit"] == " "


def test_a_project_has_reasons_of_its_own(client, owner, project):
    client.force_login(owner)
    page = reverse("reasons", args=[project.slug])
    assert "Misreads the question" in client.get(page).content.decode()
    client.post(page, {"reject": "Wrong answer\nUses calculus\n\nUses calculus", "accept": ""})
    project.refresh_from_db()
    assert reasons_of(project) == {
        "reject": {"wrong_answer": "Wrong answer", "Uses calculus": "Uses calculus"},
        "accept": {},
    }
    assert in_words("wrong_answer") == "Wrong answer"
    assert in_words("Uses calculus") == "Uses calculus"


def test_reasons_too_long_or_too_many_are_refused(client, owner, project):
    client.force_login(owner)
    page = reverse("reasons", args=[project.slug])
    assert "60 at most" in client.post(page, {"reject": "x" * 61}).content.decode()
    many = "\n".join(map(str, range(21)))
    assert "21 reasons are too many" in client.post(page, {"reject": many}).content.decode()
    project.refresh_from_db()
    assert "reasons" not in project.options
