"""Questions: found by words and facts, paged by key; one question tells its whole story."""

from __future__ import annotations

import pytest
from django.urls import reverse

from curation import browsing
from curation.browsing import Search, matching, page_of
from curation.judging import rank, review
from curation.models import Question
from tests.make import make_group, make_model, make_question, make_queue, make_rationale
from training.scoring import score

pytestmark = pytest.mark.django_db


@pytest.fixture
def orchard(project):
    make_question(project, "Mia picks apples from the tree.", split="test", source="gsm8k")
    make_question(project, "Tom sells 3 baskets of pears.", source="gsm8k")
    make_group(project, 2, "Ana plants cherry stones.")
    return project


def found(project, **search) -> list[str]:
    return [question.text.split()[0] for question in matching(project, Search(**search))]


def test_words_splits_sources_and_states_narrow_the_list(orchard, annotator):
    assert found(orchard) == ["Mia", "Tom", "Ana"]
    assert found(orchard, q="apple picking") == ["Mia"]
    assert found(orchard, q="baskets or cherry") == ["Tom", "Ana"]
    assert found(orchard, q="-apples") == ["Tom", "Ana"]
    assert found(orchard, split="test") == ["Mia"]
    assert found(orchard, source="gsm8k", state="without") == ["Mia", "Tom"]
    assert found(orchard, state="with") == found(orchard, state="unjudged") == ["Ana"]
    one = Question.objects.get(text__startswith="Ana").rationales.first()
    review(one, annotator, "accept")
    assert found(orchard, state="judged") == found(orchard, state="accepted") == ["Ana"]
    assert found(orchard, state="unjudged") == []


def test_pages_go_forth_and_back_by_key(project, monkeypatch):
    monkeypatch.setattr(browsing, "PAGE", 3)
    keys = [make_question(project, f"Question {number}?").pk for number in range(8)]

    def page(**where):
        one = page_of(matching(project, Search()), **where)
        return [row.question.pk for row in one.rows], one

    first, one = page()
    assert (first, one.before) == (keys[:3], None)
    second, two = page(after=one.after)
    third, three = page(after=two.after)
    assert (second, third, three.after) == (keys[3:6], keys[6:], None)
    back, again = page(before=three.before)
    assert back == second
    assert page(before=again.before)[0] == first


def test_a_list_counts_what_is_there(project, annotator):
    question = make_group(project, 3)
    score(question.rationales.values_list("pk", flat=True))
    one = question.rationales.first()
    make_rationale(question, "8 + 3 = 11!", role="student", author_model=make_model(project, "s"))
    review(one, annotator, "accept")
    rank(question, annotator, {one.pk: 1})
    (row,) = page_of(matching(project, Search())).rows
    assert (row.teacher, row.student, row.human) == (3, 1, 0)
    assert (row.accepted, row.rankings, row.right) == (1, 1, pytest.approx(1 / 3))


def test_the_list_asks_the_database_the_same_however_long_it_is(
    client, project, viewer, django_assert_max_num_queries
):
    for number in range(30):
        make_group(project, 2, f"What is 8 + {number}?")
    client.force_login(viewer)
    with django_assert_max_num_queries(16):
        page = client.get(reverse("questions", args=["orchard"])).content.decode()
    assert "30 questions" in page


def test_nonsense_in_the_address_finds_nothing_worse(client, project, viewer):
    make_question(project)
    client.force_login(viewer)
    for query in (
        "?after=x",
        "?before=-1",
        "?split=none",
        "?q=%00%22",
        "?after=99999999999999999999",
    ):
        assert client.get(reverse("questions", args=["orchard"]) + query).status_code == 200


def test_a_stranger_sees_no_question(client, project, stranger):
    question = make_question(project)
    client.force_login(stranger)
    for url in (reverse("questions", args=["orchard"]), question.get_absolute_url()):
        assert client.get(url).status_code == 404


def test_a_question_of_another_project_is_not_there(client, project, viewer):
    from curation.models import Project

    other = make_question(Project.objects.create(slug="other", name="Other"))
    client.force_login(viewer)
    assert client.get(reverse("question", args=["orchard", other.pk])).status_code == 404


def story(client, question) -> str:
    return client.get(question.get_absolute_url()).content.decode()


def test_a_question_tells_who_wrote_and_who_judged(client, project, researcher, annotator):
    question = make_group(project, 2)
    first, second = question.rationales.all()
    rank(question, annotator, {first.pk: 2, second.pk: 1})
    review(second, annotator, "reject", ["misread"], "takes 3 for 8")
    rank(question, annotator, {first.pk: 1, second.pk: 2})
    client.force_login(researcher)
    page = story(client, question)
    assert "model-0" in page
    assert "1st · anna" in page
    assert "takes 3 for 8" in page
    assert "replaced" in page, "the earlier ranking is still told"


def test_who_may_still_judge_it_blindly_learns_no_author(client, project, annotator, researcher):
    question = make_group(project, 2)
    queue = make_queue(project, blind=True)
    client.force_login(annotator)
    page = story(client, question)
    assert "model-0" not in page
    assert "who wrote what is hidden" in page
    queue.is_open = False
    queue.save()
    assert "model-0" in story(client, question)


def test_an_annotator_sees_judgements_without_names(client, project, annotator, second_annotator):
    question = make_group(project, 2)
    rank(question, second_annotator, {question.rationales.first().pk: 1})
    client.force_login(annotator)
    page = story(client, question)
    assert "somebody" in page
    assert str(second_annotator) not in page


def test_what_a_model_wrote_is_text(client, project, viewer):
    question = make_question(project, "What is <b>8</b> + 3?")
    make_rationale(question, "<script>alert(1)</script> 8 + 3 = 11")
    client.force_login(viewer)
    page = story(client, question)
    assert "<script>alert" not in page
    assert "<b>8</b>" not in page
