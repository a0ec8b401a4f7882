"""What an experiment is told: how an iteration samples, judges, trains and evaluates.

The plan is stored resolved and whole. Names are the same in the form, on the command line and in
`Experiment.plan`. Importable without torch.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.decoding.sampling import grouped
from training.methods import method, methods
from training.rewards.composed import SCORER
from training.rewards.from_ranking import Reading

STRATEGIES = ("disagreement", "variance", "novel", "random")
SOURCES = ("verifier", "steps", "judge", "people", "reviews")
MOST_CARDS = 8  # what the review page shows of a group
# What the plan decides in the method's stead: its samples and the rewards composed for them.
GIVEN: dict[str, dict[str, Any]] = {
    "cotd_po": {"source": "dataset", "reward_from": "scores", "rewards": {SCORER: 1.0}},
    "dpo": {"reward_from": "scores", "rewards": {SCORER: 1.0}, "roles": ["student"]},
    "grpo": {},
    "sft": {"roles": ["teacher", "human", "student"]},
}
# Settings that follow from the plan, or that play no part in a round of stored samples.
DECIDED = {
    "cotd_po": {"condition", "reference", "rounds", "questions_per_round", "group_size",
                "temperature", "thoughts_per_question", "judge_weights", "ranking_reading",
                "rows_per_batch", "slots", "paper_code"},
    "dpo": {"judge_weights", "ranking_reading"},
    "grpo": {"reference", "group_size", "temperature"},
    "sft": set(),
}  # fmt: skip


class ExperimentPlan(BaseModel):
    """The plan of an experiment; the defaults run by themselves to the end."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    iterations: int = Field(
        3,
        ge=1,
        le=100,
        title="Iterations",
        description="Draw, judge, train, evaluate; so many times.",
        json_schema_extra=grouped("Loop"),
    )
    seed: int = Field(
        0,
        ge=0,
        le=2**31,
        title="Seed",
        description="Iteration n takes this plus n, for everything random in it.",
        json_schema_extra=grouped("Loop"),
    )
    source: str = Field(
        "",
        title="Source",
        description="Only questions imported under this name; empty takes every source.",
        json_schema_extra=grouped("Samples"),
    )
    questions: int = Field(
        0,
        ge=0,
        title="Most questions",
        description="A fixed random choice of so many, the same in each iteration; 0 takes all.",
        json_schema_extra=grouped("Samples"),
    )
    samples: int = Field(
        8,
        ge=2,
        le=256,
        title="Samples per question",
        description="N: completions drawn from the checkpoint for each question.",
        json_schema_extra=grouped("Samples"),
    )
    draw: Literal["rationale", "answer_given_thought"] = Field(
        "rationale",
        title="What is drawn",
        description="rationale: the student's own thought and answer. answer_given_thought: only "
        "the answer, after a teacher's thought, as in the paper of CoTD-PO.",
        json_schema_extra=grouped("Samples"),
    )
    thoughts_per_question: int = Field(
        1,
        ge=1,
        le=64,
        title="Thoughts per question",
        description="Of the teacher, where answers are drawn after them.",
        json_schema_extra=grouped("Samples"),
    )
    temperature: float = Field(
        1.0,
        gt=0,
        le=5,
        title="Temperature",
        description="Of the samples.",
        json_schema_extra=grouped("Samples"),
    )
    max_new_tokens: int = Field(
        512,
        ge=1,
        le=131_072,
        title="Longest completion",
        description="In tokens; of samples, of training and of evaluations.",
        json_schema_extra=grouped("Samples"),
    )
    judge: int = Field(
        0,
        ge=0,
        title="Judge",
        description="A model that judges every iteration's samples; none leaves it to the "
        "verifier and to people.",
        json_schema_extra=grouped("Judge"),
    )
    judge_mode: Literal["rating", "pairwise", "listwise"] = Field(
        "rating",
        title="Judges by",
        description="A number for each sample, or an order of each group.",
        json_schema_extra=grouped("Judge"),
    )
    people_in: list[int] = Field(
        default_factory=list,
        title="Ask people in iterations",
        description="For example 2, or 1, 2, 3; empty asks nobody.",
        json_schema_extra=grouped("People"),
    )
    groups: int = Field(
        24,
        ge=1,
        le=100_000,
        title="Groups for people",
        description="The budget: so many groups go to people in such an iteration.",
        json_schema_extra=grouped("People"),
    )
    anchors: int = Field(
        4,
        ge=0,
        title="Anchors",
        description="Of these groups so many are the same questions each time, so that agreement "
        "between judge and people can be followed.",
        json_schema_extra=grouped("People"),
    )
    strategies: dict[str, float] = Field(
        default_factory=lambda: dict.fromkeys(STRATEGIES, 1.0),
        title="Chosen by",
        description="Shares of the rest: disagreement of verifier and judge, variance of the "
        "rewards in a group, novel against accepted rationales, random.",
        json_schema_extra=grouped("People"),
    )
    overlap: int = Field(
        1,
        ge=1,
        le=20,
        title="People per group",
        description="So many rank each group.",
        json_schema_extra=grouped("People"),
    )
    gate_groups: int = Field(
        0,
        ge=0,
        title="Open after groups",
        description="The gate opens once so many groups are ranked by all wanted; 0 waits for "
        "every one.",
        json_schema_extra=grouped("People"),
    )
    gate_hours: float = Field(
        0.0,
        ge=0,
        le=24 * 365,
        title="Open after hours",
        description="The gate opens then at the latest, whatever is ranked; 0 sets no limit.",
        json_schema_extra=grouped("People"),
    )
    weights: dict[str, float] = Field(
        default_factory=lambda: {"verifier": 1.0, "judge": 1.0, "people": 2.0},
        title="Weights",
        description="Of the sources of a reward: verifier (answer right), steps (share that "
        "holds), judge, people (rankings), reviews (accepted or not).",
        json_schema_extra=grouped("Rewards"),
    )
    ranking_reading: Reading = Field(
        "win_rate",
        title="Reading of rankings",
        description="How ranks become values between 0 and 1.",
        json_schema_extra=grouped("Rewards"),
    )
    judge_weights: Literal["equal", "reliability"] = Field(
        "reliability",
        title="People count",
        description="equal: all the same. reliability: by how far the others who ranked the same "
        "groups agree with each.",
        json_schema_extra=grouped("Rewards"),
    )
    method: str = Field(
        "cotd_po",
        title="Method",
        description="What is trained with.",
        json_schema_extra=grouped("Training"),
    )
    reference: Literal["start", "round"] = Field(
        "round",
        title="Held to",
        description="Where the method has a KL term or a leash. start: the experiment's start. "
        "round: the checkpoint that drew the samples.",
        json_schema_extra=grouped("Training"),
    )
    settings: dict[str, Any] = Field(
        default_factory=dict,
        title="Settings of the method",
        description="The others keep their defaults.",
        json_schema_extra=grouped("Training"),
    )
    dev_split: Literal["validation", "test", "train"] = Field(
        "validation",
        title="Evaluated on",
        description="The split on which checkpoints are compared and stop rules look.",
        json_schema_extra=grouped("Evaluation"),
    )
    dev_questions: int = Field(
        0,
        ge=0,
        title="Evaluated questions",
        description="A fixed choice of so many of that split; 0 takes all.",
        json_schema_extra=grouped("Evaluation"),
    )
    dev_samples: int = Field(
        4,
        ge=0,
        le=256,
        title="Answers sampled for each",
        description="Beside the greedy answer; diversity needs two or more.",
        json_schema_extra=grouped("Evaluation"),
    )
    stop_when: Literal["worse", "not_better", "never"] = Field(
        "worse",
        title="Stop by win-rate",
        description="Against the checkpoint before, on the same questions. worse: the whole "
        "interval lies below 50 %. not_better: it does not lie above 50 %.",
        json_schema_extra=grouped("Stop rules"),
    )
    diversity: Literal["vendi", "distinct_derivations", "distinct_2"] = Field(
        "vendi",
        title="Diversity by",
        description="The measure of an evaluation that is followed.",
        json_schema_extra=grouped("Stop rules"),
    )
    diversity_drop: float = Field(
        50.0,
        ge=0,
        le=100,
        title="Stop when diversity fell by (%)",
        description="Against the start; 0 does not look.",
        json_schema_extra=grouped("Stop rules"),
    )
    host_class: Literal["gpu", "cpu"] = Field(
        "gpu",
        title="Host",
        description="The queue that its runs wait in.",
        json_schema_extra=grouped("Loop"),
    )

    @model_validator(mode="after")
    def _settle(self) -> Self:
        """Refuse what cannot go together, and resolve the method's settings."""
        _known("people_in", self.people_in, range(1, self.iterations + 1))
        _known("strategies", self.strategies, STRATEGIES)
        _known("weights", self.weights, SOURCES)
        _known("method", [self.method], GIVEN)
        if any(share < 0 for share in self.strategies.values()):
            raise ValueError("strategies: a share is 0 or more")
        if any(weight < 0 for weight in self.weights.values()) or not any(self.weights.values()):
            raise ValueError("weights: each is 0 or more, and one is above 0")
        if self.anchors > self.groups:
            raise ValueError("anchors: there are more of them than groups for people")
        if self.draw == "answer_given_thought" and self.method in ("sft", "grpo"):
            raise ValueError(f"draw: {self.method} cannot learn from answers to a given thought")
        self.people_in = sorted(set(self.people_in))
        self.settings = self._resolved()
        return self

    def _resolved(self) -> dict[str, Any]:
        """The method's whole config. Raises ValueError with the first fault in words."""
        config = method(self.method).Config
        own = {name: value for name, value in self.settings.items() if name in config.model_fields}
        if unknown := sorted(self.settings.keys() - own.keys()):
            raise ValueError(f"settings: {self.method} has no setting {unknown[0]!r}")
        followed = {name: v for name, v in self._followed().items() if name in config.model_fields}
        own |= followed | GIVEN[self.method]
        try:
            found: dict[str, Any] = config(**own).model_dump(mode="json")
        except ValidationError as error:
            fault = error.errors()[0]
            place = ".".join(str(part) for part in fault["loc"])
            raise ValueError(f"settings: {place}: {fault['msg']}") from error
        return found

    def _followed(self) -> dict[str, Any]:
        """Settings of methods that follow from the plan. Whom a run is held to is not among them:
        that is the model it begins with, unless `IterationRun.reference` names another."""
        return {
            "max_completion_tokens": self.max_new_tokens,
            "condition": "thought" if self.is_conditioned else "question",
            "thoughts_per_question": self.thoughts_per_question,
            "temperature": self.temperature,
            "group_size": self.samples,
        }

    @property
    def is_conditioned(self) -> bool:
        return self.draw == "answer_given_thought"

    def asks_people(self, number: int) -> bool:
        return number in self.people_in


def _known(name: str, given: Any, allowed: Any) -> None:
    """Raises ValueError naming the first that is not allowed."""
    for one in given:
        if one not in allowed:
            words = f"1 to {allowed[-1]}" if isinstance(allowed, range) else ", ".join(allowed)
            raise ValueError(f"{name}: {one!r} is none of {words}")


def method_choices() -> list[tuple[str, str]]:
    return [(name, module.TITLE) for name, module in methods().items() if name in GIVEN]


def own_fields(name: str) -> dict[str, Any]:
    """The fields of a method that the plan leaves to a person."""
    decided = DECIDED[name] | {*GIVEN[name], "max_completion_tokens"}
    fields = method(name).Config.model_fields
    return {field: info for field, info in fields.items() if field not in decided}
