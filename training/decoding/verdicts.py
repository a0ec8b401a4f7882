"""From a judge's reply to its verdict, strictly, and from verdicts on pairs to a ranking.

One form a mode, on the last line of the reply and on no other:

    rating      #### 7              a whole number of the scale
    pairwise    #### A              or B, or tie
    listwise    #### B > A = C      every letter once, the best first

Whatever else comes is no verdict: it is dropped, counted by its `Fault`, and its text kept. Nothing
is guessed from a reply that nearly has the form; a judge that often misses it needs another prompt.

Pairs are asked in both orders. Only a verdict that both orders give counts; the others are
dropped and counted. The ranking is Copeland's: won minus lost pairs, equal scores are ties. It
covers the largest set of rationales that consistent verdicts connect, since nothing is known about
how two unconnected sets compare; the others stay unplaced, which is not last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from string import ascii_uppercase

from training.decoding.judge_plan import JudgePlan
from training.decoding.prompts import ANSWER_MARK, split_thinking

TIE = "tie"
_VERDICT = re.compile(rf"{ANSWER_MARK} (\S.*)")
_NUMBER = re.compile(r"\d{1,3}")


class Fault(StrEnum):
    """Why a reply is no verdict."""

    EMPTY = "the reply is empty"
    CUT_OFF = "the reply was cut off before a verdict"
    NO_LINE = "no verdict on the last line"
    SEVERAL = "several verdict lines"
    NO_NUMBER = "the rating is no whole number"
    OUTSIDE = "the rating lies outside the scale"
    NO_CHOICE = "the verdict is none of A, B and tie"
    LETTERS = "the order does not name every letter once"


@dataclass(frozen=True)
class Said:
    """A verdict: a rating, a choice (`A`, `B`, `tie`), or the rank of each letter."""

    rating: int | None = None
    choice: str | None = None
    ranks: tuple[int, ...] = ()

    def stored(self) -> int | str | list[int]:
        """As JSON."""
        if self.rating is not None:
            return self.rating
        return self.choice if self.choice is not None else list(self.ranks)


def read(plan: JudgePlan, reply: str, letters: int = 1, cut_off: bool = False) -> Said | Fault:
    """The verdict of a reply about `letters` rationales, or why it is none."""
    line = verdict_line(reply, cut_off)
    if isinstance(line, Fault):
        return line
    if plan.mode == "rating":
        return _rating(line, plan.lowest, plan.highest)
    if plan.mode == "pairwise":
        return Said(choice=line) if line in ("A", "B", TIE) else Fault.NO_CHOICE
    return _order(line, letters)


def verdict_line(reply: str, cut_off: bool = False) -> str | Fault:
    """What follows the mark on the reply's last line. What a model thinks in tags is not said."""
    _, said = split_thinking(reply)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if not lines:
        return Fault.CUT_OFF if cut_off else Fault.EMPTY
    marked = [line for line in lines if line.startswith(f"{ANSWER_MARK} ")]
    found = _VERDICT.fullmatch(lines[-1])
    if cut_off:  # the last line may have been going on
        return Fault.CUT_OFF
    if found is None:
        return Fault.NO_LINE
    return Fault.SEVERAL if len(marked) > 1 else found[1]


def _rating(line: str, lowest: int, highest: int) -> Said | Fault:
    if not _NUMBER.fullmatch(line):
        return Fault.NO_NUMBER
    return Said(rating=int(line)) if lowest <= int(line) <= highest else Fault.OUTSIDE


def _order(line: str, letters: int) -> Said | Fault:
    """`B > A = C` as ranks of A, B, C: (2, 1, 2)."""
    classes = [[one.strip() for one in tied.split("=")] for tied in line.split(">")]
    if sorted(one for tied in classes for one in tied) != list(ascii_uppercase[:letters]):
        return Fault.LETTERS
    ranks: dict[str, int] = {}
    place = 1
    for tied in classes:
        ranks |= dict.fromkeys(tied, place)
        place += len(tied)
    return Said(ranks=tuple(ranks[letter] for letter in ascii_uppercase[:letters]))


# --- Pairs --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Compared:
    """What a judge said of two rationales, shown as (one, other) and as (other, one)."""

    one: str
    other: str
    forwards: str | None  # A: the one is better
    backwards: str | None  # A: the other is better

    @property
    def is_complete(self) -> bool:
        """Whether both orders brought a verdict."""
        return self.forwards is not None and self.backwards is not None

    @property
    def is_consistent(self) -> bool:
        """Whether both orders say the same of the texts."""
        turned = {"A": "B", "B": "A", TIE: TIE}
        return self.is_complete and self.forwards == turned[self.backwards or TIE]

    @property
    def sign(self) -> int:
        """1: the one is better; -1: the other; 0: a tie."""
        return {"A": 1, "B": -1}.get(self.forwards or TIE, 0)


def consistency(pairs: Iterable[Compared]) -> dict[str, int]:
    """How many pairs both orders decided alike, how many not, and how often the first shown won."""
    counted = ("pairs", "consistent", "inconsistent", "incomplete", "first_won", "second_won")
    counts = dict.fromkeys(counted, 0)
    for pair in pairs:
        counts["pairs"] += 1
        if not pair.is_complete:
            counts["incomplete"] += 1
            continue
        counts["consistent" if pair.is_consistent else "inconsistent"] += 1
        said = (pair.forwards, pair.backwards)
        counts["first_won"] += said.count("A")
        counts["second_won"] += said.count("B")
    return counts


def ranking(pairs: Iterable[Compared]) -> dict[str, int]:
    """Ranks by Copeland's score over the largest connected set; {} if nothing is consistent."""
    kept = [pair for pair in pairs if pair.is_consistent]
    together = largest_connected(kept)
    score = dict.fromkeys(together, 0)
    for pair in kept:
        if pair.one in together:
            score[pair.one] += pair.sign
            score[pair.other] -= pair.sign
    return {one: 1 + sum(other > score[one] for other in score.values()) for one in score}


def largest_connected(pairs: Sequence[Compared]) -> list[str]:
    """The rationales of the largest set that these pairs connect; the first such one."""
    group: dict[str, list[str]] = {}
    for pair in pairs:
        left = group.setdefault(pair.one, [pair.one])
        right = group.setdefault(pair.other, [pair.other])
        if left is not right:
            left += right
            group |= dict.fromkeys(right, left)
    return max(group.values(), key=len, default=[])
