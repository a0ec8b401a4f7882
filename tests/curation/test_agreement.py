"""Agreement: what a worker computes and stores, what the pages show of it, and to whom."""

from __future__ import annotations

from datetime import timedelta

import krippendorff
import numpy as np
import pytest
from django.urls import reverse
from django.utils import timezone
from scipy.stats import kendalltau

from curation.agreement.figures import measure, measure_stale
from curation.agreement.items import Between, pairs_behind
from curation.agreement.resampling import (
    BUNDLES,
    bundles,
    interval,
    interval_of_median,
    ratio,
    sums,
)
from curation.browsing import bulk
from curation.browsing.bulk import Deed, Errand
from curation.models import Figure, Measure, Queue, Ranking, Review, Window
from curation.queues import gold
from curation.queues.leases import claim
from curation.review import judging
from curation.review.judging import submit
from curation.tasks import measure_agreement
from tests.make import make_group, make_model, make_queue

QUESTIONS = 12


@pytest.fixture
def people(annotator, second_annotator, member):
    return [annotator, second_annotator, member("cleo", "annotator")]


@pytest.fixture
def judged(project, people) -> Queue:
    """Three people ranked a dozen groups with ties, gaps and opinions of their own."""
    for n in range(QUESTIONS):
        make_group(project, text=f"What is 8 + {n}?")
    queue = make_queue(project, overlap=3)
    rng = np.random.default_rng(5)
    for person in people:
        while held := claim(queue, person):
            order = sorted(held.shown_order)
            ranks = {pk: int(rng.integers(1, 4)) for pk in order if rng.random() < 0.85}
            ranks |= {order[0]: 1, order[1]: int(rng.integers(1, 4))}
            verdicts = {pk: str(rng.choice(["accept", "reject"])) for pk in order[:3]}
            submit(held, ranks, verdicts, seconds=float(rng.integers(20, 90)))
    return queue


def table(queue: Queue, people) -> tuple[list[int], np.ndarray]:
    """Places `[people, rationales]`, and which question each rationale is of."""
    rationales = [
        rationale
        for item in queue.items.order_by("pk")
        for rationale in item.question.rationales.order_by("pk")
    ]
    place = {rationale.pk: n for n, rationale in enumerate(rationales)}
    ranks = np.full((len(people), len(rationales)), np.nan)
    for row, person in enumerate(people):
        for ranking in Ranking.objects.live().filter(judge_user=person):
            for one in ranking.places.all():
                ranks[row, place[one.rationale_id]] = one.rank
    return [rationale.question_id for rationale in rationales], ranks


def figure(queue: Queue | None, name: str, **who) -> Figure:
    who = {"person": None, "other": None, "model": None, "window": Window.ALL} | who
    return Figure.objects.get(queue=queue, measure=name, **who)


def test_tau_is_the_mean_of_scipys_over_questions(project, judged, people):
    measure(project, judged)
    questions, ranks = table(judged, people)
    taus = []
    for question in dict.fromkeys(questions):
        own = ranks[:2, [n for n, one in enumerate(questions) if one == question]]
        both = ~np.isnan(own).any(0)
        taus.append(kendalltau(own[0, both], own[1, both]).statistic)
    known = [tau for tau in taus if tau == tau]
    one = figure(judged, Measure.TAU, person=people[0], other=people[1])
    assert one.value == pytest.approx(np.mean(known))
    assert one.items == len(known)
    assert one.low <= one.value <= one.high


def test_alpha_of_accepts_is_that_of_the_package(project, judged, people):
    measure(project, judged)
    units = sorted(set(Review.objects.values_list("rationale", flat=True)))
    votes = np.full((3, len(units)), np.nan)
    for review in Review.objects.live():
        row = people.index(review.reviewer)
        votes[row, units.index(review.rationale_id)] = review.decision == "accept"
    theirs = krippendorff.alpha(reliability_data=votes, level_of_measurement="nominal")
    one = figure(judged, Measure.ALPHA_ACCEPT)
    assert one.value == pytest.approx(theirs)
    assert one.low <= theirs <= one.high


def test_alpha_of_ranks_is_that_of_the_package(project, judged, people):
    from curation.agreement.concordance import mid_ranks_of

    measure(project, judged)
    questions, ranks = table(judged, people)
    for question in set(questions):
        own = [n for n, one in enumerate(questions) if one == question]
        ranks[:, own] = mid_ranks_of(ranks[:, own])
    theirs = krippendorff.alpha(reliability_data=ranks, level_of_measurement="ordinal")
    assert figure(judged, Measure.ALPHA_RANK).value == pytest.approx(theirs)


def test_w_of_each_group_is_kept_with_its_item_and_their_mean_is_the_figure(project, judged):
    measure(project, judged)
    kept = [w for w in judged.items.values_list("concordance", flat=True) if w is not None]
    assert figure(judged, Measure.W).value == pytest.approx(np.mean(kept))
    assert any(judged.items.values_list("is_split", flat=True))


def test_a_changed_mind_changes_the_agreement_on_its_item(project, annotator, second_annotator):
    make_group(project)
    queue = make_queue(project, overlap=2)
    first, second = claim(queue, annotator), claim(queue, second_annotator)
    order = sorted(first.shown_order)
    there = {pk: n for n, pk in enumerate(order, 1)}
    back = {pk: n for n, pk in enumerate(reversed(order), 1)}
    submit(first, there, {})
    submit(second, back, {})
    assert queue.items.get().concordance == 0
    second.refresh_from_db()
    submit(second, there, {}, seen=judging.edition(second))
    assert queue.items.get().concordance == 1


def test_a_persons_speed_has_an_interval(project, judged, people):
    measure(project, judged)
    times = Ranking.objects.filter(judge_user=people[0]).values_list("seconds_spent", flat=True)
    one = figure(judged, Measure.SECONDS, person=people[0])
    assert one.value == np.median(list(times))
    assert min(times) <= one.low <= one.value <= one.high <= max(times)


def test_a_judge_model_is_held_against_people_by_its_rankings_and_ratings(project, judged, people):
    ranker, rater = make_model(project, "ranker"), make_model(project, "rater")
    for ranking in Ranking.objects.filter(judge_user=people[0]):
        same = {place.rationale_id: place.rank for place in ranking.places.all()}
        judging.rank(ranking.question, ranker, same)
        for place in ranking.places.all():
            place.rationale.scores.create(
                scorer="judge_rating", scorer_version="1", model=rater, value=10 - place.rank
            )
    measure(project, judged)
    for model in (ranker, rater):
        assert figure(judged, Measure.TAU, model=model, person=people[0]).value == pytest.approx(1)
        assert figure(judged, Measure.TAU, model=model).value < 1


def test_gold_accuracy_is_each_persons_own(project, judged, people, researcher):
    known = gold.known_by(judged.items.first().question, people[0])
    gold.make_gold(judged, judged.items.first().question, known, researcher)
    measure(project, judged)
    assert figure(judged, Measure.GOLD, person=people[0]).value == 1
    assert figure(judged, Measure.GOLD, person=people[1]).items == 1


def test_windows_and_weeks_look_at_the_later_ranking(project, judged, people):
    long_ago = timezone.now() - timedelta(days=20)
    Ranking.objects.filter(question__in=judged.items.values("question")[:6]).update(
        created_at=long_ago
    )
    measure(project, judged)
    whole, month, week = (
        figure(judged, Measure.TAU, window=window).items
        for window in (Window.ALL, Window.MONTH, Window.WEEK)
    )
    assert whole == month > week > 0
    weeks = Figure.objects.filter(queue=judged, window=Window.ONE_WEEK).order_by("week")
    assert sum(one.items for one in weeks) == whole
    assert all(one.week.weekday() == 0 for one in weeks)


def test_a_project_is_measured_over_all_its_queues(project, judged):
    measure(project)
    assert figure(None, Measure.TAU).items > 0
    assert Figure.objects.filter(project=project, queue=judged).count() == 0


def test_computing_again_replaces_and_gives_the_same(project, judged):
    measure(project, judged)
    before = sorted(
        Figure.objects.values_list("measure", "window", "value", "low", "high"), key=str
    )
    measure_agreement((project.pk, judged.pk))
    after = sorted(Figure.objects.values_list("measure", "window", "value", "low", "high"), key=str)
    assert before == after


def test_only_what_is_stale_is_measured_and_not_too_often(project, judged):
    assert measure_stale() == 2, "the queue, and its project"
    assert measure_stale() == 0
    Queue.objects.update(agreement_is_stale=True)
    assert measure_stale() == 0, "a moment ago is soon enough"
    Figure.objects.update(computed_at=timezone.now() - timedelta(minutes=5))
    assert measure_stale() == 1, "the queue, but its project less often"


def test_a_judge_that_ranks_makes_the_queue_stale(project, judged):
    measure_stale()
    assert not Queue.objects.filter(agreement_is_stale=True).exists()
    question = judged.items.earliest("pk").question
    places = {pk: n for n, pk in enumerate(question.rationales.values_list("pk", flat=True), 1)}
    judging.rank(question, make_model(project, "judge"), places)
    assert Queue.objects.get(pk=judged.pk).agreement_is_stale


def test_what_is_said_in_bulk_of_questions_in_no_queue_reaches_the_project(
    project, judged, researcher
):
    measure_stale()
    lonely = make_group(project, text="In no queue")
    Figure.objects.update(computed_at=timezone.now() - timedelta(hours=1))
    assert measure_stale() == 0
    keys = tuple(lonely.rationales.values_list("pk", flat=True))
    bulk.send(project, Errand("rationales", Deed("accept"), keys), researcher)
    assert measure_stale() == 1, "the project"


def test_a_task_for_what_is_gone_does_nothing(project):
    measure_agreement((project.pk, 10**9))
    measure_agreement((10**9, None))
    assert not Figure.objects.exists()


def test_a_queue_without_judgements_has_figures_without_values(project):
    make_group(project)
    queue = make_queue(project)
    measure(project, queue)
    assert not Figure.objects.exclude(value=None).exists()


# Intervals


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        values = rng.normal(0.3, 1, 60)
        low, high = interval(sums(bundles(np.arange(60)), values, np.ones(60)), ratio)
        covered += low <= 0.3 <= high
    assert 0.9 <= covered / 200 <= 0.99


def test_bundles_of_many_questions_give_nearly_the_interval_of_the_questions():
    values = np.random.default_rng(2).normal(0, 1, 20_000)
    parts = sums(bundles(np.arange(20_000)), values, np.ones(20_000))
    assert parts.shape == (BUNDLES, 2)
    low, high = interval(parts, ratio)
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(20_000), rel=0.15)


def test_one_question_has_no_interval():
    assert interval(np.ones((1, 2)), ratio) == (None, None)
    assert interval_of_median(np.ones(1)) == (None, None)


# Pages


def page(client, user, project, queue=None, name="agreement", **query) -> str:
    client.force_login(user)
    args = [project.slug, *([queue.pk] if queue else [])]
    answer = client.get(reverse(f"queue-{name}" if queue else name, args=args), query)
    assert answer.status_code == 200
    return answer.content.decode()


def test_researchers_see_names_and_each_two(client, project, judged, researcher):
    measure(project, judged)
    shown = page(client, researcher, project, judged)
    assert "Krippendorff" in shown
    assert all(name in shown for name in ("anna", "ben", "cleo", "Each two"))


def test_annotators_see_themselves_against_the_rest(client, project, judged, people):
    measure(project, judged)
    shown = page(client, people[0], project, judged)
    assert "You and the others" in shown
    assert "ben" not in shown
    assert "cleo" not in shown
    items = page(client, people[0], project, judged, "agreement-items", person=people[1].pk)
    assert "ben" not in items
    assert "anna and the others" in items


def test_viewers_see_the_whole_and_no_names(client, project, judged, viewer):
    measure(project, judged)
    shown = page(client, viewer, project, judged)
    assert "Kendall" in shown
    assert not any(name in shown for name in ("anna", "ben", "cleo"))


def test_the_page_reads_and_computes_nothing(
    client, project, judged, researcher, django_assert_max_num_queries
):
    assert "Not computed yet" in page(client, researcher, project, judged)
    measure(project, judged)
    client.force_login(researcher)
    with django_assert_max_num_queries(14):
        client.get(reverse("queue-agreement", args=[project.slug, judged.pk]))


def test_the_questions_behind_a_figure_are_those_counted(project, judged, people):
    measure(project, judged)
    between = Between(person=people[0].pk, other=people[1].pk)
    lines = pairs_behind(project, judged, between)
    one = figure(judged, Measure.TAU, person=people[0], other=people[1])
    assert len(lines) == one.items
    assert np.mean([line.value for line in lines]) == pytest.approx(one.value)
    assert [line.value for line in lines] == sorted(line.value for line in lines)


def test_the_list_behind_w_starts_with_the_least(client, project, judged, researcher):
    shown = page(client, researcher, project, judged, "agreement-items")
    assert shown.count("<tr>") == QUESTIONS + 1


def test_computing_now_needs_a_worker_and_says_so(client, project, judged, researcher, settings):
    client.force_login(researcher)
    url = reverse("queue-agreement-measure", args=[project.slug, judged.pk])
    answer = client.post(url, follow=True).content.decode()
    assert "being computed" in answer or "No worker can be told" in answer
