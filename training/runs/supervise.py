"""The life of one attempt at a run, from claim to end.

Claim the row by compare-and-swap, lay out the run's folder, start the engine as a process group,
then once a second read its files back, renew the lease and look for a wish to stop. How it ends:

    exit 0                      done: checkpoints become models, an evaluation its rows
    cancel asked                SIGTERM, grace, SIGKILL; cancelled, the checkpoint is kept
    worker going down           the same, but queued again: another worker goes on
    exit 75, or a signal        queued again while attempts remain
    any other exit              failed, with the engine's last line
    the artifact store away     tried again for ten minutes, then queued again
    the database away           the engine works on while the lease is sure to hold, then it is
                                ended; once the database answers, the run is given back
    lease lost                  killed without a word: the run is somebody else's now
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import structlog
from django.db import OperationalError, connection, transaction
from django.db.models import F

from curation.store_away import FULL, StoreAway
from training.models import LEASE, Run, RunKind, RunStatus
from training.runs import process, scoring, workers
from training.runs.evaluate_runs import store_evaluation
from training.runs.fetching import Wanted, bring, bring_model
from training.runs.folders import RunFolder, host_cache, open_folder
from training.runs.judge_runs import NOTHING_TO_JUDGE
from training.runs.launch import tell_a_worker
from training.runs.layout import held_to, lay_out
from training.runs.readback import ReadBack, read_json, register_checkpoints
from training.runs.storing import FileGone, patiently
from training.tracking import NoTracker, Reports
from training.webhooks import announce_run

log = structlog.get_logger()

RESUMABLE = 75
RENEW_EVERY = 5.0
PUSH_EVERY = 30.0
# The worker of `up` is given 30 s to end; the engine has to be quicker.
GRACE_ON_CANCEL, GRACE_ON_SHUTDOWN = 60.0, 20.0
PATIENCE_ON_SHUTDOWN = 6.0  # with the artifact store
PATIENCE_WITH_DATABASE = 3600.0
NO_ROOM = 64 * 1024  # bytes
NOTHING_TO_SCORE = (
    "Nothing left to score: every rationale with a thought in this scope has this student's scores."
)
GOING_DOWN = Event()  # set once when this process is asked to end


class Interrupted(Exception):
    """The attempt ends before the engine did; subclasses say why."""


class LeaseLost(Interrupted):
    pass


class CancelAsked(Interrupted):
    pass


class GoingDown(Interrupted):
    pass


def supervise(
    run_pk: int,
    owner: str,
    *,
    command: Sequence[str] | None = None,
    poll: float = 1.0,
    enqueue: bool = True,
) -> str:
    """Take the run and see it through. Returns its status afterwards, "" if it was not free."""
    run = Run.objects.select_related("project", "student", "dataset").get(pk=run_pk)
    if not run.claim(owner):
        return ""
    log.info("run_claimed", run=run.pk, attempt=run.attempt, owner=owner)
    workers.note_running(owner, run)
    attempt = Attempt(run, command or process.engine_command(), poll, enqueue)
    try:
        attempt.see_through()
    finally:
        with_a_live_connection(lambda: workers.note_running(owner, None))
    with_a_live_connection(run.refresh_from_db)
    log.info("run_left", run=run.pk, status=run.status, error=run.error)
    return run.status


def with_a_live_connection(deed: Callable[[], None]) -> None:
    """Once more if the connection turns out to have been dropped while nobody used it."""
    try:
        deed()
    except OperationalError:
        connection.close()
        deed()


@dataclass
class Attempt:
    """One claimed attempt. `keep` is called often, from every place that may take long."""

    run: Run
    command: Sequence[str]
    poll: float
    enqueue: bool
    renewed: float = field(default=0.0)
    pushed: float = field(default_factory=time.monotonic)
    upload: Aside | None = None
    given_up: Event = field(default_factory=Event)

    def see_through(self) -> None:
        try:
            if self.run.kind == RunKind.SCORE and self.run.student is None:
                self.score()
            else:
                self.engage()
        except LeaseLost:
            self.given_up.set()
            log.warning("lease_lost", run=self.run.pk)
        except CancelAsked:
            self.end(RunStatus.CANCELLED)
        except GoingDown:
            self.give_back()
        except (FileGone, NoTracker) as error:
            self.end(RunStatus.FAILED, error=str(error))
        except StoreAway as error:
            self.try_again(str(error))
        except (OSError, ValueError) as error:
            self.end(RunStatus.FAILED, error=in_words(error))
        except OperationalError as error:
            self.outlast(error)
        except Exception as error:
            self.end(RunStatus.FAILED, error=f"{type(error).__name__}: {error}")
            raise

    def score(self) -> None:
        """Checking answers, steps and lengths needs no engine."""
        done = scoring.score_scope(self.run, self.keep)
        self.end(RunStatus.DONE, result={"scored": done})

    def engage(self) -> None:
        """Lay out the folder, run the engine in it, judge how it ended."""
        folder = open_folder(self.run)
        self.remember(folder)
        wanted = Wanted.by(self.run)
        self.meanwhile(lambda: folder.pull(self.ask))
        model = self.meanwhile(lambda: bring(wanted, folder.path, host_cache(), self.ask))
        lay_out(self.run, folder.path, threads(), self.keep, model, self.reference(folder))
        if (folder.path / "dataset.jsonl").stat().st_size == 0:
            return self.end_without_questions()
        reader = ReadBack(self.run, folder, Reports.of(self.run, folder.path))
        key = self.run.student.api_key_variable if self.run.student else ""
        engine = process.start(folder.path, self.command, process.environment(threads(), key))
        try:
            code = self.watch(engine, reader, folder)
        except Interrupted as why:
            self.interrupt(engine, reader, folder, why)
            raise
        except OperationalError:
            self.stop_politely(engine, GRACE_ON_SHUTDOWN)
            raise
        finally:
            process.kill(engine)
        self.in_the_end(reader.read)
        reader.reports.close()
        self.in_the_end(lambda: self.judge(code, folder))

    def reference(self, folder: RunFolder) -> str | None:
        """What an experiment holds the run to, brought to this host if it lies elsewhere."""
        held = held_to(self.run)
        if held is None:
            return None
        uri = held.uri
        return self.meanwhile(lambda: bring_model(uri, folder.path, host_cache(), self.ask))

    def remember(self, folder: RunFolder) -> None:
        self.run.folder = folder.url
        self.run.save(update_fields=["folder"])

    def watch(self, engine: subprocess.Popen[bytes], reader: ReadBack, folder: RunFolder) -> int:
        """Until the engine ends: read, keep, push. Its exit code."""
        while (code := engine.poll()) is None:
            try:
                reader.read()
                self.keep()
            except OperationalError as error:
                self.bear(error)
            self.push_now_and_then(folder)
            time.sleep(self.poll)
        return code

    def ask(self, deed: Callable[[], Any]) -> Any:
        """Of the artifact store, with patience, for as long as the run is ours."""
        return patiently(deed, self.given_up)

    def meanwhile(self, deed: Callable[[], Any]) -> Any:
        """What a long deed with files returns; the lease is kept while it is done."""
        aside = Aside(deed)
        while not aside.over.wait(self.poll):
            try:
                self.keep()
            except OperationalError as error:
                self.bear(error)
            except Interrupted:
                self.given_up.set()
                raise
        return aside.result()

    def push_now_and_then(self, folder: RunFolder) -> None:
        """Copy to the store beside the watching, one copy at a time. That the store is away is no
        matter yet."""
        if self.upload is None and time.monotonic() - self.pushed > PUSH_EVERY:
            self.upload = Aside(lambda: folder.push(self.ask))
        elif self.upload is not None and self.upload.over.is_set():
            upload, self.upload, self.pushed = self.upload, None, time.monotonic()
            try:
                upload.result()
            except StoreAway as error:
                log.warning("not_copied_yet", run=self.run.pk, error=str(error))

    def push_all(self, folder: RunFolder) -> None:
        """All of it, after the copy that may be under way."""
        if self.upload is not None:
            self.upload.over.wait()
            self.upload = None
        folder.push(self.ask)

    def interrupt(
        self,
        engine: subprocess.Popen[bytes],
        reader: ReadBack,
        folder: RunFolder,
        why: Interrupted,
    ) -> None:
        """End the engine as the reason asks, and save what it left if the run is still ours."""
        if isinstance(why, LeaseLost):
            self.given_up.set()
            process.kill(engine)
            return
        grace = GRACE_ON_SHUTDOWN if isinstance(why, GoingDown) else GRACE_ON_CANCEL
        self.stop_politely(engine, grace)
        reader.read()
        reader.reports.close()
        self.push_last(folder, PATIENCE_ON_SHUTDOWN if isinstance(why, GoingDown) else None)
        if isinstance(why, CancelAsked):
            register_checkpoints(self.run, folder)

    def push_last(self, folder: RunFolder, patience: float | None) -> None:
        """After an interruption nothing but the lease is minded any more."""
        end = time.monotonic() + patience if patience else None
        aside = Aside(lambda: self.push_all(folder))
        while not aside.over.wait(self.poll):
            self.run.renew()
            if end and time.monotonic() > end:  # another host goes on from what the store has
                self.given_up.set()
                return
        aside.result()

    def stop_politely(self, engine: subprocess.Popen[bytes], grace: float) -> None:
        """SIGTERM, the lease renewed while the engine saves, then SIGKILL for the group."""
        process.signal_group(engine.pid, signal.SIGTERM)
        end = time.monotonic() + grace
        while engine.poll() is None and time.monotonic() < end:
            with suppress(OperationalError):
                self.run.renew()
            time.sleep(min(self.poll, 0.2))
        process.kill(engine)

    def keep(self) -> None:
        """Renew the lease from time to time and obey. Raises an `Interrupted`."""
        if GOING_DOWN.is_set():
            raise GoingDown
        if time.monotonic() - self.renewed > RENEW_EVERY:
            if not self.run.renew():
                raise LeaseLost
            self.renewed = time.monotonic()
        if Run.objects.filter(pk=self.run.pk, cancel_requested_at__isnull=False).exists():
            raise CancelAsked

    def bear(self, error: OperationalError) -> None:
        """The database is away: the engine works on, for as long as the lease is sure to hold."""
        if time.monotonic() - self.renewed > LEASE.total_seconds() - 2 * RENEW_EVERY:
            raise error
        log.warning("database_away", run=self.run.pk, error=str(error))
        connection.close_if_unusable_or_obsolete()

    def in_the_end(self, deed: Callable[[], None]) -> None:
        """What is left once the engine has ended; it may be done twice, and is done again where
        the database left in the middle."""
        while True:
            try:
                return deed()
            except OperationalError as error:
                self.bear(error)
                time.sleep(self.poll)

    def outlast(self, error: OperationalError) -> None:
        """The database stayed away and the engine is ended. When it answers again, give the run
        back, unless somebody has taken it since. Raises the error after an hour."""
        log.warning("database_away_for_long", run=self.run.pk, error=str(error))
        end = time.monotonic() + PATIENCE_WITH_DATABASE
        while time.monotonic() < end and not GOING_DOWN.is_set():
            connection.close()
            try:
                if self.run.renew():
                    self.give_back()
                return
            except OperationalError:
                time.sleep(self.poll)
        raise error

    def judge(self, code: int, folder: RunFolder) -> None:
        """What the exit code means for the run."""
        self.meanwhile(lambda: self.push_all(folder))
        if code == 0:
            self.finish_well(folder)
        elif code == RESUMABLE or code < 0:
            self.try_again(ended_by(code, self.run))
        else:
            self.end(RunStatus.FAILED, error=self.last_words(folder, code))
        if self.is_over():
            folder.forget()

    def is_over(self) -> bool:
        return Run.objects.over().filter(pk=self.run.pk).exists()

    def finish_well(self, folder: RunFolder) -> None:
        """Register what the run made and end it, all or nothing."""
        result = read_json(folder.path / "result.json")
        with transaction.atomic():
            register_checkpoints(self.run, folder)
            if self.run.kind == RunKind.EVALUATE:
                store_evaluation(self.run, folder, result)
            self.end(RunStatus.DONE, result=result)

    def end_without_questions(self) -> None:
        """Every draw or score may be stored already, which is well; anything else asked for
        nothing."""
        if self.run.kind == RunKind.GENERATE:
            return self.end(RunStatus.DONE, result={"drawn": 0, "note": "Nothing left to draw."})
        if self.run.kind == RunKind.SCORE:
            return self.end(RunStatus.DONE, result={"scored": 0, "note": NOTHING_TO_SCORE})
        if self.run.kind == RunKind.JUDGE:
            return self.end(RunStatus.DONE, result={"asked": 0, "note": NOTHING_TO_JUDGE})
        self.end(RunStatus.FAILED, error="No question of the project fits the chosen scope.")

    def try_again(self, why: str) -> None:
        """Queue the run again if attempts remain; otherwise `why` is its error."""
        if self.run.attempt >= self.run.max_attempts:
            return self.end(RunStatus.FAILED, error=why)
        self.run.renew()  # a sign of life: the attempt is billed up to here
        queue_again(self.run, self.enqueue)

    def give_back(self) -> None:
        """The worker goes down: the attempt does not count against the run."""
        Run.objects.filter(pk=self.run.pk).update(max_attempts=F("max_attempts") + 1)
        self.run.renew()
        queue_again(self.run, self.enqueue)

    @transaction.atomic
    def end(self, status: str, *, error: str = "", result: dict | None = None) -> None:
        self.run.renew()
        if self.run.finish(status, error=error[:2000], result=result):
            announce_run(self.run)
        else:
            log.warning("lease_lost_at_the_end", run=self.run.pk)

    def last_words(self, folder: RunFolder, code: int) -> str:
        """The engine's own sentence: from result.json, else the last line of its log."""
        said = read_json(folder.path / "result.json").get("error")
        log_file = folder.path / "log.txt"
        lines = log_file.read_text(errors="replace").splitlines() if log_file.exists() else []
        spoken = [str(said)] if said else [line.strip() for line in lines if line.strip()]
        if is_full(folder.path) or os.strerror(errno.ENOSPC) in "".join(spoken[-1:]):
            return no_room(folder.path)
        return spoken[-1] if spoken else f"The engine ended with code {code} and said nothing."


class Aside(threading.Thread):
    """A deed with files in a thread of its own, which touches no database. Begun at once."""

    def __init__(self, deed: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self.deed, self.over = deed, Event()
        self.found: Any = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.found = self.deed()
        except Exception as error:  # told in `result`, by the thread that asked
            self.error = error
        finally:
            self.over.set()

    def result(self) -> Any:
        self.over.wait()
        if self.error:
            raise self.error
        return self.found


def in_words(error: Exception) -> str:
    """What stopped the attempt; a full disk is named with its host."""
    if getattr(error, "errno", None) in FULL:
        return no_room(Path(str(getattr(error, "filename", None) or ".")))
    return f"{type(error).__name__}: {error}"


def is_full(folder: Path) -> bool:
    return shutil.disk_usage(folder).free < NO_ROOM


def no_room(path: Path) -> str:
    return f"The disk of {socket.gethostname()} is full at {path}. Make room, then resume the run."


def queue_again(run: Run, enqueue: bool) -> bool:
    """Compare-and-swap from running to queued by whoever holds, or has lost, the lease."""
    freed = run.held().update(status=RunStatus.QUEUED, lease_until=None)
    if freed and enqueue:
        tell_a_worker(run)
    return freed == 1


def ended_by(code: int, run: Run) -> str:
    """Why the last attempt counts as the last."""
    if code == RESUMABLE:
        return f"The engine was stopped from outside {run.attempt} times. Clone the run to go on."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " Often that means that memory ran out." if name == "SIGKILL" else ""
    return f"The engine was killed by {name} in attempt {run.attempt} of {run.max_attempts}.{hint}"


def threads() -> int:
    """Torch threads of the engine on this host: STILLROOM_THREADS, or every core but one."""
    return int(os.environ.get("STILLROOM_THREADS") or max(1, (os.cpu_count() or 2) - 1))


def reap() -> dict[str, int]:
    """Mend what dead workers and lost messages left. Called every 15 s by beat."""
    counts = {"resumed": 0, "failed": 0, "cancelled": 0, "told": 0}
    for run in Run.objects.abandoned():
        counts[reap_one(run)] += 1
    counts["told"] = tell_of_the_forgotten()
    return counts


def reap_one(run: Run) -> str:
    """An abandoned run: cancelled if that was asked, queued again, or failed for good."""
    if run.cancel_requested_at:
        run.finish(RunStatus.CANCELLED)
        return "cancelled"
    if run.attempt < run.max_attempts:
        queue_again(run, enqueue=True)
        return "resumed"
    words = f"Its worker vanished {run.attempt} times; look at the host {run.lease_owner}."
    if run.finish(RunStatus.FAILED, error=words):
        announce_run(run)
    return "failed"


def tell_of_the_forgotten() -> int:
    """Send another message for each run whose message was lost."""
    told = workers.forgotten(Run.objects.filter(status=RunStatus.QUEUED), "host_class")
    for run in told:
        tell_a_worker(run)
    return len(told)
