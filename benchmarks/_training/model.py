"""A small Qwen2 and a tokenizer for it, both made on the spot: nothing is fetched.

1.5 million parameters, four layers 160 wide, a vocabulary of 2048, fp32. The tokenizer knows the
printable characters, one a token; the rest of the vocabulary is filler that no text contains.
"""

from __future__ import annotations

import string
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

VOCABULARY = 2048
SPECIAL = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}
PAD, END = 0, 2
CHARACTERS = "\n " + string.digits + string.ascii_letters + string.punctuation


def make_model(seed: int = 0) -> Any:
    """Random weights from the seed, dropout off, as a policy to be trained."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=160,
        intermediate_size=472,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        bos_token_id=1,
        eos_token_id=END,
    )
    return Qwen2ForCausalLM(config).float().eval()


def copy_of(model: Any) -> Any:
    """The same weights in a model of its own, so that no arm trains another's."""
    twin = type(model)(model.config).float().eval()
    twin.load_state_dict(model.state_dict())
    twin.generation_config = model.generation_config
    return twin


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One character is one token; ids up to the vocabulary's size decode to something."""
    from tokenizers import Tokenizer, decoders, models

    tokens = [*SPECIAL.values(), *CHARACTERS]
    tokens += [f"<{place}>" for place in range(len(tokens), VOCABULARY)]
    vocabulary = {token: place for place, token in enumerate(tokens)}
    characters = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=SPECIAL["unk_token"]))
    characters.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=characters,
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
        **SPECIAL,
    )
