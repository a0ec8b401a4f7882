"""Reading the record for a recipe, a chunk of questions at a time.

Every rationale of the project is looked at, and ends either in a row of the version or with one
reason in words why it is left out. The cheap facts are read for all; texts, scores and reviews
only for those that are still in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db.models import F

from curation.models import Decision, Job, Place, Project, Question, Rationale, Review, Score, Split
from curation.review.adjudication import settled
from training.models import Run
from training.selection import selection
from training.selection.record import Asked, Candidate
from training.versions.overlap import WORDS, windows, windows_of
from training.versions.recipe import Recipe

CHUNK = 500  # questions read together

DECIDED = 1000  # a decision counts as any number of reviewers
UNDECIDED = "No adjudicator has decided its question"
OVERLAPS = f"Its question shares {WORDS} words in a row with a test question"


@dataclass(slots=True)
class Group:
    """One row of a version: a question, or one thought for it, with the rationales kept."""

    question: Asked
    kept: list[Candidate]
    thought: Candidate | None = None

    @property
    def id(self) -> str:
        return f"{self.question.id}-{self.thought.id}" if self.thought else str(self.question.id)


@dataclass(slots=True)
class Examined:
    """What became of one question: its rows, and why its other rationales are left out."""

    question: Asked
    groups: list[Group] = field(default_factory=list)
    left_out: list[tuple[int, str]] = field(default_factory=list)
    overlaps: bool = False

    @property
    def rankings(self) -> dict[str, dict[int, int]]:
        """judge -> rationale -> rank."""
        return self.question.rankings


def examine(project: Project, recipe: Recipe) -> Iterator[list[Examined]]:
    """Every question of the project in the order of its id, in chunks.

    Where the selection ranks over the whole dataset, the record is read twice: for the verdicts,
    and for the rows.
    """
    verdicts = ranked_over_dataset(project, recipe) if recipe.chosen().over_dataset else None
    for chunk in known(project, recipe):
        for entry in chunk:
            if verdicts is not None:
                _leave_out(entry, [verdicts[one.id] for one in entry.question.candidates])
            else:
                _second_sieve(entry, recipe)
                _rank(entry, recipe)
            _form_groups(entry, recipe)
        yield chunk


def ranked_over_dataset(project: Project, recipe: Recipe) -> dict[int, str | None]:
    """The verdict on every candidate, each split ranked by itself."""
    by_split: dict[str, list[Asked]] = defaultdict(list)
    verdicts: dict[int, str | None] = {}
    for chunk in known(project, recipe):
        for entry in chunk:
            first = len(entry.left_out)
            _second_sieve(entry, recipe)
            verdicts |= dict(entry.left_out[first:])
            if entry.question.considered:
                by_split[entry.question.split].append(without_texts(entry.question))
    config, rank = recipe.chosen(), selection(recipe.selection).rank
    for questions in by_split.values():
        for question, found in zip(questions, rank(questions, config), strict=True):
            ids = [candidate.id for candidate in question.candidates]
            verdicts |= dict(zip(ids, found, strict=True))
    return verdicts


def without_texts(question: Asked) -> Asked:
    """The question with what `rank` needs, which fits in memory for a whole project."""
    light = [replace(candidate, thought="", answer="") for candidate in question.candidates]
    return replace(question, text="", candidates=light)


def known(project: Project, recipe: Recipe) -> Iterator[list[Examined]]:
    """Every question with the candidates that the recipe lets in, and what is known of them."""
    batches = batches_of(project, recipe)
    sampled = sampled_by(project, recipe)
    tested = tested_windows(project)
    for questions in question_chunks(project):
        chunk = [Examined(Asked(**row)) for row in questions]
        for entry in chunk:
            entry.overlaps = _overlaps(entry.question, tested)
        candidates = _first_sieve(chunk, recipe, batches, sampled)
        _learn(candidates)
        _hear_reviews(candidates, recipe)
        places = _places(candidates, recipe)
        for entry in chunk:
            entry.question.rankings = places.get(entry.question.id, {})
        if recipe.adjudicated != "ignore":
            _settle(chunk, recipe)
        yield chunk


def question_chunks(project: Project) -> Iterator[list[dict[str, Any]]]:
    """The project's questions by id, a chunk at a time."""
    columns = ("id", "text", "reference_answer", "answer_kind", "split")
    last = 0
    while True:
        later = Question.objects.filter(project=project, pk__gt=last).order_by("pk")
        rows = list(later.values(*columns)[:CHUNK])
        if not rows:
            return
        yield rows
        last = rows[-1]["id"]


def batches_of(project: Project, recipe: Recipe) -> set[UUID] | None:
    """The batches that the recipe asks for; None where it asks for none in particular.

    Raises ValueError for a run or an import that the project does not have.
    """
    if not recipe.runs and not recipe.imports:
        return None
    runs = dict(Run.objects.filter(project=project, pk__in=recipe.runs).values_list("pk", "batch"))
    jobs = dict(
        Job.objects.filter(project=project, pk__in=recipe.imports).values_list("pk", "batch")
    )
    missing = [f"run {pk}" for pk in recipe.runs if pk not in runs]
    missing += [f"import {pk}" for pk in recipe.imports if pk not in jobs]
    if missing:
        raise ValueError(f"This project has no {', '.join(missing)}.")
    return {*runs.values(), *jobs.values()}


@dataclass(frozen=True)
class Sampled:
    """What the runs of `Recipe.samples` drew: their batches, and the questions."""

    batches: set[UUID]
    questions: set[int]


def sampled_by(project: Project, recipe: Recipe) -> Sampled | None:
    """None where the recipe names no run. Raises ValueError for one that the project lacks."""
    if not recipe.samples:
        return None
    runs = Run.objects.filter(project=project, pk__in=recipe.samples)
    batches = dict(runs.values_list("pk", "batch"))
    if missing := [f"run {pk}" for pk in recipe.samples if pk not in batches]:
        raise ValueError(f"This project has no {', '.join(missing)}.")
    drawn = Rationale.objects.filter(batch__in=batches.values())
    return Sampled(set(batches.values()), set(drawn.values_list("question_id", flat=True)))


def tested_windows(project: Project) -> set[int]:
    """What the test questions of the project say, for the overlap."""
    questions = Question.objects.filter(project=project, split=Split.TEST)
    texts = questions.values_list("text", flat=True)
    return windows_of(texts.iterator(chunk_size=2000))


def _overlaps(question: Asked, tested: set[int]) -> bool:
    return question.split != Split.TEST and not tested.isdisjoint(windows(question.text))


def _first_sieve(
    chunk: list[Examined],
    recipe: Recipe,
    batches: set[UUID] | None,
    sampled: Sampled | None,
) -> dict[int, Candidate]:
    """The candidates by id, without their texts; the others get their reason."""
    by_question = {entry.question.id: entry for entry in chunk}
    columns = ["id", "question_id", "role", "author_model_id", "author_user_id"]
    columns += ["content_hash", "conditioned_on_id", "revises_id", "batch"]
    found = Rationale.objects.filter(question__among=by_question).order_by("pk")
    rows = list(found.values(*columns))
    corrected = {row["revises_id"] for row in rows if row["revises_id"]}
    candidates = {}
    for row in rows:
        entry = by_question[row["question_id"]]
        reason = _unfit(row, entry, recipe, batches, corrected) or _unsampled(row, sampled)
        if reason:
            entry.left_out.append((row["id"], reason))
            continue
        candidate = Candidate(
            row["id"],
            row["role"],
            author_of(row),
            conditioned_on=row["conditioned_on_id"],
            content_hash=row["content_hash"],
        )
        entry.question.candidates.append(candidate)
        candidates[candidate.id] = candidate
    return candidates


def author_of(row: dict[str, Any]) -> str:
    """A pseudonym: "model-7" or "person-3"."""
    if row["author_model_id"]:
        return f"model-{row['author_model_id']}"
    return f"person-{row['author_user_id']}"


def _unfit(
    row: dict[str, Any],
    entry: Examined,
    recipe: Recipe,
    batches: set[UUID] | None,
    corrected: set[int],
) -> str | None:
    if entry.question.split not in recipe.splits:
        return f"Its question is in the {entry.question.split} split"
    if recipe.drop_overlap and entry.overlaps:
        return OVERLAPS
    if row["role"] not in recipe.roles:
        return f"Written by a {row['role']}"
    if recipe.authors and author_of(row) not in recipe.authors:
        return "Its author is not among the chosen ones"
    if batches is not None and row["batch"] not in batches:
        return "Not written by the chosen runs or imports"
    if recipe.drop_corrected and row["id"] in corrected:
        return "A correction replaces it"
    return None


def _unsampled(row: dict[str, Any], sampled: Sampled | None) -> str | None:
    if sampled is None:
        return None
    if row["question_id"] not in sampled.questions:
        return "Its question was not sampled by the chosen runs"
    if row["role"] == "student" and row["batch"] not in sampled.batches:
        return "A sample of another run"
    return None


def _learn(candidates: dict[int, Candidate]) -> None:
    """Fill in the texts and the scores: the last of each scorer, and the last by each model."""
    ids = list(candidates)
    texts = Rationale.objects.filter(pk__among=ids).values_list("pk", "thought", "answer")
    for pk, thought, answer in texts:
        candidates[pk].thought, candidates[pk].answer = thought, answer
    scores = Score.objects.filter(rationale__among=ids).order_by("pk")
    for pk, scorer, model, value in scores.values_list(
        "rationale_id", "scorer", "model_id", "value"
    ):
        known = candidates[pk].scores
        known[scorer] = value
        if model:
            known[f"{scorer}@model-{model}"] = value


def _hear_reviews(candidates: dict[int, Candidate], recipe: Recipe) -> None:
    live = Review.objects.live().filter(rationale__among=candidates)
    for pk, reviewer, decision in live.values_list("rationale_id", "reviewer_id", "decision"):
        if not recipe.heeds(f"person-{reviewer}"):
            continue
        if decision == Decision.ACCEPT:
            candidates[pk].accepts += 1
        else:
            candidates[pk].rejects += 1


def _places(
    candidates: dict[int, Candidate], recipe: Recipe
) -> dict[int, dict[str, dict[int, int]]]:
    """question -> judge -> rationale -> rank, of the live rankings that count."""
    found: dict[int, dict[str, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
    live = Place.objects.filter(rationale__among=candidates, ranking__superseded_at=None)
    columns = ("ranking__judge_user_id", "ranking__judge_model_id", "rationale_id", "rank")
    for question, person, model, pk, rank in live.values_list(F("ranking__question_id"), *columns):
        judge = f"person-{person}" if person else f"model-{model}"
        if recipe.hears(judge):
            found[question][judge][pk] = rank
    return found


def _settle(chunk: list[Examined], recipe: Recipe) -> None:
    """An adjudicator's decision takes the place of what everybody said of its question."""
    rulings = settled([entry.question.id for entry in chunk])
    for entry in chunk:
        ruling = rulings.get(entry.question.id)
        if ruling is None:
            if recipe.adjudicated == "only":
                _leave_out(entry, [UNDECIDED] * len(entry.question.candidates))
            continue
        if ruling.ranks:
            entry.question.rankings = {ruling.kind: ruling.ranks}
        for candidate in entry.question.candidates if ruling.decisions else []:
            decision = ruling.decisions.get(candidate.id)
            candidate.accepts = DECIDED if decision == Decision.ACCEPT else 0
            candidate.rejects = DECIDED if decision == Decision.REJECT else 0


def _second_sieve(entry: Examined, recipe: Recipe) -> None:
    """The selection, then duplicates."""
    question = entry.question
    question.considered = len(question.candidates)
    if not question.candidates:
        return
    verdicts = selection(recipe.selection).select(question, recipe.chosen())
    _leave_out(entry, verdicts)
    if recipe.drop_duplicates:
        question.candidates = _distinct(question.candidates, entry)


def _rank(entry: Examined, recipe: Recipe) -> None:
    """The best of what is left of a question, for selections that take the best."""
    module = selection(recipe.selection)
    if hasattr(module, "rank") and entry.question.candidates:
        _leave_out(entry, module.rank([entry.question], recipe.chosen())[0])


def _leave_out(entry: Examined, verdicts: list[str | None]) -> None:
    """Keep the candidates whose verdict is None, and note the reasons of the others."""
    judged = list(zip(entry.question.candidates, verdicts, strict=True))
    entry.left_out += [(candidate.id, reason) for candidate, reason in judged if reason]
    entry.question.candidates = [candidate for candidate, reason in judged if not reason]


def _form_groups(entry: Examined, recipe: Recipe) -> None:
    """One group or several of what is left, each as large as it may and has to be."""
    question = entry.question
    if question.split not in recipe.splits or (recipe.drop_overlap and entry.overlaps):
        return
    for thought, members in _groups(question.candidates, recipe):
        members = _at_most(members, entry, recipe)
        if not recipe.conditioned:
            members = _with_their_thoughts(members, entry)
        if len(members) < recipe.min_rationales:
            reason = f"Fewer than {recipe.min_rationales} rationales are left in its group"
            entry.left_out += [(candidate.id, reason) for candidate in members]
        else:
            entry.groups.append(Group(question, members, thought))


def _distinct(kept: list[Candidate], entry: Examined) -> list[Candidate]:
    """One of each wording: the one that most people and judges have judged, else the oldest."""

    def judged(candidate: Candidate) -> int:
        ranked = sum(candidate.id in ranks for ranks in entry.rankings.values())
        return ranked + candidate.accepts + candidate.rejects

    best: dict[tuple[int | None, str], Candidate] = {}
    for candidate in sorted(kept, key=lambda one: (-judged(one), one.id)):
        wording = (candidate.conditioned_on, candidate.content_hash)
        first = best.setdefault(wording, candidate)
        if first is not candidate:
            entry.left_out.append((candidate.id, "Another one says the same word for word"))
    return sorted(best.values(), key=lambda one: one.id)


def _groups(
    kept: list[Candidate], recipe: Recipe
) -> Iterator[tuple[Candidate | None, list[Candidate]]]:
    """The question's own group first, then, where asked for, one for each thought given."""
    if not recipe.conditioned:
        yield None, kept
        return
    own = [candidate for candidate in kept if candidate.conditioned_on is None]
    yield None, own
    given = sorted(
        (candidate for candidate in kept if candidate.conditioned_on is not None),
        key=lambda one: (one.conditioned_on or 0, one.id),
    )
    for pk, members in groupby(given, key=lambda one: one.conditioned_on or 0):
        yield Candidate(pk, "teacher", ""), list(members)


def _at_most(members: list[Candidate], entry: Examined, recipe: Recipe) -> list[Candidate]:
    """At most `max_rationales`, by a draw that new rationales do not reshuffle."""
    if not recipe.max_rationales or len(members) <= recipe.max_rationales:
        return members
    drawn = sorted(members, key=lambda one: sha256(f"{recipe.seed}:{one.id}".encode()).digest())
    reason = f"Its group has {recipe.max_rationales} others already"
    entry.left_out += [(candidate.id, reason) for candidate in drawn[recipe.max_rationales :]]
    return sorted(drawn[: recipe.max_rationales], key=lambda one: one.id)


def _with_their_thoughts(members: list[Candidate], entry: Examined) -> list[Candidate]:
    """Without answers whose thought is not beside them: nobody could tell what they answer."""
    ids = {one.id for one in members}
    orphans = [one for one in members if one.conditioned_on and one.conditioned_on not in ids]
    entry.left_out += [(one.id, "The thought it answers is not in its group") for one in orphans]
    return [one for one in members if one not in orphans]


def fill_thoughts(groups: Iterable[Group]) -> None:
    """Read the thoughts that groups of answers were drawn after."""
    wanted = {group.thought.id: group.thought for group in groups if group.thought}
    texts = Rationale.objects.filter(pk__in=list(wanted)).values_list("pk", "thought", "role")
    given = {pk: (thought, role) for pk, thought, role in texts}
    for group in groups:
        if group.thought:
            group.thought.thought, group.thought.role = given[group.thought.id]
