"""From model solutions to a dataset version: two people, an adjudicator, and what must come out.

`walk` needs a server and its database. It takes the solutions through a queue with overlap 2 in
real browsers, has the disagreements decided, freezes two versions, and compares everything with
what the people themselves remember: the agreement page with scipy's and krippendorff's figures of
it, the versions with the winners. A difference is an AssertionError.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.urls import reverse
from playwright.sync_api import Page

from benchmarks._load.browsers import (
    Judged,
    Keys,
    Mind,
    Mouse,
    Opinion,
    group_of,
    judge_all,
    with_a_browser,
)
from curation.agreement import figures
from curation.models import DatasetItem, DatasetVersion, Membership, Project, Queue, Rationale, User
from curation.queues.contents import Filter, fill
from training.runs import scoring
from training.versions.freezing import rows_of

PASSWORD = "quince-and-medlar"
MODELS = 4  # solutions a question
DECISION = """() => ({
  reference: document.querySelector(".decide-question .chip.info")?.innerText.trim() || "",
  cards: [...document.querySelectorAll(".decide-cards article")].map((card, at) => ({
    pk: Number(document.querySelectorAll("[name^=rank-]")[at].name.slice(5)),
    answer: card.querySelector("h3 .chip.mono")?.innerText.trim() || "",
    length: card.querySelector(".rationale").innerText.length,
  })),
})"""
FIGURES = """() => [...document.querySelectorAll("#figures table.figures")[0].tBodies[0].rows]
  .map((row) => [row.cells[0].innerText.trim(), row.cells[1].innerText.trim(),
                 row.cells[3].innerText.trim()])"""


@dataclass(frozen=True)
class Cast:
    """Who takes part; all have one password."""

    by_keyboard: User
    by_mouse: User
    adjudicator: User
    password: str

    @property
    def judges(self) -> tuple[User, User]:
        return self.by_keyboard, self.by_mouse


@dataclass
class Decided:
    """What the adjudicator decided: group → winner, or None where no solution is right."""

    winners: dict[int, int | None] = field(default_factory=dict)
    seconds: float = 0.0


def take_in(project: Project, source: Path, questions: int) -> dict[str, Any]:
    """Import the first so many questions, by the command people type, and score the answers."""
    scoring.send = lambda *args, **kwargs: True  # as if a worker took it over; it is done below
    with tempfile.TemporaryDirectory(prefix="stillroom-walk-") as folder:
        part = Path(folder) / source.name
        with source.open() as given:
            part.write_text("".join(islice(given, questions)))
        call_command("import", project.slug, str(part), verbosity=0)
    written = Rationale.objects.filter(question__project=project)
    scoring.score(list(written.values_list("pk", flat=True)))
    return {"imported": {"questions": project.questions.count(), "rationales": written.count()}}


def cast_of(project: Project) -> Cast:
    """Two annotators and a researcher, made for this."""
    roles = {"kim": "annotator", "mo": "annotator", "ada": "researcher"}
    for name, role in roles.items():
        user = User.objects.create_user(name, password=PASSWORD)
        Membership.objects.create(project=project, user=user, role=role)
    users = User.objects.in_bulk(roles, field_name="username")
    return Cast(users["kim"], users["mo"], users["ada"], PASSWORD)


def make_queue(project: Project, cast: Cast) -> Queue:
    """Overlap 2, and whoever orders a group differently than the other has it decided."""
    queue = Queue.objects.create(
        project=project,
        name="Model solutions",
        filter=Filter(roles=("teacher",), max=MODELS).stored(),
        overlap=2,
        adjudicate_below=1.0,
        created_by=cast.adjudicator,
    )
    for user in cast.judges:
        queue.people.create(user=user)
    fill(queue)
    return queue


def walk(
    url: str, project: Project, cast: Cast, seed: int = 0, minutes: float = 45
) -> dict[str, Any]:
    """The whole way; what it came to, as figures."""
    queue = make_queue(project, cast)
    judged = _judged(url, queue, cast, seed, minutes)
    queue.refresh_from_db()
    _same("items judged by both", queue.complete, queue.items_total)
    expected = disputed(judged)
    waiting = reverse("adjudication", args=[project.slug, queue.pk])
    decided = _apart(_as(url, cast.adjudicator, cast, lambda page: decide_all(page, waiting)))
    _same("groups that were decided", set(decided.winners), expected)
    said = _agreement(url, queue, cast, judged)
    versions = _versions(url, project, cast, judged, decided)
    return {
        "questions": queue.items_total,
        "people": [
            _person(hand, one) for hand, one in zip(("keyboard", "mouse"), judged, strict=True)
        ],
        "disputed": len(expected),
        "decided": len(decided.winners),
        "seconds_a_decision": round(decided.seconds / max(len(decided.winners), 1), 2),
        "agreement": said,
        "versions": versions,
    }


def _person(hand: str, one: Judged) -> dict[str, Any]:
    count = len(one.opinions)
    return {
        "hand": hand,
        "judged": count,
        "seconds": round(one.seconds, 1),
        "seconds_an_item": round(one.seconds / count, 2),
        "keys_or_clicks_and_drags_an_item": round(one.acts / count, 1),
        "nodes_of_the_page_early_and_at_the_end": one.nodes,
        "accepted": sum(bool(opinion.accepts) for opinion in one.opinions.values()),
        "rejected": sum(bool(opinion.rejects) for opinion in one.opinions.values()),
    }


def _as(url: str, user: User, cast: Cast, deed: Callable[[Page], Any]) -> Callable[[], Any]:
    return lambda: with_a_browser(url, user.username, cast.password, deed)


def _apart(deed: Callable[[], Any]) -> Any:
    """In a thread: where Playwright runs its event loop, Django's queries may not be."""
    return _together([deed])[0]


def _together(deeds: Sequence[Callable[[], Any]]) -> list[Any]:
    with ThreadPoolExecutor(len(deeds)) as pool:
        return [one.result() for one in [pool.submit(deed) for deed in deeds]]


def _judged(url: str, queue: Queue, cast: Cast, seed: int, minutes: float) -> list[Judged]:
    """Both at the same time, each in a browser of their own."""
    review = reverse("review", args=[queue.project.slug, queue.pk])

    def at_work(user: User, hand: Keys | Mouse) -> Callable[[], Judged]:
        mind = Mind(user.username, seed)
        return _as(url, user, cast, lambda page: judge_all(page, review, mind, hand, minutes))

    return _together([at_work(cast.by_keyboard, Keys()), at_work(cast.by_mouse, Mouse())])


def disputed(judged: Sequence[Judged]) -> set[int]:
    """The groups whose rationales the two order differently, or accept against a reject."""
    one, other = (person.opinions for person in judged)
    _same("groups judged", set(one), set(other))
    return {group for group in one if _differ(one[group], other[group])}


def _differ(one: Opinion, other: Opinion) -> bool:
    crossed = one.accepts & other.rejects or one.rejects & other.accepts
    return one.order != other.order or bool(crossed)


def decide_all(page: Page, waiting: str) -> Decided:
    """One group after another, until none waits: the shortest right one wins; if none is right,
    all are rejected."""
    done = Decided()
    page.goto(waiting)
    began = time.monotonic()
    first = page.get_by_role("link", name="Decide the first")
    if first.count():
        first.click()
        page.wait_for_selector("#decision")
    while page.locator("#decision").count():
        seen = page.evaluate(DECISION)
        group = group_of(card["pk"] for card in seen["cards"])
        done.winners[group] = _decide(page, seen)
        with page.expect_navigation():
            page.get_by_role("button", name="Decide, and go on").click()
    done.seconds = time.monotonic() - began
    return done


def _decide(page: Page, seen: dict[str, Any]) -> int | None:
    def right(card: dict[str, Any]) -> bool:
        return _bare(card["answer"]) == _bare(seen["reference"])

    best_first = sorted(seen["cards"], key=lambda card: (not right(card), card["length"]))
    winner = best_first[0]["pk"] if right(best_first[0]) else None
    for rank, card in enumerate(best_first, 1):
        page.locator(f"[name=rank-{card['pk']}]").fill(str(rank))
        verdict = "accept" if card["pk"] == winner else "reject"
        page.locator(f"[name=decision-{card['pk']}]").select_option(verdict)
    return winner


def _bare(answer: str) -> str:
    return answer.replace(",", "").replace("$", "").removesuffix(".").removesuffix(".00")


def _agreement(url: str, queue: Queue, cast: Cast, judged: Sequence[Judged]) -> dict[str, Any]:
    """What the page shows once the worker has computed it, held against scipy's of the log."""
    figures.measure(queue.project, queue)
    address = reverse("queue-agreement", args=[queue.project.slug, queue.pk])

    def read(page: Page) -> Any:
        page.goto(address)
        return page.evaluate(FIGURES)

    rows = {name: value for name, value, _ in _apart(_as(url, cast.adjudicator, cast, read))}
    own = remembered(judged)
    for name, value in own.items():
        _same(name, rows.get(name), f"{value:.2f}".replace("-", "\N{MINUS SIGN}"))
    return {"page": rows, "by_scipy_and_krippendorff": {k: round(v, 4) for k, v in own.items()}}


def remembered(judged: Sequence[Judged]) -> dict[str, float]:
    """The page's figures, computed by other people's code from what the two people remember."""
    import krippendorff
    import numpy as np
    from scipy.stats import kendalltau, spearmanr

    one, other = (person.opinions for person in judged)
    pairs = [(one[group], other[group]) for group in one]
    columns = [
        [[opinion.ranks[pk] for pk in first.order] for opinion in (first, second)]
        for first, second in pairs
    ]
    votes = [
        [1 if pk in said.accepts else 0 if pk in said.rejects else np.nan for said in pair]
        for pair in pairs
        for pk in pair[0].order
    ]
    return {
        "Krippendorff's α of accept and reject": krippendorff.alpha(
            np.array(votes, float).T, level_of_measurement="nominal"
        ),
        "Krippendorff's α of ranks": krippendorff.alpha(
            np.hstack([np.array(rows, float) for rows in columns]),
            level_of_measurement="ordinal",
        ),
        "Kendall's τ-b": float(np.mean([kendalltau(*rows).statistic for rows in columns])),
        "Kendall's W": float(np.mean([(spearmanr(*rows).statistic + 1) / 2 for rows in columns])),
    }


def _versions(
    url: str, project: Project, cast: Cast, judged: Sequence[Judged], decided: Decided
) -> list[dict[str, Any]]:
    """What both accepted or the adjudicator decided; and what was decided alone."""
    of_decided = {pk for pk in decided.winners.values() if pk is not None}
    wanted = {"prefer": winners(judged, decided), "only": of_decided}
    rows = []
    for adjudicated, expected in wanted.items():
        began = time.monotonic()
        address = _apart(_as(url, cast.adjudicator, cast, _freezing(project, adjudicated)))
        version = project.dataset_versions.latest("number")
        _same(
            "address of the version",
            address,
            reverse("version", args=[project.slug, version.number]),
        )
        _holds_exactly(version, expected)
        rows.append(
            {
                "decisions_of_adjudicators": adjudicated,
                "winners": len(expected),
                "rationales_in_the_version": len(expected),
                "sha256": version.sha256,
                "seconds": round(time.monotonic() - began, 1),
            }
        )
    return rows


def winners(judged: Sequence[Judged], decided: Decided) -> set[int]:
    """Group by group: the decision where there is one, else what both accepted."""
    one, other = (person.opinions for person in judged)
    found: set[int] = set()
    for group in one:
        if group in decided.winners:
            winner = decided.winners[group]
            found |= {winner} if winner is not None else set()
        else:
            found |= one[group].accepts & other[group].accepts
    return found


def _freezing(project: Project, adjudicated: str) -> Callable[[Page], str]:
    """By the form, as a researcher does; the address it ends at."""

    def freeze(page: Page) -> str:
        page.goto(reverse("version-new", args=[project.slug]))
        page.get_by_label("Accepted only").check()
        page.get_by_label("Fewest accepts").fill("2")
        page.get_by_label("Decisions of adjudicators").select_option(adjudicated)
        for split in ("train", "validation", "test"):
            page.locator(f"[name=splits][value={split}]").check()
        page.get_by_role("button", name="Freeze the version").click()
        page.wait_for_url(lambda address: not address.endswith("/new/"))
        return "/" + page.url.split("/", 3)[3]

    return freeze


def _holds_exactly(version: DatasetVersion, expected: set[int]) -> None:
    """The rows in the database, and the texts in the frozen file."""
    kept = set(DatasetItem.objects.filter(version=version).values_list("rationale", flat=True))
    _same(f"rationales of version {version.number}", kept, expected)
    written = [said["thought"] for row in rows_of(version) for said in row["completions"]]
    texts = Rationale.objects.filter(pk__in=expected).values_list("thought", flat=True)
    _same(f"texts of version {version.number}", sorted(written), sorted(texts))


def _same(what: str, found: Any, expected: Any) -> None:
    if found != expected:
        more = ""
        if isinstance(found, set) and isinstance(expected, set):
            more = f" ({len(found - expected)} too many, {len(expected - found)} missing)"
        raise AssertionError(f"{what}: {str(found)[:300]}, not {str(expected)[:300]}{more}")
