"""What a rationale reached: who judged it, the versions that hold it or why not, the runs that
trained on those and everything trained from them since, and whether the answer to its question
flipped in their evaluations.

The flip of a checkpoint compares the greedy answer of the newest evaluation of the model that its
run began from with that of the checkpoint's own. It says what changed with that run, which learnt
from much else too; it does not say that this rationale was why.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, F

from curation.models import (
    Adjudication,
    DatasetItem,
    DatasetVersion,
    Place,
    Rationale,
    Review,
    Score,
    User,
)
from curation.work import work_of
from training.lineage.descent import Descent, descent_in, roles_read
from training.lineage.left_out import reason
from training.lineage.makers import SHOWN
from training.models import Checkpoint, Evaluation, EvaluationItem, Run

SCHEMA = "stillroom.lineage.rationale/1"
EXPLAINED = 20  # the newest versions without it, whose reasons are looked up
RUNS = 100

WORDS = {
    (False, True): "wrong → right",
    (True, False): "right → wrong",
    (True, True): "right, as before",
    (False, False): "wrong, as before",
}


@dataclass
class Judgement:
    """One thing said of it on the way. `stands` is false where it was taken back."""

    kind: str  # ranking, review, decision, score
    by: str
    said: str
    at: datetime
    stands: bool = True


@dataclass
class Holding:
    """A version that holds it (`row` is the line of its file), or why it does not."""

    number: int
    name: str
    row: int | None = None
    part: str = ""
    reason: str = ""

    @property
    def holds(self) -> bool:
        return self.row is not None

    @property
    def teaches(self) -> bool:
        return self.part == "train"


@dataclass
class Answer:
    """The greedy answer to its question in one evaluation."""

    evaluation: int
    model: str
    answer: str
    correct: bool | None


@dataclass
class Flip:
    """The answer before and after a training."""

    before: Answer | None
    after: Answer | None

    @property
    def both(self) -> tuple[Answer | None, Answer | None]:
        return self.before, self.after

    @property
    def words(self) -> str:
        if self.before is None or self.after is None:
            return "not asked after it" if self.after is None else "not asked before it"
        correct = self.before.correct, self.after.correct
        if None in correct:
            same = self.before.answer == self.after.answer
            return "the same answer" if same else "another answer"
        return WORDS[bool(correct[0]), bool(correct[1])]

    @property
    def chip(self) -> str:
        flipped = {"wrong → right": "ok", "right → wrong": "bad"}
        return flipped.get(self.words, "")


@dataclass
class Share:
    """A share with its interval."""

    value: float | None
    low: float | None
    high: float | None


@dataclass
class Measured:
    """An evaluation of a checkpoint that it reached."""

    evaluation: int
    split: str
    questions: int
    accuracy: Share
    asks_it: bool


@dataclass
class Reached:
    """A checkpoint, how far from the rationale, and what became of the answer."""

    checkpoint: int
    model: str
    model_id: int
    step: int
    sha256: str
    run: int
    flip: Flip
    evaluations: list[Measured] = field(default_factory=list)


@dataclass
class Trained:
    """A run that learnt from it (`distance` 0), or that began from what such a run wrote."""

    run: int
    title: str
    method: str
    status: str
    version: int | None
    distance: int
    reads: bool
    begun_from: str
    begun_from_model: int | None
    checkpoints: list[Reached] = field(default_factory=list)


@dataclass
class Echo:
    """A version that holds samples which the checkpoints it reached have drawn."""

    version: int
    rationales: int


@dataclass
class RationaleLineage:
    """Everything downstream of one rationale; of the runs the newest hundred."""

    project: str
    rationale: int
    question: int
    role: str
    author: str
    written: datetime
    came_by: str
    revises: int | None
    revised_by: list[int]
    conditioned_on: int | None
    answers_drawn_after_it: int
    judgements: list[Judgement]
    judgements_total: int
    versions: list[Holding]
    versions_unexplained: int
    runs: list[Trained]
    runs_total: int
    echoes: list[Echo]
    question_is_evaluated: bool

    @property
    def checkpoints(self) -> list[tuple[Trained, Reached]]:
        return [(run, one) for run in self.runs for one in run.checkpoints]

    @property
    def unfinished(self) -> list[Trained]:
        """Runs that left no checkpoint, or not yet."""
        return [run for run in self.runs if not run.checkpoints]

    @property
    def holding(self) -> list[Holding]:
        return [version for version in self.versions if version.holds]

    @property
    def without(self) -> list[Holding]:
        return [version for version in self.versions if not version.holds]

    @property
    def flips(self) -> dict[str, int]:
        """How many checkpoints did what, in words."""
        counts: dict[str, int] = {}
        for _, reached in self.checkpoints:
            counts[reached.flip.words] = counts.get(reached.flip.words, 0) + 1
        return counts

    def as_json(self) -> dict[str, Any]:
        found = {"schema": SCHEMA, **asdict(self)}
        for told, run in zip(found["runs"], self.runs, strict=True):
            for one, reached in zip(told["checkpoints"], run.checkpoints, strict=True):
                one["flip"]["words"] = reached.flip.words
        return found


def lineage_of(rationale: Rationale, reader: User | None = None) -> RationaleLineage:
    """What it reached. People are named as `reader` may know them; pseudonyms for nobody."""
    project = rationale.question.project
    holdings, versions, unexplained = versions_of(rationale)
    descent = descent_in(project)
    teaching = {versions[one.number].pk for one in holdings if one.teaches}
    first = [run for run in descent.runs.values() if run.dataset_id in teaching]
    below = descent.below(first)
    models = {one.model_id for run, _ in below for one in descent.written[run.pk]}
    starts = {run.student_id for run, _ in below if run.student_id}
    evaluations = newest_evaluations(models)
    answers = answers_to(rationale.question_id, models | starts)
    judgements, total = judgements_of(rationale, reader)
    works = work_of(project, {rationale.batch}) if rationale.batch else {}
    work = works.get(rationale.batch) if rationale.batch else None
    return RationaleLineage(
        project=project.slug,
        rationale=rationale.pk,
        question=rationale.question_id,
        role=rationale.role,
        author=author_for(rationale, reader),
        written=rationale.created_at,
        came_by=work.title if work else "",
        revises=rationale.revises_id,
        revised_by=list(rationale.revisions.order_by("pk").values_list("pk", flat=True)[:SHOWN]),
        conditioned_on=rationale.conditioned_on_id,
        answers_drawn_after_it=rationale.answers.count(),
        judgements=judgements,
        judgements_total=total,
        versions=holdings,
        versions_unexplained=unexplained,
        runs=[
            _trained(run, distance, rationale, descent, answers, evaluations)
            for run, distance in below[-RUNS:]
        ],
        runs_total=len(below),
        echoes=echoes_of(models),
        question_is_evaluated=bool(answers),
    )


def versions_of(rationale: Rationale) -> tuple[list[Holding], dict[int, DatasetVersion], int]:
    """The project's versions, the newest first: those that hold it, and the newest of those that
    do not, with their reasons; how many more there are."""
    project = rationale.question.project
    versions = {
        version.number: version
        for version in DatasetVersion.objects.filter(project=project)
        .order_by("-number")
        .only("pk", "number", "name", "file", "created_at", "project_id")
    }
    items = DatasetItem.objects.filter(rationale=rationale).order_by()
    held = {pk: (row, part) for pk, row, part in items.values_list("version", "row", "part")}
    found, explained = [], 0
    for version in versions.values():
        holding = Holding(version.number, version.name)
        if version.pk in held:
            holding.row, holding.part = held[version.pk]
        elif explained < EXPLAINED:
            holding.reason = reason(version, rationale)
            explained += 1
        else:
            continue
        found.append(holding)
    return found, versions, len(versions) - len(found)


def _trained(
    run: Run,
    distance: int,
    rationale: Rationale,
    descent: Descent,
    answers: dict[int, Answer],
    evaluations: dict[int, list[Evaluation]],
) -> Trained:
    return Trained(
        run=run.pk,
        title=str(run),
        method=run.method,
        status=run.status,
        version=run.dataset.number if run.dataset else None,
        distance=distance,
        reads=distance > 0 or rationale.role in roles_read(run),
        begun_from=str(run.student or ""),
        begun_from_model=run.student_id,
        checkpoints=[
            _reached(one, answers, evaluations.get(one.model_id, []))
            for one in descent.written[run.pk]
        ],
    )


def _reached(
    checkpoint: Checkpoint, answers: dict[int, Answer], evaluations: list[Evaluation]
) -> Reached:
    after = answers.get(checkpoint.model_id)
    return Reached(
        checkpoint=checkpoint.pk,
        model=str(checkpoint.model),
        model_id=checkpoint.model_id,
        step=checkpoint.step,
        sha256=checkpoint.sha256,
        run=checkpoint.run_id,
        flip=Flip(answers.get(checkpoint.run.student_id or 0), after),
        evaluations=[_measured(one, after) for one in evaluations],
    )


def _measured(evaluation: Evaluation, answer: Answer | None) -> Measured:
    summary = evaluation.summary
    keys = ("accuracy", "accuracy_low", "accuracy_high")
    return Measured(
        evaluation.pk,
        evaluation.split,
        evaluation.questions,
        Share(*(summary.get(key) for key in keys)),
        answer is not None and answer.evaluation == evaluation.pk,
    )


def newest_evaluations(models: Iterable[int]) -> dict[int, list[Evaluation]]:
    """Model → its newest evaluation of each split."""
    newest: dict[tuple[int, str], Evaluation] = {}
    for evaluation in Evaluation.objects.filter(model__in=models).order_by("-pk"):
        newest.setdefault((evaluation.model_id, evaluation.split), evaluation)
    found: dict[int, list[Evaluation]] = {}
    for (model, _), evaluation in sorted(newest.items()):
        found.setdefault(model, []).append(evaluation)
    return found


def answers_to(question: int, models: Iterable[int]) -> dict[int, Answer]:
    """Model → its greedy answer to the question in the newest evaluation that asked it."""
    found = EvaluationItem.objects.filter(
        question=question, index=0, evaluation__model__in=models
    ).select_related("evaluation__model")
    return {
        item.evaluation.model_id: Answer(
            item.evaluation_id, str(item.evaluation.model), item.answer, item.correct
        )
        for item in found.order_by("evaluation_id")
    }


def echoes_of(models: Iterable[int]) -> list[Echo]:
    """Versions that hold what these models wrote."""
    items = DatasetItem.objects.filter(rationale__author_model__in=models, part="train").order_by()
    counts = items.values_list("version__number").annotate(Count("pk"))
    return [Echo(number, count) for number, count in sorted(counts)]


def author_for(rationale: Rationale, reader: User | None) -> str:
    if rationale.author_model_id:
        return str(rationale.author_model)
    return who(rationale.author_user, _names_known(rationale, reader), reader)


def _names_known(rationale: Rationale, reader: User | None) -> bool:
    project = rationale.question.project
    return reader is not None and reader.has_perm("curation.research", project)


def who(person: User | None, named: bool, reader: User | None) -> str:
    """A person by name for those who may know it, “you” for oneself, else a pseudonym."""
    if person is None:
        return "the system"
    if named:
        return str(person)
    return "you" if reader is not None and person.pk == reader.pk else f"person-{person.pk}"


def judgements_of(rationale: Rationale, reader: User | None) -> tuple[list[Judgement], int]:
    """What was said of it, the newest first, and how much there is in all."""
    named = _names_known(rationale, reader)
    found = [
        *_rankings(rationale, named, reader),
        *_reviews(rationale, named, reader),
        *_decisions(rationale, named, reader),
        *_scores(rationale),
    ]
    found.sort(key=lambda one: one.at, reverse=True)
    return found[:SHOWN], len(found)


def _rankings(rationale: Rationale, named: bool, reader: User | None) -> Iterable[Judgement]:
    places = Place.objects.filter(rationale=rationale).annotate(
        among=Count("ranking__places"), at=F("ranking__created_at")
    )
    for place in places.select_related("ranking__judge_user", "ranking__judge_model"):
        ranking = place.ranking
        judge = ranking.judge_model or who(ranking.judge_user, named, reader)
        said = f"rank {place.rank} among {place.among}"
        stands = ranking.superseded_at is None
        yield Judgement("ranking", str(judge), said, ranking.created_at, stands)


def _reviews(rationale: Rationale, named: bool, reader: User | None) -> Iterable[Judgement]:
    for one in Review.objects.filter(rationale=rationale).select_related("reviewer"):
        reasons = f": {', '.join(one.reasons)}" if one.reasons else ""
        yield Judgement(
            "review",
            who(one.reviewer, named, reader),
            f"{one.decision}ed{reasons}",
            one.created_at,
            one.superseded_at is None,
        )


def _decisions(rationale: Rationale, named: bool, reader: User | None) -> Iterable[Judgement]:
    key = str(rationale.pk)
    found = Adjudication.objects.filter(question=rationale.question_id).select_related("by")
    for one in found:
        said = [f"{one.decisions[key]}ed"] if key in one.decisions else []
        said += [f"rank {one.ranks[key]} among {len(one.ranks)}"] if key in one.ranks else []
        if said:
            by = who(one.by, named, reader)
            stands = one.superseded_at is None
            yield Judgement("decision", by, ", ".join(said), one.at, stands)


def _scores(rationale: Rationale) -> Iterable[Judgement]:
    """What each scorer, and each model that scored, said; the last of each stands."""
    seen = set()
    for one in Score.objects.filter(rationale=rationale).select_related("model").order_by("-pk"):
        last = (one.scorer, one.model_id) not in seen
        seen.add((one.scorer, one.model_id))
        said = "could not tell" if one.value is None else f"{one.value:.3g}"
        by = str(one.model) if one.model else f"scorer, version {one.scorer_version}"
        yield Judgement("score", by, f"{one.scorer} {said}", one.created_at, last)
