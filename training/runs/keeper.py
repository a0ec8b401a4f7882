"""`keeper.py COMMAND…`: the engine's parent, and the first of its process group.

It holds one end of a pipe; the supervisor holds the other. When the supervisor is gone, however it
went, the pipe closes: the group is asked to save and end, and after a grace all of it is killed,
grandchildren too. So no engine keeps a GPU that nobody watches, even one that hangs. Otherwise the
keeper ends as the engine ends: with its code, or by its signal.

Standard library only, run as a file, so that it starts in no time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

GRACE = 45.0  # seconds to save in


def main(command: list[str]) -> int:
    # A handler, because being ignored would be inherited by the engine.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: None)
    engine = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    alone = threading.Event()
    threading.Thread(target=watch, args=(alone,), daemon=True).start()
    code = engine.wait()
    if alone.is_set():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    if code < 0:
        die_by(-code)
    return code


def watch(alone: threading.Event) -> None:
    """Wait for the supervisor's end of the pipe to close, then end the group."""
    os.read(0, 1)  # nothing is ever written; not sys.stdin, whose lock would outlive us
    alone.set()
    os.killpg(os.getpgrp(), signal.SIGTERM)
    time.sleep(float(os.environ.get("STILLROOM_KEEPER_GRACE") or GRACE))
    os.killpg(os.getpgrp(), signal.SIGKILL)


def die_by(number: int) -> None:
    """Let our own parent see the signal that ended the engine."""
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
