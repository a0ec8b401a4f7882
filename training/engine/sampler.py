"""The sampler: prefill once a prompt, N continuations, freed slots filled again.

So many rows are decoded together as there are slots. Their keys and values lie in one buffer that
is written in place: a row that ends gives its slot to the last one, and when a quarter is free the
next prompts are read and take their places, each with all its continuations. On a CPU a step
computes the rows there are; on a GPU it computes every slot, always in the same shape, and is
replayed as one captured graph, for small models wait for launches and for nothing else.

Each row has its own stream of uniform numbers from its own seed, and a token is the place where
the row's number falls in the cumulated distribution; so what a row draws does not depend on which
rows are beside it (up to floating point: the same call draws the same bits). The log-probability
kept for each token is that of the whole distribution at the sampling temperature, which is what
the trainer computes; `top_p` below 1 draws from less and is for data, not for ratios.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AttentionInterface, Cache, DynamicCache
from transformers.cache_utils import CacheLayerMixin

from training.decoding.sampling import Sampling
from training.engine.block import additive
from training.engine.group import padded, parts
from training.engine.model import positions_of
from training.engine.shortage import is_shortage, let_go


@dataclass
class Drawn:
    """One completion as it was drawn; the token that ended it is the last of `token_ids`."""

    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: str = "length"


GROUPED = "stillroom_grouped"


def grouped_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **ignored: Any,
) -> tuple[Tensor, None]:
    """Attention of one token a row. query: `[R, heads, 1, D]`; key, value: `[R, key heads, L, D]`.

    Heads that share a key are multiplied with it together. PyTorch's own, given a mask, is handed a
    copy of keys and values for each head instead, and is 2 to 20 times slower on a CPU.
    """
    rows, heads, _, width = query.shape
    shared = query.reshape(rows, key.shape[1], -1, width)
    scores = shared @ key.transpose(2, 3) * (width**-0.5 if scaling is None else scaling)
    if attention_mask is not None:
        scores = scores + attention_mask
    mixed = scores.float().softmax(-1).to(value.dtype) @ value
    return mixed.reshape(rows, 1, heads, width), None


AttentionInterface.register(GROUPED, grouped_attention)


class SlotLayer(CacheLayerMixin):
    """One layer's keys and values, `[slots, heads, room, width]`, each row at its own column."""

    is_sliding = False

    def __init__(self, slots: Slots) -> None:
        super().__init__()
        self.slots = slots
        self.blocks: list[Tensor] = []  # keys and values, once the first rows are there
        self.is_initialized = True

    def admit(self, keys: Tensor, values: Tensor, first: int) -> None:
        """Put rows `[R, heads, P, width]` behind the first `first` ones."""
        if not self.blocks:
            rows, room = self.slots.count, self.slots.room
            self.blocks = [
                block.new_zeros(rows, block.shape[1], room, block.shape[3])
                for block in (keys, values)
            ]
        for block, filled in zip(self.blocks, (keys, values), strict=True):
            block[first : first + len(filled), :, : filled.shape[2]] = filled

    def move(self, source: Tensor, target: Tensor, length: int) -> None:
        """Copy rows to the slots of others, as far as any is filled."""
        for block in self.blocks:
            block[target, :, :length] = block[source, :, :length]

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to do: the buffer is made when the first rows are admitted."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write one token of every row at its own column; all columns that may be seen."""
        rows, columns, width = self.slots.rows, self.slots.columns, self.slots.width
        keys, values = self.blocks
        keys[rows, :, columns] = key_states[:, :, 0].to(keys.dtype)
        values[rows, :, columns] = value_states[:, :, 0].to(values.dtype)
        return keys[: len(rows), :, :width], values[: len(rows), :, :width]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the keys that a mask has to cover."""
        return self.slots.width, 0

    def get_seq_length(self) -> int:
        """Columns so far; positions are given, so nothing is counted from it."""
        return self.slots.width - 1

    def get_max_length(self) -> int:
        """No limit that a mask has to know of."""
        return -1

    def get_max_cache_shape(self) -> int:
        """As `get_max_length`, by its older name."""
        return -1


class Slots:
    """The rows that are decoded together, the first `active` of `count`, and their cache."""

    def __init__(self, decoder: Any, count: int, room: int, layers: int, static: bool) -> None:
        self.decoder, self.count, self.room, self.static = decoder, count, room, static
        self.layers = [SlotLayer(self) for _ in range(layers)]
        self.cache = Cache(layers=self.layers)  # type: ignore[arg-type]
        self.active = 0
        self.token: Tensor | None = None  # one place for all steps, where they have one shape
        self.graph: Any = None

    def admit(self, prefill: Any, owner: Tensor, lengths: Tensor) -> None:
        """Take in rows behind the active ones; `owner` names each one's prompt of `lengths`."""
        if self.active == 0:
            self.place = lengths.new_full((self.count,), -1)  # column of the last token
        for layer, read in zip(self.layers, prefill.past_key_values.layers, strict=True):
            layer.admit(read.keys[owner], read.values[owner], self.active)
        self.place[self.active : self.active + len(owner)] = lengths[owner] - 1
        self.active += len(owner)

    def drop(self, ended: Tensor) -> tuple[Tensor, Tensor]:
        """Free the slots of some rows; the last rows move into them. From where to where."""
        left = self.active - len(ended)
        gone = torch.zeros(self.active, dtype=torch.bool, device=ended.device)
        gone[ended] = True
        source = left + (~gone[left:]).nonzero()[:, 0]
        target = gone[:left].nonzero()[:, 0]
        if len(source):
            length = int(self.place[: self.active].max()) + 1
            for layer in self.layers:
                layer.move(source, target, length)
            self.place[target] = self.place[source]
        self.active = left
        return source, target

    def forward(self, token: Tensor) -> Tensor:
        """`[active, D]`: the states after these tokens `[active]`."""
        self.place[: self.active] += 1
        if self.static:
            return self._whole(token)
        places = self.place[: self.active]
        self.rows = torch.arange(self.active, device=token.device)
        self.columns, self.width = places, int(places.max()) + 1
        return self._decode(token, self._mask())

    def _whole(self, token: Tensor) -> Tensor:
        """The same in one shape for every step: all slots, all columns."""
        if self.token is None:
            self.token = token.new_zeros(self.count)
            self.rows = torch.arange(self.count, device=token.device)
            self.columns, self.width = self.place.clamp(min=0), self.room
        self.token[: self.active] = token
        self.columns.copy_(self.place.clamp(min=0))
        if token.device.type != "cuda":
            return self._decode(self.token, self._mask())[: self.active]
        if self.graph is None:
            self._capture(self.token)
        self.graph.replay()
        states: Tensor = self.states[: self.active]
        return states

    def _capture(self, token: Tensor) -> None:
        """Record one decoding step as a CUDA graph, after some runs that settle its memory."""
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                self._decode(token, self._mask())
        torch.cuda.current_stream().wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.states = self._decode(token, self._mask())

    def _mask(self) -> Tensor:
        order = torch.arange(self.width, device=self.columns.device)
        seen = order <= self.columns[:, None]
        return additive(seen[:, None], self.layers[0].blocks[0].dtype)

    def _decode(self, token: Tensor, mask: Tensor | None) -> Tensor:
        with grouped(self.decoder):
            out = self.decoder(
                input_ids=token[:, None],
                attention_mask=mask,
                position_ids=self.columns[:, None],
                past_key_values=self.cache,
                use_cache=True,
            )
        states: Tensor = out.last_hidden_state[:, 0]
        return states


@contextmanager
def grouped(decoder: Any) -> Iterator[None]:
    """Within it a decoder whose attention is PyTorch's computes it by `grouped_attention`; any
    other keeps its own."""
    usual = decoder.config._attn_implementation
    if usual != "sdpa":
        yield
        return
    decoder.config._attn_implementation = GROUPED
    try:
        yield
    finally:
        decoder.config._attn_implementation = usual


@torch.no_grad()
def draw(
    model: Any,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[Sequence[int]],
    sampling: Sampling,
    ends: Sequence[int],
    slots: int = 0,
    static: bool | None = None,
) -> list[list[Drawn]]:
    """For each prompt one completion for each of its seeds.

    `ends` are the ids that finish a completion; without one it is cut at
    `sampling.max_new_tokens`, or where the model has no position left, and its finish reason is
    `length`. A prompt leaves at least one position (`check_room`). At most `slots` completions are
    decoded together (0: all of them), but those of one prompt always are. `static` computes
    every slot in each step, which is the default on a GPU alone.
    """
    return Draw(model, prompts, seeds, sampling, ends, slots, static).run()


class Sampler:
    """`draw` with as many slots as memory has turned out to hold."""

    def __init__(self, slots: int = 0) -> None:
        self.slots = slots

    def draw(
        self,
        model: Any,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[Sequence[int]],
        sampling: Sampling,
        ends: Sequence[int],
    ) -> list[list[Drawn]]:
        """See `draw`. Where memory runs out, it begins again with half the slots, which it keeps
        to: what a row draws does not depend on them.

        Raises `MemoryError` where the completions of one prompt do not fit.
        """
        while True:
            try:
                return draw(model, prompts, seeds, sampling, ends, self.slots)
            except RuntimeError as error:
                if not is_shortage(error):
                    raise
            self._halve([len(row) for row in seeds])

    def _halve(self, sizes: Sequence[int]) -> None:
        let_go()
        rows, fewest = sum(sizes), max(sizes)
        used = max(min(self.slots or rows, rows), fewest)
        if used == fewest:
            raise MemoryError(
                f"{fewest} completions of one prompt do not fit into the device's memory together; "
                "lower the longest completion or their number."
            )
        self.slots = used // 2


class Draw:
    """One call of `draw`: what waits, what is being decoded, what is done."""

    def __init__(
        self,
        model: Any,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[Sequence[int]],
        sampling: Sampling,
        ends: Sequence[int],
        slots: int,
        static: bool | None,
    ) -> None:
        self.decoder, self.head = parts(model)
        self.device = next(model.parameters()).device
        self.prompts, self.sampling, self.limit = prompts, sampling, sampling.max_new_tokens
        self.sizes = [len(row) for row in seeds]
        self.first = [0, *accumulate(self.sizes)]
        self.rows = self.first[-1]
        self.chances = torch.from_numpy(
            uniforms([seed for row in seeds for seed in row], self.limit)
        ).to(self.device)
        self.ends = torch.tensor(list(ends), device=self.device)
        self.waiting = deque(range(len(prompts)))
        limits = [min(self.limit, positions_of(model) - len(prompt)) for prompt in prompts]
        self.slots = Slots(
            self.decoder,
            count=max(min(slots or self.rows, self.rows), *self.sizes, 1),
            room=max(len(prompt) + limit for prompt, limit in zip(prompts, limits, strict=True)),
            layers=model.config.num_hidden_layers,
            static=self.device.type == "cuda" if static is None else static,
        )
        self.ids = torch.zeros(self.rows, self.limit, dtype=torch.long, device=self.device)
        self.logprobs = torch.zeros(self.rows, self.limit, device=self.device)
        self.lengths = torch.zeros(self.rows, dtype=torch.long, device=self.device)
        sizes = torch.tensor(self.sizes, device=self.device)
        # A benchmark forces lengths here.
        self.limits = torch.tensor(limits, device=self.device).repeat_interleave(sizes)
        self.stopped = torch.zeros(self.rows, dtype=torch.bool, device=self.device)
        self.alive = torch.zeros(0, dtype=torch.long, device=self.device)  # row of each slot

    def run(self) -> list[list[Drawn]]:
        """Draw everything."""
        states = torch.cat(self._admit())
        while len(self.alive):
            token = self._take(states)
            token = self._drop(token)
            states = self.slots.forward(token) if len(token) else states[:0]
            if self.waiting and self.slots.active <= 3 * self.slots.count // 4:
                states = torch.cat([states, *self._admit()])
        return self._drawn()

    def _admit(self) -> list[Tensor]:
        """Read the next prompts that find room with all their continuations; the states that
        predict their first tokens, or nothing if none does."""
        taken: list[int] = []
        free = self.slots.count - self.slots.active
        while self.waiting and self.sizes[self.waiting[0]] <= free:
            taken.append(self.waiting.popleft())
            free -= self.sizes[taken[-1]]
        ids = [self.prompts[place] for place in taken]
        if not ids:
            return []
        lengths = torch.tensor([len(each) for each in ids], device=self.device)
        prefill = self.decoder(
            input_ids=padded(ids).to(self.device), past_key_values=DynamicCache(), use_cache=True
        )
        sizes = torch.tensor([self.sizes[place] for place in taken], device=self.device)
        owner = torch.arange(len(taken), device=self.device).repeat_interleave(sizes)
        self.slots.admit(prefill, owner, lengths)
        rows = [self.first[place] + n for place in taken for n in range(self.sizes[place])]
        self.alive = torch.cat([self.alive, torch.tensor(rows, device=self.device)])
        return [prefill.last_hidden_state[owner, lengths[owner] - 1]]

    def _take(self, states: Tensor) -> Tensor:
        """Choose a token `[active]` for each state, and record it."""
        column = self.lengths[self.alive]
        ids, logprobs = chosen(
            self.head(states).float(), self.chances[self.alive, column], self.sampling
        )
        self.ids[self.alive, column] = ids
        self.logprobs[self.alive, column] = logprobs
        self.lengths[self.alive] = column + 1
        return ids

    def _drop(self, token: Tensor) -> Tensor:
        """The tokens of the rows that go on; those that ended, or are full, leave their slots."""
        stopped = torch.isin(token, self.ends)
        self.stopped[self.alive] = stopped
        ended = stopped | (self.lengths[self.alive] >= self.limits[self.alive])
        places = ended.nonzero()[:, 0]
        if len(places) == 0:
            return token
        source, target = self.slots.drop(places)
        left = self.slots.active
        for each in (self.alive, token):
            each[target] = each[source]
        self.alive = self.alive[:left]
        return token[:left]

    def _drawn(self) -> list[list[Drawn]]:
        if self.logprobs.isnan().any():
            raise FloatingPointError("The model's probabilities are not finite; see its weights.")
        columns = (self.ids, self.logprobs, self.lengths, self.stopped)
        records = zip(*(column.tolist() for column in columns), strict=True)
        rows = iter(
            Drawn(ids[:length], logprobs[:length], "stop" if stopped else "length")
            for ids, logprobs, length, stopped in records
        )
        return [[next(rows) for _ in range(size)] for size in self.sizes]


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
    probabilities = logits.softmax(-1)
    if sampling.temperature == 0:
        ids = logits.argmax(-1)
    else:
        weights = nucleus(probabilities, sampling.top_p).cumsum(-1, dtype=torch.float64)
        target = (chance * weights[:, -1])[:, None]
        ids = torch.searchsorted(weights, target, right=True)[:, 0]
        ids = ids.clamp(max=logits.shape[-1] - 1)
    return ids, probabilities.gather(-1, ids[:, None])[:, 0].log()


def nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Zero outside the smallest set of likeliest tokens whose mass reaches `top_p`."""
    if top_p >= 1:
        return probabilities
    ordered, order = probabilities.sort(-1, descending=True)
    beyond = ordered.cumsum(-1) - ordered >= top_p
    return probabilities.masked_fill(beyond.gather(-1, order.argsort(-1)), 0.0)
