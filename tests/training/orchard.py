"""A version with everything an export can meet: ranked, tied, reviewed, wrong, conditioned."""

from __future__ import annotations

from typing import Any

from curation.models import DatasetVersion, Place, Project, Question, Ranking, Review, Score, User
from tests.make import make_model, make_question, make_rationale
from training.versions.freezing import freeze
from training.versions.recipe import Recipe


def make_orchard(project: Project, people: list[User]) -> None:
    """Six training questions, two of validation, one of test; three rationales each."""
    teacher = make_model(project, "teacher", licence="mit")
    student = make_model(project, "student", licence="MIT")
    splits = ["train"] * 6 + ["validation"] * 2 + ["test"]
    for number, split in enumerate(splits):
        question = make_question(
            project,
            f"Mia has 8 apples and picks {number} more. How many “apples”\u2028has she?",
            reference_answer=str(8 + number),
            split=split,
            source="orchard tales",
        )
        answer = str(8 + number)
        good = make_rationale(
            question, f"8 + {number} = {answer}", answer=answer, author_model=teacher
        )
        fair = make_rationale(
            question, f"{number} plus 8 is {answer}", answer=answer, author_model=teacher
        )
        bad = make_rationale(
            question, f"8 - {number}", answer="0", role="student", author_model=student, seed=1
        )
        for answered_from, seed in ((answer, 2), ("99", 3)):
            make_rationale(
                question,
                "",
                answer=answered_from,
                role="student",
                author_model=student,
                conditioned_on=good,
                seed=seed,
            )
        for rationale, correct in ((good, 1), (fair, 1), (bad, 0)):
            Score.objects.create(
                rationale=rationale, scorer="answer_correct", scorer_version="1", value=correct
            )
        Review.objects.create(rationale=good, reviewer=people[0], decision="accept")
        Review.objects.create(rationale=bad, reviewer=people[0], decision="reject")
        ranks = [(good, 1), (fair, 1), (bad, 2)] if number == 0 else [(good, 1), (fair, 2)]
        for person in people[: 1 + number % 2]:
            place(question, person, ranks)


def place(question: Question, person: User, ranks: list[tuple[Any, int]]) -> None:
    """One person's ranking."""
    ranking = Ranking.objects.create(question=question, judge_user=person)
    Place.objects.bulk_create(
        Place(ranking=ranking, rationale=rationale, rank=rank) for rationale, rank in ranks
    )


def make_version(project: Project, people: list[User], **recipe: Any) -> DatasetVersion:
    """The orchard, frozen with all of its splits."""
    make_orchard(project, people)
    recipe.setdefault("splits", ["train", "validation", "test"])
    return freeze(project, Recipe(**recipe), None)
