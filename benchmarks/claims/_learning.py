"""A tiny student and the shortest loop around the engine's own parts: draw, weigh, update.

The losses, the group forward, the micro-batches and the sampler are those of every served run;
what is missing here is files, checkpoints and resume.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from training.decoding.sampling import Sampling
from training.engine.group import collate, group_logprobs
from training.engine.plan import learning_rate, micro_batches
from training.engine.reference import add_reference_logprobs
from training.engine.sampler import draw
from training.engine.seeds import seed_for
from training.methods.base import Group, MethodConfig, window_of

END = 0
ROWS_AT_ONCE = 600


@dataclass(frozen=True)
class Characters:
    """One character is one token; 0 ends a completion."""

    known: str

    def ids(self, text: str) -> list[int]:
        return [1 + self.known.index(character) for character in text]

    def ended(self, text: str) -> list[int]:
        return [*self.ids(text), END]

    def text(self, ids: Sequence[int]) -> str:
        return "".join(self.known[token - 1] for token in ids if token != END)


@dataclass(frozen=True)
class Shape:
    """The size of a new Llama."""

    width: int = 96
    layers: int = 3
    heads: int = 4
    positions: int = 64


def new_model(characters: Characters, shape: Shape, seed: int) -> Any:
    """A Llama with random weights from the seed."""
    torch.manual_seed(seed_for(seed, "model"))
    config = LlamaConfig(
        vocab_size=1 + len(characters.known),
        hidden_size=shape.width,
        intermediate_size=2 * shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=shape.positions,
        initializer_range=0.06,  # at 0.02 a model this small learns half as fast
        tie_word_embeddings=False,
        eos_token_id=END,
    )
    return LlamaForCausalLM(config).float().eval()


@dataclass
class Learner:
    """A copy of a model with the optimizer of one method, for a run of `steps` steps."""

    model: Any
    method: ModuleType
    config: MethodConfig
    steps: int
    reference: Any = None  # the frozen start, for methods with a KL term
    betas: tuple[float, float] = (0.9, 0.999)  # the engine's
    last: dict[str, float] = field(default_factory=dict)
    taken: int = 0

    def __post_init__(self) -> None:
        self.model = copy.deepcopy(self.model)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=self.config.learning_rate,
            betas=self.betas,
            weight_decay=self.config.weight_decay,
        )

    def learn(self, groups: list[Group], seed: int) -> None:
        """One round: weigh it, then go through it for the config's epochs."""
        if getattr(self.config, "beta", 0.0):
            tokens = self.config.tokens_per_batch
            add_reference_logprobs(self.reference, groups, 1.0, tokens)
        self.method.weigh(groups, self.config)
        size = self.config.groups_per_step
        for epoch in range(self.config.epochs):
            order = list(groups)
            random.Random(seed_for(seed, "order", epoch)).shuffle(order)
            for start in range(0, len(order), size):
                self.step(order[start : start + size])

    def step(self, groups: list[Group]) -> None:
        """One optimizer step, as `engine.loop` takes it."""
        self.taken += 1
        live = [group for group in groups if self.method.trainable(group, self.config)]
        if not live:
            return
        window, self.last = window_of(live), {}
        for part in micro_batches(live, self.config.tokens_per_batch):
            batch = collate(part, window)
            logprobs = group_logprobs(self.model, batch)
            loss, shares = self.method.objective(logprobs, batch, self.config)
            loss.backward()
            for name, share in shares.items():
                self.last[name] = self.last.get(name, 0.0) + float(share)
        for settings in self.optimizer.param_groups:
            settings["lr"] = self._rate()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _rate(self) -> float:
        peak, warmup, schedule = (
            self.config.learning_rate,
            self.config.warmup,
            self.config.schedule,
        )
        return learning_rate(self.taken, self.steps, peak, warmup, schedule)


def sampled(
    model: Any, prompts: Sequence[Sequence[int]], count: int, longest: int, seed: int
) -> list[list[Any]]:
    """`count` completions for each prompt at temperature 1, in chunks of `ROWS_AT_ONCE`."""
    sampling = Sampling(temperature=1.0, max_new_tokens=longest)
    size, drawn = max(1, ROWS_AT_ONCE // count), []
    for start in range(0, len(prompts), size):
        chunk = prompts[start : start + size]
        seeds = [
            [seed_for(seed, "draw", start + p, n) for n in range(count)] for p in range(len(chunk))
        ]
        drawn += draw(model, chunk, seeds, sampling, [END])
    return drawn


def drawn_groups(
    names: Sequence[str],
    prompts: Sequence[list[int]],
    drawn: Sequence[Sequence[Any]],
    rate: Callable[[str, Sequence[int]], float],
    **fields: Any,
) -> list[Group]:
    """Samples as the groups that a method weighs, each with its rating."""
    return [
        Group(
            name,
            prompt,
            completions=[one.token_ids for one in samples],
            present=[True] * len(samples),
            rewards=[rate(name, one.token_ids) for one in samples],
            truncated=[one.finish_reason == "length" for one in samples],
            old_logprobs=[one.logprobs for one in samples],
        )
        for name, prompt, samples in zip(names, prompts, drawn, strict=True)
    ]
