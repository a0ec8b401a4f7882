"""GRPO: each loss by hand and beside TRL's, the advantages, and what is left out."""

from __future__ import annotations

from collections import defaultdict
from math import exp, log
from statistics import fmean, stdev
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.methods.tiny import (
    loss_of,
    make_batch,
    make_group,
    make_logprobs,
    random_numbers,
    splits,
    summed_over,
    weighed,
)
from training.methods import grpo
from training.methods.grpo import Config

LOSSES = ("grpo", "bnpo", "dapo", "dr_grpo", "gspo")


# --- Rewards become advantages --------------------------------------------------------------------


def weights(groups, **settings):
    return [group.weights for group in weighed(grpo, groups, Config(**settings))]


def test_an_advantage_is_the_reward_less_the_mean_of_its_group():
    (found,) = weights([make_group([1, 2, 3, 4], [1.0, 0.0, 0.0, 1.0])])
    assert found == [0.5, -0.5, -0.5, 0.5]


def test_left_out_of_its_own_baseline_a_reward_meets_the_mean_of_the_others():
    (found,) = weights([make_group([1, 2, 3], [1.0, 0.0, 0.5])], baseline="leave_one_out")
    assert found == pytest.approx([1 - 0.25, 0 - 0.75, 0.5 - 0.5])


def test_advantages_can_be_divided_by_the_spread_of_the_group():
    (found,) = weights([make_group([1, 2], [1.0, 0.0])], scale_rewards="group")
    assert found == pytest.approx([0.5 / (0.5**0.5 + 1e-4), -0.5 / (0.5**0.5 + 1e-4)])


def test_advantages_can_be_divided_by_the_spread_of_the_round():
    groups = [make_group([1, 2], [1.0, 0.0]), make_group([1, 2], [0.5, 0.5])]
    first, second = weights(groups, scale_rewards="batch")
    assert first[0] == pytest.approx(0.5 / (stdev([1.0, 0.0, 0.5, 0.5]) + 1e-4))
    assert second == [0.0, 0.0]


def test_a_completion_without_a_reward_leaves_the_baseline():
    group = make_group([1, 2, 3], [1.0, 0.0, float("nan")], present=[True, True, False])
    assert weights([group]) == [[0.5, -0.5, 0.0]]


@given(st.floats(-1e6, 1e6), st.sampled_from(["none", "group", "batch"]))
def test_a_group_of_equal_rewards_has_no_advantage_at_all(reward, scale):
    (found,) = weights([make_group([1, 2, 3], [reward] * 3)], scale_rewards=scale)
    assert found == [0.0, 0.0, 0.0]


@given(st.lists(st.floats(-9, 9), min_size=2, max_size=6), st.sampled_from(["none", "group"]))
def test_advantages_of_a_group_add_up_to_nothing(rewards, scale):
    (found,) = weights([make_group([1] * len(rewards), rewards)], scale_rewards=scale)
    assert sum(found) == pytest.approx(0, abs=1e-6)


def test_overlong_completions_lose_up_to_one():
    settings = {"max_completion_tokens": 10, "overlong_band": 4}
    group = make_group([6, 8, 10], [1.0, 1.0, 1.0])
    rewards = [1.0, 1 - 2 / 4, 1 - 1]
    (found,) = weights([group], **settings)
    assert found == pytest.approx([reward - fmean(rewards) for reward in rewards])


# --- What is trained on ---------------------------------------------------------------------------


def test_a_group_of_equal_rewards_is_left_out_unless_the_kl_term_acts():
    (group,) = weighed(grpo, [make_group([1, 2], [1.0, 1.0])], Config())
    assert not grpo.trainable(group, Config())
    assert grpo.trainable(group, Config(beta=0.04))


def test_a_group_whose_only_live_completions_are_truncated_is_left_out():
    fields = {"truncated": [True, True]}
    (group,) = weighed(grpo, [make_group([1, 2], [1.0, 0.0], **fields)], Config())
    assert not grpo.trainable(group, Config())
    assert grpo.trainable(group, Config(mask_truncated=False))


def test_a_truncated_completion_counts_in_the_baseline_and_teaches_nothing():
    config = Config(loss_type="dapo")
    fields = {"truncated": [False, True]}
    groups = weighed(grpo, [make_group([2, 3], [1.0, 0.0], **fields)], config)
    logprobs = make_logprobs([[[-1.0, -1.0], [-1.0] * 3]])
    loss, _ = loss_of(grpo, groups, logprobs, config)
    loss.backward()
    assert loss.item() == pytest.approx(-0.5)
    assert logprobs.completion.grad[0, 0, :2].tolist() == pytest.approx([-0.25, -0.25])
    assert logprobs.completion.grad[0, 1].abs().sum() == 0


# --- The losses by hand ---------------------------------------------------------------------------


def off_policy(config):
    """Lengths 2 and 1, advantages 1/2 and -1/2; the ratios are 1.5, 1.1 and 0.5."""
    group = make_group([2, 1], [1.0, 0.0])
    group.old_logprobs = [[-1 - log(1.5), -1 - log(1.1)], [-1 - log(0.5)]]
    numbers = [[[-1.0, -1.0], [-1.0]]]
    return loss_of(grpo, weighed(grpo, [group], config), make_logprobs(numbers), config)


# 1.5 is clipped to 1.28 as its advantage is positive; 0.5 to 0.8 as its own is negative.
TOKENS = [-0.5 * 1.28, -0.5 * 1.1, 0.5 * 0.8]


@pytest.mark.parametrize(
    ("loss_type", "expected"),
    [
        ("grpo", ((TOKENS[0] + TOKENS[1]) / 2 + TOKENS[2]) / 2),
        ("bnpo", sum(TOKENS) / 3),
        ("dapo", sum(TOKENS) / 3),
        ("dr_grpo", sum(TOKENS) / (2 * 20)),
    ],
)
def test_each_loss_divides_as_it_says(loss_type, expected):
    loss, shares = off_policy(Config(loss_type=loss_type, max_completion_tokens=20))
    assert loss.item() == pytest.approx(expected)
    assert float(shares["clipped_high"]) == pytest.approx(1 / 3)
    assert float(shares["clipped_low"]) == pytest.approx(1 / 3)
    assert float(shares["ratio"]) == pytest.approx((1.5 + 1.1 + 0.5) / 3)
    assert float(shares["advantage_size"]) == pytest.approx(0.5)


def test_gspo_clips_one_ratio_a_sequence():
    loss, _ = off_policy(Config(loss_type="gspo", epsilon=0.2, epsilon_high=0.28))
    ratio = (1.5 * 1.1) ** 0.5  # 1.2845, clipped to 1.28
    assert ratio > 1.28
    assert loss.item() == pytest.approx((-0.5 * 1.28 + 0.5 * 0.8) / 2)


def test_an_empty_clip_takes_the_losss_own():
    assert Config(loss_type="gspo").clip_range() == (1 - 3e-4, 1 + 4e-4)
    assert Config(loss_type="dapo").clip_range() == (1 - 0.2, 1 + 0.28)
    assert Config(loss_type="gspo", epsilon=0.1).clip_range() == (0.9, 1 + 4e-4)


def test_at_ratio_one_the_gradient_is_the_advantage():
    config = Config(loss_type="dapo")
    group = make_group([2, 1], [1.0, 0.0], old_logprobs=[[-1.0, -2.0], [-3.0]])
    logprobs = make_logprobs([[[-1.0, -2.0], [-3.0]]])
    loss, shares = loss_of(grpo, weighed(grpo, [group], config), logprobs, config)
    loss.backward()
    slope = (logprobs.completion.grad[0] * 3).tolist()
    assert slope[0] == pytest.approx([-0.5, -0.5])
    assert slope[1] == pytest.approx([0.5, 0.0])
    assert float(shares["entropy"]) == pytest.approx((1 + 2 + 3) / 3)
    assert float(shares["logprob_gap"]) == 0


def test_the_kl_term_is_k3_times_the_ratio():
    config = Config(loss_type="dapo", beta=0.1)
    group = make_group([1, 1], [1.0, 1.0])
    group.old_logprobs, group.ref_logprobs = [[-1.0], [-2.0]], [[-1.5], [-1.5]]
    numbers = [[[-1.2], [-2.0]]]
    loss, shares = loss_of(grpo, weighed(grpo, [group], config), make_logprobs(numbers), config)
    first = (exp(-0.3) + 0.3 - 1) * exp(-0.2)
    second = exp(0.5) - 0.5 - 1
    assert float(shares["kl"]) == pytest.approx((first + second) / 2)
    assert loss.item() == pytest.approx(0.1 * (first + second) / 2)


def test_the_kl_term_has_the_gradient_of_the_reverse_kl():
    """Three tokens at 1/2, 1/4, 1/4, drawn just so often: the estimate is then exact."""
    config = Config(loss_type="dapo", beta=1.0)
    logits = torch.tensor([2.0, 1.0, 1.0]).log().requires_grad_()
    reference = torch.tensor([0.2, 0.3, 0.5]).log()
    policy = logits.log_softmax(-1)
    drawn = torch.tensor([0, 0, 1, 2])
    group = make_group([1] * 4, [0.0] * 4)
    group.ref_logprobs = [[reference[token].item()] for token in drawn]
    group.old_logprobs = [[policy[token].item()] for token in drawn]
    logprobs = make_logprobs([[[0.0]] * 4])
    logprobs.completion = policy[drawn][None, :, None]
    loss_of(grpo, weighed(grpo, [group], config), logprobs, config)[0].backward()
    estimated = logits.grad.clone()
    logits.grad = None
    policy = logits.log_softmax(-1)
    (policy.exp() * (policy - reference)).sum().backward()
    assert torch.allclose(estimated, logits.grad, atol=1e-6)


# --- Invariances ----------------------------------------------------------------------------------


def mixed_groups(config):
    """Unlike sizes, an absent completion and a truncated one, drawn by an older policy."""
    nan = float("nan")
    groups = [
        make_group([2, 4, 3], [1.0, 0.0, 0.5]),
        make_group([5, 1], [0.0, 1.0], truncated=[True, False]),
        make_group([2, 2, 1], [0.5, nan, 0.7], present=[True, False, True]),
    ]
    for group, old, ref in zip(
        groups, random_numbers(groups, 1), random_numbers(groups, 2), strict=True
    ):
        group.old_logprobs, group.ref_logprobs = old, ref
    return weighed(grpo, groups, config)


@pytest.mark.parametrize("loss_type", LOSSES)
@pytest.mark.parametrize("parts", splits(3))
def test_shares_of_a_step_add_up_however_it_is_split(loss_type, parts):
    config = Config(loss_type=loss_type, beta=0.1)
    groups = mixed_groups(config)
    numbers = random_numbers(groups)
    whole = summed_over(grpo, groups, numbers, [range(3)], config)
    assert summed_over(grpo, groups, numbers, parts, config) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("loss_type", LOSSES)
def test_an_absent_completion_changes_nothing(loss_type):
    config = Config(loss_type=loss_type)
    two = weighed(grpo, [make_group([2, 1], [1.0, 0.0])], config)
    fields = {"present": [True, True, False]}
    three = weighed(grpo, [make_group([2, 1, 4], [1.0, 0.0, float("nan")], **fields)], config)
    logprobs = make_logprobs([[[-1.0, -2.0], [-3.0], [-0.1] * 4]])
    loss, _ = loss_of(grpo, three, logprobs, config)
    loss.backward()
    alone, _ = loss_of(grpo, two, make_logprobs([[[-1.0, -2.0], [-3.0]]]), config)
    assert loss.item() == pytest.approx(alone.item())
    assert logprobs.completion.grad[0, 2].abs().sum() == 0


# --- Beside TRL -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trl_loss():
    """TRL's own `_compute_loss` on stored log-probabilities."""
    from trl.trainer.grpo_trainer import GRPOTrainer

    def compute(config: Config, batch, policy):
        low, high = config.clip_range()
        per_sequence = config.loss_type == "gspo"
        rows = batch.mask.flatten(0, 1)  # [B·N, T]
        trainer = SimpleNamespace(
            _get_per_token_logps_and_entropies=lambda *_, **__: (policy, -policy.detach(), None),
            accelerator=SimpleNamespace(
                num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x
            ),
            args=SimpleNamespace(delta=None, use_bias_correction_kl=True, steps_per_generation=1),
            model=SimpleNamespace(training=True),
            aux_loss_enabled=False,
            top_entropy_quantile=1.0,
            off_policy_mask_threshold=None,
            importance_sampling_level="sequence" if per_sequence else "token",
            loss_type="grpo" if per_sequence else config.loss_type,
            epsilon_low=1 - low,
            epsilon_high=high - 1,
            beta=config.beta,
            use_vllm=False,
            current_gradient_accumulation_steps=1,
            max_completion_length=config.max_completion_tokens,
            _entropy_bonus_enabled=False,
            _metrics={"train": defaultdict(list)},
        )
        inputs = {
            "prompt_ids": torch.zeros(len(rows), 1, dtype=torch.long),
            "prompt_mask": torch.ones(len(rows), 1),
            "completion_ids": torch.zeros(rows.shape, dtype=torch.long),
            "completion_mask": rows,
            "advantages": batch.weights.flatten(),
            "old_per_token_logps": batch.old_logprobs.flatten(0, 1),
            "ref_per_token_logps": batch.ref_logprobs.flatten(0, 1),
            "num_items_in_batch": rows.sum(),
        }
        return GRPOTrainer._compute_loss(trainer, None, inputs), trainer._metrics["train"]

    return compute


@pytest.mark.parametrize("loss_type", LOSSES)
@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_loss_and_gradient_are_trls(trl_loss, loss_type, scale):
    config = Config(
        loss_type=loss_type,
        scale_rewards=scale,
        beta=0.0 if loss_type == "gspo" else 0.05,  # there TRL weighs KL by the sequence
        max_completion_tokens=12,
    )
    groups = [make_group([4, 7, 1], [1.0, 0.0, 0.3]), make_group([2, 5, 6], [0.0, 0.0, 1.0])]
    for group, old, ref in zip(
        groups, random_numbers(groups, 1), random_numbers(groups, 2), strict=True
    ):
        group.old_logprobs, group.ref_logprobs = old, ref
    batch = make_batch(weighed(grpo, groups, config))
    ours = make_logprobs(random_numbers(groups))
    loss, shares = grpo.objective(ours, batch, config)
    loss.backward()
    theirs = ours.completion.detach().flatten(0, 1).requires_grad_()
    their_loss, their_metrics = trl_loss(config, batch, theirs)
    their_loss.backward()
    assert loss.item() == pytest.approx(their_loss.item(), rel=1e-5)
    slopes = ours.completion.grad.flatten(0, 1), theirs.grad
    assert torch.allclose(*slopes, atol=1e-7)
    if loss_type != "gspo":
        (clipped,) = their_metrics["clip_ratio/high_mean"]
        assert float(shares["clipped_high"]) == pytest.approx(clipped)
        assert float(shares["kl"]) == pytest.approx(their_metrics["kl"][0])


def test_advantages_are_trls():
    from trl.trainer.utils import nanstd

    rewards = torch.tensor([[1.0, 0.0, 0.3], [0.0, 0.0, 1.0]])
    groups = [make_group([1, 2, 3], row.tolist()) for row in rewards]
    centred = rewards - rewards.mean(1, keepdim=True)
    for scale, spread in (("group", nanstd(rewards, dim=1)[:, None]), ("batch", nanstd(rewards))):
        found = torch.tensor(weights(groups, scale_rewards=scale))
        assert torch.allclose(found, centred / (spread + 1e-4), atol=1e-6)


def test_a_token_that_fell_far_makes_no_kl_that_is_not_finite():
    config = Config(loss_type="dapo", beta=1.0)
    group = make_group([1, 1], [1.0, 1.0])
    group.old_logprobs, group.ref_logprobs = [[-1.0], [-1.0]], [[0.0], [-1.0]]
    logprobs = make_logprobs([[[-120.0], [-1.0]]])
    loss, shares = loss_of(grpo, weighed(grpo, [group], config), logprobs, config)
    loss.backward()
    assert float(shares["kl"]) == pytest.approx(exp(1) / 2)  # (e^120 - 121) e^-119, and 0
    assert logprobs.completion.grad.isfinite().all()
