"""The batch plan: every group once an epoch, the same in every attempt, within its tokens."""

from __future__ import annotations

from itertools import pairwise

import pytest

from training.engine.plan import learning_rate, micro_batches, padded_tokens, plan
from training.engine.seeds import seed_for
from training.methods.base import Group


def test_every_epoch_sees_every_group_once_in_an_order_of_its_own():
    steps = plan([10, 4], epochs=2, groups_per_step=4, seed=1)
    assert [step.number for step in steps] == list(range(1, 9))
    assert [step.round for step in steps] == [0] * 6 + [1] * 2
    first, second = (sum((step.places for step in steps[a : a + 3]), ()) for a in (0, 3))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert plan([10, 4], 2, 4, seed=1) == steps != plan([10, 4], 2, 4, seed=2)


def test_micro_batches_keep_to_the_tokens_and_lose_nothing():
    groups = [
        Group(str(n), [1] * (n % 5 + 1), [[2] * (n % 7 + 1)] * 2, [True] * 2) for n in range(30)
    ]
    batches = list(micro_batches(groups, 60))
    kept = [group.question for batch in batches for group in batch]
    assert sorted(kept) == sorted(group.question for group in groups)
    assert all(padded_tokens(batch) <= 60 for batch in batches if len(batch) > 1)
    prompts = [len(group.prompt) for batch in batches for group in batch]
    assert prompts == sorted(prompts)  # like prompts together
    assert len(list(micro_batches(groups, 1))) == 30


def test_the_rate_rises_straight_and_falls_as_its_schedule_says():
    def rates(schedule: str) -> list[float]:
        return [learning_rate(step, 10, 1.0, 0.2, schedule) for step in range(1, 11)]

    assert rates("constant") == pytest.approx([0.5] + [1.0] * 9)
    assert rates("linear")[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert rates("linear")[3] == pytest.approx(1 - 1 / 8)
    cosine = rates("cosine")
    assert cosine[6] == pytest.approx(0.5)
    assert all(left >= right for left, right in pairwise(cosine[1:]))
    assert learning_rate(1, 1, 1.0, 0.0, "cosine") == 1.0


def test_seeds_depend_on_every_part_and_on_nothing_else():
    assert seed_for(0, "order", 1) == 116_889_601_432_050_504, (
        "runs of earlier versions would not resume"
    )
    apart = {seed_for(0, "a", 1), seed_for(1, "a", 1), seed_for(0, "b", 1), seed_for(0, "a", 2)}
    assert len(apart) == 4
    assert seed_for("1", 2) != seed_for(1, "2")
    assert 0 <= seed_for("x") < 2**63
