"""CoTD-PO: the student's likelihoods over its own samples learn to follow the teacher's scores.

For one prompt with the compared completions y_1 … y_N and their rewards R_i:

    R~_i = kappa (R_i - min R) / (max R - min R + 0.001)      p = softmax(R~)
    s_i  = score_scale / |y_i| * sum_t log pi(y_it | prompt, y_i<t) q = softmax(s)
    L    = mean over prompts of [ - sum_i p_i log q_i  +  nll * NLL(thought) ]  +  beta * KL

The first term is a listwise cross-entropy (ListNet), the forward KL of q from p on the drawn
support: d L / d s_i = q_i - p_i. Equal rewards ask for equal likelihoods, so several right ways
are levelled rather than collapsed into one. NLL is the mean negative log-likelihood of the
teacher's thought, which keeps the student from lowering everything it has written.

Rounds are offline: draw from the student as it is, score, train on the frozen round for some
epochs, draw again. With `condition` "thought", as in the paper, answers are drawn after the
question and the teacher's thought, and the thought inside the prompt is what is imitated. With
"question" the student's own whole rationales are compared, and a teacher's rationale is imitated
beside them. A first round, or all, may come from the dataset, with people's rankings as rewards.

Source: Niu et al., CoTD-PO, Findings of EMNLP 2025. The sampling and rating code is not published.
Departures, each undone by `paper_code`: the released file divides a completion's log-likelihood by
the padded length of prompt and completion together and halves it, so that q hardly leaves the
uniform distribution; it levels groups whose ratings are all equal; it compares identical
completions with each other. Kept as published: min-max with kappa 5, and an NLL weight of 1.

Traps: nothing bounds how far a low-rated completion is pushed down, so watch `logprob_low` and
keep `nll` or `beta` above zero. After a given thought, answers are often all the same text; such a
group compares nothing (`groups_compared`). A right answer after a wrong thought is still rewarded.
"""

from __future__ import annotations

from collections import Counter
from math import exp
from typing import Any, Literal

from pydantic import Field, model_validator

from training.decoding.prompts import Renderer, completion_text
from training.decoding.record import Completion, Question
from training.decoding.sampling import grouped
from training.methods.base import (
    Group,
    OnlineConfig,
    Prompt,
    Round,
    Skipped,
    fits,
    metric,
    usable,
)
from training.rewards.from_dataset import RewardFrom, best_first, stored_rewards
from training.rewards.from_ranking import JudgeWeights, Reading

TITLE = "CoTD-PO: preference distillation over the student's own samples"

PAPER_CODE = {
    "kappa": 5.0,
    "score_scale": 0.5,
    "length_normalised": True,
    "nll": 1.0,
    "imitate": "thought",
    "beta": 0.0,
    "ties": "level",
    "merge_copies": False,
}


class Config(OnlineConfig):
    """Settings of CoTD-PO."""

    condition: Literal["thought", "question"] = Field(
        "thought",
        title="Drawn after",
        description="thought: only the answer, after the question and a teacher's thought, as in "
        "the paper. question: the student's own whole rationale, after the question alone.",
        json_schema_extra=grouped("Method"),
    )
    kappa: float = Field(
        5.0,
        ge=0,
        le=50,
        title="Sharpness (kappa)",
        description="How much likelier the best of a group should be than the worst: e to this "
        "power. 5 is the paper's; higher is more accurate and less diverse.",
        json_schema_extra=grouped("Method"),
    )
    score_scale: float = Field(
        1.0,
        gt=0,
        le=100,
        title="Score scale",
        description="Factor on the student's mean log-probability before its softmax.",
        json_schema_extra=grouped("Method"),
    )
    length_normalised: bool = Field(
        True,
        title="Length-normalised",
        description="Compare mean rather than summed log-probabilities, so that long rationales "
        "are not at a disadvantage.",
        json_schema_extra=grouped("Method"),
    )
    nll: float = Field(
        1.0,
        ge=0,
        le=100,
        title="Imitation weight",
        description="Weight of the negative log-likelihood of what is imitated; 1 is the paper's.",
        json_schema_extra=grouped("Method"),
    )
    imitate: Literal["thought", "best"] = Field(
        "thought",
        title="Imitate",
        description="thought: the teacher's accepted rationale, best ranked first. best: the "
        "student's own best completions of each group.",
        json_schema_extra=grouped("Method"),
    )
    beta: float = Field(
        0.0,
        ge=0,
        le=10,
        title="KL weight (beta)",
        description="Holds the student near the model it began as; 0 keeps no reference in "
        "memory. 0.01 where a learned judge gives the rewards.",
        json_schema_extra=grouped("Method"),
    )
    ties: Literal["imitate", "skip", "level"] = Field(
        "imitate",
        title="Groups without a preference",
        description="All rewards equal. imitate: only the teacher's thought is learned. skip: the "
        "group is left out. level: its completions are made equally likely.",
        json_schema_extra=grouped("Method"),
    )
    merge_copies: bool = Field(
        True,
        title="Merge copies",
        description="Identical completions count once; otherwise a text gains by being repeated.",
        json_schema_extra=grouped("Method"),
    )
    paper_code: bool = Field(
        False,
        title="As in the published code",
        description="Do as the released file does, faults included: kappa 5, scale 0.5 over the "
        "padded length of prompt and completion, imitation weight 1, ties levelled, copies kept. "
        "Overrides those settings.",
        json_schema_extra=grouped("Method"),
    )
    source: Literal["policy", "dataset_first", "dataset"] = Field(
        "policy",
        title="Completions from",
        description="policy: every round is drawn from the student. dataset_first: the first "
        "round is the dataset's stored student completions. dataset: only those, in one round.",
        json_schema_extra=grouped("Rounds"),
    )
    thoughts_per_question: int = Field(
        1,
        ge=1,
        le=64,
        title="Thoughts per question",
        description="How many of the teacher's rationales are used, best ranked first.",
        json_schema_extra=grouped("Rounds"),
    )
    reward_from: RewardFrom = Field(
        "auto",
        title="Stored rewards from",
        description="For the dataset's completions. auto: rankings where there are any, else "
        "stored scores, else the reward functions.",
        json_schema_extra=grouped("Rewards"),
    )
    judge_weights: JudgeWeights = "equal"
    ranking_reading: Reading = Field(
        "plackett_luce",
        title="Reading of rankings",
        description="How ranks of several judges become rewards.",
        json_schema_extra=grouped("Rewards"),
    )
    epochs: int = Field(
        2,
        ge=1,
        le=1000,
        title="Epochs",
        description="How often each round is trained on; the authors' script has 5.",
        json_schema_extra=grouped("Batches"),
    )
    groups_per_step: int = Field(
        128,
        ge=1,
        title="Groups per step",
        description="Prompts in one optimizer step; the authors' script has 128. As many as "
        "questions per round makes one step a round.",
        json_schema_extra=grouped("Batches"),
    )

    @model_validator(mode="after")
    def _as_the_paper(self) -> Config:
        """The stored config says what is done, not what was overridden."""
        if self.paper_code:
            for name, value in PAPER_CODE.items():
                setattr(self, name, value)
        return self


# --- What is drawn, and what is stored ------------------------------------------------------------


def rounds(config: Config) -> list[Round]:
    """All drawn, the first from the dataset, or the dataset alone."""
    if config.source == "dataset":
        return [Round("dataset")]
    drawn = [Round("policy")] * config.rounds
    return drawn if config.source == "policy" else [Round("dataset"), *drawn[1:]]


def prompts(question: Question, config: Config, text: Renderer, skipped: Skipped) -> list[Prompt]:
    """One prompt for each thought, or the question alone with what is imitated beside it."""
    thoughts = thoughts_of(question, config, skipped)
    if config.condition == "thought":
        if not thoughts:
            skipped["question without a teacher's thought"] += 1
        made = [_after_thought(question, one, config, text) for one in thoughts]
    else:
        anchors = _anchors(question, thoughts, config, text, skipped)
        made = [Prompt(question.id, text.prompt(question.question), anchors=anchors)]
    return [prompt for prompt in made if fits(prompt.ids, (), config, skipped)]


def groups(question: Question, config: Config, text: Renderer, skipped: Skipped) -> list[Group]:
    """The stored student completions of one line, with the rewards that the dataset gives them."""
    if question.thought is not None and config.condition == "question":
        return []  # answers to a given thought are no rationales of the student's own
    samples = [c for c in question.completions if c.role == "student"]
    written = [c for c in samples if c.answer.strip()]
    skipped["student completion without an answer"] += len(samples) - len(written)
    made = []
    twice = config.source == "dataset_first"  # the later rounds' prompts are counted by themselves
    for prompt in prompts(question, config, text, Counter() if twice else skipped):
        own = [c for c in written if c.conditioned_on == prompt.conditioned_on]
        group = _stored(question, own, prompt, config, text, skipped)
        made += [group] if group else []
    return made


def thoughts_of(question: Question, config: Config, skipped: Skipped) -> list[Completion]:
    """The teacher's rationales to condition on or to imitate, best ranked first.

    A line of the dataset whose completions all answer one thought names that thought itself.
    """
    if question.thought is not None:
        return [Completion(id=question.conditioned_on or "", thought=question.thought)]
    written = [c for c in question.completions if c.role != "student" and c.thought.strip()]
    own = usable([c for c in written if not c.conditioned_on], skipped)
    accepted_first = sorted(best_first(question, own), key=lambda c: c.accepted is not True)
    return accepted_first[: config.thoughts_per_question]


def _after_thought(
    question: Question, thought: Completion, config: Config, text: Renderer
) -> Prompt:
    asked = text.prompt(question.question)
    imitated = config.nll > 0 and config.imitate == "thought"
    return Prompt(
        question.id,
        asked + text.thought(thought.thought),
        scored_from=len(asked) if imitated else None,
        thought=thought.thought,
        conditioned_on=thought.id,
    )


def _anchors(
    question: Question,
    thoughts: list[Completion],
    config: Config,
    text: Renderer,
    skipped: Skipped,
) -> tuple[tuple[int, ...], ...]:
    """Whole rationales that are imitated; a thought without its answer is not one."""
    if config.nll == 0 or config.imitate == "best":
        return ()
    whole = [text.completion(c.thought, c.answer) for c in thoughts if c.answer.strip()]
    return tuple(tuple(ids) for ids in whole if fits((), ids, config, skipped))


def _stored(
    question: Question,
    completions: list[Completion],
    prompt: Prompt,
    config: Config,
    text: Renderer,
    skipped: Skipped,
) -> Group | None:
    ids = [_ids(completion, prompt, text) for completion in completions]
    kept = [n for n, tokens in enumerate(ids) if fits(prompt.ids, tokens, config, skipped)]
    rewards, present = stored_rewards(
        question,
        [completions[n] for n in kept],
        config.rewards,
        config.reward_from,
        config.ranking_reading,
        skipped,
    )
    if sum(present) < 2:
        skipped["fewer than two rated student completions"] += 1
        return None
    extra = len(prompt.anchors)
    return Group(
        question.id,
        prompt.ids,
        completions=[ids[n] for n in kept] + [list(anchor) for anchor in prompt.anchors],
        present=present + [True] * extra,
        rewards=rewards + [float("nan")] * extra,
        anchor=[False] * len(kept) + [True] * extra,
        scored_from=prompt.scored_from,
    )


def _ids(completion: Completion, prompt: Prompt, text: Renderer) -> list[int]:
    """The tokens as they were drawn, if this tokenizer reads the same words in them."""
    after_thought = prompt.conditioned_on is not None
    thought = "" if after_thought else completion.thought
    drawn = completion.token_ids
    if drawn and text.text(drawn).strip() == completion_text(thought, completion.answer).strip():
        return drawn
    return text.completion(thought, completion.answer)


# --- Rewards become target probabilities ----------------------------------------------------------


def weigh(groups: list[Group], config: Config) -> None:
    """Set `weights` to p, and drop what is neither compared nor imitated."""
    for group in groups:
        group.weights = targets(group, config)
        group.keep(read_by_loss(group, config))


def read_by_loss(group: Group, config: Config) -> list[int]:
    """The places that the loss reads; at least one, as a thought is read with what follows it."""
    if config.beta:  # the KL term is a mean over everything that was drawn
        return [n for n, here in enumerate(group.present) if here] or [0]
    return [n for n, p in enumerate(group.weights) if p > 0 or group.anchor[n]] or [0]


def targets(group: Group, config: Config) -> list[float]:
    """p of one group; 0 says that a completion is not compared."""
    weights = [0.0] * len(group.completions)
    places = group.compared()
    if config.merge_copies:
        places = first_of_each(group, places)
    rewards = [group.rewards[n] for n in places]
    if len(places) < 2 or (config.ties != "level" and max(rewards) == min(rewards)):
        return weights
    low, spread = min(rewards), max(rewards) - min(rewards) + 0.001
    powers = [exp(config.kappa * (reward - low) / spread) for reward in rewards]
    for n, power in zip(places, powers, strict=True):
        weights[n] = power / sum(powers)
    return weights


def first_of_each(group: Group, places: list[int]) -> list[int]:
    """The places without later copies of the same tokens."""
    first: dict[tuple[int, ...], int] = {}
    for n in places:
        first.setdefault(tuple(group.completions[n]), n)
    return sorted(first.values())


def trainable(group: Group, config: Config) -> bool:
    """Whether the group compares anything, or at least has a thought to imitate."""
    if any(group.weights):
        return True
    imitated = group.scored_from is not None or any(group.anchor)
    return imitated and config.nll > 0 and config.ties == "imitate"


# --- The loss -------------------------------------------------------------------------------------


def objective(logprobs: Any, batch: Any, config: Config) -> tuple[Any, dict[str, Any]]:
    """The micro-batch's share of L. `logprobs.completion` is `[B, N, T]`, `.prompt` `[B, P]`."""
    target = batch.weights  # [B, N]
    compared = target > 0
    logq = scores(logprobs, batch, config).masked_fill(~compared, -1e9).log_softmax(-1)
    listwise = -(target * logq).sum(-1)  # [B]
    imitation = nll(logprobs, batch, config)  # [B]
    loss = (listwise + config.nll * imitation).sum() / batch.window.groups
    facts = {
        "listwise": metric(listwise.sum() / batch.window.groups),
        "nll": metric(imitation.sum() / batch.window.groups),
        "groups_compared": metric(compared.any(-1).sum()),
        **mean_logprobs(logprobs, batch),
    }
    if batch.old_logprobs is not None:
        facts |= drift(logprobs, batch)
    if config.beta:
        penalty = kl(logprobs, batch)
        loss = loss + config.beta * penalty
        facts["kl"] = metric(penalty)
    return loss, {"loss": metric(loss), **facts}


def scores(logprobs: Any, batch: Any, config: Config) -> Any:
    """`[B, N]`: s, the student's score of each completion."""
    summed = (logprobs.completion * batch.mask).sum(-1)
    if not config.length_normalised:
        return config.score_scale * summed
    lengths = batch.mask.sum(-1)  # [B, N]
    if config.paper_code:  # the padded row: prompt and thought, then the longest answer
        lengths = (batch.prompt_lengths + lengths.amax(-1))[:, None]
    return config.score_scale * summed / lengths.clamp(min=1)


def nll(logprobs: Any, batch: Any, config: Config) -> Any:
    """`[B]`: the mean loss per token of what each group imitates; 0 where it has nothing."""
    means = token_means(logprobs.completion, batch)  # [B, N]
    if config.imitate == "best":
        best = favoured(batch) & (batch.weights == batch.weights.amax(-1, keepdim=True))
        return -(means * best).sum(-1) / best.sum(-1).clamp(min=1)
    anchored = -(means * batch.anchor).sum(-1) / batch.anchor.sum(-1).clamp(min=1)
    if logprobs.prompt is None:
        return anchored
    return anchored - logprobs.prompt.sum(-1) / batch.prompt_mask.sum(-1).clamp(min=1)


def token_means(values: Any, batch: Any) -> Any:
    """`[B, N]`: the mean of `[B, N, T]` over each completion's own tokens."""
    return (values * batch.mask).sum(-1) / batch.mask.sum(-1).clamp(min=1)


def favoured(batch: Any) -> Any:
    """`[B, N]`: whether the target gives a completion more than an equal share."""
    compared = batch.weights > 0
    return batch.weights * compared.sum(-1, keepdim=True) > 1


def kl(logprobs: Any, batch: Any) -> Any:
    """The share of the mean k3 estimate of KL(pi || pi_ref) over drawn completions.

    Weighted by pi / pi_old, its gradient is that of the reverse KL itself.
    """
    counted = batch.mask * (batch.present & ~batch.anchor)[..., None]
    gap = (batch.ref_logprobs - logprobs.completion) * counted  # [B, N, T]
    if batch.old_logprobs is None:
        estimate = gap.exp() - gap - 1
    else:  # the same times pi / pi_old, in a form whose parts do not overflow
        change = (logprobs.completion - batch.old_logprobs) * counted
        estimate = (gap + change).exp() - (gap + 1) * change.exp()
    return token_means(estimate, batch).sum() / drawn_in(batch.window)


def drawn_in(window: Any) -> int:
    """How many completions of the step were drawn, at least 1."""
    return max(1, window.sequences - window.anchors)


def mean_logprobs(logprobs: Any, batch: Any) -> dict[str, Any]:
    """Mean log-probability per token of completions the target favours, and of the others.

    Both may fall while the loss does; the second must not run away.
    """
    means, high = token_means(logprobs.completion, batch), favoured(batch)
    sides = {"logprob_high": high, "logprob_low": (batch.weights > 0) & ~high}
    return {
        name: metric(
            ((means * side).sum(-1) / side.sum(-1).clamp(min=1)).sum()
            / max(1, batch.window.weighted_groups)
        )
        for name, side in sides.items()
    }


def drift(logprobs: Any, batch: Any) -> dict[str, Any]:
    """How far the student has moved from the one that drew the round: the mean change of a token's
    log-probability, and the share of a group's samples that still count when it is reweighted."""
    drawn = batch.present & ~batch.anchor  # [B, N]
    change = logprobs.completion - batch.old_logprobs  # [B, N, T]
    ratio = (change * batch.mask).sum(-1).masked_fill(~drawn, -1e9).softmax(-1)  # [B, N]
    effective = drawn.any(-1) / ratio.square().sum(-1) / drawn.sum(-1).clamp(min=1)  # [B]
    return {
        "drift": metric((token_means(change, batch) * drawn).sum() / drawn_in(batch.window)),
        "effective_samples": metric(effective.sum() / max(1, batch.window.drawn_groups)),
    }
