"""Files to and from the artifact store, in pieces, so that memory stays small."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import fsspec

PIECE = 1 << 20


def put(path: Path, url: str) -> None:
    """Copy a local file to a URL; its folder is made where the store has folders."""
    makedirs(url)
    with path.open("rb") as source, fsspec.open(url, "wb") as sink:
        shutil.copyfileobj(source, sink, PIECE)


def makedirs(url: str) -> None:
    """Make the folder that a file is to lie in."""
    store, target = fsspec.core.url_to_fs(url)
    store.makedirs(store._parent(target), exist_ok=True)


def read_lines(url: str) -> Iterator[bytes]:
    """The lines of a file, one at a time."""
    with fsspec.open(url, "rb") as file:
        yield from file


def pieces(url: str) -> Iterator[bytes]:
    """A file in pieces, for a download."""
    with fsspec.open(url, "rb") as file:
        while piece := file.read(PIECE):
            yield piece
