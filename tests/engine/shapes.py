"""Tiny models with random weights, one of each decoder family."""

from __future__ import annotations

from typing import Any

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

VOCABULARY = 37
END = 2
FAMILIES = ("llama", "qwen2", "qwen3", "gpt2")


def make_model(family: str, seed: int = 0) -> Any:
    """Two layers, 32 wide; weights large enough that no two tokens look alike."""
    torch.manual_seed(seed)
    wide = {
        "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": END, "pad_token_id": 0,
    }  # fmt: skip
    if family == "llama":
        model: Any = LlamaForCausalLM(LlamaConfig(**wide))
    elif family == "qwen2":
        model = Qwen2ForCausalLM(Qwen2Config(**wide, tie_word_embeddings=True))
    elif family == "qwen3":
        model = Qwen3ForCausalLM(Qwen3Config(**wide, head_dim=8))
    else:
        narrow = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
        calm = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        ends = {"bos_token_id": 1, "eos_token_id": END}
        model = GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, **narrow, **calm, **ends))
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4)
    return model.float().eval()
