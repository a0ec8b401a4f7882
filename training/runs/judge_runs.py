"""Judge runs on the database's side: what is judged, and the verdicts as rows.

A rating is a `Score` under the scorer `judge_rating`, a comparison a `Ranking` of the judge model
with its places; a `JudgeVerdict` beside them says what the judge was shown and what it wrote. None
of them is a person's: a ranking has either a person or a model as its judge.
"""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Prefetch, QuerySet

from curation.artifacts import filesystem
from curation.models import LanguageModel, Question, Rationale, Score
from curation.review import judging
from training.decoding.judge_plan import JudgePlan
from training.decoding.judge_prompts import scorer_version
from training.models import JudgeVerdict, Run
from training.runs.folders import plain
from training.runs.plans import engine_config

RATING = "judge_rating"
# The columns of a line that its `detail` keeps; the texts of ratings are in their scores.
DETAIL = ("shown", "faults", "pairs", "replies")
NOTHING_TO_JUDGE = (
    "Nothing left to judge: this judge has said by the same prompt what it thinks of every "
    "rationale in this scope. Tick “Judge again” to ask it anew."
)

Row = dict[str, Any]


def settled_style(config: Row, judge: LanguageModel | None) -> str:
    """The prompt style, with `auto` decided by whether the judge has a chat template."""
    plan = JudgePlan(**engine_config("judge", config))
    return plan.settled(judge is None or follows_instructions(judge)).style


def follows_instructions(judge: LanguageModel) -> bool:
    """An endpoint, a name on a hub, or a folder with a chat template."""
    if not judge.can_train:
        return True
    uri = plain(judge.uri)
    fs, path = filesystem(uri if "://" in uri else str(settings.BASE_DIR / uri))
    if not fs.exists(f"{path}/tokenizer_config.json"):
        return True
    told = json.loads(fs.cat_file(f"{path}/tokenizer_config.json"))
    return bool(told.get("chat_template")) or fs.exists(f"{path}/chat_template.jinja")


def plan_of(run: Run) -> JudgePlan:
    """How the run's judge is asked."""
    return JudgePlan(**engine_config(run.kind, run.config))


def to_judge(run: Run) -> QuerySet[Rationale]:
    """The rationales of the run's scope, less those that it would rate a second time alike."""
    found = Rationale.objects.filter(role__in=run.config["roles"])
    if run.config["batches"]:
        found = found.filter(batch__in=run.config["batches"])
    else:
        found = found.filter(conditioned_on=None)
    plan = plan_of(run)
    if plan.mode == "rating" and not run.config["again"]:
        rated = Score.objects.filter(
            scorer=RATING, scorer_version=scorer_version(plan), model=run.student
        )
        found = found.exclude(pk__in=rated.values("rationale"))
    return found.select_related("conditioned_on").order_by("id")


def before(run: Run) -> Prefetch:
    """What the same judge said of a question by the same prompt in other runs."""
    same = JudgeVerdict.objects.filter(
        run__student=run.student, version=scorer_version(plan_of(run))
    ).exclude(run=run)
    return Prefetch("judge_verdicts", queryset=same, to_attr="judged")


def left_to_judge(run: Run, question: Question) -> list[Rationale]:
    """What the judge is shown of a question; nothing where it has compared the very same."""
    shown = question.beside  # type: ignore[attr-defined]
    if plan_of(run).mode != "rating" and not run.config["again"]:
        ids = {rationale.pk for rationale in shown}
        if any(set(one.rationales) == ids for one in question.judged):  # type: ignore[attr-defined]
            return []
    for rationale in shown:  # an answer is judged with the thought that it was drawn after
        if rationale.conditioned_on and not rationale.thought:
            rationale.thought = rationale.conditioned_on.thought
    return list(shown)


def store_verdicts(run: Run, rows: list[Row]) -> None:
    """The lines of verdicts.jsonl as rows, each once; what was deleted meanwhile is left out."""
    named = {int(row["question"]) for row in rows}
    questions = Question.objects.in_bulk(named)
    for row in rows:
        question = questions.get(int(row["question"]))
        if question is not None:
            store_verdict(run, question, without_nul(row))


@transaction.atomic
def store_verdict(run: Run, question: Question, row: Row) -> None:
    verdict, is_new = JudgeVerdict.objects.get_or_create(
        run=run,
        question=question,
        defaults={
            "version": row["version"],
            "rationales": [int(pk) for pk in row["rationales"]],
            "asked": row["asked"],
            "parsed": row["parsed"],
            "detail": {name: row[name] for name in DETAIL if name in row},
        },
    )
    if not is_new:
        return
    there = set(question.rationales.values_list("pk", flat=True))
    store_ratings(run, row, there)
    ranks = {int(pk): rank for pk, rank in row.get("ranks", {}).items() if int(pk) in there}
    if len(ranks) > 1 and run.student is not None:
        shown = [int(pk) for pk in row["shown"]]
        verdict.ranking = judging.rank(question, run.student, ranks, shown)
        verdict.save(update_fields=["ranking"])


def store_ratings(run: Run, row: Row, there: set[int]) -> None:
    """One score a rated rationale; without a verdict there is none."""
    Score.objects.bulk_create(
        [
            Score(
                rationale_id=int(pk),
                scorer=RATING,
                scorer_version=row["version"],
                model=run.student,
                value=one["rating"],
                detail={"prompt": one["prompt"], "said": one["said"], "run": run.pk},
                batch=run.batch,
            )
            for pk, one in row.get("ratings", {}).items()
            if one["rating"] is not None and int(pk) in there
        ],
        ignore_conflicts=True,
    )


def without_nul(value: Any) -> Any:
    """PostgreSQL has no NUL in its texts."""
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, list):
        return [without_nul(one) for one in value]
    if isinstance(value, dict):
        return {key: without_nul(one) for key, one in value.items()}
    return value
