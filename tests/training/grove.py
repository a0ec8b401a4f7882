"""Three generations of checkpoints with everybody who had a hand in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from curation.models import (
    Adjudication,
    DatasetVersion,
    LanguageModel,
    Place,
    Project,
    Question,
    Ranking,
    Rationale,
    Review,
    Score,
    User,
)
from curation.review.correcting import correct
from tests.make import make_model, make_question, make_rationale
from training.models import Checkpoint, Evaluation, EvaluationItem, Run
from training.runs.evaluate_runs import hash_of_ids
from training.runs.launch import launch
from training.versions.freezing import freeze
from training.versions.recipe import Recipe

SUMMARY = {"accuracy": 0.75, "accuracy_low": 0.5, "accuracy_high": 0.9, "length_ratio": 1.02}


@dataclass
class Grove:
    project: Project
    questions: list[Question]
    good: list[Rationale]  # of the teacher, one a question
    base: LanguageModel
    versions: list[DatasetVersion]
    checkpoints: list[Checkpoint]


def make_grove(project: Project, people: list[User], questions: int = 4) -> Grove:
    """base → (version 1) → first → (version 2) → second → (version 3) → third. The versions 2 and
    3 hold samples of the checkpoint before; the last person corrects one, the first decides one.
    """
    teacher = make_model(
        project, "teacher/large", licence="mit", provider="openai", uri="http://teacher.example/v1"
    )
    judge = make_model(project, "judge", licence="apache-2.0")
    base = make_model(
        project, "sapling/base", licence="mit", provider="local", uri="training/demo/student"
    )
    asked, good = [], []
    for number in range(questions):
        question = make_question(
            project, f'Mia says "{number}" and adds 8. What is it?',
            reference_answer=str(8 + number), source="orchard tales", metadata={"licence": "mit"},
        )  # fmt: skip
        asked.append(question)
        good.append(written(question, f"8 + {number} = {8 + number}", teacher))
        Review.objects.create(rationale=good[-1], reviewer=people[0], decision="accept")
        Score.objects.create(
            rationale=good[-1], scorer="judge_rating", scorer_version="1", value=0.9, model=judge
        )
        for person in people:
            ranked(question, good[-1:], judge_user=person)
        ranked(question, good[-1:], judge_model=judge)
    correct(good[1], people[-1], "8 and 1 make 9", "9")
    Adjudication.objects.create(question=asked[0], by=people[0], ranks={str(good[0].pk): 1})
    grove = Grove(project, asked, good, base, [], [])
    student = base
    for number in (1, 2, 3):
        grove.versions.append(freeze(project, Recipe(), people[0], f"round {number}"))
        checkpoint = trained(grove.versions[-1], student, people[0], step=10 * number)
        grove.checkpoints.append(checkpoint)
        student = checkpoint.model
        for question in asked:
            written(question, f"sample of {number}", student, role="student", seed=number)
    return grove


def written(question: Question, thought: str, model: LanguageModel, **fields: Any) -> Rationale:
    """A rationale with the prompt that an engine would have sent."""
    return make_rationale(
        question, thought, answer=question.reference_answer, author_model=model,
        prompt_sent=f"{question.text}\n", **fields,
    )  # fmt: skip


def ranked(question: Question, best_first: list[Rationale], **judge: Any) -> Ranking:
    ranking = Ranking.objects.create(question=question, **judge)
    Place.objects.bulk_create(
        Place(ranking=ranking, rationale=rationale, rank=rank)
        for rank, rationale in enumerate(best_first, 1)
    )
    return ranking


def trained(
    version: DatasetVersion, student: LanguageModel, by: User | None, step: int = 10, **config: Any
) -> Checkpoint:
    """A run that is done, and the checkpoint that it left."""
    project = version.project
    run = launch(
        project, "train", method="sft", config={"epochs": 5, **config}, dataset=version,
        student=student, by=by, enqueue=False,
    )  # fmt: skip
    Run.objects.filter(pk=run.pk).update(status="done")
    model = LanguageModel.objects.create(
        project=project, name=f"sft · run {run.pk}", revision=f"step {step}", provider="local",
        uri="training/demo/student", licence=student.licence,
    )  # fmt: skip
    return Checkpoint.objects.create(
        run=run, step=step, uri=model.uri, sha256=f"{run.pk:064x}", model=model
    )


def evaluated(
    model: LanguageModel, answers: dict[Question, bool | None], split: str = "train"
) -> Evaluation:
    """An evaluation with one greedy answer a question: right, wrong, or not to be told."""
    run = launch(model.project, "evaluate", student=model, config={"split": split}, enqueue=False)
    evaluation = Evaluation.objects.create(
        run=run, model=model, split=split, questions=len(answers), summary=SUMMARY,
        questions_sha256=hash_of_ids(sorted(question.pk for question in answers)),
    )  # fmt: skip
    EvaluationItem.objects.bulk_create(
        EvaluationItem(
            evaluation=evaluation, question=question, index=0, correct=correct,
            answer=question.reference_answer if correct else "0",
        )
        for question, correct in answers.items()
    )  # fmt: skip
    return evaluation
