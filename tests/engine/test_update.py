"""One step's gradient is one number, however it was computed: in halves, recomputed, in LoRA."""

from __future__ import annotations

import hashlib
import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.engine.jobs import DRAWN, STORED, STUDENT, metrics, run, start, write_job
from tests.engine.shapes import FAMILIES, make_model
from tests.engine.test_group import assert_same, make_groups
from training.engine.adapters import merged_weights, start_of, with_adapters
from training.engine.checkpoint import last_whole
from training.engine.files import read_rows
from training.engine.group import collate, group_logprobs
from training.engine.ranks import Ranks
from training.engine.update import Update
from training.methods import sft
from training.methods.base import window_of


def updated(family: str = "llama", most: int | None = None, **settings: Any) -> Update:
    """A model after one step, whose forwards fail above `most` tokens."""
    update = Update(make_model(family), sft, sft.Config(**settings), Ranks())
    if most is not None:
        refuse_above(update.policy.model, most)
    update.step(make_groups(), 1e-3)
    return update


def refuse_above(model: Any, most: int) -> None:
    """What a device without more memory says."""

    def check(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        if kwargs["input_ids"].numel() > most:
            raise torch.OutOfMemoryError("no more memory")

    model.base_model.register_forward_pre_hook(check, with_kwargs=True)


def apart(left: Update, right: Update) -> float:
    pairs = zip(left.policy.parameters(), right.policy.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


def test_out_of_memory_halves_the_budget_and_the_step_is_the_same():
    plain, short = updated(), updated(most=40)
    assert short.tokens < plain.tokens
    assert apart(plain, short) <= 1e-5


def test_one_group_that_does_not_fit_is_told():
    with pytest.raises(MemoryError, match=r"A group of \d+ tokens does not fit"):
        updated(most=3)


def test_an_error_that_is_no_lack_of_memory_is_not_tried_again():
    update = Update(make_model("llama"), sft, sft.Config(), Ranks())

    def fail(*args: Any) -> None:
        raise RuntimeError("something else")

    update.policy.model.base_model.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="something else"):
        update.step(make_groups(), 1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_recomputing_gives_the_same_gradient(family):
    assert_same(*(gradient(family, gradient_checkpointing=each) for each in (True, False)))


def gradient(family: str, **settings: Any) -> dict[str, torch.Tensor]:
    update, groups = Update(make_model(family), sft, sft.Config(**settings), Ranks()), make_groups()
    update.forward_and_backward(groups, update.window(groups))
    return {name: weight.grad for name, weight in update.policy.named_parameters()}


def test_bf16_computes_in_half_the_width_and_keeps_the_weights_whole():
    update = updated(precision="bf16")
    assert {weight.dtype for weight in update.policy.parameters()} == {torch.float32}
    assert 0 < apart(updated(), update) < 3e-3


# LoRA


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("settings", [{}, {"gradient_checkpointing": True}])
def test_adapters_alone_are_trained(family, settings):
    config = sft.Config(lora_rank=2, **settings)
    model = with_adapters(make_model(family), config, seed=1, checkpoint=None)
    update, groups = Update(model, sft, config, Ranks()), make_groups()
    batch = collate(groups, window_of(groups))
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    with torch.no_grad():
        start = group_logprobs(model, batch).completion
    first = update.step(groups, 1e-2)["loss"]
    moved = {n for n, weight in model.named_parameters() if not torch.equal(weight, before[n])}
    assert moved
    assert all("lora_" in name for name in moved)
    assert update.step(groups, 1e-2)["loss"] < first
    with torch.no_grad(), start_of(model) as frozen:
        assert torch.equal(group_logprobs(frozen, batch).completion, start)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_checkpoint_holds_computes_what_the_adapters_do(family):
    config = sft.Config(lora_rank=2)
    model = with_adapters(make_model(family), config, seed=1, checkpoint=None)
    update, groups = Update(model, sft, config, Ranks()), make_groups()
    update.step(groups, 1e-2)
    plain = make_model(family)
    plain.load_state_dict(merged_weights(model))
    batch = collate(groups, window_of(groups))
    with torch.no_grad():
        ours, theirs = (group_logprobs(m, batch).completion for m in (model, plain))
    assert (ours - theirs).abs().max() <= 1e-4


# The real command


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"beta": 0.04}])
def test_adapters_go_through_rounds_and_a_resume(tmp_path, settings):
    config = {**DRAWN, "lora_rank": 4, "checkpoint_every": 2, **settings}
    whole = run(write_job(tmp_path / "whole", "grpo", config))
    job = write_job(tmp_path / "killed", "grpo", config)
    kill_after(job, steps=3)
    run(job)
    assert digest(job.parent) == digest(whole)
    found = last_whole(whole / "checkpoints")
    assert found is not None
    assert AutoModelForCausalLM.from_pretrained(found.path).num_parameters() > 0
    assert str(STUDENT) not in (found.path / "adapter" / "adapter_config.json").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sft", "grpo", "cotd_po"])
def test_killed_at_any_moment_it_ends_with_the_same_bits(tmp_path, method):
    config = STORED if method == "sft" else DRAWN
    whole = run(write_job(tmp_path / "whole", method, config))
    job = write_job(tmp_path / "killed", method, config)
    kill_after(job, steps=2)
    if method != "sft":
        kill_within_a_round(job)
    run(job)
    assert digest(job.parent) == digest(whole)
    assert [row["step"] for row in metrics(job.parent)] == [r["step"] for r in metrics(whole)]
    assert sampled(job.parent) == sampled(whole)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "bytes_a_file"), [("sft", 1_000_000), ("grpo", 15_000)])
def test_a_full_disk_ends_a_run_that_goes_on_when_there_is_room(tmp_path, method, bytes_a_file):
    """SFT fails at its first checkpoint, GRPO in the middle of its first round's samples."""
    config = STORED if method == "sft" else DRAWN
    whole = run(write_job(tmp_path / "whole", method, config))
    job = write_job(tmp_path / "full", method, config)
    process = start(job, most_bytes=bytes_a_file)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "File too large" in said
    assert "File too large" in json.loads((job.parent / "result.json").read_text())["error"]
    assert last_whole(job.parent / "checkpoints") is None
    run(job)
    assert digest(job.parent) == digest(whole)
    assert sampled(job.parent) == sampled(whole)


def kill_after(job: Path, steps: int) -> None:
    """Let it make some steps, then end it as a power cut would."""
    process = start(job)
    lines = job.parent / "metrics.jsonl"
    while process.poll() is None and len(list(read_rows(lines))) < steps:
        time.sleep(0.01)
    assert process.poll() is None, "it ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.communicate()


def kill_within_a_round(job: Path) -> None:
    """Go on until a round is drawn in part, and end it there."""
    process = start(job)
    drawn = job.parent / "samples.jsonl"
    while process.poll() is None:
        rows = list(read_rows(drawn))
        if rows and rows[-1]["round"] > 0 and rows[-1]["chunk"] < 2:
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def digest(folder: Path) -> str:
    found = last_whole(folder / "checkpoints")
    assert found is not None
    return hashlib.sha256((found.path / "model.safetensors").read_bytes()).hexdigest()


def sampled(folder: Path) -> list[Any]:
    rows = read_rows(folder / "samples.jsonl")
    return [(row["round"], row["question"], row["token_ids"], row["logprobs"]) for row in rows]
