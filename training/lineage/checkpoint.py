"""What made a checkpoint: back through the runs to the base model, and in every run's version the
people, teachers, prompts, edits and judges, with the licences of models and sources.

Counts are of what the versions' training parts hold; a person is "person-3" unless the reader may
know names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from curation.models import DatasetVersion, Job, LanguageModel, Project, User
from training.lineage.descent import Descent, descent_in, roles_read
from training.lineage.makers import SHOWN, Makers, makers_of
from training.models import Checkpoint, Evaluation, Run, RunKind

SCHEMA = "stillroom.lineage.checkpoint/1"


@dataclass
class Model:
    """A language model in some part; `checkpoint` where a run of the project wrote it."""

    id: int
    name: str
    provider: str
    licence: str
    checkpoint: int | None = None


@dataclass
class Writer:
    """Whose rationales it learnt from. `read` is false where the methods leave the role out."""

    model: Model
    role: str
    rationales: int
    read: bool = True


@dataclass
class Person:
    """What one person did for it."""

    key: str
    name: str | None = None
    ranked: int = 0
    accepted: int = 0
    rejected: int = 0
    adjudicated: int = 0
    wrote: int = 0
    corrected: int = 0
    launched: int = 0
    imported: int = 0


@dataclass
class Judge:
    """A model that ranked or scored what it learnt from."""

    model: Model
    rankings: int = 0
    scores: dict[str, int] = field(default_factory=dict)


@dataclass
class Part:
    """What a model wrote of a version; people's part has none."""

    model: Model | None
    rationales: int


@dataclass
class Version:
    """A dataset version with its counts as they were frozen, and how many people and models ranked;
    `rankings` are those of people."""

    number: int
    name: str
    sha256: str
    questions: int
    rationales: int
    selection: str
    people: int
    judges: int
    rankings: int
    accepted: int
    parts: list[Part]


@dataclass
class Generation:
    """One training on the way: from a model, on a version, to a checkpoint."""

    checkpoint: int
    model: Model
    step: int
    sha256: str
    run: int
    title: str
    method: str
    seed: int
    begun_from: Model | None
    version: Version | None


@dataclass
class Prompt:
    sha256: str
    text: str
    rationales: int
    models: list[str]


@dataclass
class Edit:
    rationale: int
    revises: int
    question: int
    by: str | None


@dataclass
class Source:
    """Where questions come from; the licence is what their metadata say."""

    name: str
    licence: str
    questions: int


@dataclass
class Work:
    """The run or the import that rationales came by."""

    kind: str
    id: int
    title: str
    rationales: int


@dataclass
class Licence:
    licence: str
    what: list[str]


@dataclass
class Result:
    """An evaluation of one of the checkpoints."""

    evaluation: int
    checkpoint: int
    split: str
    questions: int
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None


@dataclass
class CheckpointLineage:
    """Generations, the newest first; lists that grow with the data are cut, with their totals."""

    project: str
    generations: list[Generation]
    base: Model | None
    writers: list[Writer]
    people: list[Person]
    judges: list[Judge]
    prompts: list[Prompt]
    prompts_total: int
    edits: list[Edit]
    edits_total: int
    sources: list[Source]
    works: list[Work]
    works_total: int
    licences: list[Licence]
    results: list[Result]

    @property
    def versions(self) -> list[Version]:
        """Each once, the newest first."""
        found = {one.version.number: one.version for one in self.generations if one.version}
        return list(found.values())

    def as_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **asdict(self)}


def lineage_of(checkpoint: Checkpoint, named: bool = False) -> CheckpointLineage:
    """What made it. `named`: people by their names, for those who may know them."""
    project = checkpoint.run.project
    descent = descent_in(project)
    chain = descent.above(next(one for one in descent.checkpoints if one.pk == checkpoint.pk))
    versions = _versions(chain)
    makers = makers_of(versions)
    models = _models(makers, chain, descent)
    people = _people(makers, chain)
    works = _works(project, makers, people)
    if named:
        _name(people.values())
    generations = [_generation(one, models, makers) for one in chain]
    writers = _writers(makers, models, chain)
    judges = _judges(makers, models)
    base = chain[-1].run.student
    sources = [Source(*row) for row in makers.sources]
    return CheckpointLineage(
        project=project.slug,
        generations=generations,
        base=models[base.pk] if base else None,
        writers=writers,
        people=sorted(people.values(), key=_busy),
        judges=judges,
        prompts=_prompts(makers, models),
        prompts_total=makers.prompts_total,
        edits=_edits(makers, people),
        edits_total=makers.edits_total,
        sources=sources,
        works=works[:SHOWN],
        works_total=len(works),
        licences=_licences([models[base.pk]] if base else [], writers, sources),
        results=_results(chain),
    )


def _versions(chain: list[Checkpoint]) -> list[DatasetVersion]:
    found = {one.run.dataset_id: one.run.dataset for one in chain if one.run.dataset}
    return list(found.values())


def _models(makers: Makers, chain: list[Checkpoint], descent: Descent) -> dict[int, Model]:
    """Every model that the lineage names, in one query."""
    wanted: set[int | None] = {model for _, model, _, _, _ in makers.written}
    wanted |= {model for _, model, _ in makers.ranked}
    wanted |= {model for model, _, _ in makers.scored}
    wanted |= {pk for prompt in makers.prompts for pk in prompt.models}
    wanted |= {one.model_id for one in chain} | {one.run.student_id for one in chain}
    found = LanguageModel.objects.filter(pk__in=[pk for pk in wanted if pk])
    return {model.pk: _model(model, descent) for model in found}


def _model(model: LanguageModel, descent: Descent) -> Model:
    written = descent.by_model.get(model.pk)
    pk = written.pk if written else None
    return Model(model.pk, str(model), model.provider, model.licence, pk)


def _generation(checkpoint: Checkpoint, models: dict[int, Model], makers: Makers) -> Generation:
    run = checkpoint.run
    return Generation(
        checkpoint=checkpoint.pk,
        model=models[checkpoint.model_id],
        step=checkpoint.step,
        sha256=checkpoint.sha256,
        run=run.pk,
        title=str(run),
        method=run.method,
        seed=run.seed,
        begun_from=models[run.student_id] if run.student_id else None,
        version=_version(run.dataset, models, makers) if run.dataset else None,
    )


def _version(version: DatasetVersion, models: dict[int, Model], makers: Makers) -> Version:
    counts = version.counts
    people, judges, rankings = makers.judged.get(version.pk, (0, 0, 0))
    return Version(
        number=version.number,
        name=version.name,
        sha256=version.sha256,
        questions=counts.get("questions", 0),
        rationales=counts.get("rationales", 0),
        selection=version.recipe.get("selection", "everything"),
        people=people,
        judges=judges,
        rankings=rankings,
        accepted=counts.get("judgements", {}).get("accepted", 0),
        parts=[
            Part(models[model] if model else None, count)
            for pk, model, count in makers.by_version
            if pk == version.pk
        ],
    )


def _writers(makers: Makers, models: dict[int, Model], chain: list[Checkpoint]) -> list[Writer]:
    read = set().union(*(roles_read(one.run) for one in chain))
    counts: dict[tuple[int, str], int] = defaultdict(int)
    for role, model, _, _, count in makers.written:
        if model is not None:
            counts[model, role] += count
    return [
        Writer(models[model], role, count, role in read) for (model, role), count in counts.items()
    ]


def _people(makers: Makers, chain: list[Checkpoint]) -> dict[int, Person]:
    found: dict[int, Person] = _Roll()
    for _, _, author, revises, count in makers.written:
        if author is not None and revises:
            found[author].corrected += count
        elif author is not None:
            found[author].wrote += count
    for person, _, count in makers.ranked:
        if person is not None:
            found[person].ranked += count
    for person, accepted, rejected in makers.reviewed:
        found[person].accepted, found[person].rejected = accepted, rejected
    for person, count in makers.settled:
        found[person].adjudicated = count
    for one in chain:
        if one.run.launched_by_id:
            found[one.run.launched_by_id].launched += 1
    return found


class _Roll(dict[int, Person]):
    """Persons by their keys; one who is asked for is there."""

    def __missing__(self, pk: int) -> Person:
        self[pk] = Person(f"person-{pk}")
        return self[pk]


def _name(people: Iterable[Person]) -> None:
    by_key = {person.key: person for person in people}
    keys = [int(key.removeprefix("person-")) for key in by_key]
    for user in User.objects.filter(pk__in=keys):
        by_key[f"person-{user.pk}"].name = str(user)


def _busy(person: Person) -> tuple[int, str]:
    """Who did most comes first."""
    judged = person.ranked + person.accepted + person.rejected + person.adjudicated
    return -(judged + person.wrote + person.corrected), person.key


def _judges(makers: Makers, models: dict[int, Model]) -> list[Judge]:
    found: dict[int, Judge] = {}
    for _, model, count in makers.ranked:
        if model is not None:
            found.setdefault(model, Judge(models[model])).rankings = count
    for model, scorer, count in makers.scored:
        found.setdefault(model, Judge(models[model])).scores[scorer] = count
    return list(found.values())


def _prompts(makers: Makers, models: dict[int, Model]) -> list[Prompt]:
    return [
        Prompt(one.sha256, one.text, one.count, [models[pk].name for pk in one.models])
        for one in makers.prompts
    ]


def _edits(makers: Makers, people: dict[int, Person]) -> list[Edit]:
    """Who wrote each is named as the roll names them."""
    return [
        Edit(
            one.rationale,
            one.revises,
            one.question,
            (people[one.person].name or people[one.person].key) if one.person else None,
        )
        for one in makers.edits
    ]


def _works(project: Project, makers: Makers, people: dict[int, Person]) -> list[Work]:
    """The runs and imports that the rationales came by; who imported is put on the roll."""
    counts: dict[UUID, int] = dict(makers.batches)
    found = []
    for run in Run.objects.filter(project=project, batch__in=counts):
        run.project = project
        found.append(Work("run", run.pk, str(run), counts[run.batch]))
        if run.kind == RunKind.GENERATE and run.launched_by_id:
            people[run.launched_by_id].launched += 1
    for job in Job.objects.filter(project=project, batch__in=counts).defer("report"):
        found.append(Work("job", job.pk, job.title, counts[job.batch]))
        if job.created_by_id:
            people[job.created_by_id].imported += counts[job.batch]
    return sorted(found, key=lambda work: -work.rationales)


def _licences(base: list[Model], writers: list[Writer], sources: list[Source]) -> list[Licence]:
    """Each licence with what it is of; where none was noted, that is said by an empty one.

    A judge's licence is not inherited by what it judged, and so is not among them.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for model in [*base, *(writer.model for writer in writers)]:
        if model.name not in found[model.licence]:
            found[model.licence].append(model.name)
    for source in sources:
        found[source.licence].append(f"questions from {source.name or 'no named source'}")
    return [Licence(licence, what) for licence, what in sorted(found.items())]


def _results(chain: list[Checkpoint]) -> list[Result]:
    by_model = {one.model_id: one.pk for one in chain}
    found = Evaluation.objects.filter(model__in=by_model).order_by("-pk")[:SHOWN]
    names = ("accuracy", "accuracy_low", "accuracy_high")
    return [
        Result(
            one.pk,
            by_model[one.model_id],
            one.split,
            one.questions,
            *(one.summary.get(name) for name in names),
        )
        for one in found
    ]
