"""What the sampler draws is what the model says, whatever is drawn beside it."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from tests.engine.shapes import END, FAMILIES, VOCABULARY, make_model
from training.decoding.sampling import Sampling
from training.engine.group import collate, group_logprobs
from training.engine.sampler import Drawn, chosen, draw, nucleus
from training.methods.base import Group, window_of

PROMPTS = [[1, 5, 9, 12], [1, 7], [1, 30, 4, 8, 15, 22, 3]]
WARM = Sampling(temperature=0.8, max_new_tokens=12)


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_is_what_generate_gives(family):
    model = make_model(family)
    greedy = Sampling(temperature=0, max_new_tokens=10)
    drawn = draw(model, PROMPTS, [[0]] * len(PROMPTS), greedy, [END])
    for prompt, (sample,) in zip(PROMPTS, drawn, strict=True):
        ids = torch.tensor([prompt])
        told = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=10,
            eos_token_id=END, pad_token_id=0,
        )  # fmt: skip
        assert sample.token_ids == told[0, len(prompt) :].tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_log_probabilities_are_those_that_training_computes(family):
    model = make_model(family)
    drawn = draw(model, PROMPTS, [[1, 2, 3]] * len(PROMPTS), WARM, [END])
    groups = [
        Group("q", prompt, [sample.token_ids for sample in samples], [True] * 3)
        for prompt, samples in zip(PROMPTS, drawn, strict=True)
    ]
    with torch.no_grad():
        ours = group_logprobs(model, collate(groups, window_of(groups)), WARM.temperature)
    for b, samples in enumerate(drawn):
        for n, sample in enumerate(samples):
            told = torch.tensor(sample.logprobs)
            assert (ours.completion[b, n, : len(told)] - told).abs().max() <= 1e-5


def test_a_seed_draws_the_same_alone_and_among_others():
    model = make_model("llama")
    together = draw(model, PROMPTS, [[11, 12], [13, 14], [15, 16]], WARM, [END])
    for prompt, seeds, samples in zip(
        PROMPTS, ([11, 12], [13, 14], [15, 16]), together, strict=True
    ):
        for seed, sample in zip(seeds, samples, strict=True):
            ((alone,),) = draw(model, [prompt], [[seed]], WARM, [END])
            assert alone.token_ids == sample.token_ids
    assert together[0][0].token_ids != together[0][1].token_ids


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("slots", [1, 4, 5, 100])
def test_freed_slots_are_filled_and_change_nothing(family, static, slots):
    model = make_model(family)
    prompts = [prompt[:length] for prompt in PROMPTS for length in (2, 3, 4)]
    seeds = [[10 * n + k for k in range(1 + n % 3)] for n in range(len(prompts))]
    together = draw(model, prompts, seeds, WARM, [END, 3])
    filled = draw(model, prompts, seeds, WARM, [END, 3], slots, static)
    assert told(filled) == told(together)
    assert len({len(sample.token_ids) for samples in filled for sample in samples}) > 2
    for ours, theirs in zip(flat(filled), flat(together), strict=True):
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-4)


def flat(drawn: list[list[Drawn]]) -> list[Drawn]:
    return [sample for samples in drawn for sample in samples]


def told(drawn: list[list[Drawn]]) -> list[tuple[list[int], str]]:
    return [(sample.token_ids, sample.finish_reason) for sample in flat(drawn)]


def test_the_same_call_draws_the_same_bits():
    model = make_model("qwen2")
    first, second = (draw(model, PROMPTS, [[1, 2]] * 3, WARM, [END], 2) for _ in range(2))
    assert [s.logprobs for s in flat(first)] == [s.logprobs for s in flat(second)]


def test_a_completion_ends_with_its_end_or_with_the_limit():
    model = make_model("qwen2")
    drawn = draw(model, PROMPTS[:1], [list(range(40))], WARM, [END, 3])
    reasons = {sample.finish_reason for sample in drawn[0]}
    assert reasons == {"stop", "length"}
    for sample in drawn[0]:
        assert len(sample.token_ids) == len(sample.logprobs) <= 12
        ended = sample.token_ids[-1] in {END, 3}
        assert ended == (sample.finish_reason == "stop")
        assert not {END, 3} & set(sample.token_ids[:-1])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("static", [False, True])
def test_where_the_model_has_no_position_left_a_completion_is_cut(family, static):
    model = make_model(family)
    longest = model.config.max_position_embeddings
    prompts = [[1] * (longest - 3), [1, 5], [1] * (longest - 1)]
    drawn = draw(model, prompts, [[1, 2], [3], [4]], WARM, [VOCABULARY], 0, static)
    lengths = [[len(sample.token_ids) for sample in samples] for samples in drawn]
    assert lengths == [[3, 3], [12], [1]]
    assert {sample.finish_reason for sample in flat(drawn)} == {"length"}
    ((alone,),) = draw(model, prompts[1:2], [[3]], WARM, [VOCABULARY])
    assert drawn[1][0].token_ids == alone.token_ids


def test_an_end_inside_the_prompt_ends_nothing():
    model = make_model("qwen2")
    drawn = draw(model, [[1, END, 7, END]], [[1, 2, 3]], WARM, [END])
    assert max(len(sample.token_ids) for sample in drawn[0]) > 1


def test_tokens_come_as_often_as_they_are_likely():
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]]).repeat(4000, 1)
    chance = torch.linspace(0, 1, 4001, dtype=torch.float64)[:-1]
    ids, logprobs = chosen(logits, chance, Sampling(temperature=2.0))
    likely = torch.tensor([1.0, 0.5, 0.0, -0.5]).softmax(-1)
    counts = Counter(ids.tolist())
    for token, probability in enumerate(likely.tolist()):
        assert counts[token] / 4000 == pytest.approx(probability, abs=1e-3)
    assert logprobs[0].exp() == pytest.approx(likely[ids[0]].item(), abs=1e-6)


def test_the_nucleus_is_the_smallest_set_that_reaches_the_mass():
    probabilities = torch.tensor([[0.1, 0.5, 0.15, 0.25]])
    assert nucleus(probabilities, 0.7).tolist() == [pytest.approx([0, 0.5, 0, 0.25])]
    assert nucleus(probabilities, 0.5).tolist() == [pytest.approx([0, 0.5, 0, 0])]
    assert nucleus(probabilities, 1.0) is probabilities
    chance = torch.linspace(0, 1, 100, dtype=torch.float64)[:-1]
    logits = probabilities.log().repeat(99, 1)
    ids, _ = chosen(logits, chance, Sampling(temperature=1.0, top_p=0.7))
    assert set(ids.tolist()) == {1, 3}


def test_no_token_outside_the_vocabulary_is_ever_drawn():
    logits = torch.full((3, VOCABULARY), -5.0)
    ids, _ = chosen(logits, torch.tensor([0.0, 0.5, 1.0 - 1e-16], dtype=torch.float64), WARM)
    assert ids.max() < VOCABULARY


def test_probabilities_that_are_no_numbers_are_no_completion():
    model = make_model("llama")
    with torch.no_grad():
        model.get_output_embeddings().weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="not finite"):
        draw(model, [[1, 5]], [[1]], WARM, [END])
