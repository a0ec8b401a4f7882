"""Loading and saving a causal language model: safetensors only, no code from the model's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from training.engine.files import fetch
from training.engine.job import BadJob
from training.engine.seeds import seed_for

disable_progress_bar()  # standard error is for the one sentence that says why

_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.gguf", "*.h5")


def load_model(url: str, folder: Path, seed: int) -> tuple[Any, Any]:
    """The model in fp32, dropout off, and its tokenizer.

    A folder with a configuration and a tokenizer but no weights gives a new model, initialised
    from the seed. A name that is no folder is looked up as transformers does. Raises `BadJob`.
    """
    path = locate(url, folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
        model = _new_model(path, seed) if is_untrained(path) else _trained_model(path)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().split("\n")[0]
        raise BadJob(f"The model {url} cannot be loaded: {reason}") from error
    check_head(model)
    return model.eval(), tokenizer


def locate(url: str, folder: Path) -> str:
    """Where the model is: beside `run.json`, at an absolute path, a fetched copy, or a hub name."""
    path = fetch(url, folder)
    return str(path) if path.exists() else url


def is_untrained(path: str) -> bool:
    """Whether the folder holds a configuration and no weights of any kind."""
    folder = Path(path)
    found = any(any(folder.glob(pattern)) for pattern in _WEIGHTS)
    return (folder / "config.json").exists() and not found


def _new_model(path: str, seed: int) -> Any:
    torch.manual_seed(seed_for(seed, "model"))
    return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(path), dtype=torch.float32)


def _trained_model(path: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(path, use_safetensors=True, dtype=torch.float32)


def check_head(model: Any) -> None:
    """Refuse models whose logits are more than the head's output: ours would be wrong silently."""
    for name in ("logit_scale", "logits_scaling", "final_logit_softcapping"):
        if getattr(model.config, name, None) not in (None, 1, 1.0):
            raise BadJob(f"Models that set {name} are not supported.")


def end_ids(model: Any, tokenizer: Any) -> list[int]:
    """Every token id that ends a completion: the tokenizer's and the generation settings'."""
    named = model.generation_config.eos_token_id if model.generation_config else None
    listed = named if isinstance(named, list) else [named]
    return sorted({i for i in [*listed, tokenizer.eos_token_id] if i is not None})


def save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write a folder that `from_pretrained` loads."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
