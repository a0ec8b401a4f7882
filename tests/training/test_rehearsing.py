"""A rehearsal asked for on the page is done by a worker, shown, and launched exactly as shown."""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta

import pytest
from celery import current_app
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.urls import reverse

from training.models import Rehearsal, Run
from training.runs import rehearsing, workers
from training.runs.rehearsing import ask_for_rehearsal, perform, runs_of_tokens

pytestmark = pytest.mark.django_db


def token(text: str, weight: float) -> dict:
    return {"id": 1, "text": text, "in_loss": weight != 0, "weight": weight}


def found() -> dict:
    said = [token("8", 0.5), token("\n", 0.0), token("<eos>", -0.25)]
    completion = {"reward": None, "present": True, "text": "8", "tokens": said}
    spread = {"count": 2, "min": 5, "median": 6, "p95": 7, "max": 7}
    return {
        "kind": "rehearsal",
        "skipped": {"prompt longer than max_prompt_tokens": 3},
        "lengths": {"prompts": spread, "completions": spread, "altered_texts": 1},
        "plan": {"rounds": 1, "groups": 2, "epochs": 3, "steps": 1, "completions_to_draw": 0},
        "memory": {"weights": 4_000_000, "total": 9_000_000, "rehearsal": None},
        "time": None,
        "rows": [
            {
                "question": "7",
                "prompt": {"text": "What?", "tokens": [token("What", 0.0), token("?", 0.0)]},
                "of_completions": 1,
                "completions": [completion],
            }
        ],
    }


@pytest.fixture
def asked(project, version, student, researcher) -> Rehearsal:
    return ask_for_rehearsal(
        project, method="sft", config={"epochs": 3}, dataset=version, student=student, seed=4,
        by=researcher, enqueue=False,
    )  # fmt: skip


def engine(tmp_path, writes: dict, says: str = "") -> list[str]:
    """A command with the manners of the engine: it writes what it is told beside `run.json`."""
    script = tmp_path / "engine.py"
    script.write_text(
        "import json, pathlib, sys\n"
        "job = pathlib.Path(sys.argv[-1])\n"
        "assert json.loads(job.read_text())['config']['epochs'] == 3\n"
        "assert (job.parent / 'dataset.jsonl').exists()\n"
        f"print({says!r})\n"
        f"(job.parent / 'rehearsal.json').write_text({json.dumps(writes)!r})\n"
    )
    return [sys.executable, str(script)]


def test_what_a_launch_would_refuse_is_refused(project, version, student):
    with pytest.raises(ValidationError) as refused:
        ask_for_rehearsal(
            project, method="sft", config={"epochs": 0}, dataset=version, student=student
        )
    assert "epochs" in refused.value.message_dict
    assert not Rehearsal.objects.exists()


def test_a_worker_does_it_once_and_leaves_no_folder(asked, tmp_path, monkeypatch):
    monkeypatch.setenv("STILLROOM_VAR", str(tmp_path / "var"))
    command = engine(tmp_path, found(), says="one table")
    assert perform(asked.pk, command) == "done"
    assert perform(asked.pk, command) == ""
    asked.refresh_from_db()
    assert asked.found["plan"]["groups"] == 2
    assert "one table" in asked.found["printed"]
    assert list((tmp_path / "var" / "work").iterdir()) == []


def test_what_the_engine_refuses_is_said(asked, tmp_path, monkeypatch):
    monkeypatch.setenv("STILLROOM_VAR", str(tmp_path / "var"))
    refused = engine(tmp_path, {"error": "The dataset holds nothing to train on."})
    assert perform(asked.pk, refused) == "failed"
    asked.refresh_from_db()
    assert asked.error == "The dataset holds nothing to train on."


def test_an_engine_that_takes_too_long_is_stopped(asked, tmp_path, monkeypatch):
    monkeypatch.setenv("STILLROOM_VAR", str(tmp_path / "var"))
    monkeypatch.setattr(rehearsing, "PATIENCE", 0.1)
    assert perform(asked.pk, [sys.executable, "-c", "import time; time.sleep(60)"]) == "failed"
    asked.refresh_from_db()
    assert "ten minutes" in asked.error


def test_a_message_that_was_lost_is_sent_again_once(asked, broker, monkeypatch):
    monkeypatch.setitem(current_app.conf, "broker_url", broker)
    while not workers.queue_lengths():  # the broker has just been started
        time.sleep(0.1)
    assert rehearsing.reap() == {"failed": 0, "told": 0}, "it was asked for just now"
    Rehearsal.objects.update(created_at=asked.created_at - timedelta(minutes=2))
    assert rehearsing.reap() == {"failed": 0, "told": 1}
    assert workers.queue_lengths() == {"cpu": 1, "gpu": 0}
    assert rehearsing.reap() == {"failed": 0, "told": 0}, "somebody has only to come"


def test_one_whose_worker_vanished_says_so_and_is_not_begun_again(asked):
    assert asked.claim()
    assert not asked.claim()
    assert rehearsing.reap()["failed"] == 0
    Rehearsal.objects.update(started_at=asked.created_at - timedelta(minutes=13))
    assert rehearsing.reap() == {"failed": 1, "told": 0}
    asked.refresh_from_db()
    assert (asked.status, asked.is_over) == ("failed", True)
    assert "worker vanished" in asked.error
    assert not asked.end("done"), "should it come back from the dead"


def test_tokens_need_any_cpu_host_and_time_the_runs_own(asked):
    assert (asked.host_class, asked.queue) == ("gpu", "cpu")
    asked.measured = True
    assert asked.queue == "gpu"


def test_only_the_newest_are_kept(project, asked):
    Rehearsal.objects.filter(pk=asked.pk).update(finished_at=asked.created_at)
    frame = {"dataset": asked.dataset, "student": asked.student, "enqueue": False}
    for _ in range(rehearsing.KEPT):
        ask_for_rehearsal(project, method="sft", config={}, **frame)
    assert not Rehearsal.objects.filter(pk=asked.pk).exists()


def test_neighbours_with_one_mask_are_one_run():
    runs = runs_of_tokens([token("a", 0.0), token("b", 0.5), token("c", 0.25), token("d", 0.0)])
    assert [len(run["tokens"]) for run in runs] == [1, 2, 1]
    assert [token["thousandth"] for token in runs[1]["tokens"]] == [500.0, 250.0]


def test_the_page_shows_rows_masks_counts_and_memory(client, viewer, asked):
    Rehearsal.objects.filter(pk=asked.pk).update(status="done", found=found())
    client.force_login(viewer)
    page = client.get(asked.get_absolute_url()).content.decode()
    assert '<span class="token learned" title="500">8</span>' in page
    assert '<span class="token lowered" title="-250">&lt;eos&gt;</span>' in page
    assert "3 left out: prompt longer than max_prompt_tokens" in page
    assert "1 text does not come back" in page
    assert "Launch exactly this" not in page  # a viewer


def test_while_it_waits_the_page_says_for_whom(client, viewer, asked):
    client.force_login(viewer)
    page = client.get(asked.get_absolute_url()).content.decode()
    assert "manage.py work --queue cpu" in page
    assert "every 1s" in page


def send(client, **fields):
    frame = {"kind": "train", "method": "sft", "seed": "3", "host_class": "gpu"}
    url = reverse("run-rehearse", args=["orchard"])
    headers = fields.pop("headers", None)
    return client.post(url, {**frame, "roles": ["teacher"], **fields}, headers=headers)


def test_the_button_leads_to_a_page_without_scripts(client, researcher, version, student):
    client.force_login(researcher)
    answer = send(client, student=student.pk, dataset=version.pk, measured="yes")
    made = Rehearsal.objects.get()
    assert answer.url == made.get_absolute_url()
    assert (made.measured, made.seed, made.asked_by) == (True, 3, researcher)
    assert not Run.objects.exists()


def test_with_htmx_it_appears_below_the_form(client, researcher, version, student):
    client.force_login(researcher)
    htmx = {"HX-Request": "true"}
    answer = send(client, student=student.pk, dataset=version.pk, headers=htmx)
    assert answer.content.decode().lstrip().startswith('<section id="rehearsed"')
    refused = send(client, student=student.pk, dataset=version.pk, epochs="0", headers=htmx)
    assert refused["HX-Retarget"] == "#run-form"
    assert "greater than or equal to 1" in refused.content.decode()


def test_what_was_rehearsed_is_launched_as_it_was(client, researcher, asked):
    client.force_login(researcher)
    url = reverse("rehearsal-launch", args=["orchard", asked.pk])
    assert client.get(url).status_code == 405
    client.post(url)
    run = Run.objects.get()
    assert run.config == asked.config
    assert (run.seed, run.dataset, run.student) == (4, asked.dataset, asked.student)


def test_the_form_goes_on_from_a_rehearsal(client, researcher, asked):
    client.force_login(researcher)
    url = reverse("run-new", args=["orchard"])
    form = client.get(url, {"rehearsal": asked.pk}).context["form"]
    assert form["epochs"].value() == 3
    assert form["seed"].value() == 4


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_command_rehearses_with_the_real_engine(version, student, capsys):
    asked = ["launch", "orchard", "train", "--method", "sft", "--model", "sapling"]
    call_command(*asked, "--dataset", "1", "--rehearse", "--tokens-only")
    printed = capsys.readouterr().out
    assert "in loss" in printed
    assert "<eos>" in printed
    assert not Run.objects.exists()
