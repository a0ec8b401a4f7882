"""What would be pushed is laid down byte for byte; without a token, or offline, nothing is sent."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.make import make_question, make_rationale
from tests.training.grove import trained
from training import hub
from training.cards import model_card
from training.leaving import parcel
from training.versions.freezing import freeze
from training.versions.recipe import Recipe

pytestmark = pytest.mark.django_db


@pytest.fixture
def checkpoint(version, student, owner, tmp_path):
    """A checkpoint with files of its own."""
    checkpoint = trained(version, student, owner)
    folder = tmp_path / "sealed"
    (folder / "adapter").mkdir(parents=True)
    files = {
        "config.json": b"{}",
        "model.safetensors": bytes(range(256)) * 5000,
        "optimizer.safetensors": b"only for a resume",
        "adapter/adapter_model.safetensors": b"small",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    (folder / "manifest.json").write_text(json.dumps({"step": 1, "files": hashes}))
    checkpoint.uri = str(folder)
    checkpoint.save()
    return checkpoint


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_folder_of_a_checkpoint_is_its_files_and_its_card(checkpoint, tmp_path):
    hub.lay_out_checkpoint(checkpoint, tmp_path / "out")
    sealed, found = contents(Path(checkpoint.uri)), contents(tmp_path / "out")
    card = found.pop("README.md").decode()
    assert card.startswith(model_card(checkpoint))
    assert "**merged**" in card
    kept = {"config.json", "model.safetensors", "adapter/adapter_model.safetensors"}
    assert found == {name: sealed[name] for name in kept}
    assert next(file.name for file in parcel(checkpoint)) == "README.md"


def test_the_folder_of_a_version_is_its_export(project, tmp_path):
    make_rationale(make_question(project, split="train"))
    version = freeze(project, Recipe(selection="everything"), None, "")
    number, pushed, exported = str(version.number), tmp_path / "pushed", tmp_path / "exported"
    call_command("push", "orchard", "us/data", "--dataset", number, "--out", str(pushed))
    call_command("export", "orchard", number, "--format", "sft", "--out", str(exported))
    assert contents(pushed) == contents(exported)
    assert "README.md" in contents(pushed)


def test_an_unknown_format_is_named(version):
    with pytest.raises(CommandError, match="There is no format 'xls'"):
        call_command("push", "orchard", "us/data", "--dataset=1", "--format=xls", "--out=/nowhere")


@pytest.fixture
def online(monkeypatch):
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def test_offline_nothing_is_sent(checkpoint, online, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CommandError, match="HF_HUB_OFFLINE is set"):
        call_command("push", "orchard", "us/model", "--run", str(checkpoint.run_id))


def test_without_a_token_nothing_is_sent(checkpoint, online, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(CommandError, match="no token"):
        call_command("push", "orchard", "us/model", "--run", str(checkpoint.run_id))


def test_a_repository_is_named_in_two_parts(checkpoint):
    with pytest.raises(CommandError, match="OWNER/NAME"):
        call_command("push", "orchard", "model", "--run", str(checkpoint.run_id))
