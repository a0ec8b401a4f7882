"""How much memory a training step takes: a formula, and the peak that was measured.

In bytes, with P parameters of which P_t are trained, all in fp32 (bf16 computes over fp32 weights):

    weights      4 P            gradients  4 P_t            optimizer  8 P_t  (AdamW's two moments)
    reference    4 P            where the method compares with the frozen start
    activations  e * (layers + 1) * [ tokens * (9 h + 2 k + m f)  +  keys * 2 c ]
    logits       4 * 4 * min(scored tokens * V, one chunk)

Activations are what the backward pass needs of one forward. Per layer and token these are, in
numbers: 6 h for two norms (what goes in, the normalised, what comes out), h for the queries and 2 k
for keys and values, h for what attention gives and h for the copy of it that is projected; and of
the feed-forward part, f wide, m = 4 rows if it is gated (gate, its activation, up, product), 5 if
not (GPT-2's tanh keeps as many). `keys`: each completion attends to its prompt and itself, and the
prompt's keys and values are repeated for it, so it is the sum over completions of prompt and own
length; c is h where several heads share a key (it is written out for each), else k. Attention
scores are never kept. One layer more stands for the gradients of the layer that the backward pass
is in. With gradient checkpointing every layer keeps its input alone, tokens * h, and two layers are
whole at a time. e is 4, or 2 in bf16, which also keeps a copy of the weights, 2 P.

The way of counting is that of Korthikanti et al., arXiv 2205.05198 (s b h (34 + 5 a s / h) bytes a
layer for a 16-bit GPT with dropout), applied to what transformers' layers keep here. Not in it:
the library itself, the allocator's slack, and what a draw takes. Beside the peak measured on a CPU
it was within 3 per cent on three shapes of Llama and one of GPT-2, in fp32 (docs/rehearsal.md).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from training.engine.group import LOGITS_AT_ONCE
from training.methods.base import Group


@dataclass(frozen=True)
class Shape:
    """What the formula has to know of a model."""

    parameters: int
    trained: int
    layers: int
    width: int  # h
    key_width: int  # k, of all key heads together
    feed: int  # f
    gated: bool
    vocabulary: int  # V


def shape_of(model: Any) -> Shape:
    """The shape of a loaded model, or of one on the meta device. Qwen 3 and Gemma name the width
    of a head; GPT-2 has `n_inner`, its feed-forward is not gated and its heads share no keys."""
    config, parameters = model.config, list(model.parameters())
    width, heads = config.hidden_size, config.num_attention_heads
    head = getattr(config, "head_dim", None) or width // heads
    feed = getattr(config, "intermediate_size", None)
    return Shape(
        parameters=sum(weight.numel() for weight in parameters),
        trained=sum(weight.numel() for weight in parameters if weight.requires_grad),
        layers=config.num_hidden_layers,
        width=width,
        key_width=head * (getattr(config, "num_key_value_heads", None) or heads),
        feed=feed or getattr(config, "n_inner", None) or 4 * width,
        gated=feed is not None,
        vocabulary=config.vocab_size,
    )


def estimated(
    shape: Shape,
    batch: Sequence[Group],
    bf16: bool = False,
    reference: bool = False,
    recompute: bool = False,
) -> dict[str, int]:
    """Bytes by part, and their `total`, for a step whose largest forward is `batch`."""
    layer = numbers_per_layer(shape, batch)
    kept = (shape.layers + 1) * layer
    if recompute:
        kept = shape.layers * read(batch) * shape.width + 2 * layer
    parts = {
        "weights": 4 * shape.parameters + (2 * shape.parameters if bf16 else 0),
        "gradients": 4 * shape.trained,
        "optimizer": 8 * shape.trained,
        "reference": 4 * shape.parameters if reference else 0,
        "activations": (2 if bf16 else 4) * kept,
        "logits": 16 * min(scored(batch) * shape.vocabulary, LOGITS_AT_ONCE),
    }
    return {**parts, "total": sum(parts.values())}


def numbers_per_layer(shape: Shape, batch: Sequence[Group]) -> int:
    """How many numbers one layer keeps of a forward of these groups."""
    rows = [(len(group.prompt), len(ids)) for group in batch for ids in group.completions]
    keys = sum(before + own for before, own in rows)
    written_out = shape.width if shape.key_width < shape.width else shape.key_width
    per_token = 9 * shape.width + 2 * shape.key_width + (4 if shape.gated else 5) * shape.feed
    return read(batch) * per_token + keys * 2 * written_out


def read(batch: Sequence[Group]) -> int:
    """Tokens of a forward: the prompts as one padded block, and the completions."""
    return len(batch) * max(len(group.prompt) for group in batch) + scored(batch)


def scored(batch: Sequence[Group]) -> int:
    """Tokens whose log-probability is computed."""
    return sum(len(ids) for group in batch for ids in group.completions)


class Peak:
    """The most memory in use since `start`, above what was in use then; of the GPU, or resident.

    On a CPU it needs Linux, which counts it and can begin anew; elsewhere nothing is known.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.before = self._now("VmRSS")
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        elif os.access("/proc/self/clear_refs", os.W_OK):
            Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins at now

    def above(self, known: int) -> int | None:
        """Bytes, and `known` that were there at the start; none where they cannot be counted."""
        highest = self._now("VmHWM")
        return None if highest is None or self.before is None else known + highest - self.before

    def _now(self, name: str) -> int | None:
        if self.device.type == "cuda":
            highest = name == "VmHWM"
            counted = torch.cuda.max_memory_allocated if highest else torch.cuda.memory_allocated
            return counted(self.device)
        status = Path("/proc/self/status")
        if not status.exists():
            return None
        lines = (line.split() for line in status.read_text().splitlines())
        return next(int(words[1]) * 1024 for words in lines if words and words[0] == f"{name}:")
