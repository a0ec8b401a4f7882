"""When to stop early: SIGTERM, or a supervisor that is no longer there."""

from __future__ import annotations

import os
import signal
from types import FrameType

RESUMABLE = 75  # EX_TEMPFAIL: run the same command again and it goes on
SUPERVISOR = "STILLROOM_SUPERVISOR_PID"


class Stopped(Exception):
    """The job left everything it needs to go on and ended before it was done."""


class Stop:
    """Asked between steps; nothing is interrupted in the middle of one."""

    def __init__(self) -> None:
        self.signalled = False
        named = os.environ.get(SUPERVISOR, "")
        self.supervisor = int(named) if named.isdigit() else None

    def listen(self) -> None:
        """Take SIGTERM and SIGINT as requests to stop after the current step."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._on_signal)

    def requested(self) -> bool:
        """Whether to save and end now."""
        return self.signalled or not self._supervised()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.signalled = True

    def _supervised(self) -> bool:
        if self.supervisor is None:
            return True
        try:
            os.kill(self.supervisor, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # another user's, and alive
        return True
