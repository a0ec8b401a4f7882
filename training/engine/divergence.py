"""How alike are the distributions over one answer after unlike thoughts?

For K completions of one question that end in the same answer a, with thoughts r_1 … r_K, and
p_i = pi(. | q, r_i, a_<t) the whole distribution at the answer's t-th token,

    D_t = mean over pairs i < j of  [ KL(p_i || p_j) + KL(p_j || p_i) ] / 2

The answers are the same tokens, so their places correspond. All pairs cost no more than a chain of
them: with l = log p, and m and n the means of the K vectors p_i and l_i,

    sum over i < j of <p_i - p_j, l_i - l_j>  =  K * sum over i of <p_i - m, l_i - n>

Source: MCC-KD (Chen et al., Findings of EMNLP 2023, arXiv 2310.14747), which compares two thoughts
drawn anew at each step; the mean over all pairs is the expectation of that. The distributions are
made in chunks of places and recomputed in the backward pass, as the log-probabilities are.

Letters: A compared answer tokens, S places (one for K of them), R rows, T tokens, D width, V
vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from training.methods.base import Group, same_answers

LOGITS_AT_ONCE = 2**24  # numbers in one [chunk, V] block; several of that size are alive together


def answer_places(groups: Sequence[Group]) -> Tensor:
    """`[A, 3]`: row, column and place of each answer token that is compared, in order of places."""
    first, found, place = 0, [], 0
    for group in groups:
        for alike in same_answers(group):
            for offset in range(len(group.answer(alike[0]))):
                found += [[first + n, group.answer_from[n] + offset, place] for n in alike]
                place += 1
        first += len(group.completions)
    return torch.tensor(found, dtype=torch.long).reshape(-1, 3)


def answer_divergence(head: Any, states: Tensor, places: Tensor) -> Tensor | None:
    """`[S]`: D_t of each place, from states `[R, T, D]`; none if nothing is compared."""
    if len(places) == 0:
        return None
    row, column, place = places.unbind(1)
    picked = states[row, column]  # [A, D]
    sizes = list(_chunks(place.bincount().tolist(), LOGITS_AT_ONCE // head.weight.shape[0]))
    if len(sizes) == 1:
        return _chunk_divergence(head, picked, place)
    pieces = zip(picked.split(sizes), place.split(sizes), strict=True)
    return torch.cat(
        [
            checkpoint(_chunk_divergence, head, part, each - each[0], use_reentrant=False)
            for part, each in pieces
        ]
    )


def _chunks(counts: Sequence[int], limit: int) -> Iterator[int]:
    """How many tokens to take together: whole places, at most `limit` unless one place has more."""
    size = 0
    for count in counts:
        if size and size + count > limit:
            yield size
            size = 0
        size += count
    yield size


def _chunk_divergence(head: Any, states: Tensor, place: Tensor) -> Tensor:
    logs = head(states).float().log_softmax(-1)  # [A, V]
    chances = logs.exp()
    count = place.bincount()  # [S], K of each place
    mean_log, mean_chance = _means(logs, place, count), _means(chances, place, count)
    apart = ((chances - mean_chance[place]) * (logs - mean_log[place])).sum(-1)  # [A]
    return apart.new_zeros(len(count)).index_add(0, place, apart) / (count - 1)


def _means(values: Tensor, place: Tensor, count: Tensor) -> Tensor:
    """`[S, V]`: the means of `[A, V]` over each place's tokens."""
    summed = values.new_zeros(len(count), values.shape[1]).index_add(0, place, values)
    return summed / count[:, None]
