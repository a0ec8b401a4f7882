"""Every method learns from groups what it would from one padded row a completion: the same loss and
the same gradient, in either layout, in any split, in any order.

The reference below is the plain way: each completion behind its prompt in a row of its own, rows
padded on the right, the whole `[rows, tokens, vocabulary]` block of logits. It exists here alone.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.engine.shapes import FAMILIES
from tests.engine.test_group import assert_same
from tests.methods.learner import save_learner
from training.decoding.prompts import Renderer
from training.decoding.record import Completion, JudgeRanking, Question
from training.engine.group import Batch, LogProbs, collate
from training.engine.model import end_ids, load_model
from training.engine.ranks import Ranks
from training.engine.rounds import Rounds
from training.engine.stop import Stop
from training.engine.update import Update
from training.methods import methods
from training.methods.base import Group, window_of

SETTINGS: dict[str, dict[str, Any]] = {
    "combined": {"consistency": 0.5},
    "contrast": {"source": "dataset"},
    "cotd_po": {"beta": 0.1, "source": "dataset"},
    "dpo": {"nll": 0.5},
    "grpo": {"beta": 0.1, "rounds": 1, "group_size": 4, "max_completion_tokens": 6,
             "questions_per_round": 0, "rewards": {"length": 1.0}, "mask_truncated": False},
}  # fmt: skip
LONG, SHORT = "add two take one", "take"


def questions() -> list[Question]:
    """Of unlike lengths, with rankings, reviews, and two rationales that end alike."""
    made = []
    for n in range(4):
        thoughts = [LONG, SHORT, LONG[: 5 + 2 * n], "one"][: 3 + n % 2]
        completions = [
            Completion(
                id=f"{n}-{k}",
                thought=thought,
                answer="4" if k < 2 else "5",
                accepted=None if k == 2 else k == 0,
                scores={"answer_correct": float(k < 2)},
            )
            for k, thought in enumerate(thoughts)
        ]
        completions += [
            Completion(id=f"{n}-s{k}", role="student", answer=answer, conditioned_on=f"{n}-0")
            for k, answer in enumerate(("4", "two", "1 2 3"))
        ]
        ranks = {completion.id: 1 + k for k, completion in enumerate(completions)}
        made.append(
            Question(
                id=str(n),
                question="is" + " it" * n,
                reference_answer="4",
                completions=completions,
                rankings=[JudgeRanking(judge="anna", ranks=ranks)],
            )
        )
    return made


def config_of(method: ModuleType, name: str, **more: Any) -> Any:
    known = method.Config.model_fields
    given = {key: value for key, value in SETTINGS.get(name, {}).items() if key in known}
    return method.Config(**given, **more)


@pytest.fixture(scope="module")
def learners(tmp_path_factory) -> dict[str, tuple[Any, Any]]:
    """A model of each family, its weights large enough that no two tokens look alike, and its
    tokenizer."""
    found = {}
    for family in FAMILIES:
        folder = save_learner(tmp_path_factory.mktemp(family), family)
        found[family] = load_model(str(folder), folder, seed=1)
        with torch.no_grad():
            for weight in found[family][0].parameters():
                weight.mul_(4)
    return found


def groups_of(method: ModuleType, config: Any, learner: Any, folder: Path) -> list[Group]:
    """The groups of the first round, weighed, with what a reference would say of them."""
    model, tokenizer = learner
    text = Renderer(tokenizer)
    rounds = Rounds(folder, 0, method, config, text, questions(), end_ids(model, tokenizer))
    rounds.open(0, model, Stop())
    groups = [group for group in rounds.groups if method.trainable(group, config)]
    if getattr(config, "beta", 0.0):
        for group in groups:  # of another model than this one
            for each in filter(None, (group, group.aside)):
                each.ref_logprobs = [
                    [-1.0 - 0.1 * t for t, _ in enumerate(ids)] for ids in each.completions
                ]
    assert len(groups) >= 2
    return groups


def padded_rows(model: Any, batch: Batch, temperature: float) -> LogProbs:
    """The reference."""
    rows = [
        torch.cat([batch.prompt_ids[b, : batch.prompt_lengths[b]], ids[:length]])
        for b, ids, length in zip(batch.owner, batch.row_ids, batch.row_lengths, strict=True)
    ]
    block = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=3)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    logits = model(input_ids=block, attention_mask=mask).logits.float()
    logprobs = (logits / temperature).log_softmax(-1)
    completion, states = torch.zeros(batch.mask.shape), {}
    for row, (b, n, length) in enumerate(
        zip(batch.owner, batch.place, batch.row_lengths, strict=True)
    ):
        start = int(batch.prompt_lengths[b])
        scored = logprobs[row, start - 1 : start - 1 + length]
        states[row] = logits[row, start - 1 : start - 1 + length].log_softmax(-1)
        chosen = scored.gather(-1, batch.row_ids[row, :length, None])[:, 0]
        places = (b.expand(length), n.expand(length), torch.arange(int(length)))
        completion = completion.index_put(places, chosen)
    return LogProbs(completion, prompts(model, batch), divergences(batch, states))


def prompts(model: Any, batch: Batch) -> Tensor | None:
    """Of the prompt tokens that are targets."""
    if not batch.prompt_mask.any():
        return None
    found = torch.zeros(batch.prompt_mask.shape)
    for b, length in enumerate(batch.prompt_lengths.tolist()):
        ids = batch.prompt_ids[b, :length]
        logprobs = model(input_ids=ids[None]).logits.float()[0, :-1].log_softmax(-1)
        column = torch.arange(1, length)
        found = found.index_put(
            (torch.full_like(column, b), column), logprobs.gather(-1, ids[1:, None])[:, 0]
        )
    return found * batch.prompt_mask


def divergences(batch: Batch, logprobs: dict[int, Tensor]) -> Tensor | None:
    """Half the symmetric KL, averaged over the pairs that end alike, by its definition."""
    if len(batch.answer_places) == 0:
        return None
    places: dict[int, list[Tensor]] = {}
    for row, column, place in batch.answer_places.tolist():
        places.setdefault(place, []).append(logprobs[row][column])
    return torch.stack(
        [
            torch.stack(
                [((p.exp() - q.exp()) * (p - q)).sum() / 2 for p, q in combinations(alike, 2)]
            ).mean()
            for _, alike in sorted(places.items())
        ]
    )


def reference(model: Any, method: ModuleType, config: Any, groups: list[Group]) -> Any:
    """Loss and gradient of the whole step in one batch of padded rows."""
    temperature = getattr(config, "temperature", 1.0)
    window = Update(model, method, config, Ranks()).window(groups)
    if any(group.aside for group in groups):
        asides = [group.aside for group in groups if group.aside]
        aside = collate(asides, window_of(asides))
        with torch.no_grad():
            share = method.aside(padded_rows(model, aside, temperature), aside, config)
        window = replace(window, aside=float(share))
    batch = collate(groups, window)
    model.zero_grad()
    loss, _ = method.objective(padded_rows(model, batch, temperature), batch, config)
    loss.backward()
    return float(loss.detach()), taken(model)


def taken(model: Any) -> dict[str, Tensor]:
    return {
        name: weight.grad.clone()
        for name, weight in model.named_parameters()
        if weight.grad is not None
    }


def ours(
    model: Any, method: ModuleType, config: Any, groups: list[Group], tokens: int
) -> tuple[float, dict[str, Tensor]]:
    """The same by the engine, in forwards of so many tokens."""
    model.zero_grad()
    update = Update(model, method, config, Ranks())
    update.tokens = tokens
    loss = update._attempt(groups)["loss"]
    return loss, taken(model)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", sorted(methods()))
def test_loss_and_gradient_are_those_of_padded_rows(tmp_path, learners, name, family):
    method, model = methods()[name], learners[family][0]
    config = config_of(method, name)
    groups = groups_of(method, config, learners[family], tmp_path)
    loss, gradient = reference(model, method, config, groups)
    assert any(float(each.abs().max()) > 0 for each in gradient.values())
    for tokens, order in ((100_000, groups), (1, groups), (60, groups[::-1])):
        told, found = ours(model, method, config, order, tokens)
        assert told == pytest.approx(loss, rel=1e-4, abs=1e-6)
        assert found.keys() == gradient.keys()
        assert_same(found, gradient)


@pytest.mark.parametrize("name", sorted(methods()))
def test_the_block_layout_gives_the_same(tmp_path, learners, name):
    method, model = methods()[name], learners["qwen2"][0]
    groups = groups_of(method, config_of(method, name), learners["qwen2"], tmp_path)
    loss, gradient = reference(model, method, config_of(method, name), groups)
    block = config_of(method, name, gradient_checkpointing=True)
    told, found = ours(model, method, block, groups, 60)
    assert told == pytest.approx(loss, rel=1e-4, abs=1e-6)
    assert_same(found, gradient)
