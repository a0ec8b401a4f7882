"""The next batch is read and cut into drafts while the database stores the one before."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_END = object()


def read_ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """The items in their order, each made in a thread while the one before is worked on.

    What making them raises is raised where that item would have come. Close the generator when
    leaving it early; that waits for the item which is being made. `items` must not ask the
    database: the thread's connection would be another one.
    """
    with ThreadPoolExecutor(1, "reading-ahead") as thread:
        coming = thread.submit(next, items, _END)
        while (item := coming.result()) is not _END:
            coming = thread.submit(next, items, _END)
            yield item  # type: ignore[misc]
