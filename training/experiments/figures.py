"""What the page shows of an iteration, computed once as its stages end and kept with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict
from statistics import fmean
from typing import Any

from curation.models import Place, Ranking
from training.experiments.groups import judged_by, verified
from training.experiments.samples import plan_of, questions_of, samples_of
from training.experiments.stopping import Compared, Shares, gain, win_rate
from training.models import Evaluation, EvaluationItem, Iteration, Run
from training.reports.judge_agreement import tau_with_people

KEPT = (
    "accuracy", "accuracy_low", "accuracy_high", "sampled_accuracy", "sampled_accuracy_low",
    "sampled_accuracy_high", "valid_chain_share", "valid_chain_share_low",
    "valid_chain_share_high", "length_ratio", "vendi", "distinct_derivations", "distinct_2",
    "completion_tokens", "truncated_share",
)  # fmt: skip

Facts = dict[str, Any]


def keep(iteration: Iteration, **facts: Any) -> None:
    """Add figures to the row; what was there under the same names is replaced."""
    iteration.figures = {**iteration.figures, **facts}
    Iteration.objects.filter(pk=iteration.pk).update(figures=iteration.figures)


# --- Samples and people ---------------------------------------------------------------------------


def of_samples(iteration: Iteration) -> Facts:
    """How many, how many of them right, how long, and in how many groups they differ."""
    rows = list(samples_of(iteration).values_list("pk", "question_id", "token_count"))
    right = verified([pk for pk, _, _ in rows])
    by_question: dict[int, set[float]] = defaultdict(set)
    for pk, question, _ in rows:
        if pk in right:
            by_question[question].add(right[pk])
    return {
        "n": len(rows),
        "questions": questions_of(iteration).count(),
        "right": fmean(right.values()) if right else None,
        "mixed": sum(len(values) > 1 for values in by_question.values()),
        "tokens": sum(count or 0 for _, _, count in rows),
    }


def of_people(iteration: Iteration) -> Facts:
    """Groups ranked of those wanted, how people and machines agree, and on which questions."""
    queue = iteration.queue
    if queue is None:
        return {"ranked": 0, "total": 0}
    queue.refresh_from_db(fields=["complete", "items_total"])
    anchors = [row["question"] for row in iteration.routed if row["by"] == "anchor"]
    said = human_ranks(iteration)
    ids = [pk for rankings in said.values() for ranks in rankings for pk in ranks]
    right, judged = verified(ids), judged_by(ids, plan_of(iteration))
    on_anchors = {q: rankings for q, rankings in said.items() if q in anchors}
    looked = on_anchors or said
    return {
        "ranked": queue.complete,
        "total": queue.items_total,
        "on_anchors": bool(on_anchors),
        "tau_judge": agreement(looked, judged),
        "tau_verifier": agreement(looked, right),
    }


def human_ranks(iteration: Iteration) -> dict[int, list[dict[int, int]]]:
    """question -> each person's ranks in this iteration's queue, the last they gave there.

    A later iteration supersedes what a person said of an anchor; here it still counts.
    """
    rankings = Ranking.objects.filter(assignment__queue=iteration.queue).order_by("pk")
    last = {(r.question_id, r.judge_user_id): r.pk for r in rankings}
    ranks: dict[int, dict[int, int]] = defaultdict(dict)
    places = Place.objects.filter(ranking__in=last.values())
    for ranking, pk, rank in places.values_list("ranking_id", "rationale_id", "rank"):
        ranks[ranking][pk] = rank
    found: dict[int, list[dict[int, int]]] = defaultdict(list)
    for (question, _), ranking in last.items():
        found[question].append(ranks[ranking])
    return found


def agreement(
    said: Mapping[int, list[dict[int, int]]], values: Mapping[int, float]
) -> Facts | None:
    """How far people rank as `values` do, the highest first, as the page of judges reckons it."""
    order = {pk: -value for pk, value in values.items()}
    tau = tau_with_people(dict.fromkeys(said, order), said)
    return asdict(tau) if tau.n else None


def as_facts(compared: Compared | None) -> Facts | None:
    return asdict(compared) if compared else None


# --- Checkpoints ----------------------------------------------------------------------------------


def of_checkpoint(iteration: Iteration, run: Run) -> Facts:
    """What the evaluation says of C(n), beside C(n-1) and C(0)."""
    evaluation = run.evaluation
    return {
        "evaluation": {name: evaluation.summary.get(name) for name in KEPT},
        "asked": evaluation.questions,
        "against_last": against(iteration, evaluation, iteration.number - 1, win_rate),
        "against_start": against(iteration, evaluation, 0, win_rate),
        "gain": against(iteration, evaluation, 0, gain),
    }


def against(
    iteration: Iteration,
    evaluation: Evaluation,
    number: int,
    compare: Callable[[Shares, Shares], Compared | None],
) -> Facts | None:
    """The comparison with an earlier iteration's checkpoint; none with itself."""
    if number < 0 or number >= iteration.number:
        return None
    other = evaluation_of(iteration, number)
    return as_facts(compare(right_shares(evaluation), right_shares(other))) if other else None


def evaluation_of(iteration: Iteration, number: int) -> Evaluation | None:
    return Evaluation.objects.filter(
        run__iteration_run__iteration__experiment=iteration.experiment_id,
        run__iteration_run__iteration__number=number,
        run__iteration_run__superseded_at=None,
    ).first()


def right_shares(evaluation: Evaluation) -> dict[int, float]:
    """question -> share of its answers that are right."""
    verdicts: dict[int, list[bool]] = defaultdict(list)
    items = EvaluationItem.objects.filter(evaluation=evaluation).exclude(correct=None)
    for question, correct in items.values_list("question_id", "correct"):
        verdicts[question].append(bool(correct))
    return {question: fmean(said) for question, said in verdicts.items()}
