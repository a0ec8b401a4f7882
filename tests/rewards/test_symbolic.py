"""Answers as mathematics, in a child that can be killed and never outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from training.decoding.record import Question
from training.rewards import symbolic
from training.rewards.compose import valued
from training.rewards.sample import Sample
from training.rewards.symbolic import ROOT, Child, answer_symbolic

ENDLESS = "9^{9^{9^{9}}}"


def reward(given: str, reference: str, kind: str = "number") -> float | None:
    question = Question(id="1", question="?", reference_answer=reference, answer_kind=kind)
    return answer_symbolic(question, Sample(answer=given))


@pytest.mark.parametrize(
    ("given", "reference", "kind", "value"),
    [
        ("\\frac{12}{16}", "0.75", "number", 1), ("\\sqrt{8}", "2\\sqrt{2}", "text", 1),
        ("(x+1)^2", "x^2+2x+1", "text", 1), ("3+2x", "2x+3", "text", 1),
        ("x = 5", "5", "number", 1),
        ("\\sqrt{5}", "5", "number", 0), ("2^5", "5", "number", 0), ("(1,2]", "[1,2)", "text", 0),
        ("(1, 2]", "(1,2]", "text", 1), ("\\{2,1\\}", "\\{1,2\\}", "text", 1),
        ("", "\\pi", "text", 0),
    ],
)  # fmt: skip
def test_notation_is_read_as_mathematics(given, reference, kind, value):
    assert reward(given, reference, kind) == value


def test_plain_answers_need_no_child(monkeypatch):
    monkeypatch.setattr(symbolic.sys, "executable", "/nonexistent")
    symbolic.child_of.cache_clear()
    assert reward("1,234 apples", "1234") == 1
    assert reward("5 m", "5") == 1
    assert reward("(B)", "b", "choice") == 1
    assert reward("an essay", "another", "open") is None
    with pytest.raises(FileNotFoundError):
        reward("\\pi + 1", "4.14159265")
    symbolic.child_of.cache_clear()


def test_a_reference_that_nobody_can_read_says_nothing_of_other_answers():
    assert reward("$\\{", "$\\{", "text") == 1
    assert reward("x", "\\begin{", "text") is None


def test_a_comparison_that_does_not_end_is_ended_and_the_next_one_answered():
    child = Child(cpu_seconds=0.3)
    assert child.ask("\\frac{1}{2}", "0.5") == "same"
    assert child.ask(ENDLESS, "\\pi") == "timeout"
    assert child.ask("\\frac{1}{2}", "0.5") == "same"
    assert child.starts == 2
    child.stop()


def test_a_child_that_only_waits_is_killed_by_the_clock():
    child = Child(patience=0.2)
    child.ask("1^1", "1")
    assert child.process is not None
    os.kill(child.process.pid, signal.SIGSTOP)
    stopped = child.process.pid
    assert child.ask("2^1", "2") == "timeout"
    assert not alive(stopped)
    child.stop()


def test_a_child_that_dies_is_no_verdict():
    child = Child()
    assert child.ask("1^1", "1") == "same"
    assert child.process is not None
    os.kill(child.process.pid, signal.SIGKILL)
    child.process.wait()
    assert child.ask("1^1", "1") == "same"  # a new one
    child.stop()


def test_a_timeout_is_a_fault_and_is_remembered(monkeypatch):
    child = Child(cpu_seconds=0.3)
    monkeypatch.setattr(symbolic, "child_of", lambda process: child)
    symbolic.compared.cache_clear()
    question = Question(id="1", question="?", reference_answer="\\pi", answer_kind="text")
    for _ in range(3):
        assert valued(answer_symbolic, question, Sample(answer=ENDLESS)) == (None, "timeouts")
    assert child.starts == 1
    symbolic.compared.cache_clear()
    child.stop()


@pytest.mark.parametrize("busy", [False, True])
def test_no_child_outlives_a_parent_that_was_killed(busy):
    """Idle, it reads the end of its input; busy, its own timer ends it."""
    script = (
        "from training.rewards.symbolic import Child\n"
        "child = Child(cpu_seconds=1)\n"
        "child.ask('1^1', '1')\n"
        "print(child.process.pid, flush=True)\n"
        f"child.ask('{ENDLESS}' if {busy} else '1^1', '\\\\pi')\n"
        "input()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.kill()
    parent.wait()
    until = time.monotonic() + 60
    while alive(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(child)
    parent.communicate()


def alive(process: int) -> bool:
    """Whether it is there and no zombie that only waits to be read."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
