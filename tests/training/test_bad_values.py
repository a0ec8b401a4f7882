"""What makes no sense is refused where it is asked for, in one sentence; what is lost is told."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.urls import reverse

from curation.artifacts import remove
from curation.models import JobStatus, LanguageModel
from tests.make import make_group
from training.models import Run, RunStatus
from training.runs.launch import launch
from training.runs.supervise import supervise
from training.tasks import run_export
from training.versions.exporting import ask_for_export
from training.versions.freezing import freeze, left_out_file
from training.versions.recipe import Recipe

pytestmark = pytest.mark.django_db


@pytest.fixture
def student(project):
    return LanguageModel.objects.create(
        project=project, name="s", provider="local", uri="training/demo/student"
    )


@pytest.fixture
def version(project, owner, settings, tmp_path):
    settings.ARTIFACTS_URL = tmp_path.as_uri()
    make_group(project)
    return freeze(project, Recipe(), owner)


BAD = [
    ("train", "sft", {"max_grad_norm": "inf"}, "finite number"),
    ("train", "sft", {"max_grad_norm": "1e400"}, "finite number"),
    ("train", "sft", {"max_steps": "9" * 25}, "too large"),
    ("train", "grpo", {"rewards": {"answer_correct": "inf"}}, "finite number"),
    ("train", "grpo", {"rewards": {"beauty": "1"}}, "There is no reward 'beauty'"),
    ("train", "cotd_po", {"rewards": {"": 1}}, "There is no reward ''"),
    ("generate", "", {"temperatures": ["nan"]}, "finite number"),
    ("generate", "", {"temperatures": ["-1"]}, "greater than or equal to 0"),
    ("generate", "", {"temperatures": [9]}, "less than or equal to 5"),
    ("generate", "", {"timeout_seconds": "inf"}, "finite number"),
    ("evaluate", "", {"limit": "9" * 25}, "too large"),
]


@pytest.mark.parametrize(("kind", "method", "config", "sentence"), BAD)
def test_a_setting_without_sense_is_refused_by_name(
    project, version, student, kind, method, config, sentence
):
    with pytest.raises(ValidationError, match=sentence) as refused:
        launch(project, kind, method=method, config=config, dataset=version, student=student)
    assert set(refused.value.message_dict) == set(config)
    assert not Run.objects.exists()


@pytest.mark.parametrize("seed", [-1, 2**32, 10**25])
def test_a_seed_is_what_every_random_generator_takes(project, version, student, seed):
    with pytest.raises(ValidationError, match="from 0 to 4,294,967,295"):
        launch(project, "evaluate", student=student, seed=seed)


def test_the_form_shows_such_a_fault_at_its_field(client, project, version, student, owner):
    client.force_login(owner)
    sent = {"kind": "train", "method": "sft", "student": student.pk, "dataset": version.pk}
    sent |= {"seed": "9" * 25, "host_class": "cpu", "max_grad_norm": "1", "roles": "teacher"}
    answer = client.post(reverse("run-new", args=[project.slug]), sent)
    assert answer.status_code == 422
    assert "from 0 to 4,294,967,295" in answer.context["form"].errors["seed"][0]
    answer = client.post(reverse("run-new", args=[project.slug]), {**sent, "seed": "0"} | {
        "max_grad_norm": "inf"
    })  # fmt: skip
    assert "finite number" in answer.context["form"].errors["max_grad_norm"][0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere", "score"], "There is no project 'nowhere'"),
        (["orchard", "bake"], "invalid choice"),
        (["orchard", "train", "--model", "s"], "method: Choose the method"),
        (["orchard", "train", "--method", "magic", "--model", "s", "--dataset", "1"], "magic"),
        (["orchard", "train", "--method", "sft", "--model", "s"], "dataset: Choose"),
        (["orchard", "train", "--method", "sft", "--model", "s", "--dataset", "7"], "no dataset"),
        (["orchard", "evaluate"], "student: Choose the model"),
        (["orchard", "evaluate", "--model", "zz"], "There is no model 'zz'"),
        (["orchard", "evaluate", "--model", "s", "--method", "sft"], "has no method"),
        (["orchard", "evaluate", "--model", "s", "--set", "limit"], "KEY=VALUE"),
        (["orchard", "evaluate", "--model", "s", "--set", "frogs=3"], "frogs: There is no such"),
        (["orchard", "evaluate", "--model", "s", "--set", "=3"], "There is no such"),
        (["orchard", "evaluate", "--model", "s", "--limit", "many"], "limit: Input should be"),
        (["orchard", "evaluate", "--model", "s", "--split", "middle"], "split: Input should be"),
        (["orchard", "evaluate", "--model", "s", "--seed", "-3"], "seed: The seed"),
        (["orchard", "evaluate", "--model", "s", "--name", "x" * 121], "at most 120"),
        (["orchard", "score", "--set", "limit=1e999"], "limit: "),
    ],
)
def test_the_launch_command_refuses_in_a_sentence(project, version, student, arguments, sentence):
    with pytest.raises(CommandError, match=sentence):
        call_command("launch", *arguments)
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["snapshot", "nowhere"], "There is no project"),
        (["snapshot", "orchard", "--selection", "magic"], "magic"),
        (["snapshot", "orchard", "--set", "frogs"], "not key=value"),
        (["snapshot", "orchard", "--set", "frogs=3"], "frogs"),
        (["snapshot", "orchard", "--set", "roles=gods"], "roles"),
        (["snapshot", "orchard", "--set", "seed=" + "9" * 25], "seed"),
        (["snapshot", "orchard", "--name", "x" * 121], "at most 120"),
        (["export", "orchard", "1"], "--out"),
        (["export", "nowhere", "1", "--out", "o"], "There is no project"),
        (["export", "orchard", "9", "--out", "o"], "no version 9"),
        (["export", "orchard", "x", "--out", "o"], "invalid int"),
        (["export", "orchard", "1", "--out", "o", "--format", "stone"], "stone"),
        (["export", "orchard", "1", "--out", "o", "--set", "frogs=3"], "frogs"),
        (["export", "orchard", "1", "--out", "/proc/none"], "/proc/none"),
        (["work"], "--queue"),
        (["work", "--queue", "moon"], "invalid choice"),
        (["work", "--queue", "cpu", "--concurrency", "0"], "--concurrency is 1 or more"),
        (["demo", "--headless", "--seeds", "0"], "--seeds is 1 or more"),
        (["demo", "--headless", "--set", "magic=1"], "METHOD.KEY=VALUE"),
        (["demo", "--headless", "--json", "/none/x.json"], "no folder /none"),
        (["up", "--port", "much"], "invalid int"),
        (["up", "--port", "70000"], "Port 70000"),
        (["import", "nowhere", "x.jsonl"], "There is no project"),
        (["import", "orchard", "/none.jsonl"], "/none.jsonl cannot be opened"),
        (["import", "orchard", "/"], "/ cannot be opened"),
        (["import", "orchard", "/none", "--split", "middle"], "invalid choice"),
        (["import", "A b!", "/none", "--create"], "small letters"),
    ],
)
def test_every_command_refuses_in_a_sentence(project, version, tmp_path, arguments, sentence):
    with pytest.raises(CommandError, match=sentence):
        call_command(*arguments)


def test_a_mapping_that_is_no_text_is_told(project, tmp_path):
    rows, mapping = tmp_path / "rows.jsonl", tmp_path / "mapping.json"
    rows.write_text('{"question": "a"}\n')
    mapping.write_bytes(b"\xff\xfe")
    with pytest.raises(CommandError, match="mapping"):
        call_command("import", "orchard", str(rows), "--mapping", str(mapping))


def test_a_version_whose_file_is_gone_says_so_everywhere(
    client, project, version, student, owner, django_capture_on_commit_callbacks
):
    remove(version.file)
    remove(left_out_file(version))
    client.force_login(owner)
    assert "gone from the artifact store" in client.get(version.get_absolute_url()).text
    for name in ("version-file", "version-left-out"):
        answer = client.get(reverse(name, args=[project.slug, version.number]))
        assert answer.status_code == 404
        assert "gone from the artifact store" in answer.text
    job = ask_for_export(version, "sft", {}, False, owner)
    run_export(job.pk)
    job.refresh_from_db()
    assert job.status == JobStatus.FAILED
    assert "gone from the artifact store" in job.error
    run = launch(project, "train", method="sft", dataset=version, student=student, enqueue=False)
    assert supervise(run.pk, "here", enqueue=False) == RunStatus.FAILED
    run.refresh_from_db()
    assert "gone from the artifact store" in run.error
