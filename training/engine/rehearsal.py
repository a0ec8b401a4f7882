"""A rehearsal: what a training run is going to read, learn from, take and cost, before it does.

`python -m training.engine FOLDER/run.json --rehearse` writes `rehearsal.json` beside `run.json`,
prints it as a table, and leaves everything else in the folder as it is (a dataset or model behind a
URL is fetched into it, as the run itself would). With `--tokens-only` the tokenizer alone is
loaded, nothing is drawn, and time and peak memory are not measured.

Rows are shown token by token with the weight that the method gives each (`token_weights`). What is
too long is counted by its reason, never cut. Memory is the formula of `memory`, for the largest
forward of the first round, beside the peak of the rehearsal itself. Measured are a few forwards and
backwards, an optimizer step at a learning rate of 0, which moves nothing, and a draw of a few
completions if the method draws. The time of the run is these by its tokens and steps; loading,
checkpoints and probes are not in it, and many rows are drawn faster than the few that were timed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import median
from time import monotonic
from types import ModuleType
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from training.decoding.prompts import Renderer
from training.engine.adapters import with_adapters
from training.engine.dataset import read_questions
from training.engine.files import fetch
from training.engine.job import BadJob, Job
from training.engine.memory import Peak, Shape, estimated, numbers_per_layer, shape_of
from training.engine.model import (
    end_ids,
    first_line,
    load_tokenizer,
    locate,
    on_device,
    positions_of,
)
from training.engine.plan import Step, micro_batches
from training.engine.ranks import Ranks
from training.engine.reference import add_reference_logprobs
from training.engine.rounds import Rounds
from training.engine.supervision import check_end, check_tokens
from training.engine.token_weights import token_weights
from training.engine.train import learned, method_of, needs_start, policy_of, steps_of
from training.engine.update import Update
from training.methods.base import (
    Group,
    MethodConfig,
    OnlineConfig,
    Window,
    beta_of,
    temperature_of,
    window_of,
)

Facts = dict[str, Any]

ROWS = 3  # groups that are shown, and prompts that are drawn after
COMPLETIONS = 4  # of each group that are shown
TIMED = 3  # forwards, after one that warms up


@dataclass
class Cast:
    """A run that is ready to begin; without a model only its texts may be looked at."""

    folder: Path
    seed: int
    method: ModuleType
    config: MethodConfig
    text: Renderer
    rounds: Rounds
    steps: list[Step]
    model: Any = None

    @property
    def draws(self) -> bool:
        """Whether any round is drawn from the policy."""
        return any(kind.source == "policy" for kind in self.rounds.kinds)

    @property
    def held(self) -> bool:
        """Whether a KL term, or a ratio to the start, is part of the loss."""
        return beta_of(self.config) > 0

    @property
    def compares(self) -> bool:
        """Whether a forward under the model as it began is made of every round."""
        return needs_start(self.config, self.rounds.kinds)

    def live(self, groups: Sequence[Group]) -> list[Group]:
        """Those of the groups that teach."""
        return [group for group in groups if self.method.trainable(group, self.config)]


@dataclass
class Drawn:
    """A few groups that were drawn to see how it goes."""

    groups: list[Group]
    seconds: float

    @property
    def tokens(self) -> int:
        """Of all completions."""
        return sum(length for group in self.groups for _, length, _ in group.drawn)

    @property
    def mean(self) -> float:
        """Tokens of a completion."""
        return self.tokens / max(1, sum(len(group.drawn) for group in self.groups))


def rehearse(job: Job, folder: Path, measure: bool = True, rows: int = ROWS) -> Facts:
    """The content of `rehearsal.json`. Raises `BadJob` where the run itself would."""
    if job.kind != "train":
        raise BadJob(f"Only a train job can be rehearsed, and this is a {job.kind} job.")
    method, config = method_of(job)
    url = str(job.model)
    tokenizer = load_tokenizer(url, folder)
    check_end(tokenizer)
    questions = learned(read_questions(fetch(job.dataset, folder)), config)
    model = loaded(job, config, folder) if measure else outline(job, config, folder)
    peak = Peak()
    text, shape = Renderer(tokenizer), shape_of(model)
    ends = end_ids(model, tokenizer)
    rounds = Rounds(folder, job.seed, method, config, text, questions, ends)
    check_tokens(rounds, tokenizer, shape.vocabulary, positions_of(model))
    steps = steps_of(rounds, config, job.seed)
    model = model if measure else None
    cast = Cast(folder, job.seed, method, config, text, rounds, steps, model)
    facts: Facts = {"kind": "rehearsal", "method": job.method, "seed": job.seed}
    facts |= {"config": config.model_dump(), "skipped": dict(+rounds.skipped)}
    facts |= {"lengths": lengths(cast), "plan": planned(cast), "memory": memory(cast, shape)}
    method.weigh(rounds.stored, config)
    drawn = taste(cast, rows)
    groups, window = opening(cast, drawn)
    facts["rows"] = shown(cast, groups, window, rows)
    facts["time"] = costs(cast, groups, drawn) if measure else None
    if measure:
        tried = heaviest(cast, shape, tried_forwards(cast, groups))
        measured = peak.above(4 * shape.parameters)
        facts["memory"]["rehearsal"] = {"estimated": tried["total"], "measured": measured}
    return facts


def loaded(job: Job, config: MethodConfig, folder: Path) -> Any:
    """The model that the run would train, where it would."""
    return on_device(policy_of(job, config, folder, None)[0])


def outline(job: Job, config: MethodConfig, folder: Path) -> Any:
    """The model without its weights: enough to count them. Raises `BadJob`."""
    try:
        settings = AutoConfig.from_pretrained(locate(str(job.model), folder))
    except (OSError, ValueError, KeyError) as error:
        raise BadJob(f"The model {job.model} cannot be read: {first_line(error)}") from error
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(settings)
        return with_adapters(model, config, job.seed, None) if config.lora_rank else model


# --- What there is --------------------------------------------------------------------------------


def lengths(cast: Cast) -> Facts:
    """Tokens of prompts and of stored completions, and texts that do not come back from tokens."""
    prompts = [group.prompt for group in cast.rounds.stored]
    prompts += [prompt.ids for prompt in cast.rounds.prompts]
    completions = [ids for group in cast.rounds.stored for ids in group.completions]
    return {
        "prompts": spread([len(ids) for ids in prompts]),
        "completions": spread([len(ids) for ids in completions]),
        "altered_texts": altered(cast),
    }


def altered(cast: Cast) -> int:
    """How many questions and rationales the tokenizer does not give back as they were, blanks
    aside: it knows some character as `<unk>`, or drops it without a word."""
    texts = [
        said
        for question in cast.rounds.questions
        for said in (question.question, *(c.thought for c in question.completions))
    ]
    again = (cast.text.text(cast.text.thought(said)) for said in texts)
    pairs = zip(texts, again, strict=True)
    return sum("".join(said.split()) != "".join(back.split()) for said, back in pairs)


def spread(counts: Sequence[int]) -> Facts | None:
    """Smallest, median, 95th percentile (by nearest rank) and largest; none of nothing."""
    if not counts:
        return None
    ordered = sorted(counts)
    return {
        "count": len(ordered),
        "min": ordered[0],
        "median": median(ordered),
        "p95": ordered[ceil(0.95 * len(ordered)) - 1],
        "max": ordered[-1],
    }


def planned(cast: Cast) -> Facts:
    """How many rounds, groups and steps, and how much is to be drawn."""
    sizes = cast.rounds.sizes()
    pairs = zip(sizes, cast.rounds.kinds, strict=True)
    prompts = sum(size for size, kind in pairs if kind.source == "policy")
    each = cast.config.group_size if isinstance(cast.config, OnlineConfig) else 0
    return {
        "rounds": len(sizes),
        "groups": sum(sizes),
        "epochs": cast.config.epochs,
        "groups_per_step": cast.config.groups_per_step,
        "steps": len(cast.steps),
        "completions_to_draw": prompts * each,
    }


def expected(cast: Cast, number: int, length: int) -> list[Group]:
    """The groups of a round: the stored ones, or such as completions of `length` would make."""
    if cast.rounds.kinds[number].source == "dataset":
        return cast.rounds.stored
    blank = [[0] * length] * cast.config.group_size  # type: ignore[attr-defined]
    made = []
    for prompt in cast.rounds.chosen(number):
        completions = [*blank, *map(list, prompt.anchors)]
        made.append(Group(prompt.question, prompt.ids, completions, [True] * len(completions)))
    return made


def memory(cast: Cast, shape: Shape) -> Facts:
    """The estimate for the largest forward of the first round, drawn completions as long as they
    may be."""
    groups = expected(cast, 0, cast.config.max_completion_tokens)
    steps = [step for step in cast.steps if step.round == 0]
    once = steps[: ceil(len(steps) / cast.config.epochs)]
    forwards = [
        batch
        for step in once
        for batch in micro_batches([groups[n] for n in step.places], cast.config.tokens_per_batch)
    ]
    copied = cast.compares and not cast.config.lora_rank  # adapters come off instead
    return {**heaviest(cast, shape, forwards, copied), "rehearsal": None}


def heaviest(
    cast: Cast, shape: Shape, forwards: Sequence[Sequence[Group]], reference: bool = False
) -> dict[str, int]:
    """The estimate for the largest of these forwards."""
    worst = max(forwards, key=lambda batch: numbers_per_layer(shape, batch))
    bf16, recompute = cast.config.precision == "bf16", cast.config.gradient_checkpointing
    return estimated(shape, worst, bf16, reference, recompute)


# --- What is learned from -------------------------------------------------------------------------


def taste(cast: Cast, rows: int) -> Drawn | None:
    """The first prompts that are drawn after, with what the model says there."""
    if not cast.draws or cast.model is None:
        return None
    number = next(n for n, kind in enumerate(cast.rounds.kinds) if kind.source == "policy")
    began = monotonic()
    groups = cast.rounds.taste(cast.rounds.chosen(number)[:rows], cast.model)
    found = Drawn(groups, monotonic() - began)
    cast.method.weigh(groups, cast.config)
    return found


def opening(cast: Cast, drawn: Drawn | None) -> tuple[list[Group], Window]:
    """The groups of the first step, as far as they are known, and the totals of its losses."""
    if cast.rounds.kinds[0].source == "dataset":
        groups = [cast.rounds.stored[place] for place in cast.steps[0].places]
    else:
        groups = drawn.groups if drawn else []
    teaching = cast.live(groups) or groups
    return teaching, window_of(teaching)


def shown(cast: Cast, groups: Sequence[Group], window: Window, rows: int) -> list[Facts]:
    """The first groups as they will be read: every token, its text, and its weight. Without a
    model that could draw, the prompts alone."""
    if groups:
        return [row_of(cast, group, window) for group in groups[:rows]]
    prompts = cast.rounds.chosen(0)[:rows]
    return [
        {
            "question": prompt.question,
            "prompt": said(cast, prompt.ids, [0.0] * len(prompt.ids)),
            "completions": [],
        }
        for prompt in prompts
    ]


def row_of(cast: Cast, group: Group, window: Window) -> Facts:
    """One group with its first completions."""
    weights = token_weights(cast.method, cast.config, group, window, cast.model)
    completions = [
        {
            "reward": group.rewards[n],
            "present": group.present[n],
            "weight_in_group": group.weights[n],
            **said(cast, ids, weights.completions[n]),
        }
        for n, ids in enumerate(group.completions[:COMPLETIONS])
    ]
    return {
        "question": group.question,
        "prompt": said(cast, group.prompt, weights.prompt),
        "of_completions": len(group.completions),
        "completions": completions,
    }


def said(cast: Cast, ids: Sequence[int], weights: Sequence[float]) -> Facts:
    """The exact text of some tokens, special ones too, and each token with its weight."""
    decode = cast.text.tokenizer.decode
    return {
        "text": decode(list(ids)),
        "tokens": [
            {"id": token, "text": decode([token]), "in_loss": weight != 0, "weight": weight}
            for token, weight in zip(ids, weights, strict=True)
        ],
    }


# --- What it takes --------------------------------------------------------------------------------


def costs(cast: Cast, groups: Sequence[Group], drawn: Drawn | None) -> Facts:
    """Seconds of the parts as they were timed, and of the run by its tokens and steps."""
    seconds, tokens, moving = timed(cast, groups)
    to_train = sum(tokens_of_steps(cast, round(drawn.mean) if drawn else 0))
    passes = float(to_train)
    if cast.compares:  # a forward alone, once a round: a third of forward and backward
        passes += to_train / cast.config.epochs / 3
    training = seconds / tokens * passes + moving * len(cast.steps)
    facts: Facts = {
        "trained_tokens_per_second": tokens / seconds,
        "optimizer_seconds_per_step": moving,
        "tokens_to_train": to_train,
        "training_seconds": training,
        "drawn_tokens_per_second": None,
        "tokens_to_draw": 0,
        "drawing_seconds": 0.0,
    }
    if drawn:
        to_draw = planned(cast)["completions_to_draw"] * drawn.mean
        facts["drawn_tokens_per_second"] = drawn.tokens / drawn.seconds
        facts["tokens_to_draw"] = round(to_draw)
        facts["drawing_seconds"] = to_draw * drawn.seconds / drawn.tokens
    return {**facts, "total_seconds": training + facts["drawing_seconds"]}


def tokens_of_steps(cast: Cast, length: int) -> Iterator[int]:
    """What each step reads: prompts once, and completions, drawn ones `length` long."""
    number, counts = -1, list[int]()
    for step in cast.steps:
        if step.round != number:
            number = step.round
            counts = [group.tokens for group in expected(cast, number, length)]
        yield sum(counts[place] for place in step.places)


def timed(cast: Cast, groups: Sequence[Group]) -> tuple[float, int, float]:
    """Seconds and tokens of some forwards with their backwards, and seconds of an optimizer step
    that moves nothing."""
    update = Update(cast.model, cast.method, cast.config, Ranks())
    if cast.held:  # before the first step the model is its own reference
        read = [*groups, *(group.aside for group in groups if group.aside)]
        temperature = temperature_of(cast.config)
        add_reference_logprobs(cast.model, read, temperature, cast.config.tokens_per_batch)
    parts = tried_forwards(cast, groups)
    window = update.window(groups)
    update.forward_and_backward(parts[0], window)  # warms up
    update.move(0.0)
    began = clock(update.ranks.device)
    for part in parts:
        update.forward_and_backward(part, window)
    passed = clock(update.ranks.device)
    update.move(0.0)
    tokens = sum(group.tokens for part in parts for group in part)
    return passed - began, tokens, clock(update.ranks.device) - passed


def clock(device: torch.device) -> float:
    """Seconds, when everything that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return monotonic()


def tried_forwards(cast: Cast, groups: Sequence[Group]) -> list[list[Group]]:
    """The forwards that are timed: a few of the first step's."""
    return list(micro_batches(groups, cast.config.tokens_per_batch))[-TIMED:]
