"""A run's log: its end on the page, all of it as a file."""

from __future__ import annotations

from collections.abc import Iterator

from curation.artifacts import filesystem
from training.models import Run
from training.runs.folders import read_end

TAIL = 20_000
PIECE = 1024 * 1024


def tail(run: Run) -> str:
    """The last lines, as a terminal would show them."""
    return read_end(run, "log.txt", TAIL)


def size(run: Run) -> int:
    """Bytes of the whole file; 0 if there is none."""
    if not run.folder:
        return 0
    fs, path = filesystem(f"{run.folder}/log.txt")
    try:
        return int(fs.size(path) or 0)
    except (FileNotFoundError, NotADirectoryError):
        return 0


def whole(run: Run) -> Iterator[bytes]:
    """The file in pieces."""
    fs, path = filesystem(f"{run.folder}/log.txt")
    with fs.open(path, "rb") as file:
        while piece := file.read(PIECE):
            yield piece
