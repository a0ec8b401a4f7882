"""What cannot be right is refused before it waits: in a sentence, at the field."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from curation.models import LanguageModel, Project
from tests.make import make_model, make_question
from training.models import Preset, Run
from training.runs.launch import launch

pytestmark = pytest.mark.django_db


def refusal(project, kind, **asked) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as refused:
        launch(project, kind, enqueue=False, **asked)
    assert not Run.objects.exists()
    return refused.value.message_dict


def test_the_resolved_config_is_stored_whole(project, version, student, researcher):
    run = launch(
        project,
        "train",
        method="sft",
        config={"learning_rate": "0.002", "epochs": "2"},
        dataset=version,
        student=student,
        by=researcher,
        enqueue=False,
    )
    assert run.config["learning_rate"] == 0.002
    assert run.config["epochs"] == 2
    assert run.config["schedule"] == "cosine"
    assert (run.status, run.host_class, run.launched_by) == ("queued", "gpu", researcher)


def test_an_unknown_setting_is_refused(project, version, student):
    asked = {"method": "sft", "dataset": version, "student": student}
    said = refusal(project, "train", config={"learning_rat": 1}, **asked)
    assert said == {"learning_rat": ["There is no such setting here."]}


def test_a_setting_out_of_bounds_is_refused_at_its_name(project, version, student):
    asked = {"method": "sft", "dataset": version, "student": student}
    said = refusal(project, "train", config={"learning_rate": 7}, **asked)
    assert "less than or equal to 1" in said["learning_rate"][0]


def test_an_unknown_method_is_refused_with_those_there_are(project, version, student):
    said = refusal(project, "train", method="alchemy", dataset=version, student=student)
    assert "alchemy" in said["method"][0]
    assert "sft" in said["method"][0]


def test_training_needs_a_dataset_version(project, student):
    said = refusal(project, "train", method="sft", student=student)
    assert said == {"dataset": ["Choose the dataset version to train on."]}


def test_an_endpoint_cannot_be_trained(project, version):
    far = make_model(project, "far", provider="openai", uri="http://localhost:1/v1")
    said = refusal(project, "train", method="sft", dataset=version, student=far)
    assert "far is an endpoint" in said["student"][0]


def test_imported_text_cannot_generate(project):
    make_question(project)
    said = refusal(project, "generate", student=make_model(project, "old"))
    assert "nothing to run" in said["student"][0]


def test_another_projects_model_and_version_are_refused(project, version, student):
    other = Project.objects.create(slug="other", name="Other")
    make_question(other)
    assert "dataset" in refusal(other, "train", method="sft", dataset=version, student=student)
    assert "student" in refusal(other, "generate", student=student)


def test_a_project_without_questions_has_nothing_to_draw(project, student):
    said = refusal(project, "generate", student=student)
    assert "no questions yet" in said["dataset"][0]


def test_waiting_for_an_endpoint_needs_no_gpu(project):
    make_question(project)
    far = make_model(project, "far", provider="openai", uri="http://localhost:1/v1")
    run = launch(project, "generate", student=far, enqueue=False)
    assert run.host_class == "cpu"
    assert run.config["temperatures"] == [0.3, 0.5, 0.7]


def test_the_command_names_what_is_wrong(project, version, student):
    with pytest.raises(CommandError, match="no project 'orchid'; there are: orchard"):
        call_command("launch", "orchid", "train")
    with pytest.raises(CommandError, match="there are: sapling"):
        call_command("launch", "orchard", "train", "--model", "oak")
    asked = ["launch", "orchard", "train", "--method", "sft", "--model", "sapling"]
    with pytest.raises(CommandError, match="no dataset version 9"):
        call_command(*asked, "--dataset", "9")
    with pytest.raises(CommandError, match="learning_rate: Input should be less"):
        call_command(*asked, "--dataset", "1", "--set", "learning_rate=3")


def test_the_command_launches_what_the_form_would(project, version, student, capsys):
    asked = ["launch", "orchard", "train", "--method", "sft", "--model", "sapling"]
    call_command(*asked, "--dataset", "1", "--set", "epochs=2", "--set", "roles=teacher,student")
    run = Run.objects.get()
    assert run.config["epochs"] == 2
    assert run.config["roles"] == ["teacher", "student"]
    assert LanguageModel.objects.get(runs=run) == student


def test_the_command_begins_with_a_preset(project, version, student, capsys):
    config = {"epochs": 7, "groups_per_step": 16}
    Preset.objects.create(project=project, name="long", kind="train", method="sft", config=config)
    asked = ["launch", "orchard", "train", "--preset", "long", "--model", "sapling"]
    call_command(*asked, "--dataset", "1", "--set", "groups_per_step=4")
    run = Run.objects.get()
    assert (run.method, run.config["epochs"], run.config["groups_per_step"]) == ("sft", 7, 4)
    assert "Groups per step is 4; the guide recommends 8 to 32" in capsys.readouterr().err
    with pytest.raises(CommandError, match="no preset 'short'; there are: long"):
        call_command("launch", "orchard", "train", "--preset", "short")
    with pytest.raises(CommandError, match="The preset long is for train sft"):
        call_command("launch", "orchard", "train", "--method", "grpo", "--preset", "long")


def test_only_training_is_rehearsed(project):
    with pytest.raises(CommandError, match="Only a train run can be rehearsed"):
        call_command("launch", "orchard", "score", "--rehearse")
    with pytest.raises(CommandError, match="goes with --rehearse"):
        call_command("launch", "orchard", "train", "--tokens-only")
