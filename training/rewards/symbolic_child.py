"""The child process in which math-verify compares answers: JSON lines in, JSON lines out.

Run as `python -m training.rewards.symbolic_child CPU_SECONDS`. A request is
`{"given": …, "reference": …}`, its reply `{"error": …}` or
`{"verdict": "same" | "different" | "unread" | "no_reference"}`; the first line out says that the
imports are done.

Nobody but the kernel can stop a comparison that runs away, so the kernel is asked beforehand: a
timer of CPU seconds (not of the clock: a busy machine must not make answers wrong) whose signal
ends the process, and a limit on its memory. Both hold if the parent is gone as well; and an idle
child whose parent is gone reads the end of its input, or notices within a second.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from typing import IO, Any

MEMORY = 2 * 1024**3  # bytes of address space


def main(cpu_seconds: float) -> None:
    """Answer requests until the input ends, each within so many seconds of CPU time."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not pass for a reply
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import math_verify

    reply(replies, {"ready": math_verify.__name__})
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        answer = answered(json.loads(line))
        signal.setitimer(signal.ITIMER_PROF, 0)
        reply(replies, answer)


def end_with(parent: int) -> None:
    """End this process once its parent has ended."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


def reply(replies: IO[str], content: dict[str, Any]) -> None:
    replies.write(json.dumps(content) + "\n")
    replies.flush()


def answered(request: dict[str, str]) -> dict[str, Any]:
    try:
        return {"verdict": verdict(request["given"], request["reference"])}
    except (Exception, MemoryError, RecursionError) as error:
        return {"error": type(error).__name__}


def verdict(given: str, reference: str) -> str:
    """What math-verify makes of two answers. Its own timers need SIGALRM and are off."""
    from math_verify import verify

    gold = read(reference)
    if not gold:
        return "no_reference"
    target = read(given)
    if not target:
        return "unread"
    same = verify(gold, target, timeout_seconds=None, raise_on_error=True)
    return "same" if same else "different"


def read(answer: str) -> list[Any]:
    """The expressions of an answer; none if it cannot be read as mathematics."""
    from math_verify import parse

    text = answer if "$" in answer or "\\boxed" in answer else f"${answer}$"
    found = parse(text, fallback_mode="no_fallback", parsing_timeout=None)  # type: ignore[arg-type]
    return [one for one in found if not isinstance(one, str)]


if __name__ == "__main__":
    main(float(sys.argv[1]))
