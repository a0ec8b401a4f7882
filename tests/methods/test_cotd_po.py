"""CoTD-PO: the listwise loss by hand, its invariances, and where its groups come from."""

from __future__ import annotations

import itertools
from math import exp, log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.methods.renderer import Words
from tests.methods.tiny import (
    loss_of,
    make_batch,
    make_group,
    make_logprobs,
    random_numbers,
    splits,
    summed_over,
)
from training.decoding.record import Question
from training.methods import cotd_po
from training.methods.base import Skipped, group_facts, window_of
from training.methods.cotd_po import Config


def weighed(method, groups, config):
    """With their targets, and nothing dropped."""
    for group in groups:
        group.weights = method.targets(group, config)
    return groups


def targets(rewards, **settings):
    group = make_group([1 + n for n in range(len(rewards))], rewards)
    return cotd_po.targets(group, Config(**settings))


# --- Rewards become targets -----------------------------------------------------------------------


def test_targets_are_the_softmax_of_five_times_the_min_max_rewards():
    powers = [exp(5 * (reward - 2) / (6 - 2 + 0.001)) for reward in (6, 2, 4)]
    assert targets([6, 2, 4]) == pytest.approx([power / sum(powers) for power in powers])


def test_equal_rewards_ask_for_equal_probabilities():
    first, second, other = targets([1.0, 1.0, 0.0])
    assert first == second > other


@given(st.lists(st.floats(-9, 9), min_size=2, max_size=6), st.randoms())
def test_targets_are_a_distribution_that_follows_the_completions(rewards, dice):
    found = targets(rewards)
    order = dice.sample(range(len(rewards)), len(rewards))
    moved = targets([rewards[n] for n in order])
    assert moved == pytest.approx([found[n] for n in order])
    assert not any(found) or sum(found) == pytest.approx(1)


@given(st.lists(st.integers(0, 9), min_size=2, max_size=6), st.floats(0.5, 20))
def test_a_better_reward_never_gets_less(rewards, kappa):
    found = targets([float(reward) for reward in rewards], kappa=kappa)
    ranked = sorted(zip(rewards, found, strict=True))
    assert all(low <= high for (_, low), (_, high) in itertools.pairwise(ranked))


def test_all_equal_rewards_compare_nothing_unless_levelling_is_asked_for():
    assert targets([1.0, 1.0]) == [0.0, 0.0]
    assert targets([1.0, 1.0], ties="level") == [0.5, 0.5]


def test_identical_completions_count_once():
    fields = {"completions": [[1, 2], [1, 2], [3]]}
    group = make_group([2, 2, 1], [1.0, 1.0, 0.0], **fields)
    merged = cotd_po.targets(group, Config())
    assert merged[1] == 0.0
    assert merged[0] + merged[2] == pytest.approx(1)
    kept = cotd_po.targets(group, Config(merge_copies=False))
    assert kept[0] == kept[1] > 0


def test_a_group_of_nothing_but_copies_compares_nothing():
    group = make_group([1, 1], [1.0, 0.0], completions=[[1], [1]])
    assert cotd_po.targets(group, Config()) == [0.0, 0.0]


def test_anchors_and_unrated_completions_are_not_compared():
    nan = float("nan")
    group = make_group(
        [1, 2, 3, 4],
        [1.0, 0.0, nan, nan],
        present=[True, True, False, True],
        anchor=[False, False, False, True],
    )
    found = cotd_po.targets(group, Config())
    assert found[2] == found[3] == 0.0
    assert sum(found) == pytest.approx(1)


# --- The loss -------------------------------------------------------------------------------------

NUMBERS = [[[-1.0, -3.0], [-1.0]]]  # mean log-probabilities -2 and -1


def by_hand(first: float, second: float, p: float) -> float:
    """Cross-entropy of (p, 1 - p) with the softmax of two scores."""
    total = log(exp(first) + exp(second))
    return -(p * (first - total) + (1 - p) * (second - total))


P = exp(5 / 1.001) / (exp(5 / 1.001) + 1)  # the target of a right answer beside a wrong one


def test_the_loss_is_the_cross_entropy_of_mean_log_probabilities():
    config = Config(nll=0)
    groups = weighed(cotd_po, [make_group([2, 1], [1.0, 0.0])], config)
    loss, shares = loss_of(cotd_po, groups, make_logprobs(NUMBERS), config)
    assert loss.item() == pytest.approx(by_hand(-2, -1, P))
    assert float(shares["logprob_high"]) == pytest.approx(-2)
    assert float(shares["logprob_low"]) == pytest.approx(-1)
    assert float(shares["groups_compared"]) == 1


def test_without_length_normalisation_sums_are_compared():
    config = Config(nll=0, length_normalised=False)
    groups = weighed(cotd_po, [make_group([2, 1], [1.0, 0.0])], config)
    loss, _ = loss_of(cotd_po, groups, make_logprobs(NUMBERS), config)
    assert loss.item() == pytest.approx(by_hand(-4, -1, P))


def test_the_gradient_of_a_score_is_student_less_target():
    config = Config(nll=0)
    groups = weighed(cotd_po, [make_group([2, 1], [1.0, 0.0])], config)
    logprobs = make_logprobs(NUMBERS)
    loss_of(cotd_po, groups, logprobs, config)[0].backward()
    q = exp(-2) / (exp(-2) + exp(-1))
    slope = logprobs.completion.grad[0]
    assert slope[0].tolist() == pytest.approx([(q - P) / 2] * 2, abs=1e-6)
    assert slope[1].tolist() == pytest.approx([P - q, 0.0], abs=1e-6)


def test_the_authors_code_halves_and_divides_by_the_padded_row():
    config = Config(paper_code=True)
    groups = weighed(cotd_po, [make_group([2, 1], [1.0, 0.0])], config)  # a prompt of 3
    loss, _ = loss_of(cotd_po, groups, make_logprobs(NUMBERS), config)
    assert loss.item() == pytest.approx(by_hand(0.5 * -4 / 5, 0.5 * -1 / 5, P))


def test_the_authors_code_sets_what_it_overrides():
    config = Config(paper_code=True, ties="skip", kappa=9)
    assert (config.ties, config.kappa, config.score_scale, config.nll) == ("level", 5, 0.5, 1)
    assert not config.merge_copies


def test_the_thought_in_the_prompt_is_imitated_by_its_mean():
    config = Config(nll=0.3)
    groups = weighed(cotd_po, [make_group([2, 1], [1.0, 0.0], scored_from=1)], config)
    logprobs = make_logprobs(NUMBERS, prompt=[[0.0, -0.5, -2.5]])
    loss, shares = loss_of(cotd_po, groups, logprobs, config)
    assert float(shares["nll"]) == pytest.approx((0.5 + 2.5) / 2)
    assert loss.item() == pytest.approx(by_hand(-2, -1, P) + 0.3 * 1.5)


def test_an_anchor_is_imitated_and_not_compared():
    config = Config(nll=0.3)
    nan, anchor = float("nan"), [False, False, True]
    groups = weighed(cotd_po, [make_group([2, 1, 2], [1.0, 0.0, nan], anchor=anchor)], config)
    numbers = [[*NUMBERS[0], [-4.0, -2.0]]]
    loss, _ = loss_of(cotd_po, groups, make_logprobs(numbers), config)
    assert loss.item() == pytest.approx(by_hand(-2, -1, P) + 0.3 * 3)


def test_the_best_of_a_group_can_be_imitated_instead():
    config = Config(nll=1, imitate="best")
    groups = weighed(cotd_po, [make_group([2, 1], [1.0, 0.0])], config)
    _, shares = loss_of(cotd_po, groups, make_logprobs(NUMBERS), config)
    assert float(shares["nll"]) == pytest.approx(2)


def test_a_group_without_a_preference_contributes_its_thought_alone():
    config = Config(nll=0.5)
    anchor = [False, False, True]
    groups = weighed(cotd_po, [make_group([1, 1, 1], [1, 1, float("nan")], anchor=anchor)], config)
    assert cotd_po.trainable(groups[0], config)
    logprobs = make_logprobs([[[-1.0], [-2.0], [-3.0]]])
    loss, shares = loss_of(cotd_po, groups, logprobs, config)
    loss.backward()
    assert loss.item() == pytest.approx(0.5 * 3)
    assert float(shares["groups_compared"]) == 0
    assert logprobs.completion.grad[0, :, 0].tolist() == [0.0, 0.0, -0.5]


def test_a_group_without_a_preference_is_skipped_where_nothing_is_imitated():
    (tied,) = weighed(cotd_po, [make_group([1, 1], [1.0, 1.0])], Config())
    assert not cotd_po.trainable(tied, Config())
    anchored = make_group([1, 1, 1], [1, 1, float("nan")], anchor=[False, False, True])
    assert not cotd_po.trainable(anchored, Config(ties="skip"))
    assert not cotd_po.trainable(anchored, Config(nll=0))


def mixed_groups(config):
    """A thought to imitate, an absent completion, a tie, and copies, of unlike sizes."""
    nan = float("nan")
    return weighed(
        cotd_po,
        [
            make_group([2, 4, 3], [1.0, 0.0, nan], anchor=[False, False, True]),
            make_group([5, 1], [0.0, 1.0]),
            make_group([2, 2, 1], [0.5, nan, 0.7], present=[True, False, True]),
            make_group([1, 3, 2], [1.0, 1.0, nan], anchor=[False, False, True]),
        ],
        config,
    )


@pytest.mark.parametrize("parts", splits(4))
def test_shares_of_a_step_add_up_however_it_is_split(parts):
    config = Config(nll=0.3, beta=0.1)
    groups = mixed_groups(config)
    for group, old, ref in zip(
        groups, random_numbers(groups, 1), random_numbers(groups, 2), strict=True
    ):
        group.old_logprobs, group.ref_logprobs = old, ref
    numbers = random_numbers(groups)
    whole = summed_over(cotd_po, groups, numbers, [range(4)], config)
    assert summed_over(cotd_po, groups, numbers, parts, config) == pytest.approx(whole, rel=1e-5)
    assert {"loss", "kl", "drift", "effective_samples"} <= set(whole)


def test_an_absent_completion_changes_nothing():
    config = Config(nll=0)
    two = weighed(cotd_po, [make_group([2, 1], [1.0, 0.0])], config)
    fields = {"present": [True, True, False]}
    three = weighed(cotd_po, [make_group([2, 1, 4], [1.0, 0.0, float("nan")], **fields)], config)
    logprobs = make_logprobs([[*NUMBERS[0], [-0.1] * 4]])
    loss, _ = loss_of(cotd_po, three, logprobs, config)
    loss.backward()
    alone, _ = loss_of(cotd_po, two, make_logprobs(NUMBERS), config)
    assert loss.item() == pytest.approx(alone.item())
    assert logprobs.completion.grad[0, 2].abs().sum() == 0


def test_padding_changes_nothing():
    config = Config()
    groups = weighed(cotd_po, [make_group([2, 1], [1.0, 0.0])], config)
    long = weighed(cotd_po, [*groups, make_group([9, 8, 7], [1.0, 0.0, 0.0])], config)
    alone = loss_of(cotd_po, groups, make_logprobs(NUMBERS), config)[0]
    batch = make_batch(long, make_batch(groups).window)
    beside = make_logprobs([NUMBERS[0], [[0.0] * 9, [0.0] * 8, [0.0] * 7]])
    both = cotd_po.objective(beside, batch, config)[0]
    uniform = -sum(p * log(1 / 3) for p in long[1].weights)
    assert both.item() == pytest.approx(alone.item() + uniform)


def test_the_kl_term_has_the_gradient_of_the_reverse_kl():
    """Three tokens at 1/2, 1/4, 1/4, drawn just so often: the estimate is then exact."""
    logits = torch.tensor([2.0, 1.0, 1.0]).log().requires_grad_()
    reference = torch.tensor([0.2, 0.3, 0.5]).log()
    policy = logits.log_softmax(-1)
    drawn = torch.tensor([0, 0, 1, 2])
    group = make_group([1] * 4, [0.0] * 4)
    group.ref_logprobs = [[reference[token].item()] for token in drawn]
    group.old_logprobs = [[policy[token].item()] for token in drawn]
    logprobs = make_logprobs([[[0.0]] * 4])
    logprobs.completion = policy[drawn][None, :, None]
    cotd_po.kl(logprobs, make_batch([group])).backward()
    estimated = logits.grad.clone()
    logits.grad = None
    policy = logits.log_softmax(-1)
    (policy.exp() * (policy - reference)).sum().backward()
    assert torch.allclose(estimated, logits.grad, atol=1e-6)


def test_the_share_of_samples_that_still_count():
    config = Config(nll=0)
    group = make_group([1, 1], [1.0, 0.0])
    group.old_logprobs = [[-2.0], [-2.0]]
    groups = weighed(cotd_po, [group], config)
    _, shares = loss_of(cotd_po, groups, make_logprobs([[[-1.0], [-2.0]]]), config)
    ratios = [exp(1), exp(0)]
    effective = sum(ratios) ** 2 / sum(ratio**2 for ratio in ratios) / 2
    assert float(shares["effective_samples"]) == pytest.approx(effective)
    assert float(shares["drift"]) == pytest.approx(0.5)


def test_what_the_loss_does_not_read_is_dropped_and_still_logged():
    nan = float("nan")
    fields = {"completions": [[1, 2], [1, 2], [3], [4], [5, 6, 7]]}
    rewards, anchor = [1.0, 1.0, 0.0, nan, nan], [False] * 4 + [True]
    group = make_group([], rewards, present=[True] * 3 + [False, True], anchor=anchor, **fields)
    cotd_po.weigh([group], Config())
    assert group.completions == [[1, 2], [3], [5, 6, 7]]
    assert group.anchor == [False, False, True]
    facts = group_facts([group], [group])
    assert facts["reward_mean"] == pytest.approx(2 / 3)
    assert facts["completion_tokens"] == pytest.approx(5 / 3)


def test_dropping_changes_no_loss():
    whole = weighed(cotd_po, mixed_groups(Config()), Config())
    window = window_of(whole)
    numbers = random_numbers(whole)
    least = mixed_groups(Config())
    cotd_po.weigh(least, Config())
    kept = [
        [numbers[b][n] for n in cotd_po.read_by_loss(group, Config())]
        for b, group in enumerate(whole)
    ]
    before = cotd_po.objective(make_logprobs(numbers), make_batch(whole, window), Config())[0]
    after = cotd_po.objective(make_logprobs(kept), make_batch(least, window), Config())[0]
    assert after.item() == pytest.approx(before.item())


# --- Where groups come from -----------------------------------------------------------------------

TEACHER = {"id": "t", "role": "teacher", "thought": "two and two", "answer": "4"}
RIGHT = {"id": "a", "role": "student", "thought": "I count", "answer": "4"}
WRONG = {"id": "b", "role": "student", "thought": "I guess", "answer": "5"}


def asked(*completions, **fields):
    fields = {"reference_answer": "4", **fields}
    return Question(id="1", question="what is it", completions=list(completions), **fields)


def prompts_of(question, **settings):
    skipped = Skipped()
    return cotd_po.prompts(question, Config(**settings), Words(), skipped), skipped


def groups_of(question, **settings):
    skipped = Skipped()
    return cotd_po.groups(question, Config(**settings), Words(), skipped), skipped


def test_an_answer_is_drawn_after_question_and_thought_and_the_thought_is_imitated():
    (prompt,), _ = prompts_of(asked(TEACHER))
    question, thought = Words().prompt("what is it"), Words().thought("two and two")
    assert prompt.ids == question + thought
    assert prompt.scored_from == len(question)
    assert (prompt.thought, prompt.conditioned_on) == ("two and two", "t")


def test_a_question_without_a_thought_is_counted_and_left_out():
    prompts, skipped = prompts_of(asked(RIGHT))
    assert prompts == []
    assert skipped["question without a teacher's thought"] == 1


def test_own_rationales_are_drawn_after_the_question_with_the_teachers_beside_them():
    (prompt,), _ = prompts_of(asked(TEACHER), condition="question")
    assert prompt.ids == Words().prompt("what is it")
    assert prompt.anchors == (tuple(Words().completion("two and two", "4")),)


def test_without_a_teacher_own_rationales_are_drawn_all_the_same():
    (prompt,), _ = prompts_of(asked(), condition="question")
    assert prompt.anchors == ()


def test_a_rejected_thought_is_not_used():
    prompts, skipped = prompts_of(asked({**TEACHER, "accepted": False}))
    assert prompts == []
    assert skipped["rejected by a reviewer"] == 1


def test_the_best_ranked_thought_comes_first():
    other = {**TEACHER, "id": "u", "thought": "better"}
    rankings = [{"judge": "person-1", "ranks": {"t": 2, "u": 1}}]
    (prompt,), _ = prompts_of(asked(TEACHER, other, rankings=rankings))
    assert prompt.conditioned_on == "u"
    both, _ = prompts_of(asked(TEACHER, other, rankings=rankings), thoughts_per_question=2)
    assert [prompt.conditioned_on for prompt in both] == ["u", "t"]


def test_stored_rationales_are_compared_by_their_rankings():
    rankings = [{"judge": "person-1", "ranks": {"a": 2, "b": 1}}]
    (group,), _ = groups_of(asked(TEACHER, RIGHT, WRONG, rankings=rankings), condition="question")
    right, wrong, _ = group.rewards
    assert wrong > right  # the person said so, whatever the reference says
    assert group.anchor == [False, False, True]
    assert group.completions[0] == Words().completion("I count", "4")


def test_stored_rationales_without_rankings_are_compared_by_the_reward_functions():
    (group,), _ = groups_of(asked(TEACHER, RIGHT, WRONG), condition="question")
    assert group.rewards[:2] == [1.0, 0.0]


def test_a_line_of_answers_to_one_thought_is_a_group_after_that_thought():
    answers = [{**each, "thought": "", "conditioned_on": "t"} for each in (RIGHT, WRONG)]
    line = asked(*answers, thought="two and two", conditioned_on="t")
    (group,), _ = groups_of(line)
    assert group.prompt == Words().prompt("what is it") + Words().thought("two and two")
    assert group.completions == [Words().answer("4"), Words().answer("5")]
    assert groups_of(line, condition="question")[0] == []


def test_fewer_than_two_rated_completions_are_no_group():
    groups, skipped = groups_of(asked(TEACHER, RIGHT), condition="question")
    assert groups == []
    assert skipped["fewer than two rated student completions"] == 1


def test_tokens_are_kept_as_drawn_where_they_say_the_same():
    drawn = [*Words().completion("I count", "4")[:-1]]  # stopped without its end
    kept = {**RIGHT, "token_ids": drawn}
    strange = {**WRONG, "token_ids": [1, 2, 3]}
    (group,), _ = groups_of(asked(kept, strange), condition="question")
    assert group.completions[0] == drawn
    assert group.completions[1] == Words().completion("I guess", "5")


def test_rounds_come_from_where_the_source_says():
    kinds = {
        source: [each.source for each in cotd_po.rounds(Config(source=source, rounds=2))]
        for source in ("policy", "dataset", "dataset_first")
    }
    assert kinds == {
        "policy": ["policy", "policy"],
        "dataset": ["dataset"],
        "dataset_first": ["dataset", "policy"],
    }


def test_a_group_in_which_nothing_was_drawn_has_no_share_of_samples_that_count():
    config, nan = Config(), float("nan")
    drawn = make_group([1, 1], [1.0, 0.0])
    read = make_group([1, 2, 1], [nan] * 3, anchor=[True] * 3)
    groups = weighed(cotd_po, [drawn, read], config)
    for group in groups:
        group.old_logprobs = [[-2.0] * len(ids) for ids in group.completions]
    numbers = [[[-2.0], [-2.0]], [[-1.0], [-1.0, -1.0], [-1.0]]]
    _, shares = loss_of(cotd_po, groups, make_logprobs(numbers), config)
    assert float(shares["effective_samples"]) == pytest.approx(1.0)


def test_a_token_that_fell_far_makes_no_kl_that_is_not_finite():
    """Nor does an anchor, which was never drawn, whatever the student makes of it."""
    group = make_group([1, 1, 1], [1.0, 0.0, float("nan")], anchor=[False, False, True])
    group.old_logprobs = [[-1.0], [-1.0], [0.0]]
    group.ref_logprobs = [[0.0], [-1.0], [0.0]]
    logprobs = make_logprobs([[[-120.0], [-1.0], [-150.0]]])
    penalty = cotd_po.kl(logprobs, make_batch([group]))
    penalty.backward()
    assert penalty.item() == pytest.approx(exp(1) / 2)  # (e^120 - 121) e^-119, and 0
    assert logprobs.completion.grad.isfinite().all()
    assert logprobs.completion.grad[0, 2].tolist() == [0.0]


def test_what_is_left_out_is_counted_once_though_the_later_rounds_ask_again():
    line, config = asked(RIGHT), Config(source="dataset_first")
    skipped = Skipped()
    cotd_po.groups(line, config, Words(), skipped)
    cotd_po.prompts(line, config, Words(), skipped)
    assert skipped["question without a teacher's thought"] == 1
