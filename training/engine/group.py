"""The group: `[prompt | completion 1 | … | completion N]`, with the prompt forwarded once.

The prompts of a batch go through the model as one padded block. Their keys and values stay in the
graph and are repeated for each completion, whose positions go on after its own prompt. Padding is
on the right and masked by length, so absolute positions (GPT-2) are right too, and no pad token
needs to exist. Log-probabilities are computed over completion tokens alone, in chunks.

Letters: B groups, N completions a group, T completion tokens, P prompt tokens, R rows (the
completions there really are, at most B·N), M scored tokens, D width, V vocabulary.
Source of the idea: Prefix Grouper, arXiv 2506.05433.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import inf
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache

from training.engine.block import block_states
from training.engine.divergence import answer_divergence, answer_places
from training.methods.base import Group, Window

LOGITS_AT_ONCE = 2**25  # numbers in one [chunk, V] block of logits: 128 MB in fp32


@dataclass
class Batch:
    """Groups as tensors. Methods read the `[B, N]` and `[B, N, T]` fields, the forward the rest."""

    prompt_ids: Tensor  # [B, P]
    prompt_lengths: Tensor  # [B]
    row_ids: Tensor  # [R, T]
    row_lengths: Tensor  # [R]
    owner: Tensor  # [R], the group of a row
    place: Tensor  # [R], its n within the group
    prompt_mask: Tensor  # [B, P], 1 where a prompt token is itself a target
    mask: Tensor  # [B, N, T], 1 where a completion token is
    answer_mask: Tensor  # [B, N, T], 1 where one of the answer part is
    answer_places: Tensor  # [A, 3], row, column and place of the answer tokens to be compared
    present: Tensor  # [B, N], whether the completion takes part
    anchor: Tensor  # [B, N], whether it is only imitated
    truncated: Tensor  # [B, N]
    rewards: Tensor  # [B, N], 0 where absent
    weights: Tensor  # [B, N], what the method's `weigh` gave it
    pairs: Tensor  # [B, N, N], the weight of preferring the first place to the second
    old_logprobs: Tensor | None  # [B, N, T], of the sampling policy
    ref_logprobs: Tensor | None  # [B, N, T], of the frozen start
    window: Window

    def to(self, device: Any) -> Batch:
        """The same batch on another device."""
        moved = {
            field.name: value.to(device)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)  # type: ignore[arg-type]


@dataclass
class LogProbs:
    """What the forward gives a method."""

    completion: Tensor  # [B, N, T], 0 outside the mask
    prompt: Tensor | None  # [B, P], 0 outside the prompt mask
    divergence: Tensor | None = None  # [S], between equal answers, at each of their tokens


def collate(groups: Sequence[Group], window: Window) -> Batch:
    """Groups to one batch. `window` holds the totals of the whole optimizer step."""
    shape = (len(groups), max(len(group.completions) for group in groups))
    rows = [
        (b, n, ids) for b, group in enumerate(groups) for n, ids in enumerate(group.completions)
    ]
    longest = max(len(ids) for _, _, ids in rows)
    row_lengths = torch.tensor([len(ids) for _, _, ids in rows])
    owner, place = torch.tensor([b for b, _, _ in rows]), torch.tensor([n for _, n, _ in rows])
    mask = torch.zeros(*shape, longest)
    mask[owner, place] = (torch.arange(longest) < row_lengths[:, None]).float()
    answer_from = torch.tensor([groups[b].answer_from[n] for b, n, _ in rows])
    in_answer = torch.zeros_like(mask)
    in_answer[owner, place] = (torch.arange(longest) >= answer_from[:, None]).float()
    prompts = [group.prompt for group in groups]
    return Batch(
        prompt_ids=padded(prompts),
        prompt_lengths=torch.tensor([len(ids) for ids in prompts]),
        row_ids=padded([ids for _, _, ids in rows]),
        row_lengths=row_lengths,
        owner=owner,
        place=place,
        prompt_mask=prompt_targets(groups),
        mask=mask,
        answer_mask=mask * in_answer,
        answer_places=answer_places(groups),
        present=per_row([group.present for group in groups], shape).bool(),
        anchor=per_row([group.anchor for group in groups], shape).bool(),
        truncated=per_row([group.truncated for group in groups], shape).bool(),
        rewards=per_row([group.rewards for group in groups], shape).nan_to_num(0.0),
        weights=per_row([group.weights for group in groups], shape).nan_to_num(0.0),
        pairs=preferences(groups, shape),
        old_logprobs=per_token([group.old_logprobs for group in groups], (*shape, longest)),
        ref_logprobs=per_token([group.ref_logprobs for group in groups], (*shape, longest)),
        window=window,
    )


def padded(sequences: Sequence[Sequence[int]]) -> Tensor:
    """Token ids, filled with 0 on the right; the fill is never read."""
    block = torch.zeros(len(sequences), max(map(len, sequences)), dtype=torch.long)
    for row, ids in zip(block, sequences, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    return block


def prompt_targets(groups: Sequence[Group]) -> Tensor:
    """`[B, P]`: 1 from `scored_from` to the end of each prompt that has one."""
    mask = torch.zeros(len(groups), max(len(group.prompt) for group in groups))
    for row, group in zip(mask, groups, strict=True):
        if group.scored_from is not None:
            row[group.scored_from : len(group.prompt)] = 1.0
    return mask


def per_row(values: Sequence[Sequence[float]], shape: tuple[int, int]) -> Tensor:
    """`[B, N]` of one number a completion, 0 where there is none."""
    block = torch.zeros(shape)
    for row, entries in zip(block, values, strict=True):
        row[: len(entries)] = torch.tensor(entries, dtype=torch.float32)
    return block


def preferences(groups: Sequence[Group], shape: tuple[int, int]) -> Tensor:
    """`[B, N, N]` of the weights of the groups' pairs, 0 where nothing is preferred."""
    block = torch.zeros(*shape, shape[1])
    for weights, group in zip(block, groups, strict=True):
        for better, worse, weight in group.pairs:
            weights[better, worse] += weight
    return block


def per_token(
    values: Sequence[Sequence[Sequence[float]] | None], shape: tuple[int, int, int]
) -> Tensor | None:
    """`[B, N, T]` of one number a token, or none unless every group has them."""
    if any(entry is None for entry in values):
        return None
    block = torch.zeros(shape)
    for b, completions in enumerate(values):
        for n, numbers in enumerate(completions or ()):
            block[b, n, : len(numbers)] = torch.tensor(numbers, dtype=torch.float32)
    return block


def group_logprobs(
    model: Any, batch: Batch, temperature: float = 1.0, block: bool = False
) -> LogProbs:
    """Log-probabilities of every completion token under `softmax(logits / temperature)`.

    What is imitated and was not sampled is read at temperature 1: anchors, and the prompt's own
    targets (`prompt_mask`). Differentiable; equal to one padded row for each completion. `block`
    lays each group out as one row under a mask (see `block.py`).
    """
    decoder, head = parts(model)
    hidden, states = (block_states if block else cached_states)(decoder, batch)
    real = torch.arange(states.shape[1], device=states.device) < batch.row_lengths[:, None]
    warmth = warmths(batch, temperature, real)
    scored = token_logprobs(head, states[real], batch.row_ids[real], warmth)  # [M]
    completion = scored.new_zeros(batch.mask.shape)
    row, column = real.nonzero(as_tuple=True)
    completion = completion.index_put((batch.owner[row], batch.place[row], column), scored)
    divergence = answer_divergence(head, states, batch.answer_places)
    return LogProbs(completion, prompt_logprobs(head, hidden, batch), divergence)


def warmths(batch: Batch, temperature: float, real: Tensor) -> Tensor | None:
    """`[M]`: the temperature of each token there is in `real` (`[R, T]`); None if 1 for all."""
    if temperature == 1:
        return None
    anchored = batch.anchor[batch.owner, batch.place]  # [R]
    return torch.where(anchored, 1.0, float(temperature))[:, None].expand_as(real)[real]


def parts(model: Any) -> tuple[Any, Any]:
    """The decoder without its head, and the head; of a model in peft's wrapper too."""
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    return plain.base_model, plain.get_output_embeddings()


def cached_states(decoder: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """`[B, P, D]`: the states of the prompts, and `[R, T, D]`: those that predict each completion
    token."""
    prompts = decoder(input_ids=batch.prompt_ids, past_key_values=DynamicCache(), use_cache=True)
    hidden = prompts.last_hidden_state
    return hidden, completion_states(decoder, batch, hidden, prompts.past_key_values)


def completion_states(decoder: Any, batch: Batch, hidden: Tensor, cache: Any) -> Tensor:
    """`[R, T, D]`: the state that predicts each completion token.

    The first one is the last state of the prompt; the others follow from the completion itself,
    rows of like length in a forward of their own, so that little padding is computed.
    """
    first = hidden[batch.owner, batch.prompt_lengths[batch.owner] - 1][:, None]  # [R, 1, D]
    longest = batch.row_ids.shape[1] - 1
    if longest == 0:
        return first
    pieces = alike((batch.row_lengths - 1).tolist(), tokens_at_once(hidden.device.type))
    order = torch.tensor([row for rows, _ in pieces for row in rows], device=hidden.device)
    rest = torch.cat(
        [
            pad(following(decoder, batch, order.new_tensor(rows), width, cache), width, longest)
            for rows, width in pieces
        ]
    )
    return torch.cat([first, rest[order.argsort()]], dim=1)


def tokens_at_once(device: str) -> float:
    """How many completion tokens one forward should have at least. On a CPU few stay in its cache;
    on a GPU few leave it idle. Several processes must make equally many calls of a sharded model,
    so they do not divide."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return inf
    return 512 if device == "cpu" else 16_384


def alike(lengths: Sequence[int], tokens: float) -> list[tuple[list[int], int]]:
    """Rows in parts of `tokens` tokens or a little more, by length, and the longest of each."""
    pieces: list[tuple[list[int], int]] = []
    rows: list[int] = []
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for row in order:
        rows.append(row)
        if row == order[-1] or len(rows) * lengths[row] >= tokens:
            pieces.append((rows, max(1, lengths[row])))
            rows = []
    return pieces


def pad(states: Tensor, width: int, longest: int) -> Tensor:
    """`[R', width, D]` with zeros up to `longest`."""
    return torch.nn.functional.pad(states, (0, 0, 0, longest - width))


def following(decoder: Any, batch: Batch, rows: Tensor, width: int, cache: Any) -> Tensor:
    """`[R', width, D]`: the states of these rows' first `width` tokens, behind their prompts."""
    owner, inputs = batch.owner[rows], batch.row_ids[rows, :width]
    lengths = batch.prompt_lengths[owner, None]  # [R', 1]
    columns = torch.arange(batch.prompt_ids.shape[1], device=rows.device)
    seen = (columns < lengths).long()  # [R', P]
    return decoder(
        input_ids=inputs,
        attention_mask=torch.cat([seen, torch.ones_like(inputs)], dim=1),
        position_ids=lengths + torch.arange(width, device=rows.device),
        past_key_values=repeated(cache, owner),
        use_cache=True,
    ).last_hidden_state


def repeated(cache: Any, owner: Tensor) -> DynamicCache:
    """The prompts' keys and values, one copy a completion, still in the graph."""
    rows = DynamicCache()
    for index, layer in enumerate(cache.layers):
        keys, values = layer.keys, layer.values
        rows.update(keys.index_select(0, owner), values.index_select(0, owner), index)
    return rows


def prompt_logprobs(head: Any, hidden: Tensor, batch: Batch) -> Tensor | None:
    """`[B, P]`: log-probabilities of the prompt tokens that are targets; none if none are."""
    row, column = batch.prompt_mask.nonzero(as_tuple=True)
    if len(row) == 0:
        return None
    scored = token_logprobs(head, hidden[row, column - 1], batch.prompt_ids[row, column], None)
    return scored.new_zeros(batch.prompt_mask.shape).index_put((row, column), scored)


def token_logprobs(head: Any, states: Tensor, ids: Tensor, warmth: Tensor | None) -> Tensor:
    """`[M]` from states `[M, D]` at temperatures `[M]`, or at 1: never a whole `[M, V]` block if
    that would be large.

    Several chunks are recomputed in the backward pass, so that only one is alive at a time.
    """
    size = max(1, LOGITS_AT_ONCE // head.weight.shape[0])
    if len(ids) <= size:
        return _chunk_logprobs(head, states, ids, warmth)
    pieces = [slice(start, start + size) for start in range(0, len(ids), size)]
    return torch.cat(
        [
            checkpoint(
                _chunk_logprobs,
                head,
                states[piece],
                ids[piece],
                None if warmth is None else warmth[piece],
                use_reentrant=False,
            )
            for piece in pieces
        ]
    )


def _chunk_logprobs(head: Any, states: Tensor, ids: Tensor, warmth: Tensor | None) -> Tensor:
    logits = head(states).float()
    if warmth is not None:  # a pass over [M, V] in both directions
        logits = logits / warmth[:, None]
    return logits.log_softmax(-1).gather(-1, ids[:, None])[:, 0]
