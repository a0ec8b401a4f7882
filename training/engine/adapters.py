"""LoRA through peft: a few small matrices are trained, the model itself stays as it was.

A checkpoint holds both what everybody loads, the model with the adapters added to its weights, and
the adapters alone, from which a resume goes on: adding and taking away again would change bits.
The model without its adapters is the frozen start, so a KL term needs no second copy.
Source: Hu et al., LoRA, arXiv 2106.09685.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor

from training.engine.files import write_json
from training.engine.seeds import seed_for
from training.methods.base import MethodConfig

FOLDER = "adapter"


def with_adapters(model: Any, config: MethodConfig, seed: int, checkpoint: Path | None) -> Any:
    """The model with fresh adapters, or with those of a checkpoint. Only they are trained."""
    if checkpoint is not None:
        return PeftModel.from_pretrained(model, checkpoint / FOLDER, is_trainable=True).eval()
    torch.manual_seed(seed_for(seed, "adapters"))
    settings = LoraConfig(
        task_type="CAUSAL_LM",
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=0.0,  # as all dropout: stored log-probabilities are of the model without
        target_modules="all-linear",
    )
    return get_peft_model(model, settings).eval()


def has_adapters(model: Any) -> bool:
    """Whether the model is one of `with_adapters`."""
    return isinstance(model, PeftModel)


@contextmanager
def start_of(model: Any) -> Iterator[Any]:
    """Within it the model computes as it did before its adapters were trained."""
    with model.disable_adapter():
        yield model


def merged_weights(model: Any) -> dict[str, Tensor]:
    """Name → tensor of the plain model with the adapters' changes added; a copy where they are."""
    plain = model.get_base_model()
    changes = {
        f"{name}.weight": module.get_delta_weight("default")
        for name, module in plain.named_modules()
        if hasattr(module, "get_delta_weight")  # peft's layers, whatever kind of layer they wrap
    }
    weights = {}
    for name, tensor in plain.state_dict().items():
        if ".lora_" in name:
            continue
        name = name.replace(".base_layer.", ".")
        weights[name] = tensor + changes[name] if name in changes else tensor
    return weights


def save_adapters(model: Any, folder: Path) -> None:
    """The adapters alone, below a checkpoint's folder. Where the model lay on this machine is of no
    use to others, so its path leaves the settings."""
    model.save_pretrained(folder / FOLDER)
    path = folder / FOLDER / "adapter_config.json"
    write_json(path, {**json.loads(path.read_text()), "base_model_name_or_path": None})
