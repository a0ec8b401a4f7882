"""Weights, gradients and optimizer spread over the processes (fully sharded data parallel).

Every layer is a unit that is gathered for its forward and backward and let go after. The processes
then have to make the same calls at the same time: so each makes as many forwards in a step as the
one with most, a forward calls the decoder once, and no step can be tried again with less memory.
PyTorch's own `fully_shard`, for accelerate's refuses to shard on a CPU, where the tests run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from transformers.modeling_layers import GradientCheckpointingLayer

from training.engine.ranks import Ranks

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def shard(policy: Any, ranks: Ranks) -> None:
    """Spread the policy over the processes, each decoder layer by itself."""
    mesh = init_device_mesh(ranks.device.type, (ranks.count,))
    for layer in [m for m in policy.modules() if isinstance(m, GradientCheckpointingLayer)]:
        fully_shard(layer, mesh=mesh)
    fully_shard(policy, mesh=mesh)


@contextmanager
def gathered(policy: Any) -> Iterator[None]:
    """Within it every process holds all weights, so that each may draw as long as it has to."""
    units = [module for module in policy.modules() if isinstance(module, FSDPModule)]
    for unit in units:
        unit.set_reshard_after_forward(False)
        unit.unshard()
    try:
        yield
    finally:
        for unit in units:
            unit.set_reshard_after_forward(True)
            unit.reshard()


def whole_weights(policy: Any) -> dict[str, Any]:
    """Name → tensor of the policy on the first process; nothing on the others."""
    return get_model_state_dict(policy, options=WHOLE)


def whole_optimizer(policy: Any, optimizer: Any) -> dict[str, Any]:
    """Parameter → its state on the first process; nothing on the others."""
    return get_optimizer_state_dict(policy, optimizer, options=WHOLE).get("state", {})  # type: ignore[return-value]


def restore_optimizer(policy: Any, optimizer: Any, state: dict[str, Any]) -> None:
    """Give each process its part of `state`, which all of them have read."""
    settings = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
    names = [name for name, weight in policy.named_parameters() if weight.requires_grad]
    whole: dict[str, Any] = {"state": state, "param_groups": [{**settings, "params": names}]}
    set_optimizer_state_dict(policy, optimizer, whole, options=WHOLE)
