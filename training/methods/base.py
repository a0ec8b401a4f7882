"""What every method shares: the group, the common settings, and the shape of a method file.

A method is one file of this folder. It defines

* `TITLE`, one line for a person, and `Config(MethodConfig)`, whose defaults are the paper's;
* `rounds(config)`: the rounds of the run, each either drawn from the policy or from the dataset;
* `groups(question, config, text, skipped)`: the stored rationales of one question as groups;
* `trainable(group, config)`: whether a group can teach anything;
* `weigh(groups, config)`: rewards to per-completion weights, before a round is trained on
  (advantages in GRPO, target probabilities in CoTD-PO);
* `objective(logprobs, batch, config) -> (loss, metrics)`: pure, on tensors.

and, if it draws from the policy, `prompts(question, config, text, skipped)`: what to draw after;
and, if its loss needs one number of the whole step first, `aside(logprobs, batch, config)`: its
share, from the groups' own `aside` groups, read without a gradient (the reference point of KTO);
and, if the student is to be asked for one of two tasks, `TASK`, which one a probe asks for.

The loop reads four settings where a `Config` has them, under these names: `beta`, `reference`,
`judge_weights` and `rewards`.

A loss is the micro-batch's *share* of its optimizer window: it is divided by totals of the window
(`batch.window`), so shares add up and no split into micro-batches changes the gradient. Metrics
are shares in the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import fsum, isfinite, nan
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.decoding.record import Completion, Question
from training.decoding.sampling import grouped, rows_field, slots_field
from training.rewards.compose import Scored, scored_facts

Skipped = Counter  # why rows were left out, and how many


class Pair(NamedTuple):
    """A preference between two places of a group, and what it counts in the mean."""

    better: int
    worse: int
    weight: float = 1.0


@dataclass
class Group:
    """One prompt with its N completions, as token ids."""

    question: str
    prompt: list[int]
    completions: list[list[int]]  # N
    present: list[bool]  # N; an absent completion carries no reward
    rewards: list[float] = field(default_factory=list)  # N, NaN where absent
    weights: list[float] = field(default_factory=list)  # N, from the method's `weigh`
    anchor: list[bool] = field(default_factory=list)  # N, only imitated, never compared
    truncated: list[bool] = field(default_factory=list)  # N, stopped by the length limit
    scored_from: int | None = None  # prompt tokens from here on are targets too
    answer_from: list[int] = field(default_factory=list)  # N, the first token of the answer part
    compares_answers: bool = False  # how alike are equal answers after unlike thoughts?
    old_logprobs: list[list[float]] | None = None  # [N, T], under the sampling temperature
    ref_logprobs: list[list[float]] | None = None  # [N, T], of the frozen start
    scored: list[Scored] = field(default_factory=list)  # what each reward said, for the log
    pairs: list[Pair] = field(default_factory=list)  # preferences between its completions
    aside: Group | None = None  # read before each step without a gradient, for `aside`

    def __post_init__(self) -> None:
        n = len(self.completions)
        self.rewards = self.rewards or [nan] * n
        self.weights = self.weights or [0.0] * n
        self.anchor = self.anchor or [False] * n
        self.truncated = self.truncated or [False] * n
        self.answer_from = self.answer_from or [len(ids) for ids in self.completions]
        self.drawn = [
            (self.rewards[n], len(self.completions[n]), self.truncated[n]) for n in self.compared()
        ]  # what the log says of them, also of those that `keep` drops

    @property
    def tokens(self) -> int:
        """Prompt once and completions: what a forward has to read."""
        return len(self.prompt) + sum(map(len, self.completions))

    def answer(self, n: int) -> list[int]:
        """The tokens of a completion's answer part; none where none is marked."""
        return self.completions[n][self.answer_from[n] :]

    def compared(self) -> list[int]:
        """The places that take part in a comparison."""
        return [n for n, here in enumerate(self.present) if here and not self.anchor[n]]

    def keep(self, places: Sequence[int]) -> None:
        """Drop the other completions, which the loss does not read, before the forward does."""
        per_place = ("completions", "present", "rewards", "weights", "anchor", "truncated")
        for name in (*per_place, "answer_from"):
            setattr(self, name, [getattr(self, name)[n] for n in places])
        for name in ("old_logprobs", "ref_logprobs"):
            if (rows := getattr(self, name)) is not None:
                setattr(self, name, [rows[n] for n in places])
        moved = {old: new for new, old in enumerate(places)}
        kept = [pair for pair in self.pairs if moved.keys() >= {pair.better, pair.worse}]
        self.pairs = [Pair(moved[p.better], moved[p.worse], p.weight) for p in kept]


@dataclass(frozen=True)
class Prompt:
    """What completions are to be drawn after: token ids, and what is imitated beside them."""

    question: str
    ids: list[int]
    scored_from: int | None = None
    anchors: tuple[tuple[int, ...], ...] = ()  # completions that are only imitated
    thought: str | None = None  # the teacher's, when the answer alone is drawn
    conditioned_on: str | None = None


@dataclass(frozen=True)
class Window:
    """Totals of one optimizer step, over every micro-batch of it."""

    groups: int
    sequences: int  # completions that are present
    tokens: int  # their tokens
    drawn_groups: int = 0  # groups with a completion that is present and no anchor
    live_sequences: int = 0  # present, not anchors, not truncated
    live_tokens: int = 0
    anchors: int = 0
    weighted_groups: int = 0  # groups with a weight that is not 0
    answer_tokens: int = 0  # of the tokens, those of the answer part
    shared_answer_tokens: int = 0  # places at which `same_answers` are compared
    favoured: int = 0  # completions with a weight above 0
    pairs: float = 0.0  # weights of the pairs, added up
    aside: float = 0.0  # what the method's `aside` made of the step


def window_of(groups: Sequence[Group]) -> Window:
    """Count what the losses are divided by."""
    rows = [(g, n) for g in groups for n, here in enumerate(g.present) if here]
    live = [(g, n) for g, n in rows if not g.anchor[n] and not g.truncated[n]]
    return Window(
        groups=len(groups),
        sequences=len(rows),
        tokens=sum(len(g.completions[n]) for g, n in rows),
        drawn_groups=len({id(g) for g, n in rows if not g.anchor[n]}),
        live_sequences=len(live),
        live_tokens=sum(len(g.completions[n]) for g, n in live),
        anchors=sum(g.anchor[n] for g, n in rows),
        weighted_groups=sum(any(g.weights) for g in groups),
        answer_tokens=sum(len(g.answer(n)) for g, n in rows),
        shared_answer_tokens=sum(len(g.answer(ns[0])) for g in groups for ns in same_answers(g)),
        favoured=sum(weight > 0 for g in groups for weight in g.weights),
        pairs=fsum(pair.weight for g in groups for pair in g.pairs),
    )


def same_answers(group: Group) -> list[list[int]]:
    """The places of present completions that end in the same answer tokens, two or more together;
    none unless the group compares answers."""
    if not group.compares_answers:
        return []
    places: dict[tuple[int, ...], list[int]] = {}
    for n in group.compared():
        places.setdefault(tuple(group.answer(n)), []).append(n)
    return [alike for answer, alike in places.items() if answer and len(alike) > 1]


@dataclass(frozen=True)
class Round:
    """One round: where its groups come from."""

    source: Literal["dataset", "policy"]


class MethodConfig(BaseModel):
    """Settings that every method has. Names are the same in the form, run.json and the code."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    learning_rate: float = Field(
        1e-5,
        gt=0,
        le=1,
        title="Learning rate",
        description="AdamW's step size at its peak.",
        json_schema_extra=grouped("Optimisation"),
    )
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine",
        title="Schedule",
        description="How the learning rate falls after the warm-up.",
        json_schema_extra=grouped("Optimisation"),
    )
    warmup: float = Field(
        0.1,
        ge=0,
        le=1,
        title="Warm-up",
        description="Share of the steps over which the learning rate rises from zero.",
        json_schema_extra=grouped("Optimisation"),
    )
    weight_decay: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Weight decay",
        description="AdamW's decoupled decay.",
        json_schema_extra=grouped("Optimisation"),
    )
    max_grad_norm: float = Field(
        1.0,
        gt=0,
        title="Gradient clipping",
        description="Largest norm of the gradient of one step.",
        json_schema_extra=grouped("Optimisation"),
    )
    epochs: int = Field(
        1,
        ge=1,
        le=1000,
        title="Epochs",
        description="How often each round's groups are trained on.",
        json_schema_extra=grouped("Batches"),
    )
    groups_per_step: int = Field(
        8,
        ge=1,
        title="Groups per step",
        description="Questions whose completions make up one optimizer step.",
        json_schema_extra=grouped("Batches"),
    )
    max_steps: int = Field(
        0,
        ge=0,
        title="Most steps",
        description="Stop after so many optimizer steps; 0 sets no limit.",
        json_schema_extra=grouped("Batches"),
    )
    tokens_per_batch: int = Field(
        16_384,
        ge=1,
        title="Tokens per forward",
        description="A step is split into forwards of about this many tokens; the gradient is the "
        "same, only the memory differs.",
        json_schema_extra=grouped("Batches"),
    )
    max_prompt_tokens: int = Field(
        1024,
        ge=1,
        title="Longest prompt",
        description="Questions with a longer prompt are left out and counted.",
        json_schema_extra=grouped("Lengths"),
    )
    max_completion_tokens: int = Field(
        512,
        ge=1,
        title="Longest completion",
        description="Stored completions that are longer are left out and counted; drawn ones are "
        "stopped there.",
        json_schema_extra=grouped("Lengths"),
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32",
        title="Precision",
        description="bf16 computes in half the width over full-precision weights; for GPUs.",
        json_schema_extra=grouped("Hardware"),
    )
    gradient_checkpointing: bool = Field(
        False,
        title="Gradient checkpointing",
        description="Keep less for the backward pass and compute it again: a third more time, a "
        "fraction of the memory.",
        json_schema_extra=grouped("Hardware"),
    )
    shard_weights: bool = Field(
        False,
        title="Shard the weights",
        description="Spread weights and optimizer over the processes of the run (FSDP); for models "
        "that one device cannot hold.",
        json_schema_extra=grouped("Hardware"),
    )
    lora_rank: int = Field(
        0,
        ge=0,
        le=1024,
        title="LoRA rank",
        description="Train small matrices of this rank beside every linear layer, and nothing "
        "else; 0 trains all weights.",
        json_schema_extra=grouped("LoRA"),
    )
    lora_alpha: int = Field(
        32,
        ge=1,
        title="LoRA alpha",
        description="The matrices' product is scaled by this over the rank; often twice the rank.",
        json_schema_extra=grouped("LoRA"),
    )
    checkpoint_every: int = Field(
        100,
        ge=1,
        title="Checkpoint every",
        description="Optimizer steps between checkpoints; the last step always makes one.",
        json_schema_extra=grouped("Checkpoints and probes"),
    )
    keep_checkpoints: int = Field(
        3,
        ge=1,
        title="Checkpoints kept",
        description="Older ones are removed.",
        json_schema_extra=grouped("Checkpoints and probes"),
    )
    probe_every: int = Field(
        0,
        ge=0,
        title="Probe every",
        description="Optimizer steps between short greedy evaluations, beside those at the start "
        "and with every checkpoint; 0 makes no more.",
        json_schema_extra=grouped("Checkpoints and probes"),
    )
    probe_questions: int = Field(
        8,
        ge=0,
        title="Questions per probe",
        description="How many questions every probe answers, always the same; 0 makes no probe.",
        json_schema_extra=grouped("Checkpoints and probes"),
    )
    report_to: list[Literal["tensorboard", "trackio", "mlflow", "wandb"]] = Field(
        [],
        title="Report to",
        description="Trackers that get the metrics too; each has to be installed on the GPU host.",
        json_schema_extra=grouped("Reports"),
    )

    @model_validator(mode="after")
    def _adapters_are_not_sharded(self) -> MethodConfig:
        if self.lora_rank and self.shard_weights:
            raise ValueError("shard_weights is for full fine-tuning; set lora_rank to 0")
        return self


class OnlineConfig(MethodConfig):
    """Settings of methods that draw from the policy in rounds."""

    rounds: int = Field(
        3,
        ge=1,
        le=100_000,
        title="Rounds",
        description="Draw, score, train; so many times.",
        json_schema_extra=grouped("Rounds"),
    )
    questions_per_round: int = Field(
        0,
        ge=0,
        title="Questions per round",
        description="Chosen anew each round; 0 takes all of the dataset.",
        json_schema_extra=grouped("Rounds"),
    )
    group_size: int = Field(
        8,
        ge=2,
        le=256,
        title="Group size",
        description="Completions drawn for each question.",
        json_schema_extra=grouped("Rounds"),
    )
    temperature: float = Field(
        1.0,
        gt=0,
        le=5,
        title="Temperature",
        description="Completions are drawn, and their log-probabilities trained, at this value.",
        json_schema_extra=grouped("Rounds"),
    )
    reference: Literal["start", "round"] = Field(
        "start",
        title="Held to",
        description="What the KL term, if its weight is above 0, compares with: the model as the "
        "run began, or as each round began.",
        json_schema_extra=grouped("Method"),
    )
    rows_per_batch: int = rows_field("Hardware")
    slots: int = slots_field("Hardware")
    rewards: dict[str, float] = Field(
        default_factory=lambda: {"answer_correct": 1.0},
        title="Rewards",
        description="Reward functions and their weights.",
        json_schema_extra=grouped("Rewards"),
    )


def temperature_of(config: MethodConfig) -> float:
    """At which completions are drawn, and read again; 1 for a method that draws none."""
    return config.temperature if isinstance(config, OnlineConfig) else 1.0


def beta_of(config: MethodConfig) -> float:
    """How firmly the loss holds the policy to its reference; 0 for a method without such a term."""
    return getattr(config, "beta", 0.0)


def group_facts(groups: Sequence[Group], live: Sequence[Group]) -> dict[str, float]:
    """What every method logs of a step: rewards, lengths, and how many groups taught nothing."""
    facts: dict[str, float] = {"groups": len(groups), "groups_skipped": len(groups) - len(live)}
    facts |= scored_facts(group.scored for group in groups)
    drawn = [each for group in groups for each in group.drawn]
    if not drawn:
        return facts
    return {
        **facts,
        **reward_facts([reward for reward, _, _ in drawn]),
        "completion_tokens": sum(length for _, length, _ in drawn) / len(drawn),
        "truncated_share": sum(cut for _, _, cut in drawn) / len(drawn),
    }


def reward_facts(rewards: Sequence[float]) -> dict[str, float]:
    """Mean and standard deviation of the rewards there are; nothing if there are none."""
    known = [reward for reward in rewards if isfinite(reward)]
    if not known:
        return {}
    mean = fsum(known) / len(known)
    variance = fsum((reward - mean) ** 2 for reward in known) / len(known)
    return {"reward_mean": mean, "reward_std": variance**0.5}


def fits(
    prompt: Sequence[int], completion: Sequence[int], config: MethodConfig, skipped: Skipped
) -> bool:
    """Whether both lengths are within the settings; what is not is counted by its reason."""
    if len(prompt) > config.max_prompt_tokens:
        skipped["prompt longer than max_prompt_tokens"] += 1
        return False
    if len(completion) > config.max_completion_tokens:
        skipped["completion longer than max_completion_tokens"] += 1
        return False
    return True


def usable(completions: Iterable[Completion], skipped: Skipped) -> list[Completion]:
    """Completions that have an answer and that nobody rejected."""
    kept = []
    for completion in completions:
        if completion.accepted is False:
            skipped["rejected by a reviewer"] += 1
        elif not completion.answer.strip():
            skipped["without an answer"] += 1
        else:
            kept.append(completion)
    return kept


def by_id(question: Question) -> dict[str, Completion]:
    """The completions of a question by their id."""
    return {completion.id: completion for completion in question.completions}


def metric(value: Any) -> Any:
    """A value for the log: out of the graph."""
    return value.detach()
