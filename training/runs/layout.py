"""Writing what the engine reads: `run.json` and `dataset.jsonl`, once per run.

A dataset is the frozen file of a version, or one line per question of the project. For a generate
run, questions whose draws are all stored already are left out: nothing is drawn twice.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Prefetch, QuerySet

from curation.models import LanguageModel, Question, Rationale
from training.models import IterationRun, Run, RunKind
from training.runs.folders import plain
from training.runs.judge_runs import before, left_to_judge, to_judge
from training.runs.plans import engine_config
from training.runs.storing import opened
from training.runs.student_scores import to_score

PAGE = 500
REFERENCES = 4  # rationales beside a question that an evaluation compares with

Row = dict[str, Any]


def lay_out(
    run: Run,
    folder: Path,
    threads: int,
    keep: Callable[[], None],
    model: str | None = None,
    reference: str | None = None,
) -> None:
    """Make the two files, unless an earlier attempt has. `keep` is called between pages; `model`
    and `reference` are where these were brought to, if they were."""
    if not (folder / "dataset.jsonl").exists():
        write_dataset(run, folder / "dataset.jsonl", keep)
    job = {
        "kind": run.kind,
        "method": run.method or None,
        "config": engine_config(run.kind, run.config),
        "seed": run.seed,
        "model": model or model_source(run.student),
        "dataset": "dataset.jsonl",
        "threads": threads,
    }
    if (held := held_to(run)) is not None:
        job["reference"] = reference or model_source(held)
    (folder / "run.json").write_text(json.dumps(job, indent=1))


def held_to(run: Run) -> LanguageModel | None:
    """The model that an experiment holds the run to, where that is not the run's own student."""
    rows = IterationRun.objects.filter(run_id=run.pk).exclude(reference=None)
    row = rows.select_related("reference").first()
    return row.reference if row else None


def model_source(model: LanguageModel | None) -> str | Row:
    """How `run.json` names a model. A path of the repository counts from its root."""
    assert model is not None  # `launch` refuses a run without one
    if model.provider == "openai":
        key = model.api_key_variable or None
        name = model.revision or model.name
        source = {"provider": "openai", "base_url": model.uri, "name": name, "api_key_env": key}
        return {**source, "prices": model.prices} if model.prices else source
    uri = plain(model.uri)
    return uri if "://" in uri else str(settings.BASE_DIR / uri)


def write_dataset(run: Run, path: Path, keep: Callable[[], None]) -> None:
    aside = path.with_suffix(".tmp")
    if run.dataset is not None and run.kind == RunKind.TRAIN:
        with opened(run.dataset.file) as source, aside.open("wb") as target:
            shutil.copyfileobj(source, target)
    else:
        with aside.open("w") as target:
            for row in dataset_rows(run, keep):
                target.write(json.dumps(row, ensure_ascii=False) + "\n")
    aside.replace(path)


def dataset_rows(run: Run, keep: Callable[[], None]) -> Iterator[Row]:
    """One line per question that the run is about."""
    ids = list(questions_of(run).values_list("id", flat=True))
    make = ROWS[RunKind(run.kind)]
    for start in range(0, len(ids), PAGE):
        keep()
        page = Question.objects.filter(pk__in=ids[start : start + PAGE])
        stored = drawn_before(run, page) if run.kind == RunKind.GENERATE else {}
        for question in page.prefetch_related(*beside_of(run)):
            row = make(run, question, stored.get(question.pk, 0))
            if row is not None:
                yield row


def questions_of(run: Run) -> QuerySet[Question]:
    """The questions of a version, or those that the config's scope names."""
    found = Question.objects.filter(project_id=run.project_id)
    if run.dataset is not None:
        held = run.dataset.items.values("rationale__question")
        found = found.filter(pk__in=held)
    if run.config["split"] != "all":
        found = found.filter(split=run.config["split"])
    if run.config["source"]:
        found = found.filter(source=run.config["source"])
    if run.config["limit"]:
        chosen = found.order_by("text_hash")[: run.config["limit"]]
        found = Question.objects.filter(pk__in=list(chosen.values_list("pk", flat=True)))
    return found.order_by("id")


def beside_of(run: Run) -> list[Prefetch]:
    """What is read with each question."""
    if run.kind == RunKind.JUDGE:
        return [Prefetch("rationales", queryset=to_judge(run), to_attr="beside"), before(run)]
    return [thoughts(run)]


def thoughts(run: Run) -> Prefetch:
    """The rationales beside a question: to draw an answer after, or to compare with."""
    own = Rationale.objects.filter(conditioned_on=None).exclude(thought="")
    if run.kind == RunKind.SCORE:
        return Prefetch("rationales", queryset=to_score(run, own), to_attr="beside")
    own = own.filter(revises=None)
    if run.kind == RunKind.GENERATE:
        own = own.filter(role=run.config["thoughts"]) if is_conditioned(run) else own.none()
    else:
        own = own.filter(role__in=["teacher", "human"])
    return Prefetch("rationales", queryset=own.order_by("id"), to_attr="beside")


def is_conditioned(run: Run) -> bool:
    return bool(run.config["what"] == "answer_given_thought")


def generation_row(run: Run, question: Question, stored: int) -> Row | None:
    """None if all its draws are stored, or if there is no thought to draw an answer after."""
    beside = question.beside  # type: ignore[attr-defined]
    if is_conditioned(run):
        beside = beside[: run.config["thoughts_per_question"] or None]
    prompts = len(beside) if is_conditioned(run) else 1
    draws = len(run.config["temperatures"]) * run.config["samples_per_temperature"]
    return None if stored >= prompts * draws else question_row(question, beside)


def evaluation_row(run: Run, question: Question, stored: int) -> Row:
    beside = question.beside  # type: ignore[attr-defined]
    return question_row(question, beside[:REFERENCES])


def score_row(run: Run, question: Question, stored: int) -> Row | None:
    """None if the student has nothing to read of it."""
    beside = question.beside  # type: ignore[attr-defined]
    return question_row(question, beside) if beside else None


def judge_row(run: Run, question: Question, stored: int) -> Row | None:
    """None if the judge has nothing to say of it that it has not said."""
    shown = left_to_judge(run, question)
    return question_row(question, shown) if shown else None


ROWS: dict[RunKind, Callable[[Run, Question, int], Row | None]] = {
    RunKind.GENERATE: generation_row,
    RunKind.SCORE: score_row,
    RunKind.JUDGE: judge_row,
    RunKind.EVALUATE: evaluation_row,
}


def question_row(question: Question, beside: list[Rationale]) -> Row:
    return {
        "id": str(question.pk),
        "question": question.text,
        "reference_answer": question.reference_answer,
        "answer_kind": question.answer_kind,
        "split": question.split,
        "completions": [
            {"id": str(r.pk), "role": r.role, "thought": r.thought, "answer": r.answer}
            for r in beside
        ],
        "rankings": [],
    }


def same_draws(run: Run) -> dict[str, Any]:
    """What filters the runs, this one among them, that draw the very same things."""
    same = ("what", "temperatures", "samples_per_temperature", "top_p", "max_new_tokens",
            "system_prompt", "thoughts", "thoughts_per_question")  # fmt: skip
    plan = {f"config__{name}": run.config[name] for name in same}
    frame = {"project": run.project_id, "kind": run.kind, "student": run.student_id}
    return {**frame, "seed": run.seed, **plan}


def drawn_before(run: Run, page: QuerySet[Question]) -> dict[int, int]:
    """How many draws of this very plan each question has, from any run with it."""
    batches = Run.objects.filter(**same_draws(run)).values_list("batch", flat=True)
    counts: dict[int, int] = defaultdict(int)
    found = Rationale.objects.filter(question__in=page, batch__in=list(batches))
    for question in found.values_list("question_id", flat=True):
        counts[question] += 1
    return counts
