"""The real engine with a trouble of its own: `engine_with.py TROUBLE FOLDER/run.json`.

`slow` takes a tenth of a second a step, so that there is a middle to be killed in; `slow_save`
writes its checkpoints slowly besides; `short` runs out of memory with more than one group at a
time; `hopeless` with any.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from training.engine import __main__ as engine  # before torch, for its settings
from training.engine import files
from training.engine.loop import Loop
from training.engine.update import Update

SHORTAGE = "DefaultCPUAllocator: can't allocate memory: you tried to allocate a great deal"


def trouble(name: str) -> None:
    if name.startswith("slow"):
        tell = Loop._tell
        Loop._tell = lambda self, row: (time.sleep(0.1), tell(self, row))[1]  # type: ignore
    if name == "slow_save":
        sync = files.sync
        files.sync = lambda path: (time.sleep(0.15), sync(path))[1]  # type: ignore
    if name in ("short", "hopeless"):
        Update.forward_and_backward = short_of(Update.forward_and_backward, name)  # type: ignore


def short_of(whole: Any, name: str) -> Any:
    def forward_and_backward(self: Any, part: Any, window: Any, counts: bool = True) -> Any:
        if name == "hopeless" or len(part) > 1:
            raise RuntimeError(SHORTAGE)
        with Path(sys.argv[2]).with_name("fitted").open("a") as file:
            file.write(f"{self.tokens}\n")
        return whole(self, part, window, counts)

    return forward_and_backward


if __name__ == "__main__":
    trouble(sys.argv[1])
    engine.end_as(engine.main(sys.argv[2:]))
