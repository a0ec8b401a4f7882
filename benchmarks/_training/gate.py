"""Nothing is timed before both arms have been seen to compute the same thing.

Log-probabilities within 1e-5 (fp32), the gradient within 1e-4 of its norm, the loss within 1e-5 of
itself or of 1, whichever is larger.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

LOGPROBS, GRADIENT, LOSS = 1e-5, 1e-4, 1e-5


class Unequal(SystemExit):
    """The two arms do not do the same work, so their times mean nothing."""


@dataclass(frozen=True)
class Gate:
    """How far apart the arms are."""

    logprob_gap: float
    gradient_gap: float
    loss_gap: float

    def check(self, name: str, logprobs: float = LOGPROBS, gradient: float = GRADIENT) -> None:
        """Raise `Unequal` unless every gap is within its limit."""
        limits = Gate(logprobs, gradient, LOSS)
        for what, gap in asdict(self).items():
            if not gap <= getattr(limits, what):
                raise Unequal(
                    f"{name}: {what} is {gap:.2e}, more than {getattr(limits, what):.0e}; "
                    "the arms are not compared."
                )

    def row(self) -> dict[str, float]:
        """For the result file."""
        return {what: float(f"{gap:.2e}") for what, gap in asdict(self).items()}


def gradient(loss: Tensor, model: Any) -> Tensor:
    """All gradients of the loss as one vector; the model is left without any."""
    model.zero_grad(set_to_none=True)
    loss.backward()
    parts = [p.grad.detach().flatten().clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad(set_to_none=True)
    return torch.cat(parts).double()


def compare(
    logprobs: tuple[Tensor, Tensor],
    gradients: tuple[Tensor, Tensor],
    losses: tuple[float, float],
) -> Gate:
    """Ours first, the rival's second; gradients relative to the rival's norm."""
    (ours, theirs), (mine, other), (one, two) = logprobs, gradients, losses
    return Gate(
        logprob_gap=float((ours - theirs).abs().max()),
        gradient_gap=float((mine - other).norm() / other.norm()),
        loss_gap=abs(one - two) / max(1.0, abs(two)),
    )
