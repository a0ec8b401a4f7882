"""Which of an iteration's groups people are asked to look at, under a budget.

Each strategy gives a group a figure, the highest first; None says that it has nothing to say of it:

* disagreement: the mean over the group of |v - j|, v what the verifier says (1, 0) and j what the
  judge does (0 to 1);
* variance: the population variance of the automatic reward, the mean of v and j as far as known;
* novel: the mean over the group of 1 - ROUGE-L with the nearest accepted rationale of the question;
* random: a number that the seed and the question's id decide.

Anchors come first: those questions that the seed and their ids put in front, so they are the same
in every iteration. The rest of the budget is shared by the strategies' weights (largest remainder);
they take turns, each taking its best group that is not taken. Where one has nothing more to say,
random takes what it leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from statistics import fmean, pvariance
from typing import Any

from training.measures.rouge import rouge_l


@dataclass(frozen=True)
class Seen:
    """One sample as routing sees it: its words, and what was said of it between 0 and 1."""

    text: str
    verifier: float | None = None
    judge: float | None = None

    @property
    def automatic(self) -> float | None:
        known = [value for value in (self.verifier, self.judge) if value is not None]
        return fmean(known) if known else None


@dataclass(frozen=True)
class Shown:
    """A group that could be shown, and the texts of the question that are accepted already."""

    question: int
    samples: Sequence[Seen]
    accepted: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True)
class Routed:
    """A group that people will see: by which strategy, and its figure there."""

    question: int
    by: str
    value: float | None = None

    def stored(self) -> dict[str, Any]:
        value = None if self.value is None else round(self.value, 4)
        return {"question": self.question, "by": self.by, "value": value}


def disagreement(group: Shown, seed: int) -> float | None:
    gaps = [
        abs(one.verifier - one.judge)
        for one in group.samples
        if one.verifier is not None and one.judge is not None
    ]
    return fmean(gaps) if gaps else None


def variance(group: Shown, seed: int) -> float | None:
    known = [value for one in group.samples if (value := one.automatic) is not None]
    return pvariance(known) if len(known) > 1 else None


def novel(group: Shown, seed: int) -> float | None:
    if not group.accepted:
        return None
    nearest = [max(rouge_l(one.text, text) for text in group.accepted) for one in group.samples]
    return 1 - fmean(nearest) if nearest else None


def random(group: Shown, seed: int) -> float:
    """Between 0 and 1, the same for a question whatever else there is."""
    return drawn(f"random {seed}", group.question)


STRATEGIES: dict[str, Callable[[Shown, int], float | None]] = {
    "disagreement": disagreement,
    "variance": variance,
    "novel": novel,
    "random": random,
}


def drawn(salt: str, question: int) -> float:
    digest = sha256(f"{salt}:{question}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def anchors(questions: Iterable[int], count: int, seed: int) -> list[int]:
    """The same ones each time, whatever is drawn for them."""
    return sorted(questions, key=lambda one: drawn(f"anchor {seed}", one))[:count]


def route(
    groups: Sequence[Shown],
    fixed: Sequence[int],
    budget: int,
    weights: Mapping[str, float],
    seed: int,
) -> list[Routed]:
    """At most `budget` groups: the anchors `fixed` that can be shown, then by strategy."""
    there = {group.question for group in groups}
    chosen = [Routed(pk, "anchor") for pk in fixed if pk in there][:budget]
    taken = {one.question for one in chosen}
    room = shares(budget - len(chosen), weights)
    lists = {name: ranked(groups, name, seed) for name in room}
    while any(room.values()):
        for name in [name for name, left in room.items() if left]:
            room[name] -= 1
            best = next((one for one in lists[name] if one.question not in taken), None)
            if best is None:
                best = next(
                    (r for r in ranked(groups, "random", seed) if r.question not in taken), None
                )
            if best is not None:
                chosen.append(best)
                taken.add(best.question)
    return chosen


def ranked(groups: Sequence[Shown], strategy: str, seed: int) -> list[Routed]:
    """The groups that the strategy has a figure for, the highest first."""
    figures = [(STRATEGIES[strategy](group, seed), group.question) for group in groups]
    known = [(value, pk) for value, pk in figures if value is not None]
    return [Routed(pk, strategy, value) for value, pk in sorted(known, key=lambda v: (-v[0], v[1]))]


def shares(count: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Whole shares of `count` by weight, by the largest remainder; all random if none weighs."""
    total = sum(weights.values())
    if total <= 0:
        return {"random": max(0, count)}
    exact = {name: max(0, count) * weight / total for name, weight in weights.items() if weight > 0}
    whole = {name: int(share) for name, share in exact.items()}
    by_rest = sorted(exact, key=lambda name: whole[name] - exact[name])
    for name in by_rest[: max(0, count) - sum(whole.values())]:
        whole[name] += 1
    return whole
