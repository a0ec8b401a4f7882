"""TRL's trainers take a step on the exported files as they are, with a tiny random model."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.training.orchard import make_version
from training.versions.exporting import export_version

TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}<eos>"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture
def tokenizer():
    """Characters as tokens, with a chat template."""
    from training.demo.tokenizer import build

    made = build()
    made.chat_template = TEMPLATE
    made.model_max_length = 2048
    return made


@pytest.fixture
def model_folder(tokenizer, tmp_path) -> str:
    """A random Llama of one layer, saved with its tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=2048,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    folder = tmp_path / "model"
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def dataset(project, annotator, second_annotator, tmp_path):
    """A function that exports a version and loads its training split."""
    from datasets import load_dataset

    version = make_version(project, [annotator, second_annotator])

    def load(name: str, **options):
        folder: Path = tmp_path / name
        export_version(version, name, options, folder)
        return load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))

    return load


def settings(folder: Path) -> dict:
    return {
        "output_dir": str(folder),
        "max_steps": 1,
        "per_device_train_batch_size": 2,
        "use_cpu": True,
        "bf16": False,
        "report_to": [],
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
    }


def loss_of(trainer) -> float:
    trainer.train()
    return next(entry["loss"] for entry in trainer.state.log_history if "loss" in entry)


@pytest.mark.slow
def test_sft_trainer_takes_a_step_on_the_export(dataset, model_folder, tokenizer, tmp_path):
    from trl import SFTConfig, SFTTrainer

    trainer = SFTTrainer(
        model_folder,
        args=SFTConfig(**settings(tmp_path / "sft-run")),
        train_dataset=dataset("sft"),
        processing_class=tokenizer,
    )
    assert 0 < loss_of(trainer) < 2 * math.log(len(tokenizer))


@pytest.mark.slow
def test_dpo_trainer_takes_a_step_on_the_export(dataset, model_folder, tokenizer, tmp_path):
    from trl import DPOConfig, DPOTrainer

    trainer = DPOTrainer(
        model_folder,
        args=DPOConfig(**settings(tmp_path / "dpo-run")),
        train_dataset=dataset("dpo"),
        processing_class=tokenizer,
    )
    # Before the first update the policy is the reference, so each pair costs log 2.
    assert loss_of(trainer) == pytest.approx(math.log(2), abs=1e-3)


@pytest.mark.slow
def test_kto_trainer_takes_a_step_on_the_export(dataset, model_folder, tokenizer, tmp_path):
    from trl import KTOConfig, KTOTrainer

    trainer = KTOTrainer(
        model_folder,
        args=KTOConfig(**settings(tmp_path / "kto-run")),
        train_dataset=dataset("kto"),
        processing_class=tokenizer,
    )
    assert math.isfinite(loss_of(trainer))


@pytest.mark.slow
def test_grpo_trainer_takes_a_step_on_the_export(dataset, model_folder, tokenizer, tmp_path):
    from trl import GRPOConfig, GRPOTrainer

    seen = []

    def reward(completions, reference_answer, **_):
        seen.extend(reference_answer)
        return [float(n) for n in range(len(completions))]

    trainer = GRPOTrainer(
        model_folder,
        reward_funcs=reward,
        args=GRPOConfig(
            **settings(tmp_path / "grpo-run"), num_generations=2, max_completion_length=8
        ),
        train_dataset=dataset("grpo"),
        processing_class=tokenizer,
    )
    trainer.train()
    assert set(seen) <= {str(8 + n) for n in range(6)}
    assert seen
