"""When people are done: enough groups are ranked, the hour has come, or a researcher says so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Gate:
    """What the gate looks at. `wanted` groups of `total` are enough."""

    ranked: int
    wanted: int
    total: int
    opens_at: datetime | None = None
    opened_at: datetime | None = None
    opened_by: str = ""

    def opens(self, now: datetime) -> str:
        """Why the gate is open, in a sentence; "" while it is shut."""
        if self.opened_at is not None:
            return f"Opened by {self.opened_by} with {self.so_far}."
        if not self.total:
            return "No group was there to rank."
        if self.ranked >= self.wanted:
            return f"Open: {self.so_far}."
        if self.opens_at is not None and now >= self.opens_at:
            return f"The time was up with {self.so_far}."
        return ""

    @property
    def so_far(self) -> str:
        return f"{self.ranked} of {self.total} groups ranked"


def enough(asked: int, total: int) -> int:
    """How many ranked groups open the gate: those asked for, never more than there are."""
    return min(asked, total) if asked else total
