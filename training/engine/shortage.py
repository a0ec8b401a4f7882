"""Where a device has no more memory: the same work again, with less of it at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

Part = TypeVar("Part")
Found = TypeVar("Found")


def is_shortage(error: Exception) -> bool:
    """On a GPU it is an error of its own; on a CPU a `RuntimeError` with these words."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def let_go() -> None:
    """Give back what the allocator holds and nobody uses. To be called outside the handler of the
    error, which keeps the tensors of the failed attempt alive."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def in_parts(
    work: Callable[[Part], Found], whole: Part, halves: Callable[[Part], Sequence[Part]]
) -> Iterator[tuple[Part, Found]]:
    """The work on the whole, or on its halves where memory runs out, each with what was found.

    Raises the error of a part that has no halves.
    """
    smaller: Sequence[Part] = ()
    try:
        found = work(whole)
    except RuntimeError as error:
        smaller = halves(whole) if is_shortage(error) else ()
        if not smaller:
            raise
    if not smaller:
        yield whole, found
        return
    let_go()
    for part in smaller:
        yield from in_parts(work, part, halves)
