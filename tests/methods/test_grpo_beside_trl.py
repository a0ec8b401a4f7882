"""Where GRPO here and in TRL 1.16 part on purpose, and which side is right: each is held against
the plain definition, one unpadded row a completion."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks._training.model import CHARACTERS, END, SPECIAL, VOCABULARY, make_tokenizer
from benchmarks._training.trl_grpo import frozen_batch, logprobs_on, loss_on, make_trainer
from training.engine.group import collate, group_logprobs
from training.methods import grpo
from training.methods.base import Group, window_of

pytestmark = pytest.mark.slow
CONFIG = grpo.Config(loss_type="dapo", scale_rewards="group", mask_truncated=False)


@pytest.fixture(scope="module")
def groups() -> list[Group]:
    """Prompts of unlike lengths, so that TRL pads some on the left."""
    dice = random.Random(1)
    first = len(SPECIAL)

    def tokens(count: int) -> list[int]:
        return [dice.randrange(first, first + len(CHARACTERS)) for _ in range(count)]

    return [
        Group(
            question=str(n),
            prompt=tokens(4 + 30 * n),
            completions=[[*tokens(3 + k), END] for k in range(8)],
            present=[True] * 8,
            rewards=[float(k % 3) for k in range(8)],
        )
        for n in range(2)
    ]


def make_model(family: str) -> Any:
    from transformers import AutoModelForCausalLM, GPT2Config, Qwen2Config

    torch.manual_seed(3)
    if family == "gpt2":
        config: Any = GPT2Config(
            vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=2, n_positions=128,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, eos_token_id=END, bos_token_id=1,
        )  # fmt: skip
    else:
        config = Qwen2Config(
            vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=128,
            eos_token_id=END, bos_token_id=1, pad_token_id=0,
        )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).float()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4)
    return model


def plain(model: Any, groups: list[Group]) -> list[Tensor]:
    """The log-probabilities of each completion, in a row by itself."""
    rows = []
    for group in groups:
        for ids in group.completions:
            whole = torch.tensor([group.prompt + ids])
            logprobs = model(whole).logits.float()[0, len(group.prompt) - 1 : -1].log_softmax(-1)
            rows.append(logprobs.gather(-1, torch.tensor(ids)[:, None])[:, 0])
    return rows


def rows_of(block: Tensor, groups: list[Group]) -> list[Tensor]:
    lengths = [len(ids) for group in groups for ids in group.completions]
    return [row[:length] for row, length in zip(block.flatten(0, -2), lengths, strict=True)]


def furthest(found: list[Tensor], right: list[Tensor]) -> float:
    pairs = zip(found, right, strict=True)
    return max(float((a.detach() - b.detach()).abs().max()) for a, b in pairs)


@pytest.fixture
def trainer(groups, tmp_path: Path) -> Any:
    def make(model: Any) -> Any:
        for group in groups:
            group.old_logprobs = [[-2.0] * len(ids) for ids in group.completions]
        return make_trainer(tmp_path / "trl", model, make_tokenizer(), groups, 1, 16)

    return make


@pytest.mark.parametrize("family", ["qwen2", "gpt2"])
def test_positions_behind_padding_are_wrong_in_trl_for_absolute_ones(groups, trainer, family):
    """Rotary positions count from anywhere; GPT-2's do not, and TRL passes none."""
    theirs = trainer(make_model(family))
    model = theirs.model.eval()
    with torch.no_grad():
        right = plain(model, groups)
        ours = group_logprobs(model, collate(groups, window_of(groups))).completion
        told = logprobs_on(theirs, frozen_batch(theirs, groups))
    assert furthest(rows_of(ours, groups), right) <= 1e-5
    wrong = furthest(rows_of(told, groups), right)
    assert wrong > 0.1 if family == "gpt2" else wrong <= 1e-4


def test_a_policy_that_has_moved_on_is_weighed_by_its_stored_log_probabilities(groups, trainer):
    """TRL leaves stored log-probabilities unread and takes every ratio for 1."""
    theirs = trainer(make_model("qwen2"))
    model = theirs.model
    with torch.no_grad():
        right = plain(model, groups)
    step = torch.Generator().manual_seed(7)
    for group, rows in zip(groups, (right[:8], right[8:]), strict=True):
        noise = [0.6 * torch.randn(len(row), generator=step) for row in rows]
        group.old_logprobs = [(row + n).tolist() for row, n in zip(rows, noise, strict=True)]
        group.weights = []
    grpo.weigh(groups, CONFIG)
    batch = collate(groups, window_of(groups))
    loss, shares = grpo.objective(group_logprobs(model, batch), batch, CONFIG)
    assert float(loss) == pytest.approx(by_definition(right, groups), rel=1e-4)
    assert float(shares["clipped_high"]) > 0
    unread = float(loss_on(theirs, frozen_batch(theirs, groups)).detach())
    as_if_new = [group.old_logprobs for group in groups]
    for group, rows in zip(groups, (right[:8], right[8:]), strict=True):
        group.old_logprobs = [row.tolist() for row in rows]
    assert unread == pytest.approx(by_definition(right, groups), abs=1e-4)
    assert abs(unread - float(loss)) > 0.01
    for group, old in zip(groups, as_if_new, strict=True):
        group.old_logprobs = old


def by_definition(logprobs: list[Tensor], groups: list[Group]) -> float:
    """-(1 / tokens) sum over tokens of min(rho A, clip(rho) A), by hand."""
    low, high = CONFIG.clip_range()
    rows = iter(logprobs)
    total, tokens = 0.0, 0
    for group in groups:
        assert group.old_logprobs is not None
        for old, advantage in zip(group.old_logprobs, group.weights, strict=True):
            ratio = (next(rows) - torch.tensor(old)).exp()
            taken = torch.minimum(ratio * advantage, ratio.clamp(low, high) * advantage)
            total, tokens = total - float(taken.sum()), tokens + len(old)
    return total / tokens
