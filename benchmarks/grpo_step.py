"""A whole GRPO step: draw eight completions for each of eight questions, score, train.

Ours with its own sampler, rounds and loop, files included; TRL's GRPOTrainer with its built-in
generation by transformers. Both draw with dice of their own from the same weights, and the rate is
so low that those hardly move, so lengths stay alike; times are per token drawn. TRL with vLLM draws
faster than both: this is a comparison on one CPU, where there is none.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from datasets import Dataset
from trl import GRPOTrainer

from benchmarks._training import trl_grpo
from benchmarks._training.gate import Unequal
from benchmarks._training.model import END, copy_of, make_model, make_tokenizer
from benchmarks._training.ours import TOKENS_AT_ONCE, make_loop
from benchmarks._training.table import show
from benchmarks._training.turns import Turns, quickest, summary, take_turns
from benchmarks._training.warmed import LONGEST, make_questions, warm
from benchmarks.training_update import CONFIG, gate
from training.decoding.prompts import Renderer
from training.decoding.record import Question
from training.decoding.sampling import Sampling
from training.engine.plan import Step
from training.engine.rounds import Rounds
from training.engine.sampler import draw
from training.methods import grpo
from training.methods.base import Group

QUESTIONS, GROUP = 8, 8
ROWS = QUESTIONS * GROUP
ROWS_AT_ONCE = (64, 16, 8)  # what TRL is tried with, with either cache
CACHES = (None, "static")
REWARDS = {"answer_correct": 1.0, "length": -1.0}
# Groups without a gradient are trained on too, as TRL does; a run of ours would leave them out.
METHOD: Any = SimpleNamespace(**{**vars(grpo), "trainable": lambda group, config: True})
TRAINED = 1e-4  # between fp32 log-probabilities of a trained model


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    tokenizer = make_tokenizer()
    model = warm(make_model(), tokenizer)
    seen = equal_work(model, tokenizer)
    rows = []
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        rows.append(timed(model, tokenizer, threads, arguments.rounds) | {"gate": seen})
        show(rows[-1:])
    return {"rows": rows}


def timed(model: Any, tokenizer: Any, threads: int, rounds: int) -> dict[str, Any]:
    """The rival's best settings, then the turns."""
    questions = make_questions(QUESTIONS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def rival(rows_at_once: int, cache: str | None, steps: int) -> Rival:
            return Rival(folder / "trl", model, tokenizer, questions, rows_at_once, cache, steps)

        options = [(rows, cache) for rows in ROWS_AT_ONCE for cache in CACHES]
        tried = {str(each): lambda each=each: rival(*each, steps=3).trainer for each in options}
        best = dict(zip(tried, options, strict=True))[quickest(tried)]
        ours, theirs = Whole(folder / "ours", model, tokenizer, questions), rival(*best, rounds)
        turns: Turns = take_turns(theirs.trainer, ours)
    prompts = [len(Renderer(tokenizer).prompt(question.question)) for question in questions]
    return {
        "method": "grpo",
        "prompt_tokens": round(sum(prompts) / QUESTIONS),
        "completion_tokens": round(sum(ours.tokens) / len(ours.tokens) / ROWS),
        "group": GROUP,
        **summary(turns.our_clock, turns.rival_clock, ours.tokens, theirs.tokens),
        "rival": f"TRL GRPOTrainer, transformers generation with {best[1] or 'dynamic'} cache, "
        f"no gradient checkpointing, {best[0]} rows a forward",
        "threads": threads,
        "generated_tokens": ours.tokens[1:],
        "rival_generated_tokens": theirs.tokens[1:],
        "longest": LONGEST,
    }


class Whole:
    """One call is one round and its one optimizer step; `tokens` counts what was drawn."""

    def __init__(self, folder: Path, model: Any, tokenizer: Any, questions: list[Question]) -> None:
        folder.mkdir()
        config = grpo.Config(
            **CONFIG,
            tokens_per_batch=TOKENS_AT_ONCE,
            max_completion_tokens=LONGEST,
            group_size=GROUP,
            questions_per_round=0,
            groups_per_step=QUESTIONS,
            rewards=REWARDS,
        )
        rounds = Rounds(
            folder=folder,
            seed=0,
            method=METHOD,
            config=config,
            text=Renderer(tokenizer),
            questions=questions,
            ends=[END],
        )
        steps = [Step(1, 0, tuple(range(QUESTIONS)))]
        self.loop = make_loop(folder, copy_of(model), tokenizer, rounds, steps)
        self.tokens: list[float] = []

    def __call__(self) -> None:
        number = len(self.tokens)
        self.loop.take(Step(number + 1, number, tuple(range(QUESTIONS))))
        self.tokens.append(ROWS * self.loop.last_row["completion_tokens"])


class Rival:
    """TRL's trainer, and how many tokens it drew in each step."""

    def __init__(
        self,
        folder: Path,
        model: Any,
        tokenizer: Any,
        questions: list[Question],
        rows_at_once: int,
        cache: str | None,
        steps: int,
    ) -> None:
        self.tokens: list[float] = []
        text = Renderer(tokenizer)
        rows = [
            {"prompt": text.prompt_text(each.question), "answer": each.reference_answer}
            for each in questions
        ]
        self.trainer = trl_grpo.quiet(
            GRPOTrainer(
                model=copy_of(model),
                reward_funcs=self.reward,
                args=trl_grpo.arguments(
                    folder,
                    max_steps=steps,
                    per_device_train_batch_size=rows_at_once,
                    gradient_accumulation_steps=ROWS // rows_at_once,
                    max_completion_length=LONGEST,
                    cache_implementation=cache,
                ),
                train_dataset=Dataset.from_list(rows),
                processing_class=tokenizer,
            )
        )

    def reward(
        self,
        completions: list[str],
        completion_ids: list[list[int]],
        answer: Sequence[str],
        **rest: Any,
    ) -> list[float]:
        """As `REWARDS`; less work than ours, which reads numbers however they are written."""
        self.tokens.append(sum(map(len, completion_ids)))
        right = [
            float(text.rsplit("#### ", 1)[-1].strip() == wanted)
            for text, wanted in zip(completions, answer, strict=True)
        ]
        return [one - len(ids) / LONGEST for one, ids in zip(right, completion_ids, strict=True)]


def equal_work(model: Any, tokenizer: Any) -> dict[str, float]:
    """On one drawn round: recorded and computed log-probabilities, loss and gradient are TRL's.

    A trained model's logits are larger than a new one's and so is what fp32 leaves of them; each
    arm is compared with float64, and must be as near to it as the other. Raises `Unequal`.
    """
    groups = drawn_groups(model, tokenizer)
    with tempfile.TemporaryDirectory() as name:
        trainer = trl_grpo.make_trainer(Path(name), copy_of(model), tokenizer, groups, 1, ROWS)
        batch = trl_grpo.frozen_batch(trainer, groups)
        with torch.no_grad():
            theirs = trl_grpo.logprobs_on(trainer, batch)[batch["completion_mask"].bool()]
        config = grpo.Config(**CONFIG, max_completion_tokens=LONGEST)
        update = gate(model, groups, trainer, config)
    update.check("a drawn round", logprobs=TRAINED)
    exact = in_float64(model, groups)
    kept = [x for group in groups for row in group.old_logprobs or [] for x in row]
    gaps = {
        "recorded_from_float64": float((torch.tensor(kept) - exact).abs().max()),
        "trl_from_float64": float((theirs - exact).abs().max()),
    }
    if max(gaps.values()) > TRAINED:
        raise Unequal(f"Log-probabilities are too far from float64 ({gaps}); not compared.")
    return update.row() | {name: float(f"{gap:.2e}") for name, gap in gaps.items()}


def drawn_groups(model: Any, tokenizer: Any) -> list[Group]:
    """A round as the sampler draws it, with rewards that differ."""
    text = Renderer(tokenizer)
    prompts = [text.prompt(question.question) for question in make_questions(QUESTIONS)]
    seeds = [[GROUP * place + n for n in range(GROUP)] for place in range(QUESTIONS)]
    drawn = draw(model, prompts, seeds, Sampling(max_new_tokens=LONGEST), [END])
    return [
        Group(
            question=str(place),
            prompt=prompt,
            completions=[sample.token_ids for sample in samples],
            present=[True] * GROUP,
            rewards=[float((place + n) % 3) for n in range(GROUP)],
            old_logprobs=[sample.logprobs for sample in samples],
        )
        for place, (prompt, samples) in enumerate(zip(prompts, drawn, strict=True))
    ]


@torch.no_grad()
def in_float64(model: Any, groups: Sequence[Group]) -> torch.Tensor:
    """`[tokens]`: each completion's log-probabilities as a row of its own in double precision."""
    exact, rows = copy_of(model).double(), []
    for group in groups:
        start = len(group.prompt) - 1
        for ids in group.completions:
            logits = exact(torch.tensor([[*group.prompt, *ids]])).logits[0, start:-1]
            rows.append(logits.log_softmax(-1).gather(-1, torch.tensor(ids)[:, None])[:, 0])
    return torch.cat(rows)
