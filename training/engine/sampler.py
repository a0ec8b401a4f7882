"""The sampler: prefill once a prompt, N continuations, finished rows dropped.

Each row has its own stream of uniform numbers from its own seed, and a token is the place where
the row's number falls in the cumulated distribution; so what a row draws does not depend on which
rows are beside it (up to floating point: the caller keeps the chunks the same). The log-probability
kept for each token is that of the whole distribution at the sampling temperature, which is what
the trainer computes; `top_p` below 1 draws from less and is for data, not for ratios.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import CacheLayerMixin

from training.decoding.sampling import Sampling
from training.engine.group import padded, parts


@dataclass
class Drawn:
    """One completion as it was drawn; the token that ended it is the last of `token_ids`."""

    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: str = "length"


class RowLayer(CacheLayerMixin):
    """One layer's keys and values in a buffer that is written in place and can lose rows."""

    is_sliding = False
    keys: Tensor
    values: Tensor

    def __init__(self, keys: Tensor, values: Tensor, room: int) -> None:
        super().__init__()
        self.length = keys.shape[-2]
        self.keys, self.values = self._roomy(keys, room), self._roomy(values, room)
        self.is_initialized = True

    @staticmethod
    def _roomy(block: Tensor, room: int) -> Tensor:
        rows, heads, length, width = block.shape
        wide = block.new_empty(rows, heads, length + room, width)
        wide[:, :, :length] = block
        return wide

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to do: the buffer is there from the start."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append one token to every row."""
        end = self.length + key_states.shape[-2]
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def keep(self, rows: Tensor) -> None:
        """Drop every row but these."""
        self.keys, self.values = self.keys[rows], self.values[rows]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the keys that a mask has to cover."""
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        """Tokens so far, the prompt's padding among them."""
        return self.length

    def get_max_length(self) -> int:
        """No limit that a mask has to know of."""
        return -1

    def get_max_cache_shape(self) -> int:
        """As `get_max_length`, by its older name."""
        return -1


@torch.no_grad()
def draw(
    model: Any,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[Sequence[int]],
    sampling: Sampling,
    ends: Sequence[int],
) -> list[list[Drawn]]:
    """For each prompt one completion for each of its seeds.

    `ends` are the ids that finish a completion; without one it is cut at
    `sampling.max_new_tokens` and its finish reason is `length`.
    """
    decoder, head = parts(model)
    device = next(model.parameters()).device
    lengths = torch.tensor([len(ids) for ids in prompts], device=device)
    prefill = decoder(
        input_ids=padded(prompts).to(device), past_key_values=DynamicCache(), use_cache=True
    )
    owner = torch.tensor([p for p, row in enumerate(seeds) for _ in row], device=device)
    chances = uniforms([seed for row in seeds for seed in row], sampling.max_new_tokens)
    rows = Rows(prefill.past_key_values, owner, lengths, sampling.max_new_tokens, ends)
    states = prefill.last_hidden_state[owner, lengths[owner] - 1]  # [R, D]
    for t in range(sampling.max_new_tokens):
        column = torch.from_numpy(chances[:, t]).to(device)
        ids, logprobs = chosen(head(states).float(), column[rows.alive], sampling)
        if not rows.take(ids, logprobs) or t + 1 == sampling.max_new_tokens:
            break
        states = rows.forward(decoder)
    drawn = iter(rows.drawn)
    return [[next(drawn) for _ in row] for row in seeds]


def uniforms(seeds: Sequence[int], count: int) -> np.ndarray:
    """`[R, count]` numbers in [0, 1): each row from its own seed."""
    streams = [np.random.Generator(np.random.Philox(key=seed)) for seed in seeds]
    return np.stack([stream.random(count) for stream in streams])


def chosen(logits: Tensor, chance: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Token `[R]` and log-probability `[R]` for logits `[R, V]` and uniform numbers `[R]`.

    At temperature 0 the likeliest token, with its log-probability at temperature 1.
    """
    if sampling.temperature not in (0, 1):
        logits = logits / sampling.temperature
    logprobs = logits.log_softmax(-1)
    if sampling.temperature == 0:
        ids = logprobs.argmax(-1)
    else:
        weights = nucleus(logprobs.exp(), sampling.top_p).cumsum(-1, dtype=torch.float64)
        target = (chance * weights[:, -1])[:, None]
        ids = torch.searchsorted(weights, target, right=True)[:, 0]
        ids = ids.clamp(max=logits.shape[-1] - 1)
    return ids, logprobs.gather(-1, ids[:, None])[:, 0]


def nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Zero outside the smallest set of likeliest tokens whose mass reaches `top_p`."""
    if top_p >= 1:
        return probabilities
    ordered, order = probabilities.sort(-1, descending=True)
    beyond = ordered.cumsum(-1) - ordered >= top_p
    return probabilities.masked_fill(beyond.gather(-1, order.argsort(-1)), 0.0)


class Rows:
    """The completions that are still being drawn, and everything that is known of all of them."""

    def __init__(
        self, cache: Any, owner: Tensor, lengths: Tensor, room: int, ends: Sequence[int]
    ) -> None:
        self.drawn = [Drawn() for _ in range(len(owner))]
        self.alive = torch.arange(len(owner), device=owner.device)  # [R'], places in `drawn`
        self.position = lengths[owner]  # [R'], of the next token
        columns = torch.arange(int(lengths.max()), device=owner.device)
        self.seen = columns < self.position[:, None]  # [R', P]
        self.ragged = not bool(self.seen.all())
        self.ends = torch.tensor(list(ends), device=owner.device)
        self.layers = [RowLayer(one.keys[owner], one.values[owner], room) for one in cache.layers]
        self.cache = Cache(layers=self.layers)  # type: ignore[arg-type]

    def take(self, ids: Tensor, logprobs: Tensor) -> bool:
        """Record a token for each live row and drop the rows that it ends. False: none is left."""
        self.token = ids
        values = zip(self.alive.tolist(), ids.tolist(), logprobs.tolist(), strict=True)
        for place, token, logprob in values:
            self.drawn[place].token_ids.append(token)
            self.drawn[place].logprobs.append(logprob)
        ended = torch.isin(ids, self.ends)
        if ended.any():
            self._drop(ended)
        return len(self.alive) > 0

    def _drop(self, ended: Tensor) -> None:
        for place in self.alive[ended].tolist():
            self.drawn[place].finish_reason = "stop"
        kept = (~ended).nonzero()[:, 0]
        self.alive, self.position = self.alive[kept], self.position[kept]
        self.token, self.seen = self.token[kept], self.seen[kept]
        for layer in self.layers:
            layer.keep(kept)

    def forward(self, decoder: Any) -> Tensor:
        """`[R', D]`: the states after the tokens taken last."""
        self.seen = torch.cat([self.seen, self.seen.new_ones(len(self.seen), 1)], dim=1)
        mask = self.seen[:, None, None] if self.ragged else None
        out = decoder(
            input_ids=self.token[:, None],
            attention_mask=mask,
            position_ids=self.position[:, None],
            past_key_values=self.cache,
            use_cache=True,
        )
        self.position = self.position + 1
        return out.last_hidden_state[:, 0]
