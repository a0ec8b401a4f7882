"""The other layout of a group: one row `[prompt | completion 1 | … | completion N]` and a mask.

Each completion sees the prompt and itself, and its positions go on after the prompt. No cache is
needed, so the layers can be recomputed in the backward pass (gradient checkpointing drops a cache
without a word). Attention is computed over the whole row, so for long completions it costs more
than the layout of `group.py`; `benchmarks/group_layouts.py` has the figures.

Letters as in `group.py`; L is the longest row: P and the completion tokens of one group.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_layers import GradientCheckpointingLayer

PROMPT, PADDING = -1, -2  # segments beside 0 … N-1, the completions


def block_states(decoder: Any, batch: Any) -> tuple[Tensor, Tensor]:
    """`[B, P, D]`: the states of the prompts, and `[R, T, D]`: those that predict each completion
    token. The same numbers as with the prompts' cache."""
    ids, positions, segments, starts = laid_out(batch)
    states = decoder(
        input_ids=ids,
        attention_mask=additive(visible(segments), next(decoder.parameters()).dtype),
        position_ids=positions,
        use_cache=False,
    ).last_hidden_state  # [B, L, D]
    first = (batch.prompt_lengths - 1)[batch.owner, None]  # [R, 1]
    later = starts[:, None] + torch.arange(batch.row_ids.shape[1] - 1, device=ids.device)
    columns = torch.cat([first, later.clamp(max=ids.shape[1] - 1)], dim=1)  # [R, T]
    return states[:, : batch.prompt_ids.shape[1]], states[batch.owner[:, None], columns]


def laid_out(batch: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Token ids, positions and segments `[B, L]`, and where each completion starts `[R]`.

    The last token of a completion predicts nothing and is left out.
    """
    prompts, owner = batch.prompt_lengths.tolist(), batch.owner.tolist()
    ends, starts = list(prompts), []
    for row, length in enumerate(batch.row_lengths.tolist()):
        starts.append(ends[owner[row]])
        ends[owner[row]] += length - 1
    shape = (len(prompts), max(ends))
    ids = batch.prompt_ids.new_zeros(shape)
    positions = torch.zeros_like(ids)
    segments = torch.full_like(ids, PADDING)
    counting = torch.arange(max(ends), device=ids.device)
    for b, length in enumerate(prompts):
        ids[b, :length] = batch.prompt_ids[b, :length]
        positions[b, :length] = counting[:length]
        segments[b, :length] = PROMPT
    for row, (b, start) in enumerate(zip(owner, starts, strict=True)):
        count = int(batch.row_lengths[row]) - 1
        ids[b, start : start + count] = batch.row_ids[row, :count]
        positions[b, start : start + count] = prompts[b] + counting[:count]
        segments[b, start : start + count] = row
    return ids, positions, segments, torch.tensor(starts, device=ids.device)


def visible(segments: Tensor) -> Tensor:
    """`[B, L, L]`: whether a token (row) sees another (column): the prompt and its own completion
    so far. Padding sees itself alone, for a softmax over nothing is NaN."""
    order = torch.arange(segments.shape[1], device=segments.device)
    before = order[:, None] >= order
    own = segments[:, :, None] == segments[:, None, :]
    prompt = (segments == PROMPT)[:, None, :]
    padding = (segments == PADDING)[:, :, None]
    itself = order[:, None] == order
    return torch.where(padding, itself, before & (own | prompt))


def additive(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """`[B, 1, L, L]` to be added to attention scores."""
    blocked = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return blocked.masked_fill(~seen, torch.finfo(dtype).min)[:, None]


def allow_recomputing(model: Any) -> None:
    """Prepare the model's layers for `recomputed`; older transformers, as a GPU host may have
    them, know it under another name."""
    enable = getattr(model, "activation_checkpointing_enable", None)
    (enable or model.gradient_checkpointing_enable)({"use_reentrant": False})


@contextmanager
def recomputed(model: Any) -> Iterator[None]:
    """Within it, a forward keeps each layer's input alone and computes the rest once more in the
    backward pass. Nothing else of the model is in training mode, so dropout stays off."""
    layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    for layer in layers:
        layer.training = True
    try:
        yield
    finally:
        for layer in layers:
            layer.training = False
