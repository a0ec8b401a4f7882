"""What a student made of rationales: which ones it has still to read, and its scores as rows.

A score belongs to a scorer, a version that names the run's choices (`ScoringPlan.versions`), a
student and a run. It is never changed: a student that scores again adds rows, and the last counts.
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from curation.models import Rationale, Score
from training.decoding.scoring_plan import DIFFICULTY, PROBABILITY, ScoringPlan
from training.models import Run
from training.runs.plans import engine_config

Row = dict[str, Any]


def plan_of(run: Run) -> ScoringPlan:
    """What the run's student was asked."""
    return ScoringPlan(**engine_config(run.kind, run.config))


def to_score(run: Run, rationales: QuerySet[Rationale]) -> QuerySet[Rationale]:
    """Those of the chosen authors that lack one of the run's scores by its student."""
    chosen = rationales.filter(role__in=run.config["roles"])
    if run.config["again"]:
        return chosen.order_by("id")
    complete = chosen
    for scorer, version in plan_of(run).versions().items():
        done = Score.objects.filter(scorer=scorer, scorer_version=version, model=run.student)
        complete = complete.filter(pk__in=done.values("rationale"))
    return chosen.exclude(pk__in=complete.values("pk")).order_by("id")


def store_scores(run: Run, rows: list[Row]) -> None:
    """The lines of scores.jsonl as `Score` rows; what is there already stays as it is."""
    versions = plan_of(run).versions()
    scores = [score for row in rows for score in scores_of(run, row, versions)]
    Score.objects.bulk_create(scores, batch_size=2000, ignore_conflicts=True)


def scores_of(run: Run, row: Row, versions: dict[str, str]) -> list[Score]:
    """One rationale's, not saved. The figures behind a difficulty stand beside it."""
    source = {"weights": row["weights"], "run": run.pk}
    figures = row["detail"]
    why = {"why": figures["why"]} if "why" in figures else {}
    return [
        Score(
            rationale_id=int(row["completion"]),
            scorer=scorer,
            scorer_version=versions[scorer],
            model=run.student,
            value=value,
            detail={**(figures if scorer in (DIFFICULTY, PROBABILITY) else why), **source},
            batch=run.batch,
        )
        for scorer, value in row["scores"].items()
    ]
