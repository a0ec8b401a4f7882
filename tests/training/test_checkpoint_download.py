"""A checkpoint leaves as a folder that transformers loads and generates with, and vLLM reads."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from django.urls import reverse

from training.leaving import folder_name
from training.models import Checkpoint
from training.runs.process import engine_command
from training.runs.supervise import supervise

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
# What a loader of vLLM looks for: the shape, how to stop, the weights, the words.
READ_BY_VLLM = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}


def unpacked(client, checkpoint: Checkpoint, folder: Path) -> Path:
    address = reverse("checkpoint-download", args=[checkpoint.run.project.slug, checkpoint.pk])
    response = client.get(address)
    assert response["Content-Type"] == "application/zip"
    content = io.BytesIO(b"".join(response.streaming_content))
    with zipfile.ZipFile(content) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    return folder / folder_name(checkpoint)


def generated(folder: Path) -> str:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer("What is 8 + 1?", return_tensors="pt")
    out = model.generate(**ids, max_new_tokens=4, do_sample=False)
    assert out.shape[1] > ids["input_ids"].shape[1]
    return str(tokenizer.decode(out[0]))


@pytest.fixture
def trained(project, version, student):
    """A checkpoint of two steps of the real engine."""
    from training.runs.launch import launch

    def make(**config) -> Checkpoint:
        wanted = {"epochs": 1, "groups_per_step": 1, "learning_rate": 1e-3, **config}
        run = launch(
            project,
            "train",
            method="sft",
            config=wanted,
            dataset=version,
            student=student,
            enqueue=False,
        )
        assert supervise(run.pk, "x", command=engine_command(), poll=0.1, enqueue=False) == "done"
        return run.checkpoints.get(step=2)

    return make


def test_a_checkpoint_downloads_as_a_folder_that_loads(trained, client, viewer, tmp_path):
    checkpoint = trained()
    client.force_login(viewer)
    folder = unpacked(client, checkpoint, tmp_path / "down")
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert names >= READ_BY_VLLM | {"README.md"}
    assert not names & {"optimizer.safetensors", "manifest.json"}
    theirs = Path(checkpoint.uri)
    assert (folder / "model.safetensors").read_bytes() == (
        theirs / "model.safetensors"
    ).read_bytes()
    assert generated(folder) == generated(theirs)


def test_a_lora_checkpoint_is_merged_and_says_so(trained, client, viewer, tmp_path):
    checkpoint = trained(lora_rank=2)
    client.force_login(viewer)
    folder = unpacked(client, checkpoint, tmp_path / "down")
    assert (folder / "adapter" / "adapter_model.safetensors").exists()
    assert not (folder / "adapter_config.json").exists()
    assert "**merged**" in (folder / "README.md").read_text()
    assert generated(folder)


def test_a_checkpoint_whose_files_are_gone_is_a_sentence(trained, client, viewer):
    checkpoint = trained()
    (Path(checkpoint.uri) / "manifest.json").unlink()
    client.force_login(viewer)
    address = reverse("checkpoint-download", args=[checkpoint.run.project.slug, checkpoint.pk])
    response = client.get(address, follow=True)
    assert "gone from the artifact store" in response.content.decode()
