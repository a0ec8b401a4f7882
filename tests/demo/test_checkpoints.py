"""The two shipped checkpoints: small, loadable, one nearly always right and one of mixed habits."""

import random
from itertools import islice

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from training.decoding.record import Completion
from training.demo import tokenizer
from training.demo.measure import share_right
from training.demo.problems import DEMO_QUESTIONS, demo_problems
from training.demo.recipe import HERE, PARTS, completion, rows

SHIPPED = ["teacher", "student"]  # the judge has a recipe, and is not good enough yet
MEGABYTE = 10**6


@pytest.fixture(scope="module", params=SHIPPED)
def folder(request):
    return HERE / request.param


@pytest.fixture(scope="module")
def held_out():
    return demo_problems(60)


def right(name, problems, temperature, samples=1):
    model = AutoModelForCausalLM.from_pretrained(HERE / name, dtype=torch.float32).eval()
    return share_right(model, tokenizer.build(), problems, temperature, samples)


def test_a_checkpoint_is_at_most_two_megabytes(folder):
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 2 * MEGABYTE
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}


def test_weights_are_stored_in_half_precision_and_load_in_full(folder):
    stored = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    assert AutoModelForCausalLM.from_pretrained(folder).dtype == torch.float32


def test_the_shipped_tokenizer_is_the_one_of_the_code(folder):
    shipped = AutoTokenizer.from_pretrained(folder)
    assert shipped.get_vocab() == tokenizer.build().get_vocab()
    assert shipped.eos_token == "<eos>"
    assert shipped.chat_template is None


def test_the_teacher_is_nearly_always_right(held_out):
    assert right("teacher", held_out, temperature=0) >= 0.95
    assert right("teacher", held_out, temperature=0.5, samples=2) >= 0.95


def test_the_student_is_competent_but_of_mixed_habits(held_out):
    assert 0.6 <= right("student", held_out, temperature=0) <= 0.9
    assert 0.25 <= right("student", held_out, temperature=1, samples=4) <= 0.5


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_no_question_of_the_demo_is_trained_on(part):
    held_out = {problem.question for problem in demo_problems(DEMO_QUESTIONS)}
    read = (row["question"] for row in islice(rows(part), 2000))
    assert not held_out & set(read)


def test_a_completion_has_the_shape_of_the_seam(held_out):
    row = completion("1-0", held_out[0], PARTS[0], random.Random(0))
    assert Completion.model_validate(row).answer == str(held_out[0].answer)
