"""Rationales from a real OpenAI-compatible server: `transformers serve` on the demo teacher."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from curation.models import LanguageModel, Rationale, Score
from tests.make import make_question, make_rationale
from training.runs.launch import launch
from training.runs.supervise import supervise

ROOT = Path(__file__).resolve().parents[2]
TEACHER = ROOT / "training" / "demo" / "teacher"
# A chat server needs a template. This one renders what the demo teacher was trained on: the
# question and a line feed, without the instruction that a chat model is given.
TEMPLATE = "{{ messages[-1]['content'].split('\n\n')[0] + '\n' }}"

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The base URL and the model's name of a server that runs while the module's tests do."""
    pytest.importorskip("fastapi", reason="transformers' serving extra is not installed")
    folder = tmp_path_factory.mktemp("served") / "teacher"
    shutil.copytree(TEACHER, folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    port = free_port()
    command = [str(Path(sys.executable).parent / "transformers"), "serve", str(folder)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    log = folder.parent / "log.txt"
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env={**os.environ, "HF_HUB_OFFLINE": "1"}
        )
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1", str(folder)
    finally:
        process.terminate()
        process.wait(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_healthy(url: str, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}")


def test_a_teacher_behind_a_server_writes_rationales_that_are_stored_once(project, server):
    url, name = server
    questions = [problem(project, number) for number in range(3)]
    teacher = LanguageModel.objects.create(project=project, name=name, provider="openai", uri=url)
    config = {"max_new_tokens": 160, "samples_per_temperature": 2, "temperatures": [0.3, 0.7]}
    run = launch(project, "generate", student=teacher, config=config, enqueue=False)
    status = supervise(run.pk, "tester", poll=0.2, enqueue=False)
    run.refresh_from_db()
    assert status == "done", run.error
    drawn = Rationale.objects.filter(batch=run.batch, author_model=teacher)
    assert drawn.count() == len(questions) * 2 * 2
    assert {r.sampling["temperature"] for r in drawn} == {0.3, 0.7}
    assert all(questions[0].text in r.prompt_sent for r in drawn.filter(question=questions[0]))
    right = drawn.filter(scores__scorer="answer_correct", scores__value=1).count()
    assert right >= drawn.count() / 2, [r.thought + " # " + r.answer for r in drawn]
    again = launch(project, "generate", student=teacher, config=config, enqueue=False)
    assert supervise(again.pk, "tester", poll=0.2, enqueue=False) == "done"
    assert Rationale.objects.filter(author_model=teacher).count() == drawn.count()


def test_a_judge_behind_a_server_gives_verdicts_or_is_counted(project, server):
    """The demo teacher is no judge, but ends in `#### ` and a number: a rating from 0 to 100."""
    url, name = server
    for number in range(3):
        make_rationale(problem(project, number), "1 + 1 = 2", answer="2")
    judge = LanguageModel.objects.create(project=project, name=name, provider="openai", uri=url)
    config = {"style": "compact", "lowest": 0, "highest": 100, "max_new_tokens": 100}
    run = launch(project, "judge", student=judge, config=config, enqueue=False)
    assert supervise(run.pk, "tester", poll=0.2, enqueue=False) == "done", run.error
    run.refresh_from_db()
    found = run.result
    assert found["replies"] == 3
    assert found["parsed"] + sum(found["faults"].values()) == 3
    assert found["usage"]["prompt"] > 3 * 50
    scores = Score.objects.filter(scorer="judge_rating", model=judge)
    assert scores.count() == found["rated"] == found["parsed"]
    assert run.verdicts.count() == 3


def test_a_server_that_is_not_there_is_named_in_the_error(project):
    make_question(project)
    nobody = f"http://127.0.0.1:{free_port()}/v1"
    teacher = LanguageModel.objects.create(
        project=project, name="nobody", provider="openai", uri=nobody
    )
    config = {"retries": 0, "samples_per_temperature": 1, "temperatures": [0.3]}
    run = launch(project, "generate", student=teacher, config=config, enqueue=False)
    assert supervise(run.pk, "tester", poll=0.2, enqueue=False) == "failed"
    run.refresh_from_db()
    assert run.error


def problem(project, number: int):
    """A question of the kind that the teacher was trained on."""
    from training.demo.problems import make_problems

    made = make_problems(1, seed=900 + number)[0]
    return make_question(project, made.question, reference_answer=str(made.answer))
