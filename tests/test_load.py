"""The loader of size M at a tiny size, and the figures that the load test makes of its samples."""

from __future__ import annotations

import pytest

from benchmarks._load.figures import percentile, summary
from benchmarks._load.people import CLAIM, Annotator, Submission
from benchmarks._load.session import Sample, Session
from benchmarks._load.sizes import Size
from benchmarks._load.texts import Texts
from curation.models import (
    Assignment,
    Project,
    Question,
    Queue,
    Ranking,
    Rationale,
    Review,
    Score,
    Words,
)
from curation.queues import leases
from curation.review import judging

TINY = Size.of(60)


@pytest.fixture
def loaded(db) -> Project:
    from benchmarks._load.record import load

    return load(TINY, "tiny", Texts(1, pool=300), tell=lambda line: None)[0]


def test_the_loader_makes_what_the_size_says(loaded):
    rationales = Rationale.objects.filter(question__project=loaded)
    assert loaded.questions.count() == 60
    assert rationales.filter(role="teacher").count() == 240
    assert rationales.filter(role="student").count() == 240
    assert Ranking.objects.live().count() == 180
    assert Score.objects.count() == 600
    assert Words.objects.count() == rationales.count()


def test_the_counters_are_what_counting_gives(loaded):
    from benchmarks._load.record import check

    queue = loaded.queues.get()
    assert check(loaded) == []
    assert (queue.submitted, queue.complete, queue.items_total) == (180, 60, 60)
    assert sum(queue.tallies.values_list("submitted", flat=True)) == 180


def test_concordance_is_what_the_application_would_have_kept(loaded):
    from curation.queues.counters import agreement_on

    for item in loaded.queues.get().items.all()[:20]:
        concordance, is_split = agreement_on(item)
        assert item.concordance == pytest.approx(concordance)
        assert item.is_split == is_split


def test_the_triggers_wrote_the_history(loaded):
    ranked = Ranking._meta.apps.get_model("curation", "RankingEvent")
    reviewed = Review._meta.apps.get_model("curation", "ReviewEvent")
    assert ranked.objects.count() == Ranking.objects.count()
    assert reviewed.objects.count() == Review.objects.count()


def test_keys_go_on_where_the_loader_left_off(loaded):
    last = Question.objects.order_by("-pk").first()
    new = Question.objects.create(project=loaded, text="How many are two and two?")
    assert new.pk == last.pk + 1


def test_rationales_are_as_long_as_reasoning_is():
    texts = Texts(5, pool=2_000)
    lengths = sorted(len(texts.rationale()) for _ in range(4_000))
    assert percentile(lengths, 50) == pytest.approx(4_000, rel=0.1)
    assert percentile(lengths, 95) == pytest.approx(20_000, rel=0.2)
    assert lengths[-1] > 64_000


def test_a_percentile_lies_between_its_neighbours():
    assert percentile([10.0, 20.0, 30.0], 50) == 20
    assert percentile([10.0, 20.0], 95) == pytest.approx(19.5)


def test_a_figure_stands_beside_its_load_and_its_aim():
    samples = [Sample(CLAIM, 0.0, 0.1, 200), Sample(CLAIM, 1.0, 0.3, 200)]
    (row,) = summary([*samples, Sample(CLAIM, 2.0, 9.0, 500)], {"mean": 4.2})
    assert (row["p50_ms"], row["load_average"], row["met"]) == (200.0, 4.2, False)


@pytest.fixture
def queue(loaded) -> Queue:
    from curation.queues.contents import fill

    queue = Queue.objects.create(project=loaded, name="Load", gold_share=0)
    fill(queue)
    return queue


@pytest.fixture
def judged(queue, member) -> tuple[Annotator, Assignment]:
    """An annotator of the load test, and what they submitted."""
    held = leases.claim(queue, member("quentin"))
    ranks = {pk: place for place, pk in enumerate(held.shown_order, 1)}
    judging.submit(held, ranks, {})
    person = annotator(held.pk)
    person.submitted = [Submission(held.pk, ranks, acknowledged=True)]
    return person, held


def annotator(*served: int) -> Annotator:
    import random

    session = Session("http://localhost")
    return Annotator(session, "", lambda: 0.0, random.Random(1), served=set(served))


def test_what_went_well_counts_nothing(queue, judged):
    from benchmarks._load.truth import verdict

    found = verdict(queue, [judged[0]])
    assert found.pop("submissions") == 1
    assert set(found.values()) == {0}


def test_a_submission_that_is_not_in_the_record_is_lost(queue, judged):
    from benchmarks._load.truth import verdict

    person, held = judged
    Ranking.objects.filter(assignment=held).delete()
    assert verdict(queue, [person])["lost_submissions"] == 1


def test_one_assignment_shown_to_two_people_is_a_double_claim(queue, judged):
    from benchmarks._load.truth import double_claims

    person, held = judged
    assert double_claims(queue, [person, annotator(held.pk)]) == 1


def test_an_item_held_by_more_people_than_asked_for_is_a_double_claim(queue, judged, member):
    from benchmarks._load.truth import double_claims

    held = judged[1]
    Assignment.objects.create(
        item=held.item,
        queue=queue,
        question=held.question,
        user=member("rita"),
        leased_until=held.leased_until,
    )
    assert double_claims(queue, [judged[0]]) == 1
