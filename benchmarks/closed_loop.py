"""The same load that Label Studio and Potato were measured under: ten clients who never think.

GSM8K's model solutions, four a question, repeated to 10,000 and 50,000 questions; import, judging
(each client submits and gets the next item, as the page does), and the full export with texts.
`PEERS` are the best figures of Label Studio 1.23.2 on PostgreSQL and Potato 2.12.1, on 2 cores,
24 GiB, client on the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks._load.figures import LoadAverage, percentile
from benchmarks._load.people import Annotator, together
from benchmarks._load.session import Session
from benchmarks._project import fresh_installation

FILE = "gsm8k_model_solutions.jsonl"
PEERS = {
    "import_per_second": {10_000: 2_720, 50_000: 2_339},
    "judged_per_second": {10_000: 10.9, 50_000: 8.0},
    "export_seconds": {50_000: 69},
    "export_peak_mb": {50_000: 1_200},
}
AIMS = {
    "import_per_second": 5_400,
    "judged_per_second": 50,
    "export_seconds": 12,
    "export_peak_mb": 300,
}

MORE = (
    "submit_and_next_p50_ms",
    "web_processor_ms_an_item",
    "import_processor_seconds",
    "version_seconds",
    "trainer_file_seconds",
    "export_processor_seconds",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=15, help="of judging, each turn")
    parser.add_argument("--turns", type=int, default=6, help="of judging, at each size")
    parser.add_argument("--port", type=int, default=8751)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    source = arguments.data / FILE
    if not source.exists():
        raise SystemExit(f"{FILE} is not in {arguments.data}; name its folder with --data.")
    load = LoadAverage()
    load.start()
    with (
        fresh_installation(),
        tempfile.TemporaryDirectory(prefix="stillroom-bench-") as folder,
    ):
        rows = measured(arguments, source, Path(folder))
    show(rows)
    figures = {"clients": arguments.clients, "load_average": load.stop(), "sizes": rows}
    return {**figures, "peers": PEERS, "aims": AIMS}


def measured(arguments: argparse.Namespace, source: Path, folder: Path) -> list[dict[str, Any]]:
    """A row per size: projects in one database, judged by turns, then exported."""
    from curation.models import Project

    projects, rows = [], []
    for questions in arguments.sizes:
        project = Project.objects.create(slug=f"q-{questions}", name=f"{questions:,} questions")
        projects.append(project)
        rows.append({"questions": questions, **imported(project, source, questions, folder)})
    for row, judged in zip(rows, judged_by_turns(projects, arguments), strict=True):
        row.update(judged)
    for row, project in zip(rows, projects, strict=True):
        row.update(exported(project, folder / f"export-{project.pk}"))
    return rows


def imported(project: Any, source: Path, questions: int, folder: Path) -> dict[str, Any]:
    """Through the importer of the job and the command; a worker scores what it announces."""
    from curation.ingest.load import Loader
    from curation.ingest.plan import Plan, begin
    from curation.ingest.readers import Table
    from training.runs import scoring

    scoring.send = lambda *args, **kwargs: True  # as if a worker took the scoring over
    file = folder / f"{questions}-{FILE}"
    write_repeated(source, file, questions)
    began, used = time.perf_counter(), time.process_time()
    with file.open("rb") as rows:
        reading, found = begin(Plan(file=str(file), name=FILE), Table(rows, FILE))
        report = Loader(project, reading, uuid.uuid4()).load(found, lambda report: None)
    seconds, used = time.perf_counter() - began, time.process_time() - used
    if report.questions_added != questions:
        raise SystemExit(f"{report.questions_added:,} of {questions:,} questions were taken in.")
    return {
        "rationales": report.rationales_added,
        "import_seconds": round(seconds, 1),
        "import_per_second": round(questions / seconds),
        "import_processor_seconds": round(used, 1),
    }


def write_repeated(source: Path, file: Path, questions: int) -> None:
    """The rows of the file over and over; each copy says which it is, so that no two are one."""
    given = [json.loads(line) for line in source.read_text().splitlines() if line]
    copies = ((n, row) for n in count() for row in given)
    with file.open("w") as sink:
        for n, row in islice(copies, questions):
            asked = f"{row['question']} (copy {n})" if n else row["question"]
            sink.write(json.dumps({**row, "question": asked}) + "\n")


@dataclass
class Crowd:
    """Clients at one project's queue, and what each of their turns was worth."""

    queue: Any
    people: list[Annotator]
    turns: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def at(cls, project: Any, arguments: argparse.Namespace) -> Crowd:
        from benchmarks._load.record import PASSWORD, members
        from curation.models import Queue
        from curation.queues.contents import Filter, fill

        queue = Queue.objects.create(
            project=project, name="Closed loop", filter=Filter(roles=("teacher",)).stored()
        )
        fill(queue)
        members(project, "client", arguments.clients)
        people = []
        for number in range(1, arguments.clients + 1):
            session = Session(f"http://127.0.0.1:{arguments.port}")
            session.sign_in(f"client-{number:03}", PASSWORD)
            review, dice = f"/p/{project.slug}/queues/{queue.pk}/review/", random.Random(number)
            people.append(Annotator(session, review, lambda: 0.0, dice, drafts=0, ahead=False))
        return cls(queue, people)

    def judge(self, seconds: float, master: subprocess.Popen[bytes]) -> None:
        from benchmarks._load.site import processor_seconds, web_processes

        before = self.judged
        used = processor_seconds(web_processes(master))
        took = together(self.people, seconds)
        used = processor_seconds(web_processes(master)) - used
        count = self.judged - before
        self.turns.append(
            {
                "judged": count,
                "judged_per_second": round(count / took, 1),
                "web_processor_ms_an_item": round(1000 * used / max(count, 1), 1),
            }
        )

    @property
    def judged(self) -> int:
        return sum(person.judged for person in self.people)

    def figures(self) -> dict[str, Any]:
        from benchmarks._load.truth import verdict

        spent = sorted(
            sample.seconds * 1000
            for person in self.people
            for sample in person.session.samples
            if sample.what.startswith("submit")
        )
        return {
            "judged": sum(turn["judged"] for turn in self.turns),
            **{
                name: round(median(turn[name] for turn in self.turns), 1)
                for name in ("judged_per_second", "web_processor_ms_an_item")
            },
            "turns": self.turns,
            "submit_and_next_p50_ms": round(percentile(spent, 50), 1),
            "submit_and_next_p95_ms": round(percentile(spent, 95), 1),
            "proved": verdict(self.queue, self.people),
        }


def judged_by_turns(projects: list[Any], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """How many items a second ten clients get through, in one project and then in the other, to
    and fro, so that neither has the better hours of the machine. The first turn warms up."""
    from benchmarks._load.site import web

    with web(arguments.port, Path(os.environ["STILLROOM_VAR"]) / "web.log") as master:
        crowds = [Crowd.at(project, arguments) for project in projects]
        for crowd in crowds:
            crowd.judge(min(5.0, arguments.seconds), master)
            crowd.turns.clear()
        for turn in range(arguments.turns):
            for crowd in crowds[:: -1 if turn % 2 else 1]:
                crowd.judge(arguments.seconds, master)
        yield from [crowd.figures() for crowd in crowds]


def exported(project: Any, folder: Path) -> dict[str, Any]:
    """A version of everything, and its export for a trainer, by the commands people type."""
    everything = ["roles=teacher,student,human", "splits=train,validation,test"]
    frozen = watched(["snapshot", project.slug, "--set", *everything])
    out = folder / "export"
    written = watched(["export", project.slug, "1", "--format", "sft", "--out", str(out)])
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    return {
        "version_seconds": frozen[0],
        "version_peak_mb": frozen[1],
        "trainer_file_seconds": written[0],
        "trainer_file_peak_mb": written[1],
        "export_seconds": round(frozen[0] + written[0], 1),
        "export_processor_seconds": round(frozen[2] + written[2], 1),
        "export_peak_mb": max(frozen[1], written[1]),
        "exported_mb": round(size / 1024**2),
    }


def watched(command: list[str]) -> tuple[float, int, float]:
    """Seconds, peak memory in MB and seconds of a processor that a command of `manage.py` takes,
    its start included."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "manage.py", *command],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"manage.py {' '.join(command)} failed.")
    seconds = round(time.perf_counter() - began, 1)
    return seconds, round(used.ru_maxrss / 1024), used.ru_utime + used.ru_stime


def show(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", *(f"{row['questions']:,} questions" for row in rows), "best peer", "aim")
    for name, peers in PEERS.items():
        best = ", ".join(f"{value:,} at {size:,}" for size, value in peers.items())
        table.add_row(
            name.replace("_", " "), *(f"{row[name]:,}" for row in rows), best, f"{AIMS[name]:,}"
        )
    for name in MORE:
        table.add_row(name.replace("_", " "), *(f"{row[name]:,}" for row in rows), "", "")
    Console().print(table)
