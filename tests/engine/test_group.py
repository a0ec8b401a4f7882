"""One prompt through the model once gives what one padded row for each completion gives."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from tests.engine.shapes import FAMILIES, VOCABULARY, make_model
from training.engine import group as engine_group
from training.engine.group import collate, group_logprobs
from training.engine.plan import micro_batches
from training.methods.base import Group, window_of


def make_groups(seed: int = 0) -> list[Group]:
    """Four groups of unlike prompts and completions, some absent, one that scores its prompt."""
    dice = random.Random(seed)

    def ids(longest: int) -> list[int]:
        return [dice.randrange(3, VOCABULARY) for _ in range(dice.randint(1, longest))]

    groups = []
    for number, size in enumerate((3, 1, 4, 2)):
        present = [dice.random() < 0.8 for _ in range(size)]
        present[0] = True
        groups.append(
            Group(
                question=str(number),
                prompt=[1, *ids(9)],
                completions=[ids(7) for _ in range(size)],
                present=present,
                scored_from=1 if number == 2 else None,
            )
        )
    return groups


def by_rows(model: Any, group: Group, temperature: float = 1.0) -> tuple[list[Any], Any]:
    """The plain way: each completion a row of its own behind its prompt."""
    rows = []
    for completion in group.completions:
        ids = torch.tensor([group.prompt + completion])
        logits = model(ids).logits.float()[0]
        start = len(group.prompt)
        scored = (logits[start - 1 : -1] / temperature).log_softmax(-1)
        rows.append(scored.gather(-1, ids[0, start:, None])[:, 0])
    prompt = None
    if group.scored_from is not None:
        ids = torch.tensor([group.prompt])
        logprobs = model(ids).logits.float()[0].log_softmax(-1)
        first = group.scored_from
        prompt = logprobs[first - 1 : -1].gather(-1, ids[0, first:, None])[:, 0]
    return rows, prompt


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probabilities_are_those_of_padded_rows(family, temperature):
    model, groups = make_model(family), make_groups()
    with torch.no_grad():
        ours = group_logprobs(model, collate(groups, window_of(groups)), temperature)
        for b, group in enumerate(groups):
            rows, prompt = by_rows(model, group, temperature)
            for n, row in enumerate(rows):
                assert (ours.completion[b, n, : len(row)] - row).abs().max() <= 1e-5
                assert ours.completion[b, n, len(row) :].abs().sum() == 0
            if prompt is not None:
                assert ours.prompt is not None
                found = ours.prompt[b, group.scored_from : len(group.prompt)]
                assert (found - prompt).abs().max() <= 1e-5


def gradients(model: Any, batches: list[list[Group]]) -> dict[str, torch.Tensor]:
    """Of the summed log-probabilities, each token with a weight of its own."""
    model.zero_grad()
    for groups in batches:
        batch = collate(groups, window_of(groups))
        logprobs = group_logprobs(model, batch)
        steps = torch.arange(1, batch.mask.shape[-1] + 1)
        loss = (logprobs.completion * batch.mask * batch.present[..., None] * steps).sum()
        if logprobs.prompt is not None:
            loss = loss + (logprobs.prompt * batch.prompt_mask).sum()
        loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters()}


def plain_gradients(model: Any, groups: list[Group]) -> dict[str, torch.Tensor]:
    model.zero_grad()
    for group in groups:
        rows, prompt = by_rows(model, group)
        for row, here in zip(rows, group.present, strict=True):
            if here:
                (row * torch.arange(1, len(row) + 1)).sum().backward()
        if prompt is not None:
            prompt.sum().backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters()}


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    for name, gradient in left.items():
        scale = right[name].abs().max().clamp(min=1e-6)
        assert (gradient - right[name]).abs().max() / scale <= 1e-4, name


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_padded_rows(family):
    model, groups = make_model(family), make_groups()
    assert_same(gradients(model, [groups]), plain_gradients(model, groups))


@pytest.mark.parametrize("tokens", [1, 30, 10_000])
def test_no_split_and_no_order_changes_the_gradient(tokens):
    model, groups = make_model("llama"), make_groups()
    whole = gradients(model, [groups])
    assert_same(gradients(model, list(micro_batches(groups[::-1], tokens))), whole)


def test_log_probabilities_in_chunks_are_the_same(monkeypatch):
    model, groups = make_model("llama"), make_groups()
    whole = gradients(model, [groups])
    monkeypatch.setattr(engine_group, "LOGITS_AT_ONCE", VOCABULARY * 3)
    assert_same(gradients(model, [groups]), whole)


def test_rows_of_like_length_go_through_together():
    assert engine_group.alike([5, 1, 0, 5, 2], tokens=4) == [([2, 1, 4], 2), ([0], 5), ([3], 5)]
    assert engine_group.alike([3, 1], tokens=float("inf")) == [([1, 0], 3)]
    assert engine_group.alike([0, 0], tokens=9) == [([0, 1], 1)]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tokens", [1, 6, 11])
def test_rows_in_parts_by_length_give_the_same(monkeypatch, family, tokens):
    model, groups = make_model(family), make_groups(seed=3)
    whole = gradients(model, [groups])
    monkeypatch.setattr(engine_group, "tokens_at_once", lambda device: tokens)
    assert_same(gradients(model, [groups]), whole)


def test_what_is_imitated_is_read_at_temperature_1():
    model, groups = make_model("llama"), make_groups()
    for group in groups:
        group.anchor = [n % 2 == 1 for n in range(len(group.completions))]
    with torch.no_grad():
        ours = group_logprobs(model, collate(groups, window_of(groups)), 0.5).completion
        for b, group in enumerate(groups):
            plain, warm = by_rows(model, group)[0], by_rows(model, group, 0.5)[0]
            for n, anchor in enumerate(group.anchor):
                row = plain[n] if anchor else warm[n]
                assert (ours[b, n, : len(row)] - row).abs().max() <= 1e-5
