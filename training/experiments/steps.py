"""The deed of each stage: how it begins, and how one sees that it has ended.

`begin` and `look` of a stage return the sentence with which it ends, or "" while it is under way.
They run inside the transaction of `advance`, so a deed is done whole or not at all; a run is told
to a worker once that transaction is committed. What cannot be done raises `CannotGoOn` (or the
ValidationError or ValueError of the deed itself) with a sentence for a person.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.utils import timezone

from curation.models import LanguageModel, Project, Question, Queue
from curation.queues import leases
from curation.queues.contents import Filter, add
from training.experiments import figures
from training.experiments.gate import Gate, enough
from training.experiments.groups import shown_groups
from training.experiments.judged import compose
from training.experiments.plan import MOST_CARDS, ExperimentPlan
from training.experiments.routing import anchors, route
from training.experiments.samples import plan_of, questions_of, sample_runs, samples_of
from training.models import Iteration, IterationRun, Run, RunStatus, Stage
from training.runs import scoring
from training.runs.launch import launch
from training.versions.freezing import freeze
from training.versions.recipe import Recipe
from training.webhooks import announce_gate


class CannotGoOn(Exception):
    """A stage failed; the message is a sentence for a person."""


class Deed(NamedTuple):
    begin: Callable[[Iteration], str]
    look: Callable[[Iteration], str]


def stages_of(plan: ExperimentPlan, number: int) -> list[Stage]:
    """What iteration `number` goes through."""
    if number == 0:
        return [Stage.EVALUATE, Stage.DECIDE]
    people = {Stage.ROUTE, Stage.GATE}
    return [stage for stage in Stage if stage not in people or plan.asks_people(number)]


# --- Runs -----------------------------------------------------------------------------------------


def run_of(iteration: Iteration, stage: str) -> Run | None:
    """The run that does the stage; none if nothing was launched, or if it was given up."""
    found = iteration.stage_runs.filter(stage=stage, superseded_at=None).select_related("run")
    row = found.first()
    return row.run if row else None


def launched(
    iteration: Iteration,
    kind: str,
    what: str,
    *,
    reference: LanguageModel | None = None,
    **asked: Any,
) -> str:
    """Launch the run of the present stage. The constraint lets in one, whoever calls."""
    experiment, plan = iteration.experiment, plan_of(iteration)
    title = f"{experiment.name} · {what}"
    run = launch(
        experiment.project,
        kind,
        name=title[-120:],
        seed=plan.seed + iteration.number,
        by=experiment.created_by,
        **asked,
    )
    IterationRun.objects.create(
        iteration=iteration, stage=iteration.stage, run=run, reference=reference
    )
    return ""


def is_done(iteration: Iteration) -> Run | None:
    """The stage's run if it is done, None while it goes on. Raises `CannotGoOn` if it failed."""
    run = run_of(iteration, iteration.stage)
    if run is None:
        raise CannotGoOn("Its run is gone; retry the stage to launch another.")
    if run.status in (RunStatus.FAILED, RunStatus.CANCELLED):
        raise CannotGoOn(f"Run {run.pk} was {run.status}. {run.error}".strip())
    return run if run.status == RunStatus.DONE else None


def before(iteration: Iteration) -> Iteration:
    """The iteration whose checkpoint this one starts from."""
    found: Iteration = iteration.experiment.iterations.get(number=iteration.number - 1)
    return found


def start_of(iteration: Iteration) -> LanguageModel:
    """C(n-1)."""
    model = before(iteration).checkpoint
    if model is None:
        raise CannotGoOn(f"Iteration {iteration.number - 1} has no checkpoint to start from.")
    return model


# --- Sample ---------------------------------------------------------------------------------------


def begin_sample(iteration: Iteration) -> str:
    plan = plan_of(iteration)
    config = {
        "what": plan.draw,
        "temperatures": [plan.temperature],
        "samples_per_temperature": plan.samples,
        "max_new_tokens": plan.max_new_tokens,
        "role": "student",
        "split": "train",
        "source": plan.source,
        "limit": plan.questions,
        "thoughts_per_question": plan.thoughts_per_question if plan.is_conditioned else 0,
    }
    what = f"samples of C{iteration.number - 1}"
    return launched(iteration, "generate", what, config=config, student=start_of(iteration),
                    host_class=plan.host_class)  # fmt: skip


def look_at_sample(iteration: Iteration) -> str:
    if is_done(iteration) is None:
        return ""
    drawn, asked = samples_of(iteration), questions_of(iteration).count()
    count = drawn.count()
    if not count:
        raise CannotGoOn(
            "Nothing was drawn: no question fits, or none has a teacher's thought to answer after."
        )
    return f"{count:,} samples of {asked:,} questions."


# --- Score ----------------------------------------------------------------------------------------


def begin_score(iteration: Iteration) -> str:
    """The verifier has scored what was stored; a judge, if there is one, is asked now."""
    plan = plan_of(iteration)
    drawn = samples_of(iteration)
    scoring.score(scoring.unscored(drawn).values_list("pk", flat=True))
    if not plan.judge:
        return told_of_samples(iteration)
    judge = judge_of(iteration)
    config = {
        "mode": plan.judge_mode,
        "batches": [str(run.batch) for run in sample_runs(iteration)],
        "roles": ["student"],
        "split": "train",
        "source": plan.source,
        "limit": plan.questions,
    }
    return launched(iteration, "judge", f"judged {iteration.number}", config=config, student=judge)


def judge_of(iteration: Iteration) -> LanguageModel:
    plan = plan_of(iteration)
    found = LanguageModel.objects.filter(project=iteration.experiment.project_id, pk=plan.judge)
    judge = found.first()
    if judge is None:
        raise CannotGoOn(f"The judge, model {plan.judge}, is no longer among the project's models.")
    return judge


def look_at_score(iteration: Iteration) -> str:
    return told_of_samples(iteration) if is_done(iteration) else ""


def told_of_samples(iteration: Iteration) -> str:
    facts = figures.of_samples(iteration)
    figures.keep(iteration, samples=facts)
    if facts["right"] is None:
        return f"{facts['n']:,} samples; none has an answer that can be checked."
    return f"{facts['n']:,} samples, {100 * facts['right']:.0f} % of them right."


# --- Route and gate -------------------------------------------------------------------------------


def begin_route(iteration: Iteration) -> str:
    """Choose the groups for people, and make a queue of exactly these."""
    plan = plan_of(iteration)
    asked = questions_of(iteration).values_list("pk", flat=True)
    groups = shown_groups(iteration)
    fixed = anchors(asked, plan.anchors, plan.seed)
    chosen = route(groups, fixed, plan.groups, plan.strategies, plan.seed + iteration.number)
    iteration.routed = [one.stored() for one in chosen]
    if chosen:
        iteration.queue = queue_of(iteration, [one.question for one in chosen])
    iteration.save(update_fields=["routed", "queue"])
    if not chosen:
        return "No group has two different samples, so there is nothing to rank."
    return f"{len(chosen):,} groups for people, of {len(groups):,} that can be ranked."


def queue_of(iteration: Iteration, questions: list[int]) -> Queue:
    experiment, plan = iteration.experiment, plan_of(iteration)
    chosen = Filter(
        split="train",
        roles=("student",),
        batch=",".join(str(run.batch) for run in sample_runs(iteration)),
        min=2,
        max=min(plan.samples * plan.thoughts_per_question, MOST_CARDS),
        limit=len(questions),
    )
    queue = Queue.objects.create(
        project=experiment.project,
        name=free_name(experiment.project, f"{experiment.name} · iteration {iteration.number}"),
        filter=chosen.stored(),
        overlap=plan.overlap,
        guidelines=experiment.project.guidelines,
        created_by=experiment.created_by,
    )
    add(queue, Question.objects.filter(pk__in=questions))
    return queue


def free_name(project: Project, wanted: str) -> str:
    """`wanted`, or with the first number behind it that no queue of the project has."""
    taken = set(project.queues.filter(name__startswith=wanted).values_list("name", flat=True))
    numbered = (f"{wanted} ({n})" for n in range(2, len(taken) + 3))
    return next(name for name in (wanted, *numbered) if name not in taken)


def begin_gate(iteration: Iteration) -> str:
    plan = plan_of(iteration)
    if plan.gate_hours and iteration.opens_at is None:
        iteration.opens_at = timezone.now() + timedelta(hours=plan.gate_hours)
        iteration.save(update_fields=["opens_at"])
    why = look_at_gate(iteration)
    if not why:
        announce_gate(iteration)
    return why


def gate_of(iteration: Iteration) -> Gate:
    """The gate as it stands."""
    queue = iteration.queue
    total = queue.items_total if queue else 0
    return Gate(
        ranked=queue.complete if queue else 0,
        wanted=enough(plan_of(iteration).gate_groups, total),
        total=total,
        opens_at=iteration.opens_at,
        opened_at=iteration.opened_at,
        opened_by=str(iteration.opened_by or "somebody"),
    )


def look_at_gate(iteration: Iteration) -> str:
    why = gate_of(iteration).opens(timezone.now())
    if why:
        close_queue(iteration)
        figures.keep(iteration, people=figures.of_people(iteration))
    return why


def close_queue(iteration: Iteration) -> None:
    """Hand out nothing more; what somebody holds may be finished, and counts later."""
    if iteration.queue_id:
        Queue.objects.filter(pk=iteration.queue_id).update(is_open=False)
        leases.release_ahead(iteration.queue)  # type: ignore[arg-type]


# --- Compose, train, evaluate ---------------------------------------------------------------------


def recipe_of(iteration: Iteration) -> Recipe:
    """This iteration's samples with the teachers' rationales of the same questions."""
    plan = plan_of(iteration)
    imitates = plan.method == "sft"
    return Recipe(
        selection="correct" if imitates else "everything",
        samples=[run.pk for run in sample_runs(iteration)],
        conditioned=plan.is_conditioned,
        drop_duplicates=imitates,
        drop_corrected=imitates,
        seed=plan.seed,
    )


def begin_compose(iteration: Iteration) -> str:
    """Rewards from all sources, and with them the version that is trained on."""
    experiment, recipe = iteration.experiment, recipe_of(iteration)
    # One experiment of a project composes and freezes at a time: they may share samples.
    Project.objects.select_for_update(no_key=True).get(pk=experiment.project_id)
    facts = compose(iteration, recipe)
    name = f"{experiment.name} · D{iteration.number}"
    version = freeze(experiment.project, recipe, experiment.created_by, name)
    iteration.dataset = version
    iteration.save(update_fields=["dataset"])
    figures.keep(iteration, rewards=facts)
    return f"{facts['rewarded']:,} rewards in {facts['groups']:,} groups; {version}."


def begin_train(iteration: Iteration) -> str:
    plan = plan_of(iteration)
    return launched(
        iteration,
        "train",
        f"C{iteration.number}",
        method=plan.method,
        config=plan.settings,
        dataset=iteration.dataset,
        student=start_of(iteration),
        host_class=plan.host_class,
        reference=held_to_start(iteration),
    )


def held_to_start(iteration: Iteration) -> LanguageModel | None:
    """C(0), where the plan wants it and it is not what the run begins with anyway."""
    start = iteration.experiment.start
    wanted = plan_of(iteration).reference == "start" and start_of(iteration) != start
    return start if wanted else None


def look_at_train(iteration: Iteration) -> str:
    run = is_done(iteration)
    if run is None:
        return ""
    last = run.checkpoints.select_related("model").order_by("-step").first()
    if last is None:
        raise CannotGoOn(f"Run {run.pk} left no checkpoint.")
    iteration.checkpoint = last.model
    iteration.save(update_fields=["checkpoint"])
    return f"{last.step:,} steps."


def begin_evaluate(iteration: Iteration) -> str:
    plan = plan_of(iteration)
    if not dev_questions(iteration).exists():
        raise CannotGoOn(
            f"The project has no {plan.dev_split} questions to evaluate on. Import some, or set "
            "such a split, and retry."
        )
    config = {
        "split": plan.dev_split,
        "limit": plan.dev_questions,
        "samples_per_question": plan.dev_samples,
        "max_new_tokens": plan.max_new_tokens,
    }
    return launched(iteration, "evaluate", f"evaluation of C{iteration.number}", config=config,
                    student=iteration.checkpoint, host_class=plan.host_class)  # fmt: skip


def dev_questions(iteration: Iteration) -> QuerySet[Question]:
    split = plan_of(iteration).dev_split
    return Question.objects.filter(project=iteration.experiment.project_id, split=split)


def look_at_evaluate(iteration: Iteration) -> str:
    run = is_done(iteration)
    if run is None:
        return ""
    facts = figures.of_checkpoint(iteration, run)
    figures.keep(iteration, **facts)
    accuracy = facts["evaluation"].get("accuracy")
    return "Evaluated." if accuracy is None else f"{100 * accuracy:.1f} % right, greedy."


def nothing_to_see(iteration: Iteration) -> str:
    raise AssertionError(f"{iteration.stage} ends as it begins")


DEEDS: dict[Stage, Deed] = {
    Stage.SAMPLE: Deed(begin_sample, look_at_sample),
    Stage.SCORE: Deed(begin_score, look_at_score),
    Stage.ROUTE: Deed(begin_route, nothing_to_see),
    Stage.GATE: Deed(begin_gate, look_at_gate),
    Stage.COMPOSE: Deed(begin_compose, nothing_to_see),
    Stage.TRAIN: Deed(begin_train, look_at_train),
    Stage.EVALUATE: Deed(begin_evaluate, look_at_evaluate),
}
