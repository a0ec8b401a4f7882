"""A character tokenizer: one character is one token, and decoding exactly inverts encoding.

It is an ordinary fast tokenizer of the transformers library, built here from the printable ASCII
characters and the line feed. There is no chat template, and nothing is added to a text by itself. A
character that it does not know becomes `<unk>`.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIAL = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}
CHARACTERS = "\n " + string.digits + string.ascii_letters + string.punctuation
LONGEST = 384


def build() -> PreTrainedTokenizerFast:
    """The tokenizer of both checkpoints: 4 special tokens and 96 characters."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: place for place, token in enumerate([*SPECIAL.values(), *CHARACTERS])}
    characters = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=SPECIAL["unk_token"]))
    characters.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=characters,
        model_max_length=LONGEST,
        clean_up_tokenization_spaces=False,
        split_special_tokens=True,  # "<eos>" in a question is five characters, not an end
        **SPECIAL,
    )
