"""Checkpoints: model, tokenizer, optimizer and step, whole or absent. No pickles."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from training.engine.files import damage, manifest_if_whole, seal
from training.engine.job import BadJob
from training.engine.model import save_model

OPTIMIZER = "optimizer.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint folder."""

    path: Path
    step: int


def name_of(step: int) -> str:
    """The folder of a step."""
    return f"step-{step:06d}"


def in_order(folder: Path) -> list[Path]:
    """The folders of steps, the oldest first: by number, for a million steps have longer names."""
    named = [path for path in folder.glob("step-*") if path.name[5:].isdigit()]
    return sorted(named, key=lambda path: int(path.name[5:]))


def save(
    folder: Path,
    step: int,
    model: Any,
    tokenizer: Any,
    optimizer: dict[str, dict[str, torch.Tensor]],
    weights: dict[str, torch.Tensor] | None = None,
) -> Checkpoint:
    """Write `folder/step-…` aside and rename it. The folder loads with `from_pretrained`.

    `optimizer` is its state by parameter; `weights` those of the model, where it does not hold them
    whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final, aside = folder / name_of(step), folder / f".{name_of(step)}.tmp"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    save_model(model, tokenizer, aside, weights)
    save_file(flattened(optimizer), aside / OPTIMIZER)
    seal(aside, final, {"step": step})
    return Checkpoint(final, step)


def flattened(state: dict[str, dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """AdamW's state as named tensors: `{parameter}.{name}`."""
    return {
        f"{parameter}.{name}": tensor.contiguous()
        for parameter, tensors in state.items()
        for name, tensor in tensors.items()
    }


def optimizer_state(path: Path) -> dict[str, dict[str, torch.Tensor]]:
    """What `flattened` was given, from a checkpoint's folder."""
    state: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in load_file(path / OPTIMIZER).items():
        parameter, name = key.rsplit(".", 1)
        state.setdefault(parameter, {})[name] = tensor
    return state


def last_whole(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint. Older ones are not hashed if the newest is whole."""
    for path in reversed(in_order(folder)):
        if manifest := manifest_if_whole(path):
            return Checkpoint(path, manifest["step"])
    return None


def newest(folder: Path) -> Checkpoint | None:
    """The checkpoint to go on from, if there is one. Raises `BadJob` if it is damaged: a crash
    leaves none such, so a person should know, and decide whether an older one will do."""
    named = in_order(folder)
    if named and (fault := damage(named[-1])):
        place = f"{folder.name}/{named[-1].name}"
        raise BadJob(
            f"The checkpoint {place} is damaged: {fault}; remove that folder to go on from what "
            "was before it."
        )
    return last_whole(folder)


def forget_old(folder: Path, keep: int) -> None:
    """Remove all but the `keep` newest, and whatever a crash left half written."""
    for path in [*in_order(folder)[:-keep], *folder.glob(".step-*.tmp")]:
        shutil.rmtree(path)
