"""Alarms: what the curves of a run say is going wrong, in a sentence, with threshold and steps.

Each rule is a pure function of series `[(step, value), …]` and is read from means over stretches of
the run, so that one odd step raises nothing. A rule speaks of the last stretches alone, but for
what is never well (a loss that is no number). The thresholds stand here once; the pages and the
docs quote them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean, median

Series = Sequence[tuple[int, float | None]]
Curves = Mapping[str, Series]

TRUNCATED = 0.3  # share of completions that the limit cut
EQUAL = 0.5  # share of groups whose rewards are all equal
KL_RISE, KL_FLOOR = 5.0, 0.1  # times the median before, and nats below which nothing is said
SHORTER, LONGER = 0.5, 2.0  # against the first stretch
FALLEN = 0.5  # entropy, or another measure of variety, against the first stretch
SLOWER = 0.5  # tokens a second against the median so far
STRETCH = 0.1  # of the run: what is called its beginning, and its end
FEWEST = 5  # steps that a rule needs; a stretch has at least so many


@dataclass(frozen=True)
class Alarm:
    """What is wrong, by which threshold, and the steps that it was seen in."""

    name: str
    title: str
    words: str
    first: int
    last: int
    metric: str

    @property
    def steps(self) -> str:
        if self.first == self.last:
            return f"step {self.first:,}"
        return f"steps {self.first:,} to {self.last:,}"


Rule = Callable[[Curves], Alarm | None]


def alarms(curves: Curves) -> list[Alarm]:
    """All that is wrong, the gravest first."""
    return [found for rule in RULES if (found := rule(curves)) is not None]


def known(series: Series) -> list[tuple[int, float]]:
    """The points that are numbers."""
    return [(step, value) for step, value in series if value is not None and isfinite(value)]


def ends(curves: Curves, name: str) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """The first and the last stretch of a curve; two empty ones if it is too short to say."""
    points = known(curves.get(name, ()))
    if len(points) < 2 * FEWEST:
        return [], []
    count = max(FEWEST, round(len(points) * STRETCH))
    return points[:count], points[-count:]


def mean(points: Sequence[tuple[int, float]]) -> float:
    return fmean(value for _, value in points)


# --- The rules ------------------------------------------------------------------------------------


def loss_is_no_number(curves: Curves) -> Alarm | None:
    """Any step whose loss was NaN or infinite."""
    bad = [step for step, value in curves.get("loss", ()) if value is None or not isfinite(value)]
    if not bad:
        return None
    words = (
        f"The loss was not a number in {len(bad):,} step{'s' if len(bad) > 1 else ''}. Lower the "
        "learning rate or the gradient clipping, and look at the rewards."
    )
    return Alarm("loss_nan", "The loss is no number", words, bad[0], bad[-1], "loss")


def mostly_truncated(curves: Curves) -> Alarm | None:
    """The length limit cuts more than `TRUNCATED` of what is drawn."""
    _, last = late(curves, "truncated_share")
    if not last or mean(last) <= TRUNCATED:
        return None
    words = (
        f"{mean(last):.0%} of the completions were stopped by the length limit (more than "
        f"{TRUNCATED:.0%} is too many): they end without an answer. Raise the longest completion, "
        "or reward brevity."
    )
    return told("truncated", "Completions are cut off", words, last, "truncated_share")


def rewards_all_equal(curves: Curves) -> Alarm | None:
    """Most groups teach nothing, for their rewards do not differ."""
    skipped, groups = dict(known(curves.get("groups_skipped", ()))), curves.get("groups", ())
    shares = [(s, skipped[s] / n) for s, n in known(groups) if n and s in skipped]
    last = shares[-max(FEWEST, round(len(shares) * STRETCH)) :]
    if len(last) < FEWEST or mean(last) <= EQUAL:
        return None
    words = (
        f"{mean(last):.0%} of the groups were skipped (more than {EQUAL:.0%} is too many): their "
        "rewards are all equal, so nothing is learned from them. Take harder or easier questions, "
        "a higher temperature, or a reward that tells more."
    )
    return told("equal_rewards", "Rewards are all equal", words, last, "groups_skipped")


def kl_runs_away(curves: Curves) -> Alarm | None:
    """The distance to the reference rises to `KL_RISE` times what it was."""
    points = known(curves.get("kl", ()))
    _, last = ends(curves, "kl")
    if not last:
        return None
    before = median(value for _, value in points[: -len(last)])
    now = mean(last)
    if now <= KL_FLOOR or now <= KL_RISE * max(before, 0.0):
        return None
    words = (
        f"The KL to the reference is {now:.3g}, more than {KL_RISE:g} times its median before "
        f"({before:.3g}) and above {KL_FLOOR:g}. Lower the learning rate or raise beta."
    )
    return told("kl", "The KL is running away", words, last, "kl")


def length_collapses(curves: Curves) -> Alarm | None:
    return length(curves, "length_collapse", "Completions get very short", below=SHORTER)


def length_explodes(curves: Curves) -> Alarm | None:
    return length(curves, "length_explosion", "Completions get very long", above=LONGER)


def length(
    curves: Curves, name: str, title: str, below: float = 0.0, above: float = float("inf")
) -> Alarm | None:
    """The mean length against that of the first stretch."""
    first, last = ends(curves, "completion_tokens")
    if not first or mean(first) <= 0 or below <= mean(last) / mean(first) <= above:
        return None
    ratio = mean(last) / mean(first)
    limit = f"less than {below:g}" if ratio < below else f"more than {above:g}"
    words = (
        f"They have {mean(last):.0f} tokens, {ratio:.2f} times the {mean(first):.0f} of the "
        f"beginning ({limit} times raises this). Look at the samples: a reward may be paid by "
        "length."
    )
    return told(name, title, words, last, "completion_tokens")


def variety_falls(curves: Curves) -> Alarm | None:
    """Entropy, or where a method has none, the effective number of samples in a group."""
    for metric, what in (("entropy", "entropy"), ("effective_samples", "effective samples")):
        first, last = ends(curves, metric)
        if first and mean(first) > 0 and mean(last) < FALLEN * mean(first):
            words = (
                f"The {what} fell from {mean(first):.3g} to {mean(last):.3g}, below {FALLEN:.0%} "
                "of the beginning: samples become alike, and groups will stop to differ. Raise "
                "the temperature or the KL weight, or stop here."
            )
            return told("variety", "Diversity is falling", words, last, metric)
    return None


def throughput_fell(curves: Curves) -> Alarm | None:
    """The pace of training against its median so far."""
    points = known(curves.get("tokens_per_second", ()))
    _, last = ends(curves, "tokens_per_second")
    if not last:
        return None
    before = median(value for _, value in points[: -len(last)])
    now = median(value for _, value in last)
    if now >= SLOWER * before:
        return None
    words = (
        f"{now:,.0f} tokens a second are trained, below {SLOWER:.0%} of the {before:,.0f} before. "
        "The host may be shared, hot, or short of memory."
    )
    return told("throughput", "Training became slow", words, last, "tokens_per_second")


def late(curves: Curves, name: str) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """As `ends`, for rules that need no beginning: the last stretch of a short curve too."""
    points = known(curves.get(name, ()))
    count = max(FEWEST, round(len(points) * STRETCH))
    return ([], points[-count:]) if len(points) >= FEWEST else ([], [])


def told(
    name: str, title: str, words: str, points: Sequence[tuple[int, float]], metric: str
) -> Alarm:
    return Alarm(name, title, words, points[0][0], points[-1][0], metric)


RULES: tuple[Rule, ...] = (
    loss_is_no_number,
    rewards_all_equal,
    mostly_truncated,
    kl_runs_away,
    length_collapses,
    length_explodes,
    variety_falls,
    throughput_fell,
)
WATCHED = (
    "loss",
    "truncated_share",
    "groups",
    "groups_skipped",
    "kl",
    "completion_tokens",
    "entropy",
    "effective_samples",
    "tokens_per_second",
)


def thresholds() -> Iterator[tuple[str, str]]:
    """Each alarm with what raises it, for whoever wants to know what is watched."""
    yield "The loss is no number", "in any step"
    yield "Rewards are all equal", f"in more than {EQUAL:.0%} of the groups"
    yield "Completions are cut off", f"more than {TRUNCATED:.0%} of them"
    yield "The KL is running away", f"{KL_RISE:g} times its median before, and above {KL_FLOOR:g}"
    yield "Completions get very short", f"less than {SHORTER:g} times the beginning's tokens"
    yield "Completions get very long", f"more than {LONGER:g} times the beginning's tokens"
    yield "Diversity is falling", f"entropy below {FALLEN:.0%} of the beginning's"
    yield "Training became slow", f"below {SLOWER:.0%} of the tokens a second before"
