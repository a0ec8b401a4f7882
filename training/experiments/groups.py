"""An iteration's samples as routing sees them: what verifier and judge say, what is accepted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from curation.models import Decision, Place, Rationale, Review, Score
from training.experiments.plan import ExperimentPlan
from training.experiments.rewards import on_scale
from training.experiments.routing import Seen, Shown
from training.experiments.samples import plan_of, samples_of
from training.models import Iteration
from training.rewards.from_ranking import standings

Values = dict[int, float]  # rationale -> value between 0 and 1


def shown_groups(iteration: Iteration) -> list[Shown]:
    """The groups that have two different texts, so that somebody can rank them."""
    columns = ("pk", "question_id", "thought", "answer", "content_hash")
    by_question: dict[int, dict[str, tuple[int, str]]] = defaultdict(dict)
    for pk, question, thought, answer, words in samples_of(iteration).values_list(*columns):
        by_question[question].setdefault(words, (pk, f"{thought}\n{answer}".strip()))
    several = {q: list(texts.values()) for q, texts in by_question.items() if len(texts) > 1}
    ids = [pk for texts in several.values() for pk, _ in texts]
    right, judged = verified(ids), judged_by(ids, plan_of(iteration))
    accepted = accepted_texts(several)
    return [
        Shown(
            question,
            [Seen(text, right.get(pk), judged.get(pk)) for pk, text in texts],
            accepted.get(question, []),
        )
        for question, texts in sorted(several.items())
    ]


def verified(ids: Iterable[int]) -> Values:
    """What the verifier says of each: its last word, where it has one."""
    return last_scores(ids, "answer_correct")


def last_scores(ids: Iterable[int], scorer: str, model: int | None = None) -> Values:
    found = Score.objects.filter(rationale__in=list(ids), scorer=scorer).exclude(value=None)
    found = found.filter(model=model) if model else found
    rows = found.order_by("pk").values_list("rationale_id", "value")
    return {pk: value for pk, value in rows if value is not None}


def judged_by(ids: Iterable[int], plan: ExperimentPlan) -> Values:
    """What the plan's judge says of each, by its ratings or else by its ranks."""
    if not plan.judge:
        return {}
    rated = last_scores(ids, "judge_rating", plan.judge)
    if rated:
        return {
            pk: value for pk, rating in rated.items() if (value := on_scale(rating)) is not None
        }
    return stood(list(ids), plan.judge)


def stood(ids: list[int], judge: int) -> Values:
    """Where the judge's live rankings put each between last (0) and first (1)."""
    places = Place.objects.filter(
        rationale__in=ids, ranking__judge_model=judge, ranking__superseded_at=None
    )
    ranks: dict[int, dict[str, int]] = defaultdict(dict)
    for ranking, pk, rank in places.values_list("ranking_id", "rationale_id", "rank"):
        ranks[ranking][str(pk)] = rank
    several = [said for said in ranks.values() if len(said) > 1]
    return {int(pk): value for said in several for pk, value in standings(said).items()}


def accepted_texts(questions: Iterable[int]) -> dict[int, list[str]]:
    """The rationales that somebody accepts, whoever wrote them."""
    live = Review.objects.live().filter(decision=Decision.ACCEPT)
    found = Rationale.objects.filter(
        question__in=list(questions), pk__in=live.values("rationale"), conditioned_on=None
    )
    texts: dict[int, list[str]] = defaultdict(list)
    for question, thought, answer in found.values_list("question_id", "thought", "answer"):
        texts[question].append(f"{thought}\n{answer}".strip())
    return texts
