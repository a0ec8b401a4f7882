"""Numbers in sentences: one thing is spoken of as one."""

from __future__ import annotations


def counted(number: int, one: str, several: str = "") -> str:
    """`counted(1, "row")` is "1 row", `counted(2000, "was", "were")` is "2,000 were"."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
