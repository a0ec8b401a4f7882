"""The plain way, for machines without TRL: one padded row a completion, the prompt in each.

Only the forward differs from ours: the loss is the method's, and log-probabilities are computed in
the same chunks over completion tokens, which is kinder to the rival than a head on every position.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from training.engine.group import Batch, LogProbs, collate, padded, parts, token_logprobs, warmths
from training.methods import grpo
from training.methods.base import Group, window_of


def padded_logprobs(model: Any, batch: Batch, temperature: float) -> LogProbs:
    """`[B, N, T]` from rows `[prompt, completion, padding]`."""
    decoder, head = parts(model)
    prompts, rows = batch.prompt_lengths.tolist(), batch.row_lengths.tolist()
    owner = batch.owner.tolist()
    joined = [
        [*batch.prompt_ids[b, : prompts[b]].tolist(), *batch.row_ids[r, : rows[r]].tolist()]
        for r, b in enumerate(owner)
    ]
    ids = padded(joined).to(batch.row_ids.device)
    lengths = torch.tensor([len(row) for row in joined], device=ids.device)
    columns = torch.arange(ids.shape[1], device=ids.device)
    mask = (columns < lengths[:, None]).long()
    hidden = decoder(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    first = batch.prompt_lengths[batch.owner][:, None]  # [R, 1]
    wanted = (columns >= first - 1) & (columns < lengths[:, None] - 1)
    warmth = warmths(batch, temperature, wanted)
    scored = token_logprobs(head, hidden[wanted], ids.roll(-1, 1)[wanted], warmth)
    row, column = wanted.nonzero(as_tuple=True)
    place = (batch.owner[row], batch.place[row], column - (first[row, 0] - 1))
    return LogProbs(scored.new_zeros(batch.mask.shape).index_put(place, scored), None)


def padded_step(
    model: Any, optimizer: Any, groups: Sequence[Group], config: Any, groups_at_once: int
) -> None:
    """One optimizer step over the groups, in the precision that the settings say."""
    window, device = window_of(groups), next(model.parameters()).device
    bf16 = config.precision == "bf16"
    for start in range(0, len(groups), groups_at_once):
        batch = collate(groups[start : start + groups_at_once], window).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logprobs = padded_logprobs(model, batch, config.temperature)
        loss, facts = grpo.objective(logprobs, batch, config)
        loss.backward()
        for value in facts.values():
            float(value)
    torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
