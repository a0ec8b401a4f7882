"""Questions: found by words and facts, paged by key; one question tells its whole story."""

from __future__ import annotations

import pytest
from django.urls import reverse

from curation.browsing import question_search, rationale_search, words
from curation.browsing.question_search import Search, matching, page_of, scorers, sources_of
from curation.browsing.rationale_search import RationaleSearch
from curation.models import Question, QuestionTag, RationaleTag, Score, Tag
from curation.review.judging import rank, review
from tests.make import make_group, make_model, make_question, make_queue, make_rationale
from training.runs.scoring import score

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
    monkeypatch.setattr(question_search, "PAGE", 3)
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


def test_pages_go_by_identifier_too(project, monkeypatch):
    monkeypatch.setattr(question_search, "PAGE", 2)
    for name in ("b,1", "a", "d", "c"):
        make_question(project, f"Question {name}?", external_id=name)
    found = matching(project, Search())
    first = page_of(found, order="identifier")
    assert [row.question.external_id for row in first.rows] == ["a", "b,1"]
    second = page_of(found, after=first.after, order="identifier")
    assert [row.question.external_id for row in second.rows] == ["c", "d"]
    back = page_of(found, before=second.before, order="identifier")
    assert [row.question.external_id for row in back.rows] == ["a", "b,1"]
    assert back.before is None


def test_a_count_that_takes_too_long_is_many(project, monkeypatch):
    from django.db.models import Func, IntegerField, Value

    from curation.browsing import keyset

    make_question(project)
    found = matching(project, Search())
    assert str(keyset.Count.of(found)) == "1"
    monkeypatch.setattr(keyset, "COUNTED", 0)
    assert str(keyset.Count.of(found)) == "more than 0"
    monkeypatch.setattr(keyset, "PATIENCE", 1)
    sleep = Func(Value(5), function="pg_sleep", output_field=IntegerField())
    assert str(keyset.Count.of(found.annotate(s=sleep).exclude(s=None))) == "many"
    assert found.count() == 1, "the connection is as good as before"


def test_authors_batches_scores_and_tags_narrow_the_list(orchard, annotator):
    ana = Question.objects.get(text__startswith="Ana")
    one, _ = ana.rationales.all()
    assert found(orchard, author=str(one.author_model_id)) == ["Ana"]
    assert found(orchard, batch="00000000-0000-0000-0000-000000000000") == []
    score(one_of(ana))
    assert found(orchard, scorer="answer_correct", low=0.5) == ["Ana"]
    assert found(orchard, scorer="tokens", low=1e9) == []
    assert "answer_correct" in scorers()
    hard = Tag.objects.create(project=orchard, name="Hard")
    QuestionTag.objects.create(question=ana, tag=hard)
    assert found(orchard, tag="hard") == ["Ana"]
    assert sources_of(orchard) == ["gsm8k"]


def one_of(question) -> list[int]:
    return list(question.rationales.values_list("pk", flat=True))


def test_disagreement_is_two_orders_or_two_verdicts(orchard, annotator, second_annotator):
    ana = Question.objects.get(text__startswith="Ana")
    first, second = ana.rationales.all()
    rank(ana, annotator, {first.pk: 1, second.pk: 2})
    rank(ana, second_annotator, {first.pk: 1, second.pk: 1})
    assert found(orchard, accord="no") == [], "a tie contradicts nobody"
    rank(ana, second_annotator, {first.pk: 2, second.pk: 1})
    assert found(orchard, accord="no") == ["Ana"]
    rank(ana, second_annotator, {first.pk: 1, second.pk: 2})
    assert found(orchard, accord="no") == [], "what was taken back counts no more"
    review(first, annotator, "accept")
    review(first, second_annotator, "reject")
    assert found(orchard, accord="no") == found(orchard, state="rejected") == ["Ana"]


def told(project, **search) -> list[str]:
    rows = rationale_search.matching(project, RationaleSearch(**search)).order_by("pk")
    return list(rows.values_list("thought", flat=True))


def test_rationales_are_found_by_words_facts_and_verdicts(
    project, annotator, second_annotator, monkeypatch
):
    question = make_group(project, 3)
    first, second, third = question.rationales.all()
    make_rationale(make_question(project, "And 2 + 2?", split="test"), "Counting the plums")
    score(one_of(question))
    assert told(project, q="plum") == [], "not before a worker has seen it"
    assert words.index_all() == 4
    assert words.index_all() == 0
    monkeypatch.setattr(rationale_search, "FEW", 0)
    assert told(project, q="plum") == ["Counting the plums"], "rare words and common ones alike"
    monkeypatch.undo()
    assert told(project, q="plum") == told(project, split="test") == ["Counting the plums"]
    assert told(project, right="yes") == told(project, author=str(first.author_model_id))
    assert told(project, right="yes") == [first.thought]
    assert told(project, right="no") == [second.thought, third.thought]
    assert told(project, right="unknown") == ["Counting the plums"]
    review(second, annotator, "accept")
    review(second, second_annotator, "reject")
    review(third, annotator, "reject")
    assert told(project, verdict="contested") == told(project, verdict="accepted")
    assert told(project, verdict="rejected") == [second.thought, third.thought]
    assert told(project, verdict="undecided") == [first.thought, "Counting the plums"]
    good = Tag.objects.create(project=project, name="good")
    RationaleTag.objects.create(rationale=first, tag=good)
    assert told(project, tag="good") == [first.thought]


def test_rationales_are_sorted_by_their_last_score(project, viewer, monkeypatch):
    monkeypatch.setattr(rationale_search, "PAGE", 2)
    question = make_group(project, 4)
    keys = one_of(question)
    for value, key in enumerate(keys):
        for version, scored in (("1", 9.0), ("2", value / 2 if value != 1 else 0.0)):
            Score.objects.create(
                rationale_id=key, scorer="judge_rating", scorer_version=version, value=scored
            )
    search = RationaleSearch(order="high", scorer="judge_rating")
    found = rationale_search.matching(project, search)

    def page(**where):
        one = rationale_search.page_of(found, search, viewer, **where)
        return [(row.rationale.pk, row.sought) for row in one.rows], one

    first, one = page()
    assert first == [(keys[3], 1.5), (keys[2], 1.0)]
    second, two = page(after=one.after)
    assert second == [(keys[1], 0.0), (keys[0], 0.0)]
    assert two.after is None
    assert page(before=two.before)[0] == first


def test_the_list_of_rationales_asks_the_same_however_long_it_is(
    client, project, researcher, django_assert_max_num_queries
):
    for number in range(15):
        make_group(project, 3, f"What is 8 + {number}?")
    client.force_login(researcher)
    with django_assert_max_num_queries(26):
        page = client.get(reverse("rationales", args=["orchard"])).content.decode()
    assert "45 rationales" in page


def test_a_blind_judge_sees_no_author_in_the_list_of_rationales(client, project, annotator, viewer):
    question = make_group(project, 2)
    model = question.rationales.first().author_model
    queue = make_queue(project, blind=True)
    url = reverse("rationales", args=["orchard"])
    client.force_login(annotator)
    page = client.get(url).content.decode()
    assert "model-0" not in page
    assert "who wrote what is hidden" in page
    sought = client.get(f"{url}?author={model.pk}&role=student&verdict=accepted").content.decode()
    assert "2 rationales" in sought, "nor can the filters be used to find out"
    queue.is_open = False
    queue.save()
    assert "model-0" in client.get(url).content.decode()


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
    with django_assert_max_num_queries(24):
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
        "?order=identifier&after=x%2C1",
        "?order=high&scorer=answer_correct&after=nan%2C1",
        "?order=low&after=1",
        "?order=identifier&after=%00%2C1",
        "?low=inf&scorer=none&batch=zz&author=x",
    ):
        for name in ("questions", "rationales"):
            assert client.get(reverse(name, args=["orchard"]) + query).status_code == 200


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


def test_a_question_weighs_its_rationales_by_all_rankings(
    client, project, researcher, annotator, second_annotator
):
    question = make_group(project, 3)
    first, second, third = question.rationales.all()
    rank(question, annotator, {first.pk: 1, second.pk: 2, third.pk: 3})
    rank(question, second_annotator, {first.pk: 1, second.pk: 3, third.pk: 2})
    from curation.browsing.dossier import dossier

    cards = {card.rationale.pk: card for card in dossier(question, researcher)["cards"]}
    values = [cards[one.pk].utility.value for one in (first, second, third)]
    assert values[0] > values[1] == pytest.approx(values[2], abs=1e-6)
    assert sum(values) == pytest.approx(0, abs=1e-6)
    for card in cards.values():
        assert card.utility.low < card.utility.value < card.utility.high
    client.force_login(researcher)
    assert "Utility, 95 % interval" in story(client, question)


def test_a_question_asks_the_database_the_same_with_thirty_rationales(
    client, project, researcher, django_assert_max_num_queries
):
    question = make_group(project, 30)
    client.force_login(researcher)
    with django_assert_max_num_queries(32):
        page = story(client, question)
    assert page.count('class="card written"') == 30


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
