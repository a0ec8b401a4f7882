"""Which tokens a method learns from, asked of the method itself.

Its objective is given the log-probabilities of a group, and a token's *weight* is what a nat more
of its log-probability takes off the loss of its step, - dL / d log p. A weight of 0 is a token that
is only read. The log-probabilities are those of the model as it is, or all equal where there is no
model; a weight that depends on them (CoTD-PO's) is then that of a student without a preference.
What a method compares beside log-probabilities of given tokens (the consistency of `combined`) has
no weight per token and is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from training.engine.group import Batch, LogProbs, collate, group_logprobs
from training.methods.base import Group, MethodConfig, Window, temperature_of


@dataclass(frozen=True)
class Weights:
    """A number for each token of a group."""

    prompt: list[float]
    completions: list[list[float]]


def token_weights(
    method: ModuleType, config: MethodConfig, group: Group, window: Window, model: Any = None
) -> Weights:
    """The weights of one group whose step has the totals `window`; without a model, of equal
    log-probabilities."""
    batch = collate([group], window)
    read = read_by(model, batch, temperature_of(config))
    completion = read.completion.requires_grad_()
    prompt = torch.zeros_like(batch.prompt_mask) if read.prompt is None else read.prompt
    prompt.requires_grad_()
    if batch.ref_logprobs is None:  # before the first step the model is its own reference
        batch = replace(batch, ref_logprobs=completion.detach().clone())
    given = LogProbs(completion, None if read.prompt is None else prompt)
    loss, _ = method.objective(given, batch, config)
    before, behind = pulls(loss, [prompt, completion])
    before, behind = before * batch.prompt_mask, behind * batch.mask  # the rest is filling
    rows = zip(behind[0].tolist(), group.completions, strict=True)
    return Weights(
        prompt=before[0, : len(group.prompt)].tolist(),
        completions=[numbers[: len(ids)] for numbers, ids in rows],
    )


def pulls(loss: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    """`- d loss / d leaf`, zeros where the loss does not depend on it."""
    if not loss.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    pairs = zip(gradients, leaves, strict=True)
    return [torch.zeros_like(leaf) if one is None else -one for one, leaf in pairs]


@torch.no_grad()
def read_by(model: Any, batch: Batch, temperature: float) -> LogProbs:
    """The log-probabilities of a batch under the model, on the CPU; -1 a token without one."""
    if model is None:
        return LogProbs(-batch.mask, -batch.prompt_mask if batch.prompt_mask.any() else None)
    found = group_logprobs(model, batch.to(next(model.parameters()).device), temperature)
    prompt = None if found.prompt is None else found.prompt.float().cpu()
    return LogProbs(found.completion.float().cpu(), prompt)
