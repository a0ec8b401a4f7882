"""Reading files of the artifact store in pieces, so that memory stays small."""

from __future__ import annotations

from collections.abc import Iterator

from curation.artifacts import COPY_BYTES, open_artifact


def read_lines(uri: str) -> Iterator[bytes]:
    """The lines of a file, one at a time."""
    with open_artifact(uri) as file:
        yield from file


def pieces(uri: str) -> Iterator[bytes]:
    """A file in pieces, for a download."""
    with open_artifact(uri) as file:
        while piece := file.read(COPY_BYTES):
            yield piece
