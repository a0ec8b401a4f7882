"""Is the answer right, read as mathematics where exact comparison cannot read it?

1 if right, 0 if wrong or not there; None where nobody can tell. Answers without any notation are
compared exactly, as `answer_correct` does; those with LaTeX, brackets, powers, roots or equations
go to math-verify (sympy), which knows that `\\frac{12}{16}` is 0.75, `(1,2]` is not `[1,2)` and
`(x+1)^2` is `x^2+2x+1`. What it cannot read is compared exactly after all; if that is the
reference, only the same text is right, and of any other nobody can tell.

math-verify can run for ever, and its own timers work in a main thread only. So it lives in one
child process, started with the first such answer, that ends itself after `CPU_SECONDS` on one
comparison and is killed after `PATIENCE`; the next answer gets a new child. A time-out or crash is
no verdict: it is counted, and the completion leaves its group. Evidence: Math-Verify#50 and #55,
trl#5281, verl#5635. The result for a pair of answers is remembered, time-outs too.

Traps: answers in a list are compared as a set (`3,5` is `5,3`); units behind a number are not
understood (`5 m/s` is not `5`); evaluation counts by exact comparison, so a model rewarded here may
be better than its evaluation says.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import selectors
import signal
import subprocess
import sys
from functools import cache, lru_cache
from pathlib import Path
from time import monotonic
from typing import Any

from training.decoding.record import Question
from training.rewards.answer import equal_answers, normalised
from training.rewards.sample import Sample

ROOT = Path(__file__).resolve().parents[2]
CPU_SECONDS = 3.0  # for one comparison
PATIENCE = 60.0  # and seconds of the clock, whatever else the machine does
START = 120.0  # and for the child's imports
LONGEST = 300  # characters of an answer; beyond it is noise

# LaTeX, powers, brackets of sets and intervals, equations, signs of analysis …
_NOTATION = re.compile(r"\\(?![$%!,; ])|[\^_{}\[\]=<>√π∞∪∩±≤≥]|\([^(),]{1,99},|\bpi\b|sqrt")
# … and, in a reference, a variable; in an answer it would be a unit (`5 m`).
_VARIABLE = re.compile(r"[\d+*/(-]\s?[a-z]\b|^[a-z]$")


def answer_symbolic(question: Question, sample: Sample) -> float | None:
    """1, 0 or None. Raises `TimeoutError` and `Broken`, which the caller counts."""
    given, reference = sample.answer.strip(), question.reference_answer.strip()
    exact, _ = equal_answers(given, reference, question.answer_kind)
    if exact is None or not given or question.answer_kind == "choice":
        return None if exact is None else float(exact)
    if given == reference:
        return 1.0
    if not has_notation(given, reference):
        return float(exact)
    return _by_algebra(given, reference, exact)


def has_notation(given: str, reference: str) -> bool:
    """Whether either answer holds what exact comparison does not understand."""
    heads = [text[: 2 * LONGEST].replace("{,}", ",") for text in (given, reference)]
    return any(map(_NOTATION.search, heads)) or bool(_VARIABLE.search(heads[1]))


def _by_algebra(given: str, reference: str, exact: bool) -> float | None:
    if len(reference) > LONGEST:
        return None
    if len(given) > LONGEST:
        return 0.0
    verdict = compared(given, reference)
    if verdict == "timeout":
        raise TimeoutError(f"math-verify ran out of time on {given[:80]!r}.")
    if verdict == "broken":
        raise Broken(f"math-verify broke on {given[:80]!r}.")
    if verdict == "no_reference":
        return 1.0 if normalised(given) == normalised(reference) else None
    return float(exact if verdict == "unread" else verdict == "same")


@lru_cache(maxsize=50_000)
def compared(given: str, reference: str) -> str:
    """`same`, `different`, `unread`, `no_reference`, `timeout` or `broken`."""
    return child_of(os.getpid()).ask(given, reference)


@cache
def child_of(process: int) -> Child:
    """The one child of this process; a fork gets its own."""
    return Child()


class Broken(RuntimeError):
    """The child could not compare two answers, or died of them."""


class Child:
    """A process that compares answers and can be killed; started when it is first needed."""

    def __init__(self, cpu_seconds: float = CPU_SECONDS, patience: float = PATIENCE) -> None:
        self.cpu_seconds, self.patience = cpu_seconds, patience
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        atexit.register(self.stop)

    def ask(self, given: str, reference: str) -> str:
        """The verdict on two answers. After `timeout` the child is gone, and after `broken` if it
        died of it; the next answer gets another."""
        process = self._running()
        request = json.dumps({"given": given, "reference": reference}) + "\n"
        assert process.stdin is not None
        try:
            process.stdin.write(request.encode())
            reply = self._line(self.patience)
        except (TimeoutError, BrokenPipeError) as error:
            return self._lost(timed_out=isinstance(error, TimeoutError))
        return str(reply.get("verdict", "broken"))

    def stop(self) -> None:
        """Kill the child, if there is one; after a fork it is the parent's, and stays."""
        if self.process is None:
            return
        self.process.kill()  # nothing happens to one that ended, or is another's
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.process.poll() is not None:
            self.stop()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "training.rewards.symbolic_child", str(self.cpu_seconds)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,  # a Ctrl-C is for the engine, which ends its child
            )
            self.starts += 1
            self._greeted()
        return self.process

    def _greeted(self) -> None:
        """Wait for the first line, which says that the imports are done."""
        try:
            self._line(START)
        except (TimeoutError, BrokenPipeError) as error:
            self.stop()
            raise Broken("The child process of math-verify does not start.") from error

    def _line(self, seconds: float) -> dict[str, Any]:
        """The next line of the child. Raises `TimeoutError`, or `BrokenPipeError` at its end."""
        assert self.process is not None
        assert self.process.stdout is not None
        received, until = b"", monotonic() + seconds
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.process.stdout, selectors.EVENT_READ)
            while not received.endswith(b"\n"):
                if not waiting.select(max(until - monotonic(), 0)):
                    raise TimeoutError
                piece = os.read(self.process.stdout.fileno(), 65_536)
                if not piece:
                    raise BrokenPipeError
                received += piece
        found: dict[str, Any] = json.loads(received)
        return found

    def _lost(self, timed_out: bool) -> str:
        """What became of a child that did not answer: its own timer ended it, or something else."""
        assert self.process is not None
        if not timed_out:
            timed_out = self.process.wait() == -signal.SIGPROF
        self.stop()
        return "timeout" if timed_out else "broken"


REWARDS = {"answer_symbolic": answer_symbolic}
