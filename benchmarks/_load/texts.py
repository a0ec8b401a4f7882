"""Texts of the lengths that reasoning has: median 4 kB, one in twenty above 20 kB, some 200 kB.

A rationale is lines drawn from a pool of two hundred thousand different ones, so that no cache of
rendered lines helps: sentences with a computation (one in twelve wrong), formulas, code, and texts
in other scripts.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

POOL = 200_000
MEDIAN, SPREAD = 4_000, 1.0  # of a log-normal distribution, in characters
LONGEST = 200_000

NAMES = "Ada Bo Chi Dara Emil Fay Gus Hana Ivo June Kofi Lena Max Nia Oto Pia Quinn Rui Sol Tom"
THINGS = (
    "apples books candles doors eggs flags gates hats inks jars keys lamps maps nets oars pears "
    "quills ropes shells tiles urns vases wheels yards zips baskets boxes bottles cartons crates "
    "letters marbles needles oranges pencils ribbons stamps tickets towels wagons"
)
VERBS = (
    "buys sells packs counts finds loses sorts paints carries borrows returns stacks trades mends "
    "collects divides shares weighs orders delivers"
)
TIMES = (
    "each morning, every week, on Monday, before noon, after the fair, in spring, at the market, "
    "twice a month, during the holidays, by the river"
)
OPENINGS = (
    "First, Then, So, Now, Next, Because of that, From this, We see that, It follows that, "
    "Put together, As before, Let us check:, Wait:, Hence"
)
SCRIPTS = [
    "因此每天剩下 {a} 个，共 {b} 个。",
    "そこで {a} と {b} を足すと {c} になる。",
    "إذن يبقى {a} من أصل {b}.",
    "Значит, остаётся {a} из {b}.",
    "That is {a} of {b} 🎉 — half the way there.",
]


class Texts:
    """Draws questions and rationales; the same seed draws the same."""

    def __init__(self, seed: int, pool: int = POOL, median: int = MEDIAN) -> None:
        self.random, self.median = random.Random(seed), median
        self.words = {
            "name": NAMES.split(),
            "thing": THINGS.split(),
            "verb": VERBS.split(),
            "time": TIMES.split(", "),
            "opening": OPENINGS.split(", "),
        }
        self.pool = list(self._lines(pool))
        self.length = sum(map(len, self.pool)) / pool + 1

    def question(self, number: int) -> tuple[str, str]:
        """A text that there is once, and its reference answer."""
        one, other = self._word("thing"), self._word("thing")
        a, b = self.random.randint(2, 999), self.random.randint(2, 999)
        text = (
            f"{self._word('name')} {self._word('verb')} {a} {one} {self._word('time')} and "
            f"{self._word('verb')} {b} {other} {self._word('time')}. A crate of order {number} "
            f"holds {self.random.randint(2, 60)} of them. How many {one} and {other} are there "
            f"altogether, if {self._word('name')} {self._word('verb')} none of the {other}?"
        )
        return text, str(a + b)

    def rationale(self) -> str:
        """Lines of the pool, as many as its length asks for."""
        length = min(LONGEST, self.median * math.exp(self.random.gauss(0, SPREAD)))
        if self.random.random() < 0.003:
            length = self.random.uniform(16 * self.median, LONGEST)
        return "\n".join(self.random.choices(self.pool, k=max(1, round(length / self.length))))

    def _lines(self, count: int) -> Iterator[str]:
        for _ in range(count):
            kind = self.random.random()
            yield (
                self._formula()
                if kind < 0.04
                else self._other(kind)
                if kind < 0.07
                else (self._sentence())
            )

    def _sentence(self) -> str:
        a, b = self.random.randint(2, 99), self.random.randint(2, 99)
        sign, result = self.random.choice([("+", a + b), ("*", a * b), ("-", a - b)])
        if self.random.random() < 1 / 12:
            result += self.random.choice([-10, -1, 1, 10])
        return (
            f"{self._word('opening')} {self._word('name')} {self._word('verb')} {a} "
            f"{self._word('thing')} {self._word('time')}, which makes {a} {sign} {b} = {result} "
            f"{self._word('thing')} for {self._word('name')}."
        )

    def _formula(self) -> str:
        a, b = self.random.randint(2, 99), self.random.randint(2, 99)
        return (
            f"{self._word('opening')} \\( \\frac{{{a}}}{{{b}}} \\cdot x_{{{a}}} = "
            f"{a / b:.2f} x \\), and therefore \\( x^2 = {a * a} \\)."
        )

    def _other(self, kind: float) -> str:
        a, b = self.random.randint(2, 99), self.random.randint(2, 99)
        if kind < 0.05:
            return f"`total = {a} * {b}  # {self._word('thing')}` gives **{a * b}**."
        return self.random.choice(SCRIPTS).format(a=a, b=a + b, c=2 * a + b)

    def _word(self, kind: str) -> str:
        return self.random.choice(self.words[kind])
