"""A tokenizer for tests that load no model: a word is a token."""

from __future__ import annotations

from training.decoding.prompts import Renderer


class WordTokenizer:
    chat_template = None
    eos_token_id = 0

    def __init__(self) -> None:
        self.words = ["<eos>"]

    def __call__(self, text: str, add_special_tokens: bool = False) -> dict[str, list[int]]:
        pieces = text.replace("\n", " \n ").split(" ")
        return {"input_ids": [self.id(piece) for piece in pieces if piece]}

    def id(self, word: str) -> int:
        if word not in self.words:
            self.words.append(word)
        return self.words.index(word)

    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str:
        return " ".join(self.words[i] for i in ids if i).replace(" \n ", "\n")


VOCABULARY = WordTokenizer()


class Words(Renderer):
    """One renderer for all, so that equal words have equal ids."""

    def __init__(self) -> None:
        super().__init__(VOCABULARY)
