"""The processes of one training job: what each does alone, what they agree on and add up.

`accelerate launch --num_processes N -m training.engine FOLDER/run.json` starts them; one process is
the common case, and then everything here is free. Each holds the plan, the dataset and the record
whole, so that only drawn completions, gradients and a few numbers ever travel.

Gradients are added up once a step, after its last forward: so the processes may make unlike numbers
of forwards, and one that runs out of memory can say so before any of them has moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

Item = TypeVar("Item")

AT_ONCE = 2**25  # numbers of the gradient that travel together: 128 MB in fp32


class Ranks:
    """This process among those of the job, and the device that it computes on."""

    def __init__(self) -> None:
        self.accelerator = Accelerator()
        self.count: int = self.accelerator.num_processes
        self.number: int = self.accelerator.process_index
        self.device: torch.device = self.accelerator.device

    @property
    def is_first(self) -> bool:
        """Whether this one writes the files."""
        return self.number == 0

    def share(self, items: Sequence[Item], number: int | None = None) -> list[Item]:
        """This process's part of the items, or another's: every `count`-th."""
        return list(items[self.number if number is None else number :: self.count])

    def first_alone(self) -> AbstractContextManager[Any]:
        """Within it the first process comes first, and leaves files that the others find."""
        return self.accelerator.main_process_first()

    def wait(self) -> None:
        """Until every process is here."""
        self.accelerator.wait_for_everyone()

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process. All have to ask."""
        if self.count == 1:
            return flag
        raised = torch.tensor([float(flag)], device=self.device)
        return bool(self.accelerator.reduce(raised, "sum").item())

    def gathered(self, rows: list[Any]) -> list[Any]:
        """The rows of every process, in the order of the processes. All have to ask."""
        return rows if self.count == 1 else list(gather_object(rows))

    def summed(self, numbers: dict[str, float]) -> dict[str, float]:
        """Each number added up over the processes. All have to ask."""
        totals: dict[str, float] = {}
        for each in self.gathered([numbers]):
            for name, value in each.items():
                totals[name] = totals.get(name, 0.0) + value
        return totals

    def add_up(self, parameters: Iterable[Any]) -> None:
        """Replace every gradient by its sum over the processes; a missing one counts as zero."""
        if self.count == 1:
            return
        for part in parts_of([weight for weight in parameters if weight.requires_grad]):
            gradients = [torch.zeros_like(w) if w.grad is None else w.grad for w in part]
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            total: Tensor = self.accelerator.reduce(flat, "sum")
            pieces = total.split([weight.numel() for weight in part])
            for weight, piece in zip(part, pieces, strict=True):
                weight.grad = piece.view_as(weight).clone()


def parts_of(parameters: Sequence[Tensor]) -> list[list[Tensor]]:
    """The parameters in parts of about `AT_ONCE` numbers, each of one type."""
    parts: list[list[Tensor]] = []
    size = AT_ONCE
    for weight in parameters:
        if size >= AT_ONCE or weight.dtype != parts[-1][0].dtype:
            parts.append([])
            size = 0
        parts[-1].append(weight)
        size += weight.numel()
    return parts
