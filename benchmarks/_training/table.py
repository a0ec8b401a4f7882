"""The rows of a result on the screen, as they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def show(rows: Sequence[dict[str, Any]]) -> None:
    """One line a row: the sizes, the ratio with its spread, the times, the load."""
    from rich.console import Console
    from rich.table import Table

    table = Table("method", "sizes", "threads", "x", "low", "high", "ours s", "rival s", "load")
    for row in rows:
        sizes = f"P={row['prompt_tokens']} C={row['completion_tokens']} G={row['group']}"
        table.add_row(
            row["method"],
            sizes,
            str(row["threads"]),
            f"{row['ratio_median']:.2f}",
            f"{row['ratio_low']:.2f}",
            f"{row['ratio_high']:.2f}",
            f"{row['seconds']:.3f}",
            f"{row['rival_seconds']:.3f}",
            f"{row['load_average'][0]:.2f}",
        )
    Console(width=110).print(table)
