"""A GPU host that shares nothing with the web host but three URLs.

Its worker lives in a network namespace with an address of its own, and sees neither the tests'
folder nor `var/` nor `/tmp` of the host: over its cable come PostgreSQL, Redis and an S3 store.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from tests.failures.conftest import STEPS, steps, weights
from tests.failures.gates import Gate, before_database
from tests.failures.hosts import tell
from training.models import Run, Worker
from training.runs.launch import launch

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
# Several sessions of one machine may be at it.
NET = f"10.213.{os.getpid() % 250}"
WEB, GPU = f"{NET}.1", f"{NET}.2"


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network namespace, its cable plugged into ours."""
    ip, name = (
        shutil.which("ip") or shutil.which("ip", path="/usr/sbin:/sbin"),
        f"stillroom-{os.getpid()}",
    )
    if not ip:
        pytest.skip("A host of its own needs the command `ip` (Debian's package iproute2).")
    subprocess.run([ip, "netns", "delete", name], capture_output=True)
    if subprocess.run([ip, "netns", "add", name], capture_output=True).returncode:
        pytest.skip("A network namespace can only be made by root.")
    here, there = f"web-{os.getpid()}", f"gpu-{os.getpid()}"
    inside = [ip, "-n", name]
    try:
        for command in (
            [ip, "link", "add", here, "type", "veth", "peer", "name", there, "netns", name],
            [ip, "addr", "add", f"{WEB}/30", "dev", here],
            [ip, "link", "set", here, "up"],
            [*inside, "addr", "add", f"{GPU}/30", "dev", there],
            [*inside, "link", "set", there, "up"],
            [*inside, "link", "set", "lo", "up"],
        ):
            made = subprocess.run(command, capture_output=True, text=True)
            if made.returncode:
                pytest.skip(f"No cable can be laid into a namespace here: {made.stderr.strip()}")
        yield name
    finally:
        subprocess.run([ip, "link", "delete", here], capture_output=True)
        subprocess.run([ip, "netns", "delete", name], capture_output=True)


@pytest.fixture
def three_urls(other_process_env, broker, s3, namespace) -> Iterator[dict[str, str]]:
    """The services as the GPU host reaches them, over TCP."""
    database, url = before_database(other_process_env["DATABASE_URL"], WEB)
    redis = Gate(broker.removeprefix("redis+socket://"), WEB)
    yield {
        "DATABASE_URL": url,
        "BROKER_URL": f"redis://{WEB}:{redis.port}/0",
        "ARTIFACTS_URL": f"s3://u:p@cellar/ours?endpoint_url=http://{WEB}:{s3}",
    }
    redis.end()
    database.end()


@pytest.fixture
def gpu_host(three_urls, namespace, tmp_path_factory) -> Iterator[subprocess.Popen]:
    """`manage.py work --queue gpu` there, with nothing in its environment but the three."""
    ours = tmp_path_factory.getbasetemp()
    inside = ROOT.is_relative_to("/tmp")  # then hiding all of it would hide the code as well
    empty = [str(ours) if inside else "/tmp", str(ROOT / "var")]
    os.makedirs(ROOT / "var", exist_ok=True)
    hidden = " && ".join(f"mount -t tmpfs tmpfs {folder}" for folder in empty)
    work = f"{hidden} && exec {sys.executable} manage.py work --queue gpu"
    process = subprocess.Popen(
        ["ip", "netns", "exec", namespace, "sh", "-c", work],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **three_urls},
    )
    yield process
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(40)
    process.kill()


def wait_for(condition, seconds: float = 240):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
    return found


def over(run: Run) -> Run | None:
    run.refresh_from_db()
    return run if run.is_over else None


def test_a_host_with_three_urls_trains_and_evaluates(
    undisturbed, make_run, version, project, broker, s3, settings, gpu_host
):
    from config.store import configured
    from curation.artifacts import store
    from curation.models import DatasetVersion

    settings.ARTIFACTS_URL = configured(f"s3://u:p@cellar/ours?endpoint_url=http://127.0.0.1:{s3}")
    assert "p@" not in settings.ARTIFACTS_URL, "what is stored of a file carries no secret"
    with Path(version.file).open("rb") as file:
        uri = store(f"projects/{project.pk}/versions/2/dataset.jsonl", file)
    frozen = DatasetVersion.objects.create(
        project=project, number=2, recipe={}, sha256=version.sha256, file=uri
    )

    alive = wait_for(lambda: Worker.objects.first())
    assert alive.is_alive
    assert alive.address == GPU
    assert abs(alive.clock_ahead) < 5
    assert 0 < alive.memory_used_bytes < alive.memory_bytes

    training = make_run(dataset=frozen)
    tell(training, broker)
    wait_for(lambda: over(training))
    assert (training.status, training.error) == ("done", "")
    assert steps(training) == list(range(1, STEPS + 1))
    assert weights(training) == undisturbed, "the same bits as on the web host"
    files_are_right(training)

    student = training.checkpoints.get(step=STEPS).model
    assert student.uri.startswith("s3://cellar/ours/")
    evaluation = launch(
        project, "evaluate", student=student, config={"split": "train"}, enqueue=False
    )
    tell(evaluation, broker)
    wait_for(lambda: over(evaluation))
    assert (evaluation.status, evaluation.error) == ("done", "")
    assert evaluation.evaluation.questions == 2
    named = json.loads(stored(evaluation, "run.json"))["model"]
    assert named.startswith("fetched/"), "it came down by the hash of its content"


def stored(run: Run, name: str) -> bytes:
    fs, root = fsspec.core.url_to_fs(run.folder)
    return fs.cat_file(f"{root}/{name}")


def files_are_right(run: Run) -> None:
    """Every checkpoint in the store is whole, and nothing half-written is there."""
    fs, root = fsspec.core.url_to_fs(run.folder)
    found = [name[len(root) + 1 :] for name in fs.find(root)]
    assert not [name for name in found if ".tmp" in name or name.startswith("fetched/")]
    manifests = [name for name in found if name.endswith("manifest.json")]
    assert manifests
    for name in manifests:
        folder = name.removesuffix("manifest.json")
        for file, digest in json.loads(stored(run, name))["files"].items():
            assert hashlib.sha256(stored(run, folder + file)).hexdigest() == digest
    rows = [json.loads(line) for line in stored(run, "metrics.jsonl").splitlines()]
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
