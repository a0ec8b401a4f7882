"""Reading files of the artifact store in pieces, so that memory stays small."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from curation.artifacts import COPY_BYTES, open_artifact


class FileGone(OSError):
    """A file that the record names is not in the artifact store; the message is a sentence."""


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
