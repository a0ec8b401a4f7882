"""The pages of experiments, the deeds that people do there, and the command."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from tests.make import make_question
from training.experiments import deeds
from training.experiments.advance import advance
from training.models import Experiment, Iteration

pytestmark = pytest.mark.django_db


@pytest.fixture
def questions(project):
    make_question(project)
    make_question(project, "What is 4 + 4?", reference_answer="8", split="test")


@pytest.fixture
def experiment(project, student, questions, researcher) -> Experiment:
    return deeds.begin(
        project, "Loop", student, {"people_in": [2], "dev_split": "test"}, by=researcher
    )


def form_of(client, project, **changed) -> dict:
    page = client.get(reverse("experiment-new", args=[project.slug]))
    form = page.context["form"]
    values = {name: form[name].value() for name in form.fields}
    return {n: v for n, v in values.items() if v not in (None, False)} | {
        "method": page.context["method"],
        **changed,
    }


def test_an_empty_list_says_what_to_do(client, project, researcher, viewer):
    url = reverse("experiments", args=[project.slug])
    client.force_login(researcher)
    assert "Begin the first" in client.get(url).content.decode()
    client.force_login(viewer)
    assert "A researcher of this project begins them" in client.get(url).content.decode()


def test_the_form_begins_an_experiment_as_it_stands(
    client, project, researcher, student, questions
):
    client.force_login(researcher)
    sent = form_of(client, project)
    assert sent["dev_split"] == "test", "the project keeps no validation questions aside"
    answer = client.post(reverse("experiment-new", args=[project.slug]), sent)
    made = Experiment.objects.get()
    assert answer.url == made.get_absolute_url()
    assert made.start == student
    assert made.created_by == researcher
    assert made.plan["settings"]["source"] == "dataset"
    page = client.get(answer.url).content.decode()
    assert "Stop rules look at the test questions" in page
    assert "Waits for a worker to begin." in page


@pytest.mark.parametrize("method", ["cotd_po", "dpo", "grpo", "sft"])
def test_the_form_of_every_method_can_be_sent_as_it_stands(
    client, project, researcher, student, questions, method
):
    client.force_login(researcher)
    url = f"{reverse('experiment-new', args=[project.slug])}?method={method}"
    form = client.get(url).context["form"]
    values = {name: form[name].value() for name in form.fields}
    sent = {n: v for n, v in values.items() if v not in (None, False)} | {"method": method}
    assert client.post(url, sent).status_code == 302
    assert Experiment.objects.get().plan["method"] == method


def test_what_is_wrong_is_said_at_its_field(client, project, researcher, student, questions):
    client.force_login(researcher)
    url = reverse("experiment-new", args=[project.slug])
    changed = {"people_in": "9", "set-learning_rate": "0.1"}
    wrong = client.post(url, form_of(client, project, **changed))
    assert wrong.status_code == 422
    assert "9 is none of 1 to 3" in str(wrong.context["form"].errors["people_in"])
    wrong = client.post(url, form_of(client, project, **{"set-learning_rate": "-1"}))
    assert "greater than 0" in str(wrong.context["form"].errors["set-learning_rate"])
    wrong = client.post(url, form_of(client, project, method="magic"))
    assert "There is no method 'magic'" in wrong.context["form"].non_field_errors()[0]
    assert not Experiment.objects.exists()


def test_a_copy_begins_with_the_plan_that_it_copies(client, experiment, researcher):
    client.force_login(researcher)
    url = reverse("experiment-new", args=[experiment.project.slug])
    page = client.get(f"{url}?from={experiment.pk}")
    assert page.context["form"]["people_in"].value() == "2"


def test_the_page_shows_the_rail_of_every_iteration(client, experiment, viewer):
    advance(experiment.pk)
    Iteration.objects.update(stage="decide", status="done", told={"evaluate": "76.7 % right."})
    Iteration.objects.create(
        experiment=experiment, number=1, stage="train", status="failed", error="No disk is left."
    )
    client.force_login(viewer)
    page = client.get(experiment.get_absolute_url()).content.decode()
    for words in (
        "Iteration 1",
        "The start",
        "76.7\N{NO-BREAK SPACE}% right.",
        "No disk is left.",
        "to come",
    ):
        assert words in page
    assert 'value="pause"' not in page, "a viewer changes nothing"


def test_the_page_asks_the_database_as_often_for_two_iterations_as_for_nine(
    client, experiment, researcher, django_assert_max_num_queries
):
    client.force_login(researcher)
    for number in range(9):
        Iteration.objects.create(
            experiment=experiment, number=number, stage="decide", status="done",
            checkpoint=experiment.start,
        )  # fmt: skip
    with django_assert_max_num_queries(16):
        client.get(experiment.get_absolute_url())
    with django_assert_max_num_queries(12):
        client.get(reverse("experiments", args=[experiment.project.slug]))


def do(client, experiment, deed: str, **more) -> str:
    url = reverse("experiment-do", args=[experiment.project.slug, experiment.pk])
    page = client.post(url, {"deed": deed, **more}, follow=True)
    experiment.refresh_from_db()
    return page.content.decode()


def test_every_deed_has_its_button_and_a_sentence_where_it_comes_late(
    client, experiment, researcher
):
    client.force_login(researcher)
    assert "Paused by rosa." in do(client, experiment, "pause")
    assert "It was not running any more." in do(client, experiment, "pause")
    do(client, experiment, "go_on")
    assert experiment.status == "running"
    do(client, experiment, "by_hand")
    assert not experiment.by_itself
    assert "It waits for you already" in do(client, experiment, "by_hand")
    assert "Nothing has failed" in do(client, experiment, "retry")
    assert "No gate is shut any more." in do(client, experiment, "open_gate")
    assert "There is no such deed." in do(client, experiment, "dance")
    assert "Stopped by rosa." in do(client, experiment, "stop")
    assert "It had ended already." in do(client, experiment, "stop")
    assert "or has ended" in do(client, experiment, "go_on")
    assert "or has ended" in do(client, experiment, "by_itself")
    assert not experiment.by_itself


def test_the_hour_of_the_gate_is_set_by_date(client, experiment, researcher):
    client.force_login(researcher)
    made = Iteration.objects.create(experiment=experiment, number=2, stage="gate", status="working")
    assert "Say when as a date" in do(client, experiment, "open_gate_at", until="soon")
    told = do(client, experiment, "open_gate_at", until="2030-05-17T18:00")
    assert "The gate opens on 17 May 2030, 18:00" in told
    made.refresh_from_db()
    assert made.opens_at.isoformat() == "2030-05-17T18:00:00+00:00"
    told = do(client, experiment, "open_gate_at", until="2001-01-01T00:00")
    assert "That time is past, so the gate opens now" in told


def test_the_command_begins_one_from_a_plan_and_settings(project, student, questions, tmp_path):
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({"iterations": 5, "method": "dpo", "settings": {"beta": 0.2}}))
    call_command(
        "experiment", "orchard", "--start", "sapling", "--plan", str(file), "--name", "Five",
        "--set", "iterations=4", "--set", "settings.margin=0.1", "--by-hand",
    )  # fmt: skip
    made = Experiment.objects.get()
    assert (made.name, made.by_itself, made.plan["iterations"]) == ("Five", False, 4)
    assert made.plan["settings"]["beta"] == 0.2
    assert made.plan["settings"]["margin"] == 0.1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "--start", "sapling"], "There is no project 'nowhere'"),
        (["orchard", "--start", "oak"], "There is no model 'oak'"),
        (["orchard", "--start", "sapling", "--set", "people_in=[7]"], "people_in: 7 is none of"),
        (["orchard", "--start", "sapling", "--plan", "/no/such/plan"], "cannot be read as JSON"),
    ],
)
def test_the_command_refuses_in_words(project, student, questions, arguments, words):
    with pytest.raises(CommandError, match=words.replace("(", r"\(")):
        call_command("experiment", *arguments)
