"""A judge run from launch to rows: whose the ratings and rankings are, and each stored once."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from curation.models import LanguageModel, Ranking, Score
from curation.review.judging import rank
from tests.engine.test_endpoint_client import Reply, Server, refused, said, server
from tests.make import make_question, make_rationale
from training.models import JudgeVerdict, Run
from training.runs.judge_runs import store_verdicts
from training.runs.launch import launch, resume
from training.runs.supervise import supervise

__all__ = ["server"]  # the fixture

pytestmark = pytest.mark.django_db(transaction=True)

WORTH = {"good": 9, "fair": 5, "bad": 2}


def by_worth(number: int, body: dict[str, Any]) -> Reply:
    text = body["messages"][0]["content"]
    worths = [WORTH[one] for one in re.findall(r"<rationale[^>]*>\n(\w+)\n", text)]
    if len(worths) == 1:
        return said(f"Some words.\x00\n#### {worths[0]}")
    if "A, B or tie" in text:
        return said(f"#### {'A' if worths[0] > worths[1] else 'B'}")
    letters = "ABC"[: len(worths)]
    return said("#### " + " > ".join(sorted(letters, key=lambda x: -worths[letters.index(x)])))


@pytest.fixture
def judge(project, server: Server) -> LanguageModel:
    server.reply = by_worth
    return LanguageModel.objects.create(
        project=project,
        name="m",
        provider="openai",
        uri=server.url,
        prices={"prompt": 1.0, "completion": 4.0, "currency": "EUR"},
    )


@pytest.fixture
def question(project):
    """One question with three whole rationales and an answer drawn after the first."""
    question = make_question(project)
    good = make_rationale(question, "good")
    make_rationale(question, "fair", seed=1)
    make_rationale(question, "bad", role="student", seed=2, answer="12")
    make_rationale(question, "", role="student", seed=3, conditioned_on=good)
    return question


def ids(question) -> dict[str, int]:
    return {r.thought: r.pk for r in question.rationales.exclude(thought="")}


def through(project, judge: LanguageModel, status: str = "done", **config: Any) -> Run:
    run = launch(project, "judge", config={"retries": 0, **config}, student=judge, enqueue=False)
    assert supervise(run.pk, "tester", poll=0.05, enqueue=False) == status
    run.refresh_from_db()
    return run


def test_ratings_are_scores_of_the_judge_with_what_it_was_asked_and_said(project, judge, question):
    run = through(project, judge)
    scores = Score.objects.filter(scorer="judge_rating", model=judge)
    worths = {ids(question)[thought]: float(worth) for thought, worth in WORTH.items()}
    assert dict(scores.values_list("rationale", "value")) == worths
    score = scores.get(rationale=ids(question)["fair"])
    assert score.scorer_version == run.result["version"]
    assert score.detail["said"] == [{"text": "Some words.\n#### 5", "verdict": 5, "fault": None}]
    assert question.text in json.loads(score.detail["prompt"])[0]["content"]
    assert (score.batch, score.detail["run"]) == (run.batch, run.pk)
    assert Ranking.objects.count() == 0
    verdict = JudgeVerdict.objects.get(run=run)
    assert (verdict.asked, verdict.parsed, verdict.ranking) == (3, 3, None)


@pytest.mark.parametrize("mode", ["pairwise", "listwise"])
def test_comparisons_are_a_ranking_of_the_judge_beside_that_of_people(
    project, judge, question, annotator, mode
):
    pks = ids(question)
    hers = rank(question, annotator, {pks["bad"]: 1, pks["good"]: 2})
    run = through(project, judge, mode=mode)
    ranking = Ranking.objects.live().get(judge_model=judge)
    assert {p.rationale_id: p.rank for p in ranking.places.all()} == {
        pks["good"]: 1,
        pks["fair"]: 2,
        pks["bad"]: 3,
    }
    assert ranking.judge_user is None
    assert sorted(ranking.shown_order) == sorted(pks.values())
    hers.refresh_from_db()
    assert hers.superseded_at is None
    verdict = JudgeVerdict.objects.get(run=run)
    assert verdict.ranking == ranking
    assert verdict.version == run.result["version"]
    assert verdict.detail["replies"][0]["prompt"]
    assert not Score.objects.filter(model=judge).exists()


def test_a_second_run_asks_only_about_what_is_new(project, judge, question, server):
    through(project, judge)
    asked = len(server.asked)
    assert through(project, judge).result["note"].startswith("Nothing left to judge")
    assert len(server.asked) == asked
    make_rationale(question, "good", answer="13", seed=9)
    through(project, judge)
    assert len(server.asked) == asked + 1
    through(project, judge, again=True)
    assert len(server.asked) == asked + 5
    through(project, judge, rubric="Short is good.")
    assert len(server.asked) == asked + 9


def test_a_comparison_is_made_again_when_a_rationale_came(project, judge, question, server):
    first = through(project, judge, mode="listwise")
    assert through(project, judge, mode="listwise").result["asked"] == 0
    make_rationale(question, "good", answer="13", seed=9, role="student")
    server.reply = lambda number, body: said("#### A = B = C = D")
    through(project, judge, mode="listwise")
    assert len(server.asked) == 2
    live = Ranking.objects.live().get(judge_model=judge)
    assert live.places.count() == 4
    assert first.verdicts.get().ranking.superseded_at is not None


def test_only_the_named_batches_are_judged_also_answers_after_a_thought(
    project, judge, question, server
):
    other = make_question(project, "What is 9 + 9?", reference_answer="18")
    batch = "7c8e7a0e-0d9a-4a51-9a0a-6c1f0f6f7a11"
    given = make_rationale(other, "good", seed=5)
    drawn = make_rationale(
        other, "", answer="18", role="student", conditioned_on=given, seed=6, batch=batch
    )
    through(project, judge, batches=[batch])
    scored = Score.objects.filter(scorer="judge_rating")
    assert list(scored.values_list("rationale", flat=True)) == [drawn.pk]
    assert "good\n#### 18" in server.asked[-1]["messages"][0]["content"]


def test_lines_that_are_read_twice_are_stored_once(project, judge, question):
    run = through(project, judge, mode="listwise")
    (line,) = [
        json.loads(text)
        for text in open(f"{run.folder}/verdicts.jsonl")  # noqa: SIM115
    ]
    before = Ranking.objects.count()
    store_verdicts(run, [line, line])
    assert Ranking.objects.count() == before
    assert run.verdicts.count() == 1


def test_what_was_deleted_meanwhile_is_left_out(project, judge, question):
    run = launch(project, "judge", student=judge, enqueue=False)
    pks = ids(question)
    line = {
        "question": str(question.pk),
        "version": "listwise x",
        "rationales": [str(pk) for pk in pks.values()],
        "asked": 1,
        "parsed": 1,
        "shown": [str(pk) for pk in pks.values()],
        "ranks": {str(pks["good"]): 1, str(pks["fair"]): 2, "999999": 3},
    }
    store_verdicts(run, [{**line, "question": "999999"}, line])
    assert set(run.verdicts.get().ranking.places.values_list("rationale", flat=True)) == {
        pks["good"],
        pks["fair"],
    }


def test_the_bill_follows_the_models_prices(project, judge, question):
    from training.runs.costs import token_cost

    run = through(project, judge)
    assert run.result["usage"] == {"prompt": 60, "completion": 27}
    assert run.result["prices"] == judge.prices
    cost = token_cost(run)
    assert cost is not None
    assert (cost.amount, cost.currency) == (pytest.approx((60 * 1 + 27 * 4) / 1e6), "EUR")


def test_what_was_asked_before_it_failed_is_paid_for_at_the_price_of_that_day(
    project, judge, question, server
):
    from training.runs.costs import token_cost

    server.reply = lambda number, body: refused(401) if number == 3 else by_worth(number, body)
    run = through(project, judge, "failed", concurrency=1)
    assert run.result == {}
    judge.prices = {"prompt": 1000.0, "completion": 1000.0, "currency": "USD"}
    judge.save()
    cost = token_cost(Run.objects.get(pk=run.pk))
    assert cost is not None
    assert (cost.amount, cost.currency) == (pytest.approx(2 * (20 * 1 + 9 * 4) / 1e6), "EUR")
    server.reply = by_worth
    assert resume(run)
    assert supervise(run.pk, "tester", poll=0.05, enqueue=False) == "done"
    run.refresh_from_db()
    assert run.result["usage"] == {"prompt": 60, "completion": 27}, "the first two are in it"


def test_a_judge_that_is_no_model_or_nonsense_settings_are_refused(project, judge, question):
    with pytest.raises(ValidationError, match="Choose the model"):
        launch(project, "judge")
    with pytest.raises(ValidationError) as caught:
        launch(project, "judge", config={"batches": ["not-a-uuid"]}, student=judge)
    assert "batches" in caught.value.message_dict
    with pytest.raises(ValidationError):
        launch(project, "judge", config={"lowest": 9, "highest": 3}, student=judge)


def test_the_style_follows_the_judge(project, judge, student, question):
    styles = [
        launch(project, "judge", student=model, config=config, enqueue=False).config["style"]
        for model, config in (
            (judge, {}),
            (student, {}),
            (student, {"mode": "pairwise"}),
            (student, {"style": "full"}),
        )
    ]
    assert styles == ["full", "compact", "full", "full"]
