"""The engine's sampler against transformers' `generate`, with its growing and its static cache.

Four kinds of work. `equal`: eight prompts, eight samples each, all to the same length, nothing
ends. `spread`: the same, to lengths that are given beforehand and spread as those of rationales are
(log-normal). `greedy`: 64 questions, one completion each, which both arms end alike because they
write the same tokens; that is checked. `own ends`: eight samples each as GRPO draws them, every arm
with its own dice, in time per token. Ours records each token's log-probability besides.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteriaList

from benchmarks._training.forced import Limits, log_normal
from benchmarks._training.gate import Unequal
from benchmarks._training.model import END, PAD, make_model, make_tokenizer
from benchmarks._training.table import show
from benchmarks._training.turns import alternate, summary
from benchmarks._training.warmed import LONGEST, make_questions, warm
from training.decoding.prompts import Renderer
from training.decoding.sampling import Sampling
from training.engine.sampler import Draw

WORK = ("equal", "spread", "greedy", "own ends")
FORCED = ("equal", "spread")  # nothing ends by itself
CACHES = (None, "static")
Ids = list[list[int]]


def lengths_of(work: str, rows: int) -> list[int]:
    """How long each row may become: a spread with a median of a half, or all the longest."""
    if work != "spread":
        return [LONGEST] * rows
    return log_normal(rows, LONGEST / 2, LONGEST, random.Random(0))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    tokenizer = make_tokenizer()
    model = warm(make_model(), tokenizer)
    rows = []
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        for work in WORK:
            for cache in CACHES:
                rows.append(timed(model, tokenizer, work, cache, arguments.rounds))
                rows[-1]["threads"] = threads
                show(rows[-1:])
    return {"rows": rows}


def timed(model: Any, tokenizer: Any, work: str, cache: str | None, rounds: int) -> dict[str, Any]:
    """One kind of work against one kind of cache."""
    group = 1 if work == "greedy" else 8
    text = Renderer(tokenizer)
    prompts = [text.prompt(each.question) for each in make_questions(64 // group)]
    ours = OurSampler(model, prompts, group, work)
    rival = Generate(model, prompts, group, work, cache)
    if work == "greedy" and ours() != rival():
        raise Unequal("Greedy completions differ between the arms; they are not compared.")
    turns = alternate(rival, ours, rounds)
    first = 1 if work == "greedy" else 0  # the check above has counted too
    ours.tokens, rival.tokens = ours.tokens[first:], rival.tokens[first:]
    return {
        "method": work,
        "prompt_tokens": round(sum(map(len, prompts)) / len(prompts)),
        "completion_tokens": round(sum(ours.tokens) / len(ours.tokens) / 64),
        "group": group,
        **summary(turns.our_clock, turns.rival_clock, ours.tokens, rival.tokens),
        "rival": f"transformers generate, {cache or 'dynamic'} cache",
        "generated_tokens": ours.tokens[1:],
        "rival_generated_tokens": rival.tokens[1:],
        "longest": LONGEST,
    }


class OurSampler:
    """One call draws every completion; `tokens` counts them, call by call."""

    def __init__(self, model: Any, prompts: Ids, group: int, work: str) -> None:
        self.model, self.prompts, self.group, self.work = model, prompts, group, work
        self.sampling = Sampling(
            temperature=0.0 if work == "greedy" else 1.0, max_new_tokens=LONGEST
        )
        self.tokens: list[float] = []

    def __call__(self) -> Ids:
        call = len(self.tokens)
        seeds = [
            [hash((call, place, n)) & 0xFFFFFFFF for n in range(self.group)]
            for place in range(len(self.prompts))
        ]
        ends = [] if self.work in FORCED else [END]
        drawing = Draw(self.model, self.prompts, seeds, self.sampling, ends, slots=0, static=None)
        limits = lengths_of(self.work, drawing.rows)
        drawing.limits = torch.tensor(limits, device=drawing.device)
        drawn = drawing.run()
        found = [sample.token_ids for samples in drawn for sample in samples]
        self.tokens.append(sum(map(len, found)))
        return found


class Generate:
    """The same by `generate`, on left-padded rows as TRL calls it."""

    def __init__(self, model: Any, prompts: Ids, group: int, work: str, cache: str | None) -> None:
        self.model = model
        rows = [ids for ids in prompts for _ in range(group)]
        self.width = max(map(len, rows))
        self.ids = torch.tensor([[PAD] * (self.width - len(ids)) + ids for ids in rows])
        self.mask = torch.tensor([[0] * (self.width - len(ids)) + [1] * len(ids) for ids in rows])
        self.ends = None if work in FORCED else END
        self.limits = Limits(self.width, lengths_of(work, len(rows)))
        self.settings = GenerationConfig(
            max_new_tokens=LONGEST,
            do_sample=work != "greedy",
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            pad_token_id=PAD,
            eos_token_id=self.ends,
            cache_implementation=cache,
            disable_compile=True,
        )
        self.tokens: list[float] = []

    @torch.no_grad()
    def __call__(self) -> Ids:
        self.model.generation_config.eos_token_id = self.ends
        out = self.model.generate(
            self.ids,
            attention_mask=self.mask,
            generation_config=self.settings,
            stopping_criteria=StoppingCriteriaList([self.limits]),
        )
        written = out[:, self.width :].tolist()
        lengths = self.limits.lengths.tolist()
        found = [until(row[:n], self.ends) for row, n in zip(written, lengths, strict=True)]
        self.tokens.append(sum(map(len, found)))
        return found


def until(row: Sequence[int], end: int | None) -> list[int]:
    """The tokens of a row up to its end."""
    return list(row) if end is None or end not in row else list(row[: row.index(end) + 1])
