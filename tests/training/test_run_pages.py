"""Runs, evaluations and workers in the browser: who sees them, what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.urls import reverse

from training.forms import LaunchForm, warnings_about
from training.launch import launch
from training.methods import methods
from training.models import Evaluation, EvaluationItem, Metric, Run, Worker

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]


def pages(run: Run) -> list[str]:
    slug = run.project.slug
    return [
        reverse("runs", args=[slug]),
        reverse("run", args=[slug, run.pk]),
        reverse("run-metrics", args=[slug, run.pk]),
        reverse("evaluations", args=[slug]),
        reverse("workers", args=[slug]),
    ]


def test_a_stranger_sees_nothing(client, stranger, train_run):
    client.force_login(stranger)
    addresses = [*pages(train_run), reverse("run-new", args=["orchard"])]
    assert [client.get(url).status_code for url in addresses] == [404] * 6
    assert client.post(reverse("run-cancel", args=["orchard", train_run.pk])).status_code == 404


def test_nobody_sees_anything_without_a_login(client, train_run):
    assert {client.get(url).status_code for url in pages(train_run)} == {302}


def test_a_viewer_reads_but_neither_launches_nor_cancels(client, viewer, train_run):
    client.force_login(viewer)
    assert {client.get(url).status_code for url in pages(train_run)} == {200}
    assert client.get(reverse("run-new", args=["orchard"])).status_code == 403
    assert client.post(reverse("run-cancel", args=["orchard", train_run.pk])).status_code == 403
    assert "Cancel" not in client.get(train_run.get_absolute_url()).content.decode()


def test_cancelling_is_a_post(client, researcher, train_run):
    client.force_login(researcher)
    url = reverse("run-cancel", args=["orchard", train_run.pk])
    assert client.get(url).status_code == 405
    assert client.post(url).status_code == 302
    train_run.refresh_from_db()
    assert train_run.status == "cancelled"


@pytest.mark.parametrize("method", sorted(methods()))
def test_every_method_has_a_form_with_each_of_its_settings(
    method, client, researcher, project, version
):
    client.force_login(researcher)
    answer = client.get(reverse("run-new", args=["orchard"]), {"kind": "train", "method": method})
    page = answer.content.decode()
    for name, info in methods()[method].Config.model_fields.items():
        assert f'name="{name}"' in page
        assert info.title
        assert info.title in page


@pytest.mark.parametrize("method", sorted(methods()))
def test_a_form_sent_as_it_stands_launches_the_defaults(
    method, project, version, student, researcher
):
    blank = LaunchForm(project, "train", method)
    sent = {name: blank[name].initial for name in blank.fields}
    sent |= {"student": student.pk, "dataset": version.pk}
    form = LaunchForm(project, "train", method, {k: v for k, v in sent.items() if v is not None})
    assert form.is_valid(), form.errors
    run = form.launch(by=researcher)
    assert run is not None, form.errors
    assert run.config == methods()[method].Config().model_dump(mode="json")


@pytest.mark.parametrize("kind", ["generate", "score", "evaluate"])
def test_the_other_kinds_have_forms_too(kind, client, researcher, project):
    client.force_login(researcher)
    page = client.get(reverse("run-new", args=["orchard"]), {"kind": kind}).content.decode()
    assert 'name="split"' in page
    assert ('name="temperatures"' in page) == (kind == "generate")


def send(client, **fields):
    url = reverse("run-new", args=["orchard"])
    frame = {"kind": "train", "method": "sft", "seed": "3", "host_class": "gpu"}
    return client.post(url, {**frame, "roles": ["teacher"], **fields})


def test_a_launch_leads_to_the_runs_page(client, researcher, version, student):
    client.force_login(researcher)
    answer = send(client, student=student.pk, dataset=version.pk, learning_rate="0.01")
    run = Run.objects.get()
    assert answer.url == run.get_absolute_url()
    assert (run.config["learning_rate"], run.seed, run.launched_by) == (0.01, 3, researcher)


def test_what_pydantic_refuses_is_said_at_the_field(client, researcher, version, student):
    client.force_login(researcher)
    answer = send(client, student=student.pk, dataset=version.pk, learning_rate="much")
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "valid number" in page
    assert 'value="much"' in page
    assert not Run.objects.exists()


def test_changing_the_method_swaps_the_settings_alone(client, researcher, project):
    client.force_login(researcher)
    url = reverse("run-new", args=["orchard"])
    page = client.get(url, {"kind": "score"}, headers={"HX-Request": "true"}).content.decode()
    assert page.lstrip().startswith('<div id="run-form"')
    assert "<html" not in page


def test_a_clone_starts_from_the_same_settings(client, researcher, project, version, student):
    run = launch(
        project,
        "train",
        method="sft",
        config={"epochs": 7, "roles": ["student"]},
        dataset=version,
        student=student,
        enqueue=False,
    )
    client.force_login(researcher)
    answer = client.get(reverse("run-new", args=["orchard"]), {"from": run.pk})
    form = answer.context["form"]
    assert form["epochs"].value() == 7
    assert form["roles"].value() == ["student"]
    assert form["student"].value() in (student, student.pk)


def test_unusual_values_are_warned_of():
    assert warnings_about({"learning_rate": 0.5}) == [
        "learning_rate is 0.5; usual values are 1e-07 to 0.001."
    ]
    assert warnings_about({"learning_rate": 1e-5, "epochs": 3}) == []


def test_the_list_costs_the_same_however_many_runs(
    client, researcher, train_run, django_assert_max_num_queries
):
    for number in range(20):
        Run.objects.create(
            project=train_run.project,
            kind="train",
            method="sft",
            dataset=train_run.dataset,
            student=train_run.student,
            launched_by=researcher,
            name=f"run {number}",
        )
    client.force_login(researcher)
    with django_assert_max_num_queries(8):
        client.get(reverse("runs", args=["orchard"]))


def points(client, run: Run, **query) -> dict:
    answer = client.get(reverse("run-metrics", args=["orchard", run.pk]), query)
    return json.loads(answer.content)


def test_curves_come_from_a_cursor(client, viewer, train_run):
    client.force_login(viewer)
    Metric.objects.bulk_create(
        Metric(run=train_run, step=step, name="loss", value=1 / step) for step in range(1, 6)
    )
    first = points(client, train_run)
    assert first["series"]["loss"][0] == [1, 2, 3, 4, 5]
    assert points(client, train_run, after=first["last"])["series"] == {}
    assert points(client, train_run, after=3)["series"]["loss"][0] == [4, 5]


def test_long_curves_are_thinned_and_keep_their_spikes(client, viewer, train_run):
    client.force_login(viewer)
    Metric.objects.bulk_create(
        Metric(run=train_run, step=step, name="loss", value=99 if step == 4321 else 1)
        for step in range(1, 10_001)
    )
    said = points(client, train_run)
    steps, values = said["series"]["loss"]
    assert len(steps) <= 1000
    assert max(values) == 99
    assert said["last"] == 10_000


def test_the_page_says_when_nobody_is_there_to_take_the_run(client, viewer, train_run):
    client.force_login(viewer)
    page = client.get(train_run.get_absolute_url()).content.decode()
    assert "no GPU host is alive" in page
    assert "manage.py work --queue gpu" in page


def test_a_failed_run_shows_its_error_and_its_log(client, viewer, train_run, tmp_path):
    (tmp_path / "log.txt").write_text("step 1\n<script>alert(1)</script>\nOut of cider.\n")
    Run.objects.filter(pk=train_run.pk).update(
        status="failed", error="Out of cider.", folder=str(tmp_path), attempt=1
    )
    client.force_login(viewer)
    page = client.get(train_run.get_absolute_url()).content.decode()
    assert "<b>Out of cider.</b>" in page
    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page


def test_another_projects_run_is_not_named_among_the_workers(client, viewer, train_run):
    from django.utils import timezone

    from curation.models import Project

    other = Project.objects.create(slug="secret", name="Secret")
    run = Run.objects.create(project=other, kind="score", name="the secret one")
    Worker.objects.create(
        name="box:gpu", host_class="gpu", device="CPU", heartbeat_at=timezone.now(), running=run
    )
    client.force_login(viewer)
    page = client.get(reverse("workers", args=["orchard"])).content.decode()
    assert "a run of another project" in page
    assert "the secret one" not in page


@pytest.fixture
def evaluations(project, version, student):
    """Two evaluations of one model, on different questions."""
    made = []
    for number, accuracy in enumerate((0.5, 0.75)):
        run = Run.objects.create(project=project, kind="evaluate", student=student)
        summary = {"accuracy": accuracy, "accuracy_low": 0.4, "accuracy_high": 0.9}
        made.append(
            Evaluation.objects.create(
                run=run,
                model=student,
                split="test",
                questions=2,
                questions_sha256=str(number) * 64,
                summary={**summary, "similarity": 0.8, "similarity_shuffled": 0.3},
            )
        )
    for question in project.questions.all():
        for index, correct in enumerate((True, False)):
            EvaluationItem.objects.create(
                evaluation=made[0],
                question=question,
                index=index,
                thought="8 + 1 = 9",
                answer="9",
                correct=correct,
            )
    return made


def test_evaluations_stand_side_by_side_with_their_intervals(client, viewer, evaluations):
    client.force_login(viewer)
    chosen = {"e": [evaluations[0].pk, evaluations[1].pk]}
    page = client.get(reverse("evaluations", args=["orchard"]), chosen).content.decode()
    assert "50.0\N{NO-BREAK SPACE}%" in page
    assert "75.0\N{NO-BREAK SPACE}%" in page
    assert "40.0–90.0\N{NO-BREAK SPACE}%" in page
    assert "shuffled 0.300" in page
    assert "do not compare" in page


def test_an_evaluation_of_one_set_is_not_warned_of(client, viewer, evaluations):
    client.force_login(viewer)
    page = client.get(reverse("evaluations", args=["orchard"])).content.decode()
    assert "do not compare" not in page


def test_the_items_can_be_narrowed_to_the_wrong_ones(client, viewer, evaluations):
    client.force_login(viewer)
    url = reverse("evaluation", args=["orchard", evaluations[0].pk])
    assert client.get(url, {"show": "right"}).context["page"].paginator.count == 2
    assert client.get(url, {"show": "wrong"}).context["page"].paginator.count == 0


def test_the_web_process_never_imports_torch():
    code = (
        "import sys, config.wsgi\n"
        "from django.urls import get_resolver\n"
        "get_resolver().url_patterns and get_resolver()._populate()\n"
        "import training.forms, training.tasks, training.methods\n"
        "training.methods.methods()\n"
        "heavy = {'torch', 'transformers', 'datasets', 'accelerate'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
