"""DPO: the loss by hand, which pairs there are, and that training prefers what was preferred."""

from __future__ import annotations

from contextlib import nullcontext
from math import exp, log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.shapes import FAMILIES, make_model
from tests.methods.preference_runs import make_rows, trained
from tests.methods.renderer import Words, WordTokenizer
from tests.methods.tiny import (
    loss_of,
    make_group,
    make_logprobs,
    random_numbers,
    splits,
    summed_over,
)
from training.decoding.prompts import Renderer
from training.decoding.record import Question
from training.engine.job import BadJob
from training.engine.rounds import Rounds
from training.engine.stop import Stop
from training.methods import dpo
from training.methods.base import Pair, Skipped, window_of
from training.methods.dpo import Config
from training.methods.pairs import pairs_of, softplus
from training.rewards import reward_functions

# --- The loss by hand -----------------------------------------------------------------------------

# Log-likelihoods -4 and -2 under the student, -5 and -1.5 under the frozen start:
# u = 1 and -0.5, so h = 1.5. Per token u is 0.5 and -0.5, so h is 1.
NUMBERS = [[[-1.0, -3.0], [-2.0]]]
START = [[-2.0, -3.0], [-1.5]]


def one_pair(**fields):
    return make_group([2, 1], [1.0, 0.0], pairs=[Pair(0, 1)], ref_logprobs=START, **fields)


def found(group, numbers=NUMBERS, **settings):
    return loss_of(dpo, [group], make_logprobs(numbers), Config(**settings))


def test_the_loss_is_minus_log_sigmoid_of_beta_times_the_difference_of_log_ratios():
    loss, shares = found(one_pair(), beta=0.2)
    assert loss.item() == pytest.approx(log(1 + exp(-0.2 * 1.5)))
    assert float(shares["margin"]) == pytest.approx(0.2 * 1.5)
    assert float(shares["reward_chosen"]) == pytest.approx(0.2 * 1.0)
    assert float(shares["reward_rejected"]) == pytest.approx(0.2 * -0.5)
    assert float(shares["logprob_chosen"]) == pytest.approx(-2)
    assert float(shares["logprob_rejected"]) == pytest.approx(-2)
    assert float(shares["accuracy"]) == 1
    assert float(shares["pairs"]) == 1


def test_length_normalised_it_compares_means():
    loss, _ = found(one_pair(), beta=0.2, length_normalised=True)
    assert loss.item() == pytest.approx(log(1 + exp(-0.2 * 1.0)))


def test_ipo_seeks_a_finite_difference():
    loss, _ = found(one_pair(), beta=0.2, loss_type="ipo")
    assert loss.item() == pytest.approx((1.5 - 1 / 0.4) ** 2)


def test_smoothed_labels_take_a_share_of_the_pairs_the_wrong_way_round():
    loss, _ = found(one_pair(), beta=0.2, label_smoothing=0.1)
    right, wrong = log(1 + exp(-0.3)), log(1 + exp(0.3))
    assert loss.item() == pytest.approx(0.9 * right + 0.1 * wrong)


def test_imitation_adds_the_preferred_ones_mean_negative_log_likelihood():
    loss, shares = found(one_pair(), beta=0.2, nll=0.5)
    assert float(shares["nll"]) == pytest.approx(2)
    assert loss.item() == pytest.approx(log(1 + exp(-0.3)) + 0.5 * 2)


def test_the_gradient_is_largest_where_the_order_is_wrong():
    logprobs = make_logprobs(NUMBERS)
    loss_of(dpo, [one_pair()], logprobs, Config(beta=0.2))[0].backward()
    slope = 0.2 * (1 - 1 / (1 + exp(-0.3)))
    assert logprobs.completion.grad[0].flatten().tolist() == pytest.approx(
        [-slope, -slope, slope, 0]
    )


def test_at_the_start_the_loss_is_log_two_and_every_pair_pulls_alike():
    logprobs = make_logprobs([START])
    loss, _ = loss_of(dpo, [one_pair()], logprobs, Config(beta=0.2))
    loss.backward()
    assert loss.item() == pytest.approx(log(2))
    assert logprobs.completion.grad[0, 0, 0].item() == pytest.approx(-0.1)


def test_all_pairs_of_a_question_are_read_from_one_forward_of_its_completions():
    """Differences 1.5 and 2.5 and 1 of u = 1, -0.5 and -1.5; the pairs count alike."""
    group = make_group([1, 1, 1], [2.0, 1.0, 0.0], ref_logprobs=[[-2.0], [-1.0], [-0.5]])
    group.pairs = pairs_of(group, Config())
    loss, _ = found(group, [[[-1.0], [-1.5], [-2.0]]], beta=1.0)
    assert loss.item() == pytest.approx(sum(log(1 + exp(-h)) for h in (1.5, 2.5, 1.0)) / 3)


def test_the_pairs_of_one_question_can_share_one_vote():
    many = make_group([1, 1, 1], [2.0, 1.0, 0.0], ref_logprobs=[[-2.0], [-1.0], [-0.5]])
    few = make_group([1, 1], [1.0, 0.0], ref_logprobs=[[-1.0], [-1.0]])
    for group in (many, few):
        group.pairs = pairs_of(group, Config(weigh_pairs="question"))
    numbers = make_logprobs([[[-1.0], [-1.5], [-2.0]], [[-1.0], [-1.4]]])
    loss, _ = loss_of(dpo, [many, few], numbers, Config(beta=1.0))
    first = sum(log(1 + exp(-h)) for h in (1.5, 2.5, 1.0)) / 3
    assert loss.item() == pytest.approx((first + log(1 + exp(-0.4))) / 2)


def test_an_enormous_difference_overflows_nothing():
    values = torch.tensor([-1e4, 0.0, 1e4], requires_grad=True)
    softplus(values).sum().backward()
    assert softplus(values).tolist() == pytest.approx([0, log(2), 1e4])
    assert values.grad.tolist() == pytest.approx([0, 0.5, 1])


# --- Invariances ----------------------------------------------------------------------------------


def mixed_groups(**settings):
    groups = [
        make_group([2, 4, 3], [1.0, 0.0, 0.5]),
        make_group([5, 1], [0.0, 1.0]),
        make_group([2, 2, 1, 6], [0.5, 0.1, 0.7, 0.7]),
    ]
    for group, start in zip(groups, random_numbers(groups, 1), strict=True):
        group.ref_logprobs = start
        group.pairs = pairs_of(group, Config(**settings))
    return groups


@pytest.mark.parametrize("weigh_pairs", ["pair", "question"])
@pytest.mark.parametrize("parts", splits(3))
def test_shares_of_a_step_add_up_however_it_is_split(parts, weigh_pairs):
    config = Config(nll=0.3, label_smoothing=0.1)
    groups = mixed_groups(weigh_pairs=weigh_pairs)
    numbers = random_numbers(groups)
    whole = summed_over(dpo, groups, numbers, [range(3)], config)
    assert summed_over(dpo, groups, numbers, parts, config) == pytest.approx(whole, rel=1e-5)
    assert whole["pairs"] == 3 + 1 + 5


@given(st.lists(st.integers(0, 3), min_size=2, max_size=5), st.randoms())
def test_the_order_of_the_completions_changes_nothing(rewards, dice):
    lengths = [1 + n for n in range(len(rewards))]
    order = dice.sample(range(len(rewards)), len(rewards))
    losses = []
    for places in (range(len(rewards)), order):
        group = make_group([1] * len(rewards), [float(rewards[n]) for n in places])
        group.completions = [[n] * lengths[n] for n in places]
        group.pairs = pairs_of(group, Config())
        group.ref_logprobs = [[-1.0] * lengths[n] for n in places]
        numbers = [[[-0.3 * (n + 1)] * lengths[n] for n in places]]
        if not group.pairs:
            assert len(set(rewards)) == 1
            return
        losses.append(loss_of(dpo, [group], make_logprobs(numbers), Config())[0].item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_what_is_dropped_takes_its_pairs_with_it():
    group = make_group([1, 2, 3], [2.0, 1.0, 0.0])
    group.pairs = pairs_of(group, Config())
    group.keep([0, 2])
    assert group.pairs == [Pair(0, 1)]
    assert window_of([group]).pairs == 1


# --- Which pairs there are ------------------------------------------------------------------------


def test_every_two_that_differ_are_a_pair_the_better_first():
    group = make_group([1, 2, 3], [0.0, 2.0, 1.0])
    assert {pair[:2] for pair in pairs_of(group, Config())} == {(1, 2), (1, 0), (2, 0)}


def test_a_tie_is_no_pair():
    assert pairs_of(make_group([1, 2], [1.0, 1.0]), Config()) == []


def test_best_with_worst_is_one_pair():
    group = make_group([1, 2, 3, 4], [0.0, 3.0, 2.0, 1.0])
    assert pairs_of(group, Config(pairs="best_worst")) == [Pair(1, 0)]


def test_neighbours_are_one_pair_less_than_completions():
    group = make_group([1, 2, 3, 4], [0.0, 3.0, 2.0, 1.0])
    assert pairs_of(group, Config(pairs="adjacent")) == [Pair(1, 2), Pair(2, 3), Pair(3, 0)]


def test_a_pair_has_to_exceed_the_margin():
    group = make_group([1, 2, 3], [1.0, 0.5, 0.0])
    assert pairs_of(group, Config(margin=0.5)) == [Pair(0, 2)]


def test_the_same_tokens_are_no_pair():
    group = make_group([1, 1, 2], [1.0, 0.0, 0.0], completions=[[5], [5], [6, 7]])
    assert pairs_of(group, Config()) == [Pair(0, 2)]


def test_a_completion_without_a_reward_is_in_no_pair():
    nan = float("nan")
    group = make_group([1, 2, 3], [1.0, nan, 0.0], present=[True, False, True])
    assert pairs_of(group, Config()) == [Pair(0, 2)]


GOOD = {"id": "a", "role": "student", "thought": "I count", "answer": "4"}
BAD = {"id": "b", "role": "teacher", "thought": "I guess", "answer": "5"}
UGLY = {"id": "c", "role": "human", "thought": "I ask", "answer": "6"}


def groups_of(*completions, settings=(), **fields):
    fields = {"reference_answer": "4", **fields}
    question = Question(id="1", question="what is it", completions=list(completions), **fields)
    skipped = Skipped()
    return dpo.groups(question, Config(**dict(settings)), Words(), skipped), skipped


def sides(group):
    """The pairs as texts."""
    texts = [Words().text(ids) for ids in group.completions]
    return {(texts[p.better], texts[p.worse]) for p in group.pairs}


def said(completion):
    return Words().text(Words().completion(completion["thought"], completion["answer"]))


def test_rankings_come_first_whatever_the_reference_says():
    rankings = [{"judge": "person-1", "ranks": {"a": 2, "b": 1}}]
    (group,), _ = groups_of(GOOD, BAD, UGLY, rankings=rankings)
    assert sides(group) == {(said(BAD), said(GOOD))}
    assert len(group.completions) == 2  # what is in no pair is not forwarded


def test_without_rankings_an_accepted_one_is_preferred_to_a_rejected_one():
    (group,), _ = groups_of({**GOOD, "accepted": False}, {**BAD, "accepted": True}, UGLY)
    assert sides(group) == {(said(BAD), said(GOOD))}


def test_without_either_stored_scores_prefer_and_then_the_reward_functions():
    scored = [
        {**GOOD, "scores": {"answer_correct": 0.0}},
        {**BAD, "scores": {"answer_correct": 1.0}},
    ]
    (group,), _ = groups_of(*scored)
    assert sides(group) == {(said(BAD), said(GOOD))}
    (group,), _ = groups_of(GOOD, BAD)
    assert sides(group) == {(said(GOOD), said(BAD))}


def test_reviews_that_all_agree_leave_the_word_to_the_next_source():
    (group,), _ = groups_of({**GOOD, "accepted": True}, {**BAD, "accepted": True})
    assert sides(group) == {(said(GOOD), said(BAD))}
    groups, _ = groups_of(
        {**GOOD, "accepted": True},
        {**BAD, "accepted": True},
        settings={"reward_from": "reviews"},
    )
    assert groups == []


def test_a_question_without_a_pair_is_left_out_and_counted():
    groups, skipped = groups_of(GOOD, {**BAD, "answer": "4"})
    assert groups == []
    assert skipped["question without a pair"] == 1


def test_an_empty_side_and_one_that_is_too_long_are_left_out_and_counted_never_cut():
    long = {**UGLY, "thought": "I ask " * 30}
    groups, skipped = groups_of(
        GOOD, {**BAD, "answer": " "}, long, settings={"max_completion_tokens": 20}
    )
    assert groups == []
    assert skipped["without an answer"] == 1
    assert skipped["completion longer than max_completion_tokens"] == 1


def test_only_the_chosen_roles_are_compared():
    (group,), _ = groups_of(GOOD, BAD, UGLY, settings={"roles": ["student", "human"]})
    assert sides(group) == {(said(GOOD), said(UGLY))}


def test_answers_to_a_given_thought_are_compared_after_that_thought():
    answers = [{**each, "conditioned_on": "t"} for each in (GOOD, BAD)]
    (group,), _ = groups_of(*answers, UGLY, thought="two and two", conditioned_on="t")
    assert group.prompt == Words().prompt("what is it") + Words().thought("two and two")
    assert group.completions == [Words().answer("4"), Words().answer("5")]


def test_tokens_are_kept_as_drawn_where_they_say_the_same():
    drawn = Words().completion("I count", "4")[:-1]  # stopped without its end
    (group,), _ = groups_of({**GOOD, "token_ids": drawn}, {**BAD, "token_ids": [1, 2]})
    assert group.completions == [drawn, Words().completion("I guess", "5")]


# --- In the engine --------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "settings", [{}, {"length_normalised": True, "beta": 2.0, "nll": 1.0}, {"loss_type": "ipo"}]
)
def test_what_was_preferred_becomes_likelier_than_the_rest(tmp_path, family, settings):
    steps, _ = trained(tmp_path, family, "dpo", **settings)
    assert steps[0]["margin"] == pytest.approx(0, abs=1e-3)
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert steps[-1]["accuracy"] > 0.9


def test_the_frozen_start_is_asked_once_and_then_let_go(tmp_path):
    reference = make_model("llama")
    reviewed = [{**GOOD, "accepted": True}, {**BAD, "accepted": False}]
    question = Question(id="1", question="what is it", completions=reviewed)
    text = Renderer(WordTokenizer())
    rounds = Rounds(tmp_path, 0, dpo, Config(), text, [question], [0])
    rounds.reference = lambda model: nullcontext(reference)
    rounds.open(0, reference, Stop())
    assert rounds.reference is None
    (group,) = rounds.groups
    for ids, logprobs in zip(group.completions, group.ref_logprobs, strict=True):
        whole = torch.tensor([[*group.prompt, *ids]])
        each = reference(whole).logits[0, :-1].log_softmax(-1).gather(-1, whole[0, 1:, None])[:, 0]
        assert logprobs == pytest.approx(each[-len(ids) :].tolist(), abs=1e-4)


def test_forwards_of_any_size_end_in_the_same_losses(tmp_path):
    runs = [
        trained(tmp_path / str(tokens), "llama", "dpo", tokens_per_batch=tokens, epochs=2)[0]
        for tokens in (1, 100_000)
    ]
    apart, together = ([step["loss"] for step in steps] for steps in runs)
    assert apart == pytest.approx(together, rel=1e-4)


def test_a_dataset_without_preferences_is_refused_in_words(tmp_path):
    rows = [{**row, "rankings": [], "completions": row["completions"][:1]} for row in make_rows(2)]
    with pytest.raises(BadJob, match=r"nothing to train on \(question without a pair: 2\)"):
        trained(tmp_path, "llama", "dpo", rows)


def test_a_reward_that_fails_is_counted_by_its_name(monkeypatch):
    def failing(question, sample):
        raise ValueError("no")

    monkeypatch.setitem(reward_functions(), "answer_correct", failing)
    with pytest.warns(RuntimeWarning, match="failing raised"):
        groups, skipped = groups_of(GOOD, BAD, settings={"reward_from": "rewards"})
    assert groups == []
    assert any("answer_correct" in why for why in skipped)
