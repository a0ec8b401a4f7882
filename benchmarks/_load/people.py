"""People at work: annotators who judge what the queue hands them, readers who look around."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks._load.session import Answer, Lost, Session
from benchmarks._load.texts import NAMES, THINGS, VERBS

CLAIM, SUBMIT, SUBMIT_PLAIN = "claim and render", "submit, next rendered", "submit, redirect"
DRAFT, AHEAD = "draft", "keep the next ready"
LIST, PAGE_N, RATIONALES = "questions, first page", "questions, page N", "rationales, first page"
SEARCH, SEARCH_RATIONALES = "search questions", "search rationales"
QUESTION = "question page"

_HELD = re.compile(r'data-assignment="(\d+)"')
_CARD = re.compile(r'name="rank-(\d+)"')
_SEEN = re.compile(r'name="seen" value="([^"]*)"')
_LINK = re.compile(r'/questions/(\d+)/"')


@dataclass
class Submission:
    """What was sent for an assignment, and whether the server said that it has it."""

    assignment: int
    ranks: dict[int, int]
    acknowledged: bool = False
    tries: int = 1


@dataclass
class Annotator:
    """Judges until `end`: looks, waits for `think()` seconds, keeps drafts, submits.

    One in four works without scripts, by whole pages and redirects. `served`: assignments seen.
    """

    session: Session
    review: str
    think: Callable[[], float]
    dice: random.Random
    drafts: int = 2
    ahead: bool = True
    plain: bool = False
    served: set[int] = field(default_factory=set)
    submitted: list[Submission] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    judged: int = 0
    dry: bool = False

    def work(self, end: float) -> None:
        """Until `end` (of `time.monotonic`). What is then at hand stays held."""
        page = self.session.get(self.review, CLAIM)
        while time.monotonic() < end:
            held = _HELD.search(page.body)
            if held is None:
                self.dry = True
                return
            try:
                sent = self._judge(page, int(held[1]), end)
            except Lost as lost:
                self.refused.append(str(lost))
                return
            if sent is None:
                return
            page = sent

    def _judge(self, page: Answer, assignment: int, end: float) -> Answer | None:
        """Judge the item on the page; the next page, or None where the time is over."""
        self.served.add(assignment)
        cards = [int(pk) for pk in _CARD.findall(page.body)]
        seen = _SEEN.search(page.body)
        ranks = dict(
            zip(cards, self.dice.sample(range(1, len(cards) + 1), len(cards)), strict=True)
        )
        form = {f"rank-{pk}": str(rank) for pk, rank in ranks.items()}
        form |= {f"decision-{pk}": "accept" for pk, rank in ranks.items() if rank == 1}
        form |= {"seen": seen[1] if seen else "", "seconds": "45"}
        if not self._ponder(assignment, form, end):
            return None
        return self._submit(Submission(assignment, ranks), form)

    def _ponder(self, assignment: int, form: dict[str, str], end: float) -> bool:
        """The time between: the next item is kept ready, drafts are kept. False: time is over."""
        span = self.think()
        if self.ahead and not self.plain:
            if not _wait(min(1.5, span / 4), end):
                return False
            self.session.post(f"{self.review.removesuffix('review/')}ahead/", {}, AHEAD)
        for _ in range(self.drafts):
            if not _wait(span / (self.drafts + 1), end):
                return False
            self.session.post(f"{self.review}{assignment}/draft/", form, DRAFT)
        return _wait(span / (self.drafts + 1), end)

    def _submit(self, sent: Submission, form: dict[str, str]) -> Answer:
        self.submitted.append(sent)
        before = len(self.session.broken) + len(self.session.samples)
        path = f"{self.review}{sent.assignment}/"
        answer = self.session.post(
            path, form, SUBMIT_PLAIN if self.plain else SUBMIT, not self.plain
        )
        sent.tries = len(self.session.broken) + len(self.session.samples) - before
        if answer.status in {200, 302}:
            sent.acknowledged = True
            self.judged += 1
        else:
            self.refused.append(f"{path}: {answer.status}")
        if answer.status == 200:
            return answer
        return self.session.get(self.review, CLAIM)


def _wait(seconds: float, end: float) -> bool:
    """Wait; False where `end` comes before."""
    left = end - time.monotonic()
    time.sleep(max(0.0, min(seconds, left)))
    return seconds < left


@dataclass
class Reader:
    """Looks at lists, pages far into them, searches, and opens questions, one after another."""

    session: Session
    project: str
    pause: float
    dice: random.Random
    last: int = 0
    refused: list[str] = field(default_factory=list)

    def work(self, end: float) -> None:
        newest = self._look(f"{self.project}questions/?order=newest", LIST)
        self.last = max((int(pk) for pk in _LINK.findall(newest)), default=1)
        known = [int(pk) for pk in _LINK.findall(newest)]
        while time.monotonic() < end:
            for path, what in self._rounds(known):
                if not _wait(self.pause * self.dice.uniform(0.5, 1.5), end):
                    return
                found = [int(pk) for pk in _LINK.findall(self._look(path, what))]
                known = found or known

    def _rounds(self, known: Sequence[int]) -> list[tuple[str, str]]:
        word, other = self._word(THINGS), self._word(f"{NAMES} {VERBS}")
        far = self.dice.randint(1, self.last)
        at = self.project
        return [
            (f"{at}questions/", LIST),
            (f"{at}questions/?after={far}", PAGE_N),
            (f"{at}questions/{self.dice.choice(known)}/", QUESTION),
            (f"{at}questions/?q={word}+{other}", SEARCH),
            (f"{at}rationales/", RATIONALES),
            (f"{at}rationales/?q={word}+{other}", SEARCH_RATIONALES),
        ]

    def _look(self, path: str, what: str) -> str:
        try:
            answer = self.session.get(path, what)
        except Lost as lost:
            self.refused.append(str(lost))
            return ""
        if answer.status != 200:
            self.refused.append(f"{path}: {answer.status}")
        return answer.body

    def _word(self, words: str) -> str:
        return self.dice.choice(words.split())


def together(people: Sequence[Annotator | Reader], seconds: float, ramp: float = 0.0) -> float:
    """Let them all work for so long, each in a thread, beginning within `ramp` seconds; returns
    how long it took."""
    began = time.monotonic()

    def one(number: int, person: Annotator | Reader) -> None:
        _wait(ramp * number / len(people), began + seconds)
        person.work(began + seconds)

    threads = [
        threading.Thread(target=one, args=(number, person)) for number, person in enumerate(people)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - began
