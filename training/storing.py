"""The artifact store as training uses it: read in pieces, and borne with while it is away.

A file that is missing is told at once; a store that does not answer is asked again, at longer and
longer intervals, because an outage of minutes is no reason to lose hours of training.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import IO, Any, TypeVar

import structlog

from curation.artifacts import COPY_BYTES, open_artifact

log = structlog.get_logger()

PATIENCE = 600.0  # seconds
LONGEST_WAIT = 20.0
# What no waiting mends: wrong keys, wrong names, a full disk.
FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Found = TypeVar("Found")


class FileGone(OSError):
    """A file that the record names is not in the artifact store; the message is a sentence."""


class StoreAway(Exception):
    """The artifact store did not answer for as long as we were willing to wait."""


class GivenUp(Exception):
    """Whoever asked for the files no longer wants them."""


def patiently(
    deed: Callable[[], Found], given_up: Event | None = None, patience: float | None = None
) -> Found:
    """What the deed returns, tried again while the store is away.

    Raises `StoreAway` after `patience` seconds, `GivenUp` once the event is set, and at once
    whatever waiting cannot mend.
    """
    end = time.monotonic() + (PATIENCE if patience is None else patience)
    given_up, wait = given_up or Event(), 0.5
    while True:
        if given_up.is_set():
            raise GivenUp
        try:
            return deed()
        except Exception as error:
            if not is_away(error):
                raise
            if time.monotonic() + wait > end:
                raise StoreAway(away(error)) from error
            log.warning("artifact_store_away", error=str(error)[:200], again_in=wait)
        given_up.wait(wait)
        wait = min(2 * wait, LONGEST_WAIT)


def is_away(error: Exception) -> bool:
    """Whether trying again may help. The clients of object stores have errors of their own."""
    if isinstance(error, FINAL) or getattr(error, "errno", None) in FULL:
        return False
    theirs = type(error).__module__.split(".")[0] in ("botocore", "aiobotocore", "aiohttp")
    return isinstance(error, OSError | TimeoutError) or theirs


def away(error: Exception) -> str:
    first = " ".join(str(error).split())[:300] or type(error).__name__
    return f"The artifact store does not answer ({first}). Look at it, then resume the run."


def opened(uri: str) -> IO[Any]:
    """The file, to be read. Raises FileGone."""
    try:
        return open_artifact(uri)
    except FileNotFoundError as error:
        raise FileGone(
            f"{uri} is gone from the artifact store. Bring it back, or freeze a new version."
        ) from error


def read_lines(uri: str) -> Iterator[bytes]:
    """The lines of a file, one at a time."""
    with opened(uri) as file:
        yield from file


def pieces(file: IO[Any]) -> Iterator[bytes]:
    """An open file in pieces, for a download."""
    with file:
        while piece := file.read(COPY_BYTES):
            yield piece
