"""Composing an iteration's rewards from the record, and storing them as scores of its samples.

The record is read as a dataset version reads it, so that people, adjudications and reviews mean the
same in both. The rewards are facts like other scores: under the scorer `composed`, with the hash of
how they were composed as its version, and the iteration's batch.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from curation.models import Score
from training.decoding.record import JudgeRanking, Question
from training.experiments.plan import ExperimentPlan
from training.experiments.rewards import Composed, Group, Judged, composed
from training.experiments.samples import plan_of
from training.models import Iteration
from training.rewards.composed import SCORER
from training.rewards.reliability import reliability
from training.selection.record import Asked, Candidate
from training.versions.candidates import known
from training.versions.recipe import Recipe


def compose(iteration: Iteration, recipe: Recipe) -> dict[str, Any]:
    """Store the rewards; what they come to, for the page."""
    plan = plan_of(iteration)
    groups = list(groups_of(iteration, recipe))
    trusted = trust(groups) if plan.judge_weights == "reliability" else {}
    found = [composed(group, plan.weights, plan.ranking_reading, trusted) for group in groups]
    store(iteration, [one for rewards in found for one in rewards])
    return summary(found, trusted)


def groups_of(iteration: Iteration, recipe: Recipe) -> Iterator[Group]:
    """The samples of each prompt, with what everybody said of them."""
    judge = f"model-{plan_of(iteration).judge}"
    everything = recipe.model_copy(update={"selection": "everything", "settings": {}})
    for chunk in known(iteration.experiment.project, everything):
        for entry in chunk:
            by_prompt: dict[int | None, list[Candidate]] = defaultdict(list)
            for one in entry.question.candidates:
                if one.role == "student":
                    by_prompt[one.conditioned_on].append(one)
            for samples in by_prompt.values():
                yield group_of(entry.question, samples, judge)


def group_of(question: Asked, samples: list[Candidate], judge: str) -> Group:
    ids = {one.id for one in samples}
    rankings = {
        who: {pk: rank for pk, rank in ranks.items() if pk in ids}
        for who, ranks in question.rankings.items()
    }
    return Group(
        samples=[judged(one, judge) for one in samples],
        people={who: r for who, r in rankings.items() if not who.startswith("model-")},
        judges={who: r for who, r in rankings.items() if who == judge},
    )


def judged(sample: Candidate, judge: str) -> Judged:
    accepted = None if sample.accepts == sample.rejects else sample.accepts > sample.rejects
    return Judged(
        id=sample.id,
        copy=sample.content_hash,
        verifier=sample.scores.get("answer_correct"),
        steps=sample.scores.get("valid_steps"),
        rating=sample.scores.get(f"judge_rating@{judge}"),
        accepted=accepted,
    )


def trust(groups: list[Group]) -> dict[str, float]:
    """How far each person is to be trusted, by those who ranked the same groups."""
    asked = [
        Question(
            id=str(number),
            question="",
            rankings=[
                JudgeRanking(judge=who, ranks={str(pk): rank for pk, rank in ranks.items()})
                for who, ranks in group.people.items()
                if len(ranks) > 1
            ],
        )
        for number, group in enumerate(groups)
        if group.people
    ]
    return reliability(asked) if asked else {}


def store(iteration: Iteration, rewards: list[Composed]) -> None:
    version = recipe_hash(plan_of(iteration))
    Score.objects.bulk_create(
        [
            Score(
                rationale_id=one.id,
                scorer=SCORER,
                scorer_version=version,
                value=one.value,
                detail={name: round(value, 4) for name, value in one.sources.items()},
                batch=iteration.batch,
            )
            for one in rewards
        ],
        batch_size=2000,
        ignore_conflicts=True,
    )


def recipe_hash(plan: ExperimentPlan) -> str:
    """Changes with whatever changes how rewards are composed."""
    facts = plan.model_dump(include={"weights", "ranking_reading", "judge_weights", "judge"})
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def summary(found: list[list[Composed]], trusted: dict[str, float]) -> dict[str, Any]:
    """How many are rewarded, by whom, and in how many groups something is preferred."""
    rewarded = [[one.value for one in group if one.value is not None] for group in found]
    sources: dict[str, int] = defaultdict(int)
    for group in found:
        for name in {name for one in group if one.value is not None for name in one.sources}:
            sources[name] += 1
    return {
        "groups": len(found),
        "rewarded": sum(map(len, rewarded)),
        "left_out": sum(map(len, found)) - sum(map(len, rewarded)),
        "told_apart": sum(len(set(values)) > 1 for values in rewarded),
        "by": dict(sorted(sources.items())),
        "reliability": trusted,
    }
