"""What the failure tests share: one run of the real engine with the same data each time, what it
leaves when nobody disturbs it, and an S3 server."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.training.conftest import _nobody_goes_down, student  # noqa: F401
from training.engine.files import damage
from training.models import Metric, ProbeAnswer, Run
from training.runs.launch import launch
from training.runs.supervise import supervise

STEPS = 24
ENGINE = [sys.executable, str(Path(__file__).with_name("engine_with.py"))]
KNOWN: dict[str, str] = {}  # the undisturbed run's weights, found once a session


@pytest.fixture
def version(project, tmp_path):
    """Two questions, by the same numbers in every test: the weights may hang on them."""
    from curation.models import DatasetVersion, Question

    rows = []
    for number in (1, 2):
        text, answer = f"What is 8 + {number}?", f"{8 + number}"
        Question.objects.create(
            pk=900_000 + number, project=project, text=text, reference_answer=answer, split="train"
        )
        said = {"id": str(number), "role": "teacher", "thought": f"8 + {number} = {answer}"}
        row = {"id": str(900_000 + number), "question": text, "reference_answer": answer}
        row |= {"answer_kind": "number", "split": "train"}
        rows.append({**row, "completions": [{**said, "answer": answer}]})
    file = tmp_path / "frozen.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return DatasetVersion.objects.create(
        project=project, number=1, recipe={}, sha256=digest, file=str(file)
    )


@pytest.fixture
def make_run(project, version, student):  # noqa: F811
    """A queued run of 24 steps that no worker was told of."""

    def make(host_class: str = "gpu", dataset=None, **config) -> Run:
        wanted = {"epochs": STEPS // 2, "groups_per_step": 1, "checkpoint_every": 5}
        wanted |= {"learning_rate": 1e-3, **config}
        return launch(
            project,
            "train",
            method="sft",
            config=wanted,
            dataset=dataset or version,
            student=student,
            seed=3,
            host_class=host_class,
            enqueue=False,
        )

    return make


@pytest.fixture
def undisturbed(make_run) -> str:
    """The hash of the weights that every run of these tests has to end with."""
    if not KNOWN:
        run = make_run()
        assert supervise(run.pk, "nobody", poll=0.1, enqueue=False) == "done"
        KNOWN["weights"] = weights(run)
    return KNOWN["weights"]


@pytest.fixture
def ends_as_if_nothing_had_happened(undisturbed):
    """One finished run: each row once, whole checkpoints, the same weights."""

    def check(run: Run, folder: Path | None = None) -> None:
        run.refresh_from_db()
        assert (run.status, run.error) == ("done", "")
        assert steps(run) == list(range(1, STEPS + 1)), "a step is lost or doubled"
        rows = Counter(Metric.objects.filter(run=run).values_list("name", "step"))
        assert set(rows.values()) == {1}
        probed = Counter(ProbeAnswer.objects.filter(run=run).values_list("step", "question_id"))
        assert set(probed.values()) <= {1}
        assert weights(run) == undisturbed
        for sealed in ((folder or Path(run.folder)) / "checkpoints").iterdir():
            assert damage(sealed) is None
            assert (sealed / "manifest.json").exists()

    return check


def steps(run: Run) -> list[int]:
    found = Metric.objects.filter(run=run, name="loss").order_by("step")
    return list(found.values_list("step", flat=True))


def weights(run: Run) -> str:
    return run.checkpoints.get(step=STEPS).sha256


@pytest.fixture
def s3(monkeypatch):
    """An S3 server of the test's own with a bucket in it: its port, and what reaches it."""
    import fsspec
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="0.0.0.0", port=0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    monkeypatch.setattr(fsspec.config, "conf", {})
    fs = fsspec.filesystem(
        "s3", key="u", secret="p", client_kwargs={"endpoint_url": f"http://127.0.0.1:{port}"}
    )
    fs.mkdir("cellar")
    yield port
    fs.rm("cellar", recursive=True)
    server.stop()
