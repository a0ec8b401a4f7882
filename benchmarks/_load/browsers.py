"""People in real browsers: they read the page, form an opinion, and act with their hands.

`Keys` never touches the mouse, `Mouse` drags and clicks. Each person has a Chromium of their own in
a thread of its own. A script error or a breach of the content policy ends the person's work.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from playwright.sync_api import CDPSession, Page, Playwright, sync_playwright

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
NAMES = ("chromium", "chromium-browser", "chrome", "google-chrome")
PATIENCE = 60_000  # milliseconds for a page on a busy machine
EARLY = 5  # items
NOISE = 0.08  # with it two people order three of five groups of four alike

T = TypeVar("T")

LOOK = """() => {
  const work = document.getElementById("work");
  return {
    assignment: work.dataset.assignment || "",
    cards: [...work.querySelectorAll(".candidate")].map((card) => ({
      number: Number(card.dataset.number), pk: Number(card.dataset.pk),
      right: Boolean(card.querySelector(".candidate-head .chip.ok")),
      length: card.querySelector(".steps").innerText.length,
    })),
  };
}"""
POINT = """(selector) => {
  const target = document.querySelector(selector);
  target.scrollIntoView({ block: "center", behavior: "instant" });
  const { x, y, width, height } = target.getBoundingClientRect();
  const at = [x + width / 2, y + height / 2];
  return target.contains(document.elementFromPoint(...at)) ? at : null;
}"""
NEXT = """(before) => {
  const work = document.getElementById("work");
  if (!work || (work.dataset.assignment || "") === before) return false;
  const cards = work.querySelectorAll(".candidate").length;
  return !cards || document.querySelectorAll("#unplaced li").length === cards;
}"""


@dataclass(frozen=True)
class Card:
    """What a person sees of a rationale."""

    number: int
    pk: int
    right: bool
    length: int


@dataclass(frozen=True)
class Opinion:
    """An order, best first, of the cards' keys; what is accepted and what is rejected."""

    order: tuple[int, ...]
    accepts: frozenset[int] = frozenset()
    rejects: frozenset[int] = frozenset()

    @property
    def ranks(self) -> dict[int, int]:
        return {pk: rank for rank, pk in enumerate(self.order, 1)}


@dataclass(frozen=True)
class Mind:
    """Right answers first, then the shorter way, with a noise of one's own that stays the same."""

    name: str
    seed: int = 0
    noise: float = NOISE

    def judge(self, cards: list[Card]) -> Opinion:
        """Accepts the best if it is right, rejects the last if it is wrong."""
        best_first = sorted(cards, key=self._merit, reverse=True)
        best, last = best_first[0], best_first[-1]
        return Opinion(
            tuple(card.pk for card in best_first),
            frozenset({best.pk} if best.right else ()),
            frozenset({last.pk} if last is not best and not last.right else ()),
        )

    def _merit(self, card: Card) -> float:
        dice = random.Random(f"{self.seed} {self.name} {card.pk}")
        return 2 * card.right - card.length / 200 + dice.gauss(0, self.noise)


class Hand(Protocol):
    """A way to say an opinion to the review page; `acts` counts keys, or clicks and drags."""

    acts: int

    def say(self, page: Page, cards: list[Card], opinion: Opinion) -> None: ...


@dataclass
class Keys:
    """Place all by number, `r` on the last, `A` for the best, Enter."""

    acts: int = 0

    def say(self, page: Page, cards: list[Card], opinion: Opinion) -> None:
        number = {card.pk: str(card.number) for card in cards}
        keys = [number[pk] for pk in opinion.order]
        keys += ["r"] * len(opinion.rejects) + ["A"] * len(opinion.accepts) + ["Enter"]
        for key in keys:
            page.keyboard.press(key)
        self.acts += len(keys)


@dataclass
class Mouse:
    """`Right as shown`, then each chip that stands wrong is dragged to its place; clicks."""

    acts: int = 0

    def say(self, page: Page, cards: list[Card], opinion: Opinion) -> None:
        number = {card.pk: card.number for card in cards}
        self._click(page, "[name=as_shown]")
        self._drag_into(page, [number[pk] for pk in opinion.order])
        for pk in opinion.accepts:
            self._click(page, f"#card-{number[pk]} label.accept")
        for pk in opinion.rejects:
            self._click(page, f"#card-{number[pk]} label.reject")
        self._click(page, "#submit")

    def _click(self, page: Page, selector: str) -> None:
        """Where it can be seen; what something else covers is refused."""
        at = page.evaluate(POINT, selector)
        if at is None:
            raise AssertionError(f"{selector} is covered by something else.")
        page.mouse.click(*at)
        self.acts += 1

    def _drag_into(self, page: Page, wanted: list[int]) -> None:
        """From the left: what belongs here is fetched from further right."""
        for place, number in enumerate(wanted):
            for _ in range(5):
                now = chips(page)
                if now[place] == number:
                    break
                self._drag(page, now.index(number), place)
        if chips(page) != wanted:
            raise AssertionError(f"The chips were dragged to {wanted} and stand {chips(page)}.")

    def _drag(self, page: Page, start: int, end: int) -> None:
        """A few small moves first, or the page would take it for a click."""
        boxes = page.eval_on_selector_all(
            "#order > li",
            "all => all.map(li => { const b = li.getBoundingClientRect();"
            " return [b.x, b.y, b.width, b.height]; })",
        )
        (x, y, width, height), (left, top, _, tall) = boxes[start], boxes[end]
        mouse, middle = page.mouse, top + tall / 2
        mouse.move(x + width / 2, y + height / 2)
        mouse.down()
        mouse.move(x + width / 2 - 6, middle)
        mouse.move(left + 2, middle, steps=3)
        mouse.up()
        self.acts += 1


def chips(page: Page) -> list[int]:
    """The numbers in the bar, best first."""
    numbers: list[int] = page.eval_on_selector_all(
        "#order > li", "all => all.map(li => Number(li.dataset.number))"
    )
    return numbers


@dataclass
class Judged:
    """What a person did: group → opinion; how long the items took, and with how many acts."""

    opinions: dict[int, Opinion] = field(default_factory=dict)
    seconds: float = 0.0
    acts: int = 0
    nodes: list[int] = field(default_factory=list)  # of the page, in memory, early and at the end


def judge_all(page: Page, review: str, mind: Mind, hand: Hand, minutes: float) -> Judged:
    """Work through the queue until it has nothing left for this person."""
    done = Judged()
    page.goto(review)
    page.wait_for_function(NEXT, arg="-")
    began = time.monotonic()
    memory = page.context.new_cdp_session(page)
    while (seen := page.evaluate(LOOK))["assignment"]:
        cards = [Card(**card) for card in seen["cards"]]
        opinion = mind.judge(cards)
        hand.say(page, cards, opinion)
        page.wait_for_function(NEXT, arg=seen["assignment"])
        done.opinions[group_of(card.pk for card in cards)] = opinion
        if len(done.opinions) == EARLY:
            done.nodes.append(_nodes(memory))
        _in_time(began, minutes)
    done.nodes.append(_nodes(memory))
    done.seconds, done.acts = time.monotonic() - began, hand.acts
    return done


def _nodes(memory: CDPSession) -> int:
    """How many nodes the page holds once what nothing needs is gone."""
    memory.send("HeapProfiler.collectGarbage")
    memory.send("Performance.enable")
    metrics = memory.send("Performance.getMetrics")["metrics"]
    return int(next(one["value"] for one in metrics if one["name"] == "Nodes"))


def group_of(cards: Iterable[int]) -> int:
    """What a group is called: by its first rationale, in whatever order it is shown."""
    return min(cards)


def _in_time(began: float, minutes: float) -> None:
    if time.monotonic() - began > 60 * minutes:
        raise TimeoutError(f"The queue was not judged through in {minutes:g} minutes.")


def with_a_browser(url: str, name: str, password: str, deed: Callable[[Page], T]) -> T:
    """Sign in, with the keyboard, and do the deed. A thread does only one of these."""
    with sync_playwright() as playwright, a_page(playwright, url) as page:
        page.goto("/accounts/login/")
        page.wait_for_function("document.activeElement.id === 'id_login'")
        for key in (name, password):
            page.keyboard.type(key)
            page.keyboard.press("Tab" if key == name else "Enter")
        page.wait_for_url(lambda address: "/accounts/login/" not in address)
        return deed(page)


@contextmanager
def a_page(playwright: Playwright, url: str) -> Iterator[Page]:
    browser = playwright.chromium.launch(executable_path=executable(playwright), args=FLAGS)
    context = browser.new_context(base_url=url, viewport={"width": 1440, "height": 900})
    page, errors = context.new_page(), list[str]()
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.extend(_breach(said)))
    try:
        yield page
    finally:
        browser.close()
    if errors:
        raise AssertionError("The page complained: " + "; ".join(errors[:3]))


def _breach(said: Any) -> list[str]:
    return [said.text] if "Content Security Policy" in said.text else []


def executable(playwright: Playwright) -> str:
    """The machine's Chromium. Raises FileNotFoundError with a sentence where there is none."""
    path = next(filter(None, map(shutil.which, NAMES)), playwright.chromium.executable_path)
    if not os.path.exists(path):
        raise FileNotFoundError("There is no Chromium on this machine; install it.")
    return path
