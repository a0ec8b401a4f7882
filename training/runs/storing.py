"""The artifact store as training uses it: read in pieces, and borne with while it is away.

A file that is missing is told at once; a store that does not answer is asked again, at longer and
longer intervals, because an outage of minutes is no reason to lose hours of training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import IO, Any, TypeVar

import structlog

from curation.artifacts import COPY_BYTES, open_artifact
from curation.store_away import StoreAway, in_words, is_away

log = structlog.get_logger()

PATIENCE = 600.0  # seconds
LONGEST_WAIT = 20.0

Found = TypeVar("Found")


class FileGone(FileNotFoundError):
    """A file that the record names is not in the artifact store; the message is a sentence."""


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
        except OSError as error:
            if not is_away(error):
                raise
            if time.monotonic() + wait > end:
                raise StoreAway(away(error)) from error
            log.warning("artifact_store_away", error=str(error)[:200], again_in=wait)
        given_up.wait(wait)
        wait = min(2 * wait, LONGEST_WAIT)


def away(error: OSError) -> str:
    said = str(error) if isinstance(error, StoreAway) else in_words(error)
    return f"{said} Look at it, then resume the run."


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
