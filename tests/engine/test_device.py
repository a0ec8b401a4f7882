"""What a device can do is used, and what it cannot is met with less at a time."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest
import torch

from tests.engine.test_score import dataset, prepare
from training.engine.__main__ import main
from training.engine.model import on_device


class Placed:
    """A model that says where it was put."""

    def to(self, place: str) -> str:
        return place


@pytest.mark.parametrize(("there", "place"), [(True, "cuda"), (False, "cpu")])
def test_a_gpu_is_used_where_there_is_one(monkeypatch, there, place):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert on_device(Placed()) == place


@pytest.mark.parametrize("kind", ["generate", "evaluate", "score"])
def test_every_job_that_reads_a_model_puts_it_there(tmp_path, monkeypatch, kind):
    class Put(Exception):
        pass

    def noted(model: Any) -> Any:
        raise Put

    folder = prepare(tmp_path, dataset()[:1])
    job = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**job, "kind": kind}))
    monkeypatch.setattr(import_module(f"training.engine.{kind}"), "on_device", noted)
    with pytest.raises(Put):
        main([str(folder / "run.json")])
