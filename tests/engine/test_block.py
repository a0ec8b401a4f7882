"""One row a group under a mask: the same numbers, and layers that can be recomputed."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from tests.engine.shapes import FAMILIES, make_model
from tests.engine.test_group import assert_same, make_groups, plain_gradients
from training.engine.block import additive, allow_recomputing, laid_out, recomputed, visible
from training.engine.group import collate, group_logprobs
from training.methods.base import Group, window_of


def block_gradients(model: Any, groups: list[Group]) -> dict[str, torch.Tensor]:
    model.zero_grad()
    batch = collate(groups, window_of(groups))
    logprobs = group_logprobs(model, batch, block=True)
    steps = torch.arange(1, batch.mask.shape[-1] + 1)
    loss = (logprobs.completion * batch.mask * batch.present[..., None] * steps).sum()
    if logprobs.prompt is not None:
        loss = loss + (logprobs.prompt * batch.prompt_mask).sum()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters()}


@pytest.mark.parametrize("family", FAMILIES)
def test_both_layouts_give_the_same_log_probabilities(family):
    model, groups = make_model(family), make_groups()
    batch = collate(groups, window_of(groups))
    with torch.no_grad():
        cached, block = (group_logprobs(model, batch, 0.7, block=each) for each in (False, True))
    assert (cached.completion - block.completion).abs().max() <= 1e-5
    assert cached.prompt is not None
    assert block.prompt is not None
    assert (cached.prompt - block.prompt).abs().max() <= 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradients_are_those_of_padded_rows_recomputed_or_not(family):
    model, groups = make_model(family), make_groups()
    plain = plain_gradients(model, groups)
    assert_same(block_gradients(model, groups), plain)
    allow_recomputing(model)
    calls = counting_calls(model)
    with warnings.catch_warnings(), recomputed(model):
        warnings.simplefilter("error")  # a dropped cache is told by a warning alone
        assert_same(block_gradients(model, groups), plain)
    assert calls() > len(decoder_layers(model))  # each layer once more in the backward pass


def decoder_layers(model: Any) -> Any:
    return model.base_model.h if hasattr(model.base_model, "h") else model.base_model.layers


def counting_calls(model: Any) -> Any:
    """How often the layers' feed-forward parts have run since."""
    seen: list[int] = []
    for layer in decoder_layers(model):
        layer.mlp.register_forward_pre_hook(lambda *args: seen.append(1))
    return lambda: len(seen)


def test_recomputing_leaves_dropout_off_and_ends_with_its_block():
    model, groups = make_model("gpt2"), make_groups()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.9
    allow_recomputing(model)
    with recomputed(model):
        assert_same(block_gradients(model, groups), plain_gradients(model, groups))
    assert not any(module.training for module in model.modules())


def test_a_completion_sees_the_prompt_and_itself():
    group = Group("q", prompt=[7, 8], completions=[[1, 2, 3], [4, 5]], present=[True, True])
    batch = collate([group], window_of([group]))
    ids, positions, segments, starts = laid_out(batch)
    assert ids.tolist() == [[7, 8, 1, 2, 4]]  # a last token predicts nothing
    assert positions.tolist() == [[0, 1, 2, 3, 2]]
    assert starts.tolist() == [2, 4]
    assert visible(segments)[0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 0, 1],
    ]


def test_padding_sees_itself_alone_so_that_nothing_is_nan():
    seen = visible(torch.tensor([[-1, 0, -2]]))
    assert seen[0, 2].tolist() == [False, False, True]
    assert additive(seen, torch.float32)[0, 0].isfinite().all()


def test_completions_of_one_token_need_no_row_of_their_own():
    model = make_model("llama")
    group = Group("q", prompt=[1, 9, 8], completions=[[4], [5]], present=[True, True])
    batch = collate([group], window_of([group]))
    with torch.no_grad():
        cached, block = (group_logprobs(model, batch, block=each) for each in (False, True))
    assert (cached.completion - block.completion).abs().max() <= 1e-5
