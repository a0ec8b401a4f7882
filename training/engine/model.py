"""Loading and saving a causal language model: safetensors only, no code from the model's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from training.engine.adapters import has_adapters, merged_weights, save_adapters
from training.engine.files import damage, fetch
from training.engine.job import BadJob
from training.engine.seeds import seed_for

disable_progress_bar()  # standard error is for the one sentence that says why

_PICKLED = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
_WEIGHTS = ("*.safetensors", *_PICKLED, "*.gguf", "*.h5")
_VOCABULARY = ("tokenizer.json", "*.model", "vocab.*", "*.tiktoken", "tekken.json")


def load_model(url: str, folder: Path, seed: int) -> tuple[Any, Any]:
    """The model in fp32, dropout off, and its tokenizer.

    A folder with a configuration and a tokenizer but no weights gives a new model, initialised
    from the seed. A name that is no folder is looked up as transformers does. Raises `BadJob`.
    """
    tokenizer = load_tokenizer(url, folder)
    path = locate(url, folder)
    check_weights(url, Path(path))
    try:
        model = _new_model(path, seed) if is_untrained(path) else _trained_model(path)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise BadJob(f"The model {url} cannot be loaded: {first_line(error)}") from error
    check_head(model)
    return model.eval(), tokenizer


def load_tokenizer(url: str, folder: Path) -> Any:
    """The model's tokenizer alone. Raises `BadJob`.

    A folder without a vocabulary is refused here: for GPT-2 and Qwen2 transformers would make an
    empty tokenizer, which reads nothing in any text, and say nothing.
    """
    path = Path(locate(url, folder))
    if path.is_absolute() and not path.is_dir():
        raise BadJob(f"There is no model folder {url}.")
    if path.is_dir() and not any(any(path.glob(name)) for name in _VOCABULARY):
        raise BadJob(f"The model folder {url} has no tokenizer; save the model's own beside it.")
    try:
        return AutoTokenizer.from_pretrained(str(path) if path.is_dir() else url)
    except (OSError, ValueError, KeyError) as error:
        raise BadJob(f"The tokenizer of {url} cannot be loaded: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """What an error of a library says, as far as it is one line."""
    return str(error).strip().split("\n")[0].strip()


def check_weights(url: str, path: Path) -> None:
    """Refuse weights that could run code, and a checkpoint whose files are not those it was sealed
    with. Raises `BadJob`."""
    if any(any(path.glob(name)) for name in _PICKLED) and not any(path.glob("*.safetensors")):
        raise BadJob(
            f"The model folder {url} has pickled weights, which can run code; save them as "
            "safetensors."
        )
    if fault := damage(path):
        raise BadJob(f"The checkpoint {url} is damaged: {fault}; take another one.")


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
    """Refuse models whose logits are more than the head's output: ours would be wrong silently.
    Cohere scales them, Granite divides them, Gemma 2 caps them; most have no such setting."""
    for name in ("logit_scale", "logits_scaling", "final_logit_softcapping"):
        if getattr(model.config, name, None) not in (None, 1, 1.0):
            raise BadJob(f"Models that set {name} are not supported.")


def on_device(model: Any) -> Any:
    """The model on the GPU, if this process has one."""
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def positions_of(model: Any) -> int:
    """How many tokens, prompt and completion together, the model has positions for; BLOOM and
    models of state spaces set no limit."""
    return int(getattr(model.config, "max_position_embeddings", None) or 2**31)


def check_room(question: str, ids: Sequence[int], positions: int) -> None:
    """Refuse a prompt behind which no completion has a position. Raises `BadJob`."""
    if len(ids) >= positions:
        raise BadJob(
            f"The prompt of question {question} has {len(ids)} tokens, and the model has positions "
            f"for {positions} with the completion; leave the question out."
        )


def end_ids(model: Any, tokenizer: Any) -> list[int]:
    """Every token id that ends a completion: the tokenizer's and the generation settings'."""
    named = model.generation_config.eos_token_id if model.generation_config else None
    listed = named if isinstance(named, list) else [named]
    return sorted({i for i in [*listed, tokenizer.eos_token_id] if i is not None})


def vocabulary_of(model: Any) -> int:
    """How many token ids the model knows."""
    return model.get_input_embeddings().weight.shape[0]


def save_model(
    model: Any, tokenizer: Any, folder: Path, weights: dict[str, torch.Tensor] | None = None
) -> None:
    """Write a folder that `from_pretrained` loads; one of adapters holds them once more, alone."""
    plain = model
    if has_adapters(model):
        plain, weights = model.get_base_model(), merged_weights(model)
        save_adapters(model, folder)
    plain.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)
