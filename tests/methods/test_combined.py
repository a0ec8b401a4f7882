"""The combined loss: parts weighted by themselves, and answers that do not hang on the way."""

from __future__ import annotations

from dataclasses import replace
from math import log

import pytest
import torch

from tests.engine.shapes import FAMILIES, VOCABULARY, make_model
from tests.methods.learner import save_learner, train
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
from training.engine import divergence
from training.engine.group import LogProbs, collate, group_logprobs
from training.engine.plan import micro_batches
from training.methods import combined
from training.methods.base import Group, Skipped, same_answers, window_of
from training.methods.combined import Config

# --- The two likelihoods --------------------------------------------------------------------------


def test_thought_and_answer_are_means_of_their_own():
    groups = [make_group([3, 2], answer_from=[2, 1])]
    numbers = [[[-1.0, -2.0, -8.0], [-3.0, -4.0]]]
    loss, shares = loss_of(
        combined, groups, make_logprobs(numbers), Config(answer_weight=0.5, consistency=0)
    )
    assert float(shares["thought"]) == pytest.approx((1 + 2 + 3) / 3)
    assert float(shares["answer"]) == pytest.approx((8 + 4) / 2)
    assert loss.item() == pytest.approx(2 + 0.5 * 6)


def test_a_long_thought_takes_no_weight_from_the_answer():
    def pull_on_answer(length: int) -> float:
        logprobs = make_logprobs([[[-1.0] * (length + 1)]])
        group = make_group([length + 1], answer_from=[length])
        loss_of(combined, [group], logprobs, Config())[0].backward()
        return logprobs.completion.grad[0, 0, length].item()

    assert pull_on_answer(1) == pull_on_answer(300) == pytest.approx(-1)


@pytest.mark.parametrize("parts", splits(3))
def test_shares_of_a_step_add_up_however_it_is_split(parts):
    groups = [
        make_group([4, 5], answer_from=[2, 3]),
        make_group([3], answer_from=[3]),
        make_group([1, 6], answer_from=[0, 4], present=[True, False]),
    ]
    numbers = random_numbers(groups)
    whole = summed_over(combined, groups, numbers, [[0, 1, 2]], Config())
    assert summed_over(combined, groups, numbers, parts, Config()) == pytest.approx(whole)
    answers = [*numbers[0][0][2:], *numbers[0][1][3:], *numbers[2][0]]
    assert whole["answer"] == pytest.approx(-sum(answers) / len(answers))


# --- Consistency ----------------------------------------------------------------------------------


class Head:
    """A head whose logits are the states themselves."""

    weight = torch.zeros(2, 2)

    def __call__(self, states):
        return states


def kl(p, q):
    return sum(a * log(a / b) for a, b in zip(p, q, strict=True))


def test_consistency_is_the_mean_symmetric_divergence_of_all_pairs():
    rows = [(0.5, 0.5), (0.9, 0.1), (0.2, 0.8)]
    states = torch.tensor([[row] for row in rows]).log()  # one token of three completions
    places = torch.tensor([[0, 0, 0], [1, 0, 0], [2, 0, 0]])
    pairs = [(0, 1), (0, 2), (1, 2)]
    by_hand = [(kl(rows[i], rows[j]) + kl(rows[j], rows[i])) / 2 for i, j in pairs]
    found = divergence.answer_divergence(Head(), states, places)
    assert found.tolist() == pytest.approx([sum(by_hand) / 3])


def test_distributions_that_are_the_same_do_not_diverge():
    states = torch.tensor([[[1.0, 2.0]], [[1.0, 2.0]]])
    found = divergence.answer_divergence(Head(), states, torch.tensor([[0, 0, 0], [1, 0, 0]]))
    assert found.tolist() == pytest.approx([0.0])


def test_divergence_counts_with_its_weight_in_the_mean_over_places():
    group = make_group([2, 2], answer_from=[1, 1], compares_answers=True)
    group.completions = [[5, 9], [6, 9]]
    logprobs = make_logprobs([[[-1.0, -1.0], [-1.0, -1.0]]])
    told = LogProbs(logprobs.completion, None, torch.tensor([0.6]))
    window = replace(window_of([group]), shared_answer_tokens=3)  # two more in other forwards
    loss, shares = combined.objective(told, make_batch([group], window), Config(consistency=0.5))
    assert float(shares["divergence"]) == pytest.approx(0.2)
    assert loss.item() == pytest.approx(1 + 1 + 0.5 * 0.2)


def test_only_equal_answers_of_present_completions_are_compared():
    completions = [[5, 9, 0], [6, 7, 9, 0], [5, 8, 0], [4, 9, 0], [3, 8, 0]]
    group = make_group(
        [3, 4, 3, 3, 3],
        completions=completions,
        answer_from=[1, 2, 1, 1, 1],
        present=[True, True, True, False, True],
        compares_answers=True,
    )
    assert same_answers(group) == [[0, 1], [2, 4]]
    assert window_of([group]).shared_answer_tokens == 4
    assert same_answers(replace(group, compares_answers=False)) == []


# --- The group forward ----------------------------------------------------------------------------


def compared_groups() -> list[Group]:
    """Three questions; two have rationales that end alike, one of them at unlike places."""
    made = [
        ([1, 5, 6], [[7, 8, 20, 2], [9, 20, 2], [9, 9, 21, 2]], [2, 1, 2]),
        ([1, 5], [[7, 22, 23, 2], [8, 9, 22, 23, 2], [22, 23, 2]], [1, 2, 0]),
        ([1, 5, 6, 7], [[10, 24, 2]], [1]),
    ]
    return [
        Group(str(n), prompt, completions, [True] * len(starts), answer_from=starts,
              compares_answers=True)
        for n, (prompt, completions, starts) in enumerate(made)
    ]  # fmt: skip


def by_rows(model, group: Group) -> list[torch.Tensor]:
    """The plain way: the whole distributions of each pair, one row for each completion."""
    found = []
    for alike in same_answers(group):
        rows = []
        for n in alike:
            ids = torch.tensor([group.prompt + group.completions[n]])
            start = len(group.prompt) + group.answer_from[n]
            rows.append(model(ids).logits.float()[0, start - 1 : -1].log_softmax(-1))
        pairs = [(a, b) for i, a in enumerate(rows) for b in rows[i + 1 :]]
        apart = [((a.exp() - b.exp()) * (a - b)).sum(-1) / 2 for a, b in pairs]
        found.append(torch.stack(apart).mean(0))
    return found


def gradients(model, groups: list[Group], tokens: int = 10_000) -> dict[str, torch.Tensor]:
    window = window_of(groups)
    model.zero_grad()
    for part in micro_batches(groups, tokens):
        batch = collate(part, window)
        combined.objective(group_logprobs(model, batch), batch, Config(consistency=2))[0].backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters()}


def plain_gradients(model, groups: list[Group]) -> dict[str, torch.Tensor]:
    window = window_of(groups)
    model.zero_grad()
    for group in groups:
        for completion, start in zip(group.completions, group.answer_from, strict=True):
            ids = torch.tensor([group.prompt + completion])
            first = len(group.prompt)
            scored = model(ids).logits.float()[0, first - 1 : -1].log_softmax(-1)
            scored = scored.gather(-1, ids[0, first:, None])[:, 0]
            thought = -scored[:start].sum() / (window.tokens - window.answer_tokens)
            (thought - scored[start:].sum() / window.answer_tokens).backward()
        for apart in by_rows(model, group):
            (2 * apart.sum() / window.shared_answer_tokens).backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters()}


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    for name, gradient in left.items():
        scale = right[name].abs().max().clamp(min=1e-6)
        assert (gradient - right[name]).abs().max() / scale <= 1e-4, name


@pytest.mark.parametrize("family", FAMILIES)
def test_the_group_forward_gives_what_padded_rows_give(family):
    model, groups = make_model(family), compared_groups()
    with torch.no_grad():
        ours = group_logprobs(model, collate(groups, window_of(groups))).divergence
        plain = torch.cat([each for group in groups for each in by_rows(model, group)])
    assert len(ours) == window_of(groups).shared_answer_tokens == 5
    assert (ours - plain).abs().max() <= 1e-5
    assert_same(gradients(model, groups), plain_gradients(model, groups))


@pytest.mark.parametrize("tokens", [1, 25])
def test_no_split_no_order_and_no_chunk_changes_the_gradient(tokens, monkeypatch):
    model, groups = make_model("llama"), compared_groups()
    whole = gradients(model, groups)
    monkeypatch.setattr(divergence, "LOGITS_AT_ONCE", VOCABULARY * 4)
    assert_same(gradients(model, groups[::-1], tokens), whole)


def test_training_on_divergence_alone_brings_answers_together():
    model, groups = make_model("llama"), compared_groups()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    batch, found = collate(groups, window_of(groups)), []
    for _ in range(8):
        apart = group_logprobs(model, batch).divergence.mean()
        apart.backward()
        optimizer.step()
        optimizer.zero_grad()
        found.append(apart.item())
    assert found[-1] < found[0] / 2


# --- Where groups come from -----------------------------------------------------------------------


def asked(*completions: dict, **fields) -> Question:
    numbered = [{"id": str(n), **each} for n, each in enumerate(completions)]
    return Question(id="1", question="two and two", completions=numbered, **fields)


def made(question: Question, **settings):
    skipped = Skipped()
    return combined.groups(question, Config(**settings), Words(), skipped), skipped


def test_the_answer_begins_behind_its_mark():
    (group,), skipped = made(asked({"thought": "I count", "answer": "4 apples"}))
    (completion,), (start,) = group.completions, group.answer_from
    assert completion == Words().completion("I count", "4 apples")
    assert Words().text(completion[:start]).endswith("####")
    assert Words().text(group.answer(0)) == "4 apples"
    assert completion[-1] == 0
    assert not skipped


def test_the_best_ranked_so_many_are_imitated():
    texts = [{"thought": thought, "answer": "4"} for thought in ("worst", "best", "good")]
    rankings = [{"judge": "person-1", "ranks": {"0": 3, "1": 1, "2": 2}}]
    (group,), _ = made(asked(*texts, rankings=rankings), rationales_per_question=2)
    assert group.completions == [Words().completion(each, "4") for each in ("best", "good")]


def test_without_a_weight_nothing_is_compared():
    question = asked({"thought": "a", "answer": "4"}, {"thought": "b", "answer": "4"})
    (without,), _ = made(question, consistency=0)
    (with_weight,), _ = made(question)
    assert (same_answers(without), same_answers(with_weight)) == ([], [[0, 1]])


def test_a_question_without_a_usable_rationale_is_counted():
    groups, skipped = made(asked({"thought": "a", "answer": "4", "accepted": False}))
    assert groups == []
    assert skipped["question without a usable rationale"] == 1


def test_a_token_that_joins_mark_and_answer_counts_as_answer():
    from training.decoding.prompts import Renderer

    class Joined:
        """Knows three tokens, and takes the longest."""

        chat_template = None
        eos_token_id = 0

        def __call__(self, text, add_special_tokens=False):
            ids, words = [], {"#### 4": 3, "#### ": 2, "x": 1, "\n": 4}
            while text:
                word = max((w for w in words if text.startswith(w)), key=len)
                ids, text = [*ids, words[word]], text[len(word) :]
            return {"input_ids": ids}

    text = Renderer(Joined())
    assert text.completion("x", "4") == [1, 4, 3, 0]
    assert text.answer_from("x", "4") == 2


# --- In the engine --------------------------------------------------------------------------------

ROWS = [
    {
        "id": str(n),
        "question": "which" + " a" * n,
        "completions": [
            {"id": f"a{n}", "thought": "add" + " 1" * n, "answer": str(n)},
            {"id": f"b{n}", "thought": "so" + " 1" * n, "answer": str(n)},
        ],
    }
    for n in range(1, 5)
]
SETTINGS = {"learning_rate": 0.01, "schedule": "constant", "epochs": 20, "groups_per_step": 4}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_student_learns_thought_and_answer(tmp_path, family):
    model = save_learner(tmp_path / "model", family)
    found = train(tmp_path / "run", model, "combined", ROWS, **SETTINGS)
    first, last = found[0], found[-1]
    assert last["thought"] < first["thought"] / 2
    assert last["answer"] < first["answer"] / 2
    assert last["divergence"] > 0


def test_more_weight_on_consistency_leaves_answers_less_apart(tmp_path):
    model = save_learner(tmp_path / "model", "llama")
    apart = {}
    for weight in (1e-6, 50.0):
        found = train(
            tmp_path / str(weight), model, "combined", ROWS, consistency=weight, **SETTINGS
        )
        apart[weight] = sum(row["divergence"] for row in found)
    assert apart[50.0] < apart[1e-6] / 2
