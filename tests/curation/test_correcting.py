"""A correction is a new rationale; comments are remarks; comparisons show what changed."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from curation.models import Comment, Rationale, Review
from curation.queues.leases import claim
from curation.review import judging
from curation.review.correcting import correct, versions
from tests.make import make_group, make_queue, make_rationale


@pytest.fixture
def question(project):
    return make_group(project)


@pytest.fixture
def original(question) -> Rationale:
    return question.rationales.last()


def test_a_correction_is_a_new_rationale_and_the_old_one_stays(original, annotator):
    before = original.thought
    written = correct(original, annotator, "8 + 3 is 11", "11")
    assert (written.role, written.author_user, written.revises) == ("human", annotator, original)
    original.refresh_from_db()
    assert original.thought == before


def test_the_same_correction_is_stored_once(original, annotator, second_annotator):
    first = correct(original, annotator, "8 + 3 is 11", "11")
    assert correct(original, annotator, "8 + 3 is 11\r\n", "11") == first
    assert correct(original, second_annotator, "8 + 3 is 11", "11") != first


@pytest.mark.parametrize(
    ("thought", "answer", "sentence"),
    [
        ("8 + 3 is 14", "14", "Nothing is changed"),
        (" \n\0", "", "needs a thought or an answer"),
        ("x" * 400_001, "1", "too long"),
    ],
)
def test_a_correction_that_corrects_nothing_is_refused(
    original, annotator, thought, answer, sentence
):
    with pytest.raises(ValidationError, match=sentence):
        correct(original, annotator, thought, answer)


def test_versions_are_a_family(question, original, annotator):
    child = correct(original, annotator, "better", "11")
    grandchild = correct(child, annotator, "better still", "11")
    sibling = correct(original, annotator, "otherwise", "11")
    for one in (original, grandchild, sibling):
        assert versions(one) == [original, child, grandchild, sibling]
    assert versions(question.rationales.first()) == [question.rationales.first()]


def test_correcting_in_the_browser_without_javascript(client, annotator, project, original):
    client.force_login(annotator)
    page = reverse("rationale-correct", args=[project.slug, original.pk])
    assert "8 + 3 is 14</textarea>" in client.get(page).content.decode()
    refused = client.post(page, {"thought": original.thought, "answer": original.answer})
    assert refused.status_code == 422
    assert "Nothing is changed" in refused.content.decode()
    went = client.post(page, {"thought": "8 + 3 is 11", "answer": "11", "accept": "yes"})
    written = Rationale.objects.get(role="human")
    assert went.url == reverse("rationale", args=[project.slug, written.pk])
    assert Review.objects.get().rationale == written
    shown = client.get(went.url).content.decode()
    assert "<ins>11</ins>" in shown
    assert "<del>14</del>" in shown
    assert "see how" in shown


def test_a_correction_in_the_card_answers_with_what_changed(client, annotator, project, original):
    client.force_login(annotator)
    page = reverse("rationale-correct", args=[project.slug, original.pk])
    part = client.get(page, headers={"hx-request": "true"}).content.decode()
    assert "<html" not in part
    assert "data-cancel" in part
    sent = {"thought": "8 + 3 is 11", "answer": "11"}
    saved = client.post(page, sent, headers={"hx-request": "true"}).content.decode()
    assert "1 changed" in saved
    assert "<html" not in saved


def test_two_cards_are_compared_by_their_numbers(client, annotator, project, question):
    queue = make_queue(project)
    held = claim(queue, annotator)
    client.force_login(annotator)
    url = reverse("review-diff", args=[project.slug, queue.pk, held.pk])
    page = client.get(url, {"a": 1, "b": 3}).content.decode()
    assert "Rationale 1 beside Rationale 3" in page
    assert "model-" not in page, "who wrote what stays hidden"
    assert client.get(url, {"a": 1, "b": 5}).status_code == 404
    assert client.get(url, {"a": "x", "b": 1}).status_code == 404


def test_a_sample_is_compared_with_the_accepted_rationale(client, owner, project, question):
    accepted, sample = question.rationales.all()[2], question.rationales.last()
    judging.review(accepted, owner, "accept")
    client.force_login(owner)
    url = reverse("diff", args=[project.slug, question.pk])
    page = client.get(url, {"b": sample.pk}).content.decode()
    assert f"Rationale {accepted.pk}, teacher: model-2 beside Rationale {sample.pk}" in page


def test_rationales_of_another_question_are_not_compared(client, owner, project, question):
    other = make_group(project, text="Another?").rationales.first()
    client.force_login(owner)
    url = reverse("diff", args=[project.slug, question.pk])
    assert client.get(url, {"a": question.rationales.first().pk, "b": other.pk}).status_code == 404


def test_a_blind_reader_learns_no_author_anywhere(client, annotator, project, question):
    make_queue(project)
    client.force_login(annotator)
    first, second = question.rationales.all()[:2]
    for url in (
        reverse("rationale", args=[project.slug, first.pk]),
        reverse("diff", args=[project.slug, question.pk]) + f"?a={first.pk}&b={second.pk}",
    ):
        assert "model-" not in client.get(url).content.decode()


def test_a_long_rationale_goes_on_from_where_it_was(client, owner, project, question):
    long = "\n".join(f"Line {n} of a long way to the answer." for n in range(3000))
    rationale = make_rationale(question, long)
    client.force_login(owner)
    url = reverse("rationale", args=[project.slug, rationale.pk])
    page = client.get(url).content.decode()
    assert "Show more" in page
    assert len(page) < 200_000
    rest = client.get(url, {"after": 2900}).content.decode()
    assert "Line 2999" in rest
    assert "From the beginning" in rest


def test_comments_stand_on_the_question_and_can_be_withdrawn(
    client, annotator, owner, project, question, original
):
    client.force_login(annotator)
    back = reverse("question", args=[project.slug, question.pk])
    said = {"text": "Where does 3 come from?", "next": back}
    went = client.post(reverse("comment", args=[project.slug, original.pk]), said)
    assert went.url == f"{back}#comments-{original.pk}"
    client.force_login(owner)
    assert "Where does 3 come from?" in client.get(back).content.decode()
    comment = Comment.objects.get()
    withdraw = reverse("comment-withdraw", args=[project.slug, comment.pk])
    assert client.post(withdraw).status_code == 404, "somebody else's"
    client.force_login(annotator)
    client.post(withdraw, {"next": "https://elsewhere.example/"})
    assert "Where does 3 come from?" not in client.get(back).content.decode()
    assert Comment.objects.count() == 1


def test_an_empty_comment_is_refused_in_a_sentence(client, annotator, project, original):
    client.force_login(annotator)
    url = reverse("comment", args=[project.slug, original.pk])
    told = client.post(url, {"text": " \0 "}, follow=True).content.decode()
    assert "The comment is empty" in told
    assert (
        "5,000 characters" in client.post(url, {"text": "x" * 5001}, follow=True).content.decode()
    )
    assert not Comment.objects.exists()


def test_who_still_judges_blind_reads_no_comments_of_others(
    client, annotator, owner, project, question, original
):
    make_queue(project)
    Comment.objects.create(rationale=original, by=owner, text="Plainly wrong.")
    client.force_login(annotator)
    for url in (
        reverse("question", args=[project.slug, question.pk]),
        reverse("rationale", args=[project.slug, original.pk]),
    ):
        assert "Plainly wrong." not in client.get(url).content.decode()


def test_a_question_page_asks_for_comments_once(
    client, owner, project, question, django_assert_max_num_queries
):
    client.force_login(owner)
    url = reverse("question", args=[project.slug, question.pk])
    for rationale in question.rationales.all():
        Comment.objects.create(rationale=rationale, by=owner, text="Look here.")
    with django_assert_max_num_queries(40) as few:
        client.get(url)
    for n in range(5):
        Comment.objects.create(rationale=make_rationale(question, f"{n}"), by=owner, text="And.")
    with django_assert_max_num_queries(len(few.captured_queries)):
        client.get(url)
