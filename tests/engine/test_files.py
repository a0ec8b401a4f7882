"""Files that are whole or absent, rows that are there once, checkpoints that are never half."""

from __future__ import annotations

import json

import pytest
import torch

from tests.engine.shapes import make_model
from tests.engine.test_group import make_groups
from training.engine import checkpoint
from training.engine.files import (
    MANIFEST,
    append_rows,
    keep_rows,
    manifest_if_whole,
    read_rows,
    seal,
    write_json,
)
from training.engine.ranks import Ranks
from training.engine.sharding import restore_optimizer
from training.engine.update import Update, whole_state
from training.methods import sft


def test_a_number_that_json_has_no_word_for_becomes_null(tmp_path):
    write_json(tmp_path / "a.json", {"loss": float("nan"), "list": [float("inf"), 1.0]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"loss": None, "list": [None, 1.0]}
    append_rows(tmp_path / "m.jsonl", [{"loss": float("-inf")}])
    assert list(read_rows(tmp_path / "m.jsonl")) == [{"loss": None}]


def test_a_line_cut_off_by_a_crash_is_no_row(tmp_path):
    file = tmp_path / "m.jsonl"
    append_rows(file, [{"step": 1}, {"step": 2}])
    with file.open("a") as end:
        end.write('{"step": 3')
    assert [row["step"] for row in read_rows(file)] == [1, 2]
    assert keep_rows(file, lambda row: row["step"] < 2) == [{"step": 1}]
    append_rows(file, [{"step": 2}])
    assert [row["step"] for row in read_rows(file)] == [1, 2]


def test_a_file_that_loses_nothing_is_left_as_it_is(tmp_path):
    file = tmp_path / "m.jsonl"
    append_rows(file, [{"step": 1}])
    before = file.stat().st_ino
    keep_rows(file, lambda row: True)
    assert file.stat().st_ino == before, "a reader that tails it keeps its place"


def test_a_folder_whose_file_changed_is_not_whole(tmp_path):
    aside, final = tmp_path / ".aside", tmp_path / "final"
    aside.mkdir()
    (aside / "weights").write_bytes(b"1234")
    seal(aside, final, {"step": 3})
    assert not aside.exists()
    manifest = manifest_if_whole(final)
    assert manifest is not None
    assert manifest["step"] == 3
    (final / "weights").write_bytes(b"1235")
    assert manifest_if_whole(final) is None
    (final / MANIFEST).unlink()
    assert manifest_if_whole(final) is None


class Tokenizer:
    """All that a checkpoint asks of one."""

    def save_pretrained(self, folder) -> None:
        (folder / "tokenizer.json").write_text("{}")


@pytest.fixture
def trained() -> Update:
    """A model and an optimizer that has made a step."""
    update = Update(make_model("llama"), sft, sft.Config(), Ranks())
    update.step(make_groups(), 1e-2)
    return update


def test_a_checkpoint_brings_back_weights_and_optimizer(tmp_path, trained):
    from transformers import AutoModelForCausalLM

    weights, optimizer = whole_state(trained)
    assert weights is None  # the model holds them
    model = trained.policy.model
    saved = checkpoint.save(tmp_path, 7, model, Tokenizer(), optimizer)
    assert sorted(path.suffix for path in saved.path.iterdir()) == sorted(
        [".json", ".json", ".json", ".json", ".safetensors", ".safetensors"]
    )
    again = AutoModelForCausalLM.from_pretrained(saved.path)
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    fresh = Update(again, sft, sft.Config(), Ranks())
    restore_optimizer(fresh.policy, fresh.optimizer, checkpoint.optimizer_state(saved.path))
    _, restored = whole_state(fresh)
    ours, theirs = checkpoint.flattened(restored), checkpoint.flattened(optimizer)
    assert len(theirs) == 3 * len(list(model.parameters()))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_the_newest_whole_checkpoint_counts_and_old_ones_go(tmp_path, trained):
    _, optimizer = whole_state(trained)
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, trained.policy.model, Tokenizer(), optimizer)
    (tmp_path / "step-000003" / "model.safetensors").write_bytes(b"cut off")
    (tmp_path / ".step-000004.tmp").mkdir()
    found = checkpoint.last_whole(tmp_path)
    assert found is not None
    assert found.step == 2
    checkpoint.forget_old(tmp_path, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000002", "step-000003"]


def test_a_million_steps_come_after_fewer(tmp_path):
    for step in (999_999, 1_000_000, 500):
        (tmp_path / checkpoint.name_of(step)).mkdir()
    (tmp_path / "step-500-copy").mkdir()
    checkpoint.forget_old(tmp_path, keep=2)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"step-999999", "step-1000000", "step-500-copy"}
    assert [path.name for path in checkpoint.in_order(tmp_path)] == ["step-999999", "step-1000000"]
