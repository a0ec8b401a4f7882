"""Fifty annotators at work in size M while an import and an export run, and what could go wrong.

Real HTTP sessions on loopback sign in, claim, render, draft and submit against gunicorn as
`manage.py up` starts it, and readers page and search beside them. Four phases:

* steady: 50 annotators at 45 s an item (`--compress 3` makes it 15 s), import and export running
* burst: 200 annotators at 15 s an item who all begin at once
* killed: steady, and a web process is killed with -9 every 20 s
* restarted: steady, and PostgreSQL is restarted in the middle

Afterwards the database is asked for double claims, lost and doubled submissions. With `--base-url`
the people work on a server that runs elsewhere (`--project`, `--queue`, `--people`, `--password`),
without the phases and the questions that need its database.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import size_m
from benchmarks._load.figures import LoadAverage, show, summary
from benchmarks._load.people import Annotator, Reader, together
from benchmarks._load.session import Session
from benchmarks._load.sizes import M, Size
from benchmarks._load.texts import MEDIAN
from benchmarks._project import installation

EVERY = 20  # seconds between two killings
THINKING, IN_BURST = 45.0, 15.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--var", type=Path, default=Path("/tmp/stillroom-size-m"))
    parser.add_argument("--questions", type=int, default=M)
    parser.add_argument("--median", type=int, default=MEDIAN, help="characters of a rationale")
    parser.add_argument("--annotators", type=int, default=50)
    parser.add_argument("--burst", type=int, default=200)
    parser.add_argument("--readers", type=int, default=4, help="who look at a page every 2 s")
    parser.add_argument("--seconds", type=float, default=180, help="of each phase")
    parser.add_argument("--compress", type=float, default=1, help="thinking time is divided by it")
    parser.add_argument("--overlap", type=int, default=2)
    parser.add_argument("--port", type=int, default=8750)
    parser.add_argument("--phases", nargs="+", default=list(PHASES), choices=list(PHASES))
    parser.add_argument("--idle", action="store_true", help="without the import and the export")
    parser.add_argument("--base-url", default="", help="a server that runs elsewhere")
    parser.add_argument("--project", default=size_m.SLUG)
    parser.add_argument("--queue", type=int, help="its number, on a server that runs elsewhere")
    parser.add_argument("--people", default="annotator", help="annotator-001, annotator-002, …")
    parser.add_argument("--password", default="")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.base_url:
        return elsewhere(arguments)
    with installation(arguments.var):
        loaded = size_m.loaded(Size.of(arguments.questions), arguments.median)
        return {"loaded": loaded, **at_home(arguments)}


def elsewhere(arguments: argparse.Namespace) -> dict[str, Any]:
    """Steady work on a server whose database is out of reach."""
    if arguments.queue is None or not arguments.password:
        raise SystemExit("--base-url needs --queue NUMBER and --password of the annotators.")
    crowd = Crowd(arguments, arguments.base_url, arguments.queue, arguments.password)
    crowd.sign_in(arguments.annotators)
    return {"phases": [crowd.phase("steady", arguments.annotators, THINKING)]}


def at_home(arguments: argparse.Namespace) -> dict[str, Any]:
    from benchmarks._load.record import PASSWORD
    from benchmarks._load.site import web

    most = max(arguments.annotators, arguments.burst if "burst" in arguments.phases else 0)
    queue = prepared(arguments, most)
    results = []
    with web(arguments.port, arguments.var / "web.log") as master:
        url = f"http://127.0.0.1:{arguments.port}"
        crowd = Crowd(arguments, url, queue.pk, PASSWORD)
        crowd.sign_in(most)
        for name in arguments.phases:
            results.append(PHASES[name](arguments, crowd, queue, master))
    return {"settings": settings_of(arguments), "phases": results}


def prepared(arguments: argparse.Namespace, people: int) -> Any:
    """A queue over all questions with the teachers' rationales, and the people who work in it."""
    from benchmarks._load.record import members
    from curation.models import Project, Queue
    from curation.queues.contents import Filter, fill

    project = Project.objects.get(slug=arguments.project)
    members(project, arguments.people, people)
    members(project, "reader", arguments.readers, "researcher")
    queue = Queue.objects.create(
        project=project,
        name=f"Load test {time.strftime('%d %B, %H:%M:%S')}",
        filter=Filter(roles=("teacher",), max=4).stored(),
        overlap=arguments.overlap,
        ordering="random",
    )
    fill(queue)
    return queue


class Crowd:
    """The people, their sessions, and what they met."""

    def __init__(self, arguments: argparse.Namespace, url: str, queue: int, password: str) -> None:
        self.arguments, self.url, self.password = arguments, url, password
        self.review = f"/p/{arguments.project}/queues/{queue}/review/"
        self.annotators: list[Annotator] = []
        self.readers: list[Reader] = []
        self.thinking = THINKING

    def sign_in(self, annotators: int) -> None:
        """One after another; through the form where the database is out of reach."""
        for number in range(1, annotators + 1):
            session, dice = Session(self.url), random.Random(number)
            self._let_in(session, f"{self.arguments.people}-{number:03}")
            plain = number % 4 == 0
            self.annotators.append(
                Annotator(session, self.review, self._think(dice), dice, plain=plain)
            )
        for number in range(1, self.arguments.readers + 1):
            session = Session(self.url)
            self._let_in(session, f"reader-{number:03}")
            project = f"/p/{self.arguments.project}/"
            self.readers.append(Reader(session, project, 2.0, random.Random(-number)))

    def _let_in(self, session: Session, name: str) -> None:
        """The form lets a minute have so many; two hundred would take seven."""
        if self.arguments.base_url:
            return session.sign_in(name, self.password)
        from benchmarks._load.record import cookies_of

        session.cookies |= cookies_of(name)

    def _think(self, dice: random.Random) -> Callable[[], float]:
        return lambda: dice.uniform(0.5, 1.5) * self.thinking

    def phase(
        self, name: str, annotators: int, thinking: float, ramp: float = 20.0
    ) -> dict[str, Any]:
        """Let so many work for the time of a phase; what it came to, as figures."""
        self.thinking = thinking / self.arguments.compress
        people = [*self.annotators[:annotators], *self.readers]
        for person in people:
            person.session.samples.clear()
            person.session.broken.clear()
        before = sum(person.judged for person in self.annotators)
        load = LoadAverage()
        load.start()
        took = together(people, self.arguments.seconds, min(ramp, self.thinking))
        average = load.stop()
        samples = [sample for person in people for sample in person.session.samples]
        rows = summary(samples, average)
        show(f"{name}: {annotators} annotators, load average {average['mean']}", rows)
        judged = sum(person.judged for person in self.annotators) - before
        return {
            "phase": name,
            "annotators": annotators,
            "seconds_an_item": thinking,
            "compressed": self.arguments.compress,
            "seconds": round(took, 1),
            "judged": judged,
            "judged_per_second": round(judged / took, 2),
            "load_average": average,
            "requests": rows,
            "server_errors": sum(sample.status >= 500 for sample in samples),
            "connections_lost": sum(len(person.session.broken) for person in people),
            "ran_dry": sum(person.dry for person in self.annotators),
        }


@contextmanager
def busy(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """An import and an export beside what happens within; how far they came."""
    from benchmarks._load.site import exporting, importing

    told: dict[str, Any] = {}
    if arguments.idle:
        yield told
        return
    rows, seed = max(arguments.questions // 50, 20), int(time.time()) % 1_000_000
    works = {
        "imports": importing(arguments.project, arguments.var, rows, seed),
        "exports": exporting(arguments.project, arguments.var),
    }
    for work in works.values():
        work.start()
    try:
        yield told
    finally:
        told |= {name: work.stop() for name, work in works.items()}


def steady(arguments: argparse.Namespace, crowd: Crowd, queue: Any, master: Any) -> dict[str, Any]:
    with busy(arguments) as beside:
        result = crowd.phase("steady", arguments.annotators, THINKING)
    return result | proved(queue, crowd) | {"beside": beside}


def burst(arguments: argparse.Namespace, crowd: Crowd, queue: Any, master: Any) -> dict[str, Any]:
    with busy(arguments) as beside:
        result = crowd.phase("burst", arguments.burst, IN_BURST, ramp=0)
    return result | proved(queue, crowd) | {"beside": beside}


def killed(arguments: argparse.Namespace, crowd: Crowd, queue: Any, master: Any) -> dict[str, Any]:
    from benchmarks._load.site import kill_one, pause

    times = max(1, int(arguments.seconds // EVERY) - 1)
    timers = [pause(EVERY * (n + 0.5), lambda: kill_one(master)) for n in range(times)]
    result = steady(arguments, crowd, queue, master) | {"phase": "killed", "kills": times}
    for timer in timers:
        timer.cancel()
    return result


def restarted(
    arguments: argparse.Namespace, crowd: Crowd, queue: Any, master: Any
) -> dict[str, Any]:
    from benchmarks._load.site import pause, restart_database

    timer = pause(arguments.seconds / 2, lambda: restart_database(arguments.var))
    result = steady(arguments, crowd, queue, master) | {"phase": "restarted", "restarts": 1}
    timer.join()
    return result


PHASES = {"steady": steady, "burst": burst, "killed": killed, "restarted": restarted}


def proved(queue: Any, crowd: Crowd) -> dict[str, Any]:
    """What the database says of everything so far, this phase and those before."""
    from django.db import close_old_connections

    from benchmarks._load.truth import verdict

    close_old_connections()
    time.sleep(2)  # what was just cut off may still be on its way
    found = verdict(queue, crowd.annotators)
    print(", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in found.items()))
    return {"proved": found}


def settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was asked for, and how PostgreSQL is set up where it matters."""
    from django.db import connection

    names = ("shared_buffers", "work_mem", "max_wal_size", "synchronous_commit", "fsync")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, setting, unit FROM pg_settings WHERE name = ANY(%s)", [list(names)]
        )
        postgres = {name: f"{value} {unit or ''}".strip() for name, value, unit in cursor}
    asked = {key: vars(arguments)[key] for key in ("annotators", "burst", "readers", "overlap")}
    return {**asked, "import_and_export": not arguments.idle, "postgresql": postgres}
