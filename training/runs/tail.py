"""Reading a file of rows while another process appends to it.

By byte offset, whole lines only: a last line without its newline waits. If the file was replaced
or cut (a resumed engine drops rows later than its checkpoint), reading starts over; whoever stores
the rows must take one twice without harm.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHUNK = 4 * 1024 * 1024


@dataclass
class Tail:
    path: Path
    offset: int = 0
    inode: int = 0

    def rows(self) -> Iterator[list[dict[str, Any]]]:
        """The new whole rows, in lists of a few megabytes each."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            self._start_over_if_replaced(file.fileno())
            file.seek(self.offset)
            rest = b""
            while piece := file.read(CHUNK):
                whole, mark, rest = (rest + piece).rpartition(b"\n")
                lines = [line for line in whole.split(b"\n") if line.strip()]
                if lines:
                    yield [json.loads(line) for line in lines]
                # Only now: rows that could not be stored are read again.
                self.offset += len(whole) + len(mark)

    def _start_over_if_replaced(self, handle: int) -> None:
        status = os.fstat(handle)
        if status.st_ino != self.inode or status.st_size < self.offset:
            self.inode, self.offset = status.st_ino, 0
