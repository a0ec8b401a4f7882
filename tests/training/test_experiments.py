"""An experiment goes through its stages once each, whoever calls, however often, and whatever
ends in between."""

from __future__ import annotations

import json
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone

from curation.models import DatasetItem, Question, Queue, Rationale, Score
from curation.queues.leases import claim
from curation.review.judging import submit
from tests.make import make_question, make_rationale
from training.experiments import deeds
from training.experiments.advance import advance, advance_all, advance_far
from training.experiments.standing import turns
from training.experiments.steps import gate_of
from training.models import Experiment, Iteration, Run, RunStatus, Webhook
from training.runs.launch import request_cancel
from training.runs.supervise import supervise

pytestmark = pytest.mark.django_db(transaction=True)
ENGINE = [sys.executable, str(Path(__file__).with_name("varied_engine.py"))]
PLAN = {
    "iterations": 2,
    "samples": 4,
    "dev_samples": 1,
    "stop_when": "never",
    "diversity_drop": 0,
    "max_new_tokens": 64,
}
STAGES = ["sample", "score", "compose", "train", "evaluate", "decide"]
WITH_PEOPLE = ["sample", "score", "route", "gate", "compose", "train", "evaluate", "decide"]


@pytest.fixture
def questions(project):
    """Three to learn from, each with a teacher's rationale; two to be evaluated on."""
    for number in range(3):
        made = make_question(project, f"What is 8 + {number}?", reference_answer=f"{8 + number}")
        make_rationale(made, f"8 + {number} = {8 + number}", answer=f"{8 + number}")
    for number in (30, 31):
        make_question(project, f"What is 8 + {number}?", reference_answer=f"{8 + number}",
                      split="validation")  # fmt: skip
    return Question.objects.filter(project=project, split="train")


@pytest.fixture
def start(project, questions, student, researcher):
    """A function that begins an experiment from the student."""

    def begin(name: str = "Loop", by_itself: bool = True, **plan) -> Experiment:
        return deeds.begin(
            project, name, student, {**PLAN, **plan}, by_itself=by_itself, by=researcher
        )

    return begin


def work(run: Run, *options: str) -> str:
    """What a worker does with a queued run."""
    return supervise(run.pk, "tester", command=[*ENGINE, "--pause", "0", *options], poll=0.02,
                     enqueue=False)  # fmt: skip


def go(experiment: Experiment, deeds_at_most: int = 200) -> Experiment:
    """Clock and worker take turns until nothing moves any more."""
    for _ in range(deeds_at_most):
        moved = advance(experiment.pk)
        waiting = Run.objects.filter(status=RunStatus.QUEUED).first()
        if waiting:
            work(waiting, "--steps", "2")
        elif not moved:
            break
    experiment.refresh_from_db()
    return experiment


def stand(experiment: Experiment) -> tuple[int, str, str]:
    last = experiment.iterations.last()
    return last.number, last.stage, last.status


def run_kinds(iteration: Iteration) -> list[str]:
    return [row.run.kind for row in iteration.stage_runs.filter(superseded_at=None)]


def rank_all(queue: Queue, person) -> int:
    """The right ones first, as a careful person would; how many groups."""
    for count in range(1000):
        held = claim(queue, person)
        if held is None:
            return count
        right = held.question.reference_answer
        shown = Rationale.objects.filter(pk__in=held.shown_order)
        answers = dict(shown.values_list("pk", "answer"))
        submit(held, {pk: 1 if answer == right else 2 for pk, answer in answers.items()}, {})
    raise AssertionError


# --- By itself ------------------------------------------------------------------------------------


def test_an_experiment_runs_by_itself_to_the_end(start, student):
    experiment = go(start())
    assert experiment.status == "done"
    assert experiment.note == "All 2 iterations are done."
    zero, one, two = experiment.iterations.all()
    assert set(zero.told) == {"evaluate", "decide"}
    assert set(one.told) == set(two.told) == set(STAGES)
    assert zero.checkpoint == student
    assert len({zero.checkpoint_id, one.checkpoint_id, two.checkpoint_id}) == 3
    assert run_kinds(zero) == ["evaluate"]
    assert run_kinds(one) == run_kinds(two) == ["generate", "train", "evaluate"]
    assert [row.run.student for row in two.stage_runs.filter(stage__in=["sample", "train"])] == [
        one.checkpoint
    ] * 2
    assert Run.objects.filter(kind="train").get(dataset=two.dataset).config["source"] == "dataset"


def test_a_version_holds_this_iterations_samples_with_their_rewards(start):
    experiment = go(start(name="First"))
    one, two = experiment.iterations.filter(number__gte=1)
    for iteration in (one, two):
        held = DatasetItem.objects.filter(version=iteration.dataset)
        samples = Rationale.objects.filter(pk__in=held.values("rationale"), role="student")
        assert samples.count() == 12
        assert set(samples.values_list("author_model", flat=True)) == {
            experiment.iterations.get(number=iteration.number - 1).checkpoint_id
        }
        rewards = Score.objects.filter(scorer="composed", batch=iteration.batch)
        assert sorted(rewards.values_list("value", flat=True)) == [0.0] * 6 + [1.0] * 6
        assert iteration.figures["samples"]["right"] == 0.5
        assert iteration.figures["rewards"]["told_apart"] == 3


def test_the_figures_compare_each_checkpoint_with_the_one_before_and_the_start(start):
    experiment = go(start())
    zero, one, two = (i.figures for i in experiment.iterations.all())
    assert zero["against_last"] is None
    assert one["against_last"]["value"] == 0.5  # the stand-in answers alike whatever the model
    assert two["against_start"]["n"] == 2
    assert two["evaluation"]["accuracy"] == 0.5


def test_nothing_moves_once_it_is_over(start):
    experiment = go(start(iterations=1))
    runs = Run.objects.count()
    assert not advance(experiment.pk)
    assert advance_all() == 0
    assert Run.objects.count() == runs


def test_held_to_the_start_a_run_names_it_beside_its_student(start, student):
    experiment = go(start(reference="start"))
    folders = [
        Path(Run.objects.get(kind="train", dataset=one.dataset).folder)
        for one in experiment.iterations.filter(number__gte=1)
    ]
    first, second = (json.loads((folder / "run.json").read_text()) for folder in folders)
    assert "reference" not in first, "it begins with the start"
    assert second["reference"] == first["model"] != second["model"]


# --- Whoever calls, and whatever ends in between --------------------------------------------------


def test_four_callers_at_once_do_each_deed_once(start, annotator):
    experiment = start(iterations=1, people_in=[1], groups=3, anchors=1)
    for _ in range(60):
        at_once(experiment.pk)
        for run in Run.objects.filter(status=RunStatus.QUEUED):
            work(run, "--steps", "2")
        queue = Queue.objects.filter(is_open=True).first()
        if queue:
            rank_all(queue, annotator)
        experiment.refresh_from_db()
        if experiment.is_over:
            break
    assert experiment.status == "done"
    assert Run.objects.count() == 4
    assert Queue.objects.count() == experiment.project.dataset_versions.count() == 1
    assert experiment.iterations.count() == 2
    assert set(experiment.iterations.last().told) == set(WITH_PEOPLE)


def at_once(pk: int, callers: int = 4) -> None:
    barrier, faults = threading.Barrier(callers), []

    def call() -> None:
        try:
            barrier.wait()
            advance_far(pk)
        except Exception as error:
            faults.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


class Killed(Exception):
    pass


def killed_before_the_commit(pk: int) -> None:
    with transaction.atomic():
        advance(pk)
        raise Killed


def facts() -> tuple[int, ...]:
    counted = (Run, Queue, Iteration, DatasetItem, Score)
    return tuple(model.objects.count() for model in counted)


def test_killed_in_the_middle_of_any_deed_it_goes_on_as_if_nothing_had_been(start, annotator):
    """Each deed is done, and its process ends before the commit; then somebody else comes."""
    experiment = start(iterations=1, people_in=[1], groups=3, anchors=1)
    seen = set()
    for _ in range(60):
        before, place = facts(), place_of(experiment)
        with pytest.raises(Killed):
            killed_before_the_commit(experiment.pk)
        assert (facts(), place_of(experiment)) == (before, place)
        seen.add(place)
        advance(experiment.pk)
        for run in Run.objects.filter(status=RunStatus.QUEUED):
            work(run, "--steps", "2")
        if queue := Queue.objects.filter(is_open=True).first():
            rank_all(queue, annotator)
        experiment.refresh_from_db()
        if experiment.is_over:
            break
    assert experiment.status == "done"
    assert {(1, stage) for stage in WITH_PEOPLE} <= {place[:2] for place in seen if place}
    assert Run.objects.count() == 4


def place_of(experiment: Experiment):
    return stand(experiment) if experiment.iterations.exists() else None


def test_a_run_of_a_stage_is_refused_a_twin_by_the_database(start):
    from django.db import IntegrityError

    from training.models import IterationRun
    from training.runs.launch import launch

    experiment = start()
    advance(experiment.pk)
    other = launch(experiment.project, "evaluate", student=experiment.start, enqueue=False)
    with pytest.raises(IntegrityError, match="a_stage_has_one_run"):
        IterationRun.objects.create(
            iteration=experiment.iterations.get(), stage="evaluate", run=other
        )


def test_a_message_that_comes_late_finds_nothing_to_do(start):
    experiment = start()
    assert advance_far(experiment.pk) == 1
    assert [advance_far(experiment.pk) for _ in range(3)] == [0, 0, 0]
    assert Run.objects.count() == 1


# --- By hand --------------------------------------------------------------------------------------


def test_by_hand_every_stage_waits_for_a_person(start):
    experiment = start(by_itself=False, iterations=1)
    waited = []
    for _ in range(20):
        go(experiment)
        if experiment.is_over:
            break
        waited.append(stand(experiment))
        assert waited[-1][2] == "held"
        assert not advance(experiment.pk)
        assert deeds.go_on(experiment)
    assert waited == [(1, stage, "held") for stage in STAGES[:-1]]
    assert experiment.status == "done"


def test_a_second_click_on_go_on_begins_nothing_more(start):
    experiment = start(by_itself=False, iterations=1)
    go(experiment)
    assert deeds.go_on(experiment)
    assert not deeds.go_on(experiment)


def test_it_may_be_let_go_by_itself_and_taken_in_hand_again(start):
    experiment = go(start(by_itself=False, iterations=1))
    assert stand(experiment) == (1, "sample", "held")
    assert deeds.let_go(experiment, True)
    advance(experiment.pk)
    assert deeds.let_go(experiment, False)
    assert not deeds.let_go(experiment, False)
    assert stand(go(experiment)) == (1, "score", "held")


def test_paused_it_begins_nothing_and_goes_on_from_there(start):
    experiment = start(iterations=1)
    advance(experiment.pk)
    assert deeds.pause(experiment)
    work(Run.objects.get())
    assert not advance(experiment.pk)
    assert stand(experiment) == (0, "evaluate", "working")
    assert deeds.go_on(experiment)
    assert go(experiment).status == "done"


def test_stopped_it_cancels_its_run_and_closes_its_queue(start):
    experiment = go(start(iterations=1, people_in=[1], groups=2, anchors=0))
    assert stand(experiment) == (1, "gate", "working")
    assert deeds.stop(experiment)
    assert experiment.status == "stopped"
    assert not Queue.objects.get().is_open
    assert not deeds.go_on(experiment)
    other = start(name="Other", iterations=1, seed=5)
    advance(other.pk)
    deeds.stop(other)
    run = Run.objects.latest("pk")
    assert run.status == "cancelled"
    assert not advance(other.pk)


# --- The gate -------------------------------------------------------------------------------------


@pytest.fixture
def at_the_gate(start):
    def make(**plan) -> Experiment:
        plan = {"iterations": 1, "people_in": [1], "groups": 3, "anchors": 1, **plan}
        experiment = go(start(**plan))
        assert stand(experiment) == (1, "gate", "working")
        return experiment

    return make


def test_the_gate_waits_until_every_group_is_ranked(at_the_gate, annotator):
    experiment = at_the_gate()
    queue = Queue.objects.get()
    assert queue.items_total == 3
    assert experiment.iterations.last().routed[0]["by"] == "anchor"
    assert rank_all(queue, annotator) == 3
    assert go(experiment).status == "done"
    told = experiment.iterations.last().told
    assert told["gate"] == "Open: 3 of 3 groups ranked."
    assert not Queue.objects.get().is_open


def test_what_people_rank_enters_the_rewards(at_the_gate, annotator):
    experiment = at_the_gate(weights={"people": 1})
    rank_all(Queue.objects.get(), annotator)
    go(experiment)
    iteration = experiment.iterations.last()
    assert iteration.figures["rewards"]["by"] == {"people": 3}
    assert iteration.figures["people"]["tau_verifier"]["value"] == 1.0
    right = Score.objects.filter(scorer="composed", rationale__scores__value=1,
                                 rationale__scores__scorer="answer_correct")  # fmt: skip
    # Two right before two wrong and tied: each wins two and ties one of three, (2 + .5 + .5) / 4.
    assert {round(v, 6) for v in right.values_list("value", flat=True)} == {0.75}


def test_who_wants_to_know_is_told_once_that_people_are_waited_for(project, at_the_gate):
    told_of, url = ["gate.open"], "https://example.org/"
    webhook = Webhook.objects.create(project=project, url=url, told_of=told_of)
    experiment = at_the_gate()
    go(experiment)
    (delivery,) = webhook.deliveries.all()
    assert delivery.payload == {
        "experiment": experiment.pk,
        "iteration": 1,
        "name": experiment.name,
        "path": experiment.get_absolute_url(),
    }


def test_the_gate_opens_after_so_many_groups(at_the_gate, annotator):
    experiment = at_the_gate(gate_groups=1)
    queue = Queue.objects.get()
    held = claim(queue, annotator)
    submit(held, {pk: place for place, pk in enumerate(held.shown_order, 1)}, {})
    assert go(experiment).status == "done"
    assert "1 of 3 groups ranked" in experiment.iterations.last().told["gate"]


def test_the_gate_opens_when_its_time_is_up(at_the_gate):
    experiment = at_the_gate(gate_hours=2)
    iteration = experiment.iterations.last()
    assert iteration.opens_at > timezone.now()
    assert deeds.open_gate_at(experiment, timezone.now())
    assert go(experiment).status == "done"
    assert "The time was up with 0 of 3" in experiment.iterations.last().told["gate"]


def test_a_researcher_opens_the_gate_once(at_the_gate, researcher):
    experiment = at_the_gate()
    assert deeds.open_gate(experiment, researcher)
    assert not deeds.open_gate(experiment, researcher)
    assert go(experiment).status == "done"
    iteration = experiment.iterations.last()
    assert iteration.told["gate"] == "Opened by rosa with 0 of 3 groups ranked."
    assert gate_of(iteration).ranked == 0


def test_the_queue_holds_exactly_the_routed_groups_and_only_their_samples(at_the_gate, annotator):
    at_the_gate(groups=2, anchors=0)
    from curation.queues.contents import fill

    queue = Queue.objects.get()
    assert fill(queue) == 0
    held = claim(queue, annotator)
    shown = Rationale.objects.filter(pk__in=held.shown_order)
    assert {one.role for one in shown} == {"student"}
    assert len(shown) == 4


# --- What fails -----------------------------------------------------------------------------------


def test_a_failed_run_pauses_with_its_sentence_and_is_retried_with_a_new_one(start):
    experiment = start(iterations=1)
    advance(experiment.pk)
    first = Run.objects.get()
    assert work(first, "--fail", "The weights are gone.") == "failed"
    assert advance(experiment.pk)
    experiment.refresh_from_db()
    assert experiment.status == "paused"
    assert "Iteration 0 could not evaluate." in experiment.note
    assert "The weights are gone." in experiment.note
    assert not deeds.go_on(experiment)
    assert deeds.retry(experiment)
    assert not deeds.retry(experiment)
    assert go(experiment).status == "done"
    runs = [row.run_id for row in experiment.iterations.first().stage_runs.all()]
    assert runs[0] == first.pk
    assert len(runs) == 2


def test_what_a_failed_run_took_is_in_what_the_iteration_took(start, settings):
    settings.HOST_PRICES, settings.PRICE_CURRENCY = {"cpu": 60.0, "gpu": 60.0}, "EUR"
    experiment = start(iterations=1)
    advance(experiment.pk)
    first = Run.objects.get()
    work(first, "--fail", "The weights are gone.")
    advance(experiment.pk)
    deeds.retry(experiment)
    go(experiment)
    second = Run.objects.filter(kind="evaluate").exclude(pk=first.pk).earliest("pk")
    for run, minutes in ((first, 7), (second, 3)):
        begun = run.created_at
        Run.objects.filter(pk=run.pk).update(
            started_at=begun, finished_at=begun + timedelta(minutes=minutes), result={},
            progress={"done": 1, "tokens": 100 * minutes},
        )  # fmt: skip
        run.attempts.update(started_at=begun, seen_at=begun + timedelta(minutes=minutes))
    settings.HOST_PRICES = {"cpu": 1000.0, "gpu": 1000.0}
    spent = turns(experiment)[-1].spent
    assert (spent.time, spent.tokens, spent.runs) == (timedelta(minutes=10), 1000, 2)
    assert [str(cost) for cost in spent.costs] == ["10.00 EUR"]


def archive(project, moment) -> None:
    project.archived_at = moment
    project.save(update_fields=["archived_at"])


def test_archiving_lets_the_run_end_and_begins_nothing_until_the_project_is_taken_back(
    start, project, client, viewer
):
    experiment = start(iterations=2)
    advance(experiment.pk)
    archive(project, timezone.now())
    go(experiment)
    assert Run.objects.get().status == "done", "what was under way has ended"
    assert stand(experiment) == (0, "decide", "ready")
    assert experiment.status == "running"
    client.force_login(viewer)
    page = client.get(experiment.get_absolute_url()).content.decode()
    assert "“Decide” is next, and waits because the project is archived." in page
    assert reverse("project-settings", args=[project.slug]) in page
    archive(project, None)
    assert go(experiment).status == "done"
    assert experiment.iterations.count() == 3


def test_no_stage_begins_in_an_archived_project_whoever_asks(start, project):
    experiment = start(by_itself=False, iterations=1)
    archive(project, timezone.now())
    deeds.go_on(experiment)
    assert go(experiment).status == "running"
    assert not Run.objects.exists()
    archive(project, None)
    advance(experiment.pk)
    assert Run.objects.count() == 1


def test_what_is_at_its_end_ends_in_an_archived_project_too(start, project):
    experiment = start(iterations=1)
    advance(experiment.pk)
    while stand(experiment) != (1, "evaluate", "working"):
        assert advance(experiment.pk) or work(Run.objects.get(status="queued"), "--steps", "2")
    archive(project, timezone.now())
    assert go(experiment).status == "done"


def test_a_cancelled_run_pauses_too(start):
    experiment = start()
    advance(experiment.pk)
    request_cancel(Run.objects.get())
    advance(experiment.pk)
    experiment.refresh_from_db()
    assert experiment.status == "paused"
    assert "was cancelled" in experiment.note


def test_without_dev_questions_it_says_so_and_goes_on_once_there_are_some(start, project):
    Question.objects.filter(split="validation").delete()
    experiment = go(start(iterations=1))
    assert experiment.status == "paused"
    assert "no validation questions" in experiment.note
    make_question(project, "What is 2 + 2?", reference_answer="4", split="validation")
    deeds.retry(experiment)
    assert go(experiment).status == "done"


def test_samples_that_a_failed_run_left_are_not_drawn_again_and_still_count(start):
    experiment = start(iterations=1)
    advance(experiment.pk)
    work(Run.objects.get())
    for _ in range(3):
        advance(experiment.pk)
    drawn = Run.objects.latest("pk")
    assert drawn.kind == "generate"
    work(drawn)
    Run.objects.filter(pk=drawn.pk).update(status="failed", error="The host went away.")
    go(experiment)
    assert experiment.status == "paused"
    deeds.retry(experiment)
    assert go(experiment).status == "done"
    assert Rationale.objects.filter(role="student").count() == 12
    assert experiment.iterations.last().figures["samples"]["n"] == 12


def test_two_experiments_with_one_plan_share_the_samples_of_their_start(start):
    one, other = go(start(name="One", iterations=1)), go(start(name="Other", iterations=1))
    assert one.status == other.status == "done"
    first, second = (each.iterations.last().figures["samples"] for each in (one, other))
    assert first == second
    assert Rationale.objects.filter(role="student").count() == 12


# --- Stop rules -----------------------------------------------------------------------------------


def test_a_stop_rule_ends_it_with_its_sentence_and_a_person_may_go_past_it(start):
    experiment = go(start(stop_when="not_better"))
    assert experiment.status == "done"
    assert "not surely better" in experiment.note
    assert experiment.iterations.count() == 2
    assert deeds.go_on(experiment)
    assert go(experiment).status == "done"
    assert experiment.iterations.count() == 3
    assert not deeds.go_on(experiment)


# --- What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        ({"people_in": [3]}, "people_in"),
        ({"strategies": {"cleverness": 1}}, "strategies"),
        ({"weights": {"verifier": 0}}, "weights"),
        ({"weights": {"mood": 1}}, "weights"),
        ({"method": "magic"}, "method"),
        ({"settings": {"nonsense": 1}}, "settings"),
        ({"settings": {"learning_rate": -1}}, "settings"),
        ({"groups": 2, "anchors": 3}, "anchors"),
        ({"judge": 999_999}, "judge"),
        ({"samples": 1}, "samples"),
        ({"draw": "answer_given_thought", "method": "sft"}, "draw"),
        ({"unheard_of": 1}, "unheard_of"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_at_its_field(start, plan, field):
    with pytest.raises(ValidationError) as refused:
        start(**plan)
    assert field in refused.value.message_dict
    assert not Experiment.objects.exists()


def test_a_name_is_taken_once(start):
    start(name="Loop")
    with pytest.raises(ValidationError, match="choose another"):
        start(name="Loop")


def test_the_deeds_are_in_the_audit(start, project):
    from curation.audit import Asked, page_of

    experiment = start()
    deeds.pause(experiment)
    deeds.go_on(experiment)
    entries, _ = page_of(project, Asked(kind="experiment"))
    assert [entry.deed for entry in entries] == ["changed", "changed", "added"]
