"""What a device can do is used, and what it cannot is met with less at a time."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest
import torch

from tests.engine.shapes import END, make_model
from tests.engine.test_group import make_groups
from tests.engine.test_score import dataset, prepare
from tests.engine.test_update import refuse_above
from training.decoding.sampling import Sampling
from training.engine import sampler as engine_sampler
from training.engine.__main__ import main
from training.engine.model import on_device
from training.engine.reference import add_reference_logprobs
from training.engine.sampler import Sampler, draw


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


# --- Out of memory --------------------------------------------------------------------------------

PROMPTS = [[1, 5, 9], [1, 7], [1, 30, 4, 8]]
SEEDS = [[1, 2], [3, 4], [5, 6]]
WARM = Sampling(temperature=0.8, max_new_tokens=6)


def narrow(monkeypatch: Any, rows: int, words: str = "no more memory") -> list[int]:
    """A sampler that can hold so many rows; the slots that it was asked for."""
    asked: list[int] = []

    class Narrow(engine_sampler.Slots):
        def __init__(self, decoder: Any, count: int, *args: Any, **more: Any) -> None:
            asked.append(count)
            if count > rows:
                raise (torch.OutOfMemoryError if "more" in words else RuntimeError)(words)
            super().__init__(decoder, count, *args, **more)

    monkeypatch.setattr(engine_sampler, "Slots", Narrow)
    return asked


@pytest.mark.parametrize("words", ["no more memory", "DefaultCPUAllocator: can't allocate memory"])
def test_where_memory_runs_out_half_the_rows_are_drawn_together(monkeypatch, words):
    model = make_model("llama")
    whole = draw(model, PROMPTS, SEEDS, WARM, [END])
    asked = narrow(monkeypatch, 3, words)
    sampler = Sampler()
    for _ in range(2):
        drawn = sampler.draw(model, PROMPTS, SEEDS, WARM, [END])
        assert [[s.token_ids for s in each] for each in drawn] == [
            [s.token_ids for s in each] for each in whole
        ]
    assert asked == [6, 3, 3]  # it is not tried again


def test_completions_of_one_prompt_that_do_not_fit_are_told(monkeypatch):
    asked = narrow(monkeypatch, 1)
    with pytest.raises(MemoryError, match="2 completions of one prompt do not fit"):
        Sampler().draw(make_model("llama"), PROMPTS, SEEDS, WARM, [END])
    assert asked == [6, 3, 2]


def test_another_error_of_a_draw_is_not_tried_again(monkeypatch):
    asked = narrow(monkeypatch, 1, "something else")
    with pytest.raises(RuntimeError, match="something else"):
        Sampler().draw(make_model("llama"), PROMPTS, SEEDS, WARM, [END])
    assert asked == [6]


def test_the_reference_is_read_in_parts_that_fit():
    plain, short = make_groups(), make_groups()
    model = make_model("llama")
    add_reference_logprobs(model, plain, 0.7, 10_000)
    refuse_above(model, 40)
    add_reference_logprobs(model, short, 0.7, 10_000)
    for ours, theirs in zip(short, plain, strict=True):
        assert [len(row) for row in ours.ref_logprobs] == [len(ids) for ids in ours.completions]
        for left, right in zip(ours.ref_logprobs, theirs.ref_logprobs, strict=True):
            assert left == pytest.approx(right, abs=1e-5)
    refuse_above(model, 1)
    with pytest.raises(torch.OutOfMemoryError):
        add_reference_logprobs(model, short, 0.7, 10_000)
