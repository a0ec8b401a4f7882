"""GRPO: reinforcement with a group of samples as its own baseline.

For each question draw y_1 … y_G from the policy, score them, and compare each with its group:

    A_i    = (R_i - mean R) / s            s = 1, the group's, or the round's standard deviation
    rho_it = pi(y_it) / pi_old(y_it)       pi_old: the log-probabilities kept while sampling
    l_it   = - min(rho A, clip(rho, 1 - epsilon, 1 + epsilon_high) A) + beta * rho * k3
    k3     = e^d - d - 1,  d = log pi_ref - log pi;   times rho, its gradient is the reverse KL's

and the losses differ in what the sum of l_it is divided by (`loss_type`):

    grpo     each completion by its own length, then the number of completions
    bnpo     the number of tokens in the step
    dapo     the same; TRL's bnpo divides by its micro-batch, ours never depends on that split
    dr_grpo  the constant (completions) * (longest completion): no bias for length
    gspo     as grpo, with one ratio a sequence, (pi / pi_old)^(1 / |y|), clipped as a whole

Sources: Shao et al. 2402.03300 (grpo); Yu et al. 2503.14476 (dapo: token mean, clip-higher, soft
overlong punishment, masking of truncated samples); Liu et al. 2503.20783 (dr_grpo: constant
divisor, no standard deviation); Zheng et al. 2507.18071 (gspo); Liu et al. 2508.08221 (standard
deviation of the batch). Defaults: dr_grpo without scaling, clip-higher, no KL, truncated samples
masked. A group whose rewards are all equal has no gradient: it is left out of forward and divisor
and counted (`groups_skipped`), but not replaced by fresh questions, as DAPO would.

Traps: with one step a round the ratio is 1 and clipping never acts; it does from the second step
on. Standard deviations of nearly equal rewards blow noise up, and the group's favours questions
that are nearly always or never solved. GRPO seeks the one best way: look at diversity beside
accuracy, and keep `beta` above zero where a learned judge gives the rewards.
"""

from __future__ import annotations

from statistics import fmean, stdev
from typing import Any, Literal

from pydantic import Field, model_validator

from training.decoding.prompts import Renderer
from training.decoding.record import Question
from training.decoding.sampling import grouped
from training.methods.base import Group, OnlineConfig, Prompt, Round, Skipped, fits, metric

TITLE = "GRPO: group-relative policy optimisation"

STD_FLOOR = 1e-4  # as in TRL
CLIP = {"gspo": (3e-4, 4e-4)}  # per sequence, from the paper; the others clip per token
TOKEN_CLIP = (0.2, 0.28)  # DAPO's clip-higher


class Config(OnlineConfig):
    """Settings of GRPO."""

    loss_type: Literal["dr_grpo", "dapo", "bnpo", "grpo", "gspo"] = Field(
        "dr_grpo",
        title="Loss",
        description="What the sum over tokens is divided by. dr_grpo: a constant. dapo and bnpo: "
        "the step's tokens. grpo: each completion's length. gspo: so too, one ratio a sequence.",
        json_schema_extra=grouped("Method"),
    )
    scale_rewards: Literal["none", "group", "batch"] = Field(
        "none",
        title="Scale of advantages",
        description="Divide by the standard deviation of the group's rewards (the first GRPO) or "
        "of the whole round's (Lite PPO), or by nothing (Dr. GRPO).",
        json_schema_extra=grouped("Method"),
    )
    baseline: Literal["mean", "leave_one_out"] = Field(
        "mean",
        title="Baseline",
        description="The mean of the group, or of the others in it (RLOO).",
        json_schema_extra=grouped("Method"),
    )
    epsilon: float | None = Field(
        None,
        gt=0,
        lt=1,
        title="Clip below (epsilon)",
        description="How far a ratio may fall below 1. Empty takes the loss's own: 0.2, and 0.0003 "
        "for gspo.",
        json_schema_extra=grouped("Method"),
    )
    epsilon_high: float | None = Field(
        None,
        gt=0,
        le=100,
        title="Clip above (epsilon high)",
        description="How far a ratio may rise above 1. Empty takes the loss's own: 0.28 (DAPO's "
        "clip-higher), and 0.0004 for gspo.",
        json_schema_extra=grouped("Method"),
    )
    beta: float = Field(
        0.0,
        ge=0,
        le=10,
        title="KL weight (beta)",
        description="Holds the policy near the model it began as; 0 keeps no reference in memory. "
        "0.04 in the first GRPO; above 0 where a learned judge gives the rewards.",
        json_schema_extra=grouped("Method"),
    )
    mask_truncated: bool = Field(
        True,
        title="Mask truncated completions",
        description="A completion that the length limit cut teaches nothing; its reward still "
        "counts in the group's mean.",
        json_schema_extra=grouped("Method"),
    )
    overlong_band: int = Field(
        0,
        ge=0,
        title="Overlong band",
        description="Within so many tokens of the longest completion the reward falls, down to 1 "
        "less at the limit (DAPO's soft punishment: 4096 of 20480). 0 turns it off.",
        json_schema_extra=grouped("Rewards"),
    )
    learning_rate: float = Field(
        1e-6,
        gt=0,
        le=1,
        title="Learning rate",
        description="AdamW's step size at its peak; full fine-tuning of large models takes 1e-6.",
        json_schema_extra=grouped("Optimisation"),
    )
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "constant",
        title="Schedule",
        description="How the learning rate falls after the warm-up.",
        json_schema_extra=grouped("Optimisation"),
    )
    rounds: int = Field(
        100,
        ge=1,
        le=100_000,
        title="Rounds",
        description="Draw, score, train; so many times.",
        json_schema_extra=grouped("Rounds"),
    )
    questions_per_round: int = Field(
        64,
        ge=0,
        title="Questions per round",
        description="Chosen anew each round; 0 takes all of the dataset.",
        json_schema_extra=grouped("Rounds"),
    )
    groups_per_step: int = Field(
        64,
        ge=1,
        title="Groups per step",
        description="Questions in one optimizer step. As many as questions per round makes one "
        "step a round, exactly on-policy.",
        json_schema_extra=grouped("Batches"),
    )

    @model_validator(mode="after")
    def _band_within_length(self) -> Config:
        if self.overlong_band > self.max_completion_tokens:
            raise ValueError("overlong_band cannot exceed max_completion_tokens")
        return self

    def clip_range(self) -> tuple[float, float]:
        """Between which ratios a completion still teaches."""
        low, high = CLIP.get(self.loss_type, TOKEN_CLIP)
        return 1 - (self.epsilon or low), 1 + (self.epsilon_high or high)


def rounds(config: Config) -> list[Round]:
    """Every round is drawn from the policy."""
    return [Round("policy")] * config.rounds


def prompts(question: Question, config: Config, text: Renderer, skipped: Skipped) -> list[Prompt]:
    """The question alone. Stored rationales play no part."""
    prompt = Prompt(question.id, text.prompt(question.question))
    return [prompt] if fits(prompt.ids, (), config, skipped) else []


def groups(question: Question, config: Config, text: Renderer, skipped: Skipped) -> list[Group]:
    """None: nothing is read from the dataset but questions."""
    return []


# --- Rewards become advantages --------------------------------------------------------------------


def weigh(groups: list[Group], config: Config) -> None:
    """Set `weights` to the advantages A; 0 where a completion has no reward."""
    known = [[shaped(group, n, config) for n in group.compared()] for group in groups]
    everything = [reward for rewards in known for reward in rewards]
    spread = stdev(everything) if len(everything) > 1 else 0.0
    for group, rewards in zip(groups, known, strict=True):
        group.weights = [0.0] * len(group.completions)
        for n, advantage in zip(group.compared(), advantages(rewards, spread, config), strict=True):
            group.weights[n] = advantage


def shaped(group: Group, n: int, config: Config) -> float:
    """The reward, less what an overlong completion loses: 0 to 1 within the band."""
    reward, band = group.rewards[n], config.overlong_band
    if not band:
        return reward
    over = len(group.completions[n]) - (config.max_completion_tokens - band)
    return reward - min(max(over / band, 0.0), 1.0)


def advantages(rewards: list[float], spread: float, config: Config) -> list[float]:
    """A of one group; `spread` is the standard deviation over the round. All 0 where all tie."""
    if len(rewards) < 2 or max(rewards) == min(rewards):
        return [0.0] * len(rewards)
    mean, count = fmean(rewards), len(rewards)
    others = count / (count - 1) if config.baseline == "leave_one_out" else 1.0
    scale = {"none": 1.0, "group": stdev(rewards) + STD_FLOOR, "batch": spread + STD_FLOOR}
    return [others * (reward - mean) / scale[config.scale_rewards] for reward in rewards]


def trainable(group: Group, config: Config) -> bool:
    """Whether some completion that is not masked has an advantage, or the KL term acts."""
    seen = [n for n in group.compared() if not (config.mask_truncated and group.truncated[n])]
    return bool(seen) and (config.beta > 0 or any(group.weights[n] for n in seen))


# --- The loss -------------------------------------------------------------------------------------


def objective(logprobs: Any, batch: Any, config: Config) -> tuple[Any, dict[str, Any]]:
    """The micro-batch's share of the loss. `logprobs.completion` is `[B, N, T]`."""
    policy, mask = logprobs.completion, token_mask(batch, config)
    old = policy.detach() if batch.old_logprobs is None else batch.old_logprobs
    change = (policy - old) * mask  # [B, N, T]
    level = sequence_mean(change, mask) if config.loss_type == "gspo" else change
    ratio, advantage = level.exp(), batch.weights[..., None]
    low, high = config.clip_range()
    clipped = ratio.clamp(low, high)
    per_token = -(ratio * advantage).minimum(clipped * advantage)  # [B, N, T], or [B, N, 1]
    penalty = k3(policy, batch, change, mask) if config.beta else 0.0
    loss = divided((per_token + config.beta * penalty) * mask, mask, batch.window, config)
    tokens = max(1, drawn(batch.window, config)[1])
    facts = {
        "clipped_low": ((ratio < low) & (advantage < 0)) * mask,
        "clipped_high": ((ratio > high) & (advantage > 0)) * mask,
        "ratio": change.exp() * mask,
        "logprob_gap": change.abs(),
        "entropy": -policy * mask,  # an estimate: of the tokens drawn, while the policy drew them
        "advantage_size": advantage.abs() * mask,
        **({"kl": penalty * mask} if config.beta else {}),
    }
    shares = {name: metric(value.sum() / tokens) for name, value in facts.items()}
    return loss, {"loss": metric(loss), **shares}


def token_mask(batch: Any, config: Config) -> Any:
    """`[B, N, T]`: the tokens that teach, one mask for every sum and divisor."""
    seen = batch.present & ~batch.anchor
    if config.mask_truncated:
        seen = seen & ~batch.truncated
    return batch.mask * seen[..., None]


def k3(policy: Any, batch: Any, change: Any, mask: Any) -> Any:
    """`[B, N, T]`: the estimate of KL(pi || pi_ref), reweighted to the present policy.

    (e^gap - gap - 1) e^change, in a form whose parts do not overflow where a token has fallen far.
    """
    gap = (batch.ref_logprobs - policy) * mask
    return (gap + change).exp() - (gap + 1) * change.exp()


def sequence_mean(values: Any, mask: Any) -> Any:
    """`[B, N, 1]`: the mean over each completion's tokens."""
    return (values * mask).sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp(min=1)


def divided(summand: Any, mask: Any, window: Any, config: Config) -> Any:
    """The share of the loss, its sum divided as `loss_type` says by totals of the whole step."""
    sequences, tokens = drawn(window, config)
    if config.loss_type in ("grpo", "gspo"):
        return sequence_mean(summand, mask).sum() / max(1, sequences)
    if config.loss_type == "dr_grpo":
        return summand.sum() / max(1, sequences * config.max_completion_tokens)
    return summand.sum() / max(1, tokens)


def drawn(window: Any, config: Config) -> tuple[int, int]:
    """Completions and tokens of the step that `token_mask` lets through."""
    if config.mask_truncated:
        return window.live_sequences, window.live_tokens
    return window.sequences, window.tokens
