"""The card of a checkpoint: the hub reads it, and it says what the record says."""

from __future__ import annotations

import shlex

import pytest

from curation.models import Figure, LanguageModel
from tests.training.grove import evaluated, make_grove
from training.cards import model_card

pytestmark = pytest.mark.django_db


@pytest.fixture
def grove(project, annotator, researcher):
    return make_grove(project, [researcher, annotator])


def test_the_hub_reads_the_front_matter(grove):
    from huggingface_hub import ModelCard

    third = grove.checkpoints[-1]
    evaluated(third.model, dict.fromkeys(grove.questions, True), split="test")
    data = ModelCard(model_card(third)).data
    assert (data.license, data.base_model) == ("mit", "sapling/base")
    assert (data.library_name, data.pipeline_tag) == ("transformers", "text-generation")
    assert data.tags == ["stillroom", "chain-of-thought", "sft"]
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_split) == (
        "accuracy", 0.75, "test",
    )  # fmt: skip


def test_a_licence_that_nobody_noted_makes_the_whole_other(grove):
    from huggingface_hub import ModelCard

    LanguageModel.objects.filter(name="teacher/large").update(licence="")
    data = ModelCard(model_card(grove.checkpoints[0])).data
    assert (data.license, data.license_name) == ("other", "mixed-see-card")
    assert "not noted" in model_card(grove.checkpoints[0])


def test_it_tells_data_judges_and_figures(grove, project):
    from django.utils import timezone

    third = grove.checkpoints[-1]
    evaluated(third.model, dict.fromkeys(grove.questions, True))
    Figure.objects.create(
        project=project, measure="tau", value=0.61, low=0.4, high=0.8, items=4,
        computed_at=timezone.now(),
    )  # fmt: skip
    card = model_card(third)
    for version in grove.versions:
        assert version.sha256 in card
    assert "| teacher/large | teacher |" in card
    assert "| ranked | 2 | 8 |" not in card, "one was corrected, so its rankings fell out"
    assert "| ranked | 2 | 6 |" in card
    assert "| judge | 3 | 3 |" in card
    assert "| Kendall's τ-b | 0.61 | 0.400 to 0.800 | 4 |" in card
    assert "| Answer accuracy, greedy | 0.750 | 0.500 to 0.900 |" in card
    assert "| epochs | `5` |" in card
    assert "learning_rate" not in card, "defaults are not repeated"
    assert "L = - sum_t log p(z_t | q, z_<t)" in card
    assert "not evaluated on held-out test questions" in card


def test_nobody_is_named(grove, researcher, annotator):
    card = model_card(grove.checkpoints[-1])
    assert researcher.username not in card
    assert annotator.username not in card
    assert "person-" not in card


def test_its_commands_launch_the_same_runs_again(grove, project):
    from training.management.commands.launch import launched

    card = model_card(grove.checkpoints[-1])
    block = card.split("## How to reproduce it")[1].split("```")[1]
    commands = [shlex.split(line) for line in block.strip().splitlines()]
    assert len(commands) == 3
    for command, checkpoint in zip(commands, grove.checkpoints, strict=True):
        run = launched(parsed(command))
        for name in ("method", "config", "seed", "dataset_id", "student_id"):
            assert getattr(run, name) == getattr(checkpoint.run, name)


def parsed(command: list[str]) -> dict:
    """The options as `manage.py` reads them."""
    from training.management.commands.launch import Command

    assert command[:3] == ["python", "manage.py", "launch"]
    return vars(Command().create_parser("manage.py", "launch").parse_args(command[3:]))
