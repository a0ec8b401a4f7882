"""What a run is to learn from has tokens: no empty prompt, no completion that is its end alone.

A tokenizer that knows no character of a text may drop it without a word, and a loss over nothing
is a quiet 0. Such a row is refused before anything is trained, rather than counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from training.engine.job import BadJob
from training.engine.rounds import Rounds

MEND = "use the tokenizer that the model was trained with, or leave the question out."


def check_end(tokenizer: Any) -> None:
    """Refuse a tokenizer without an end of sequence: no completion could be taught to end."""
    if tokenizer.eos_token_id is None:
        raise BadJob("The tokenizer has no end-of-sequence token (eos_token); give it one.")


def check_tokens(rounds: Rounds, tokenizer: Any, vocabulary: int, positions: int) -> None:
    """Refuse what cannot be learned from. `vocabulary`: how many ids the model knows; `positions`:
    how many tokens it can read at once.

    Raises `BadJob`, naming the first question at fault.
    """
    for prompt in rounds.prompts:
        check_prompt(prompt.question, prompt.ids, vocabulary)
        check_positions(prompt.question, prompt.ids, [[0], *prompt.anchors], positions)
    for group in rounds.stored:
        check_prompt(group.question, group.prompt, vocabulary)
        check_positions(group.question, group.prompt, group.completions, positions)
        for n, ids in enumerate(group.completions):
            if group.present[n] and not set(ids) - {tokenizer.eos_token_id}:
                raise BadJob(
                    f"Question {group.question} has a completion without a token to learn from: "
                    f"the tokenizer reads nothing in it; {MEND}"
                )
            check_known(group.question, ids, vocabulary)


def check_prompt(question: str, ids: Sequence[int], vocabulary: int) -> None:
    """A prompt has a token, since the first one of a completion is predicted from its last."""
    if not ids:
        raise BadJob(f"The tokenizer reads nothing in the prompt of question {question}; {MEND}")
    check_known(question, ids, vocabulary)


def check_positions(
    question: str, prompt: Sequence[int], completions: Sequence[Sequence[int]], positions: int
) -> None:
    """Prompt and completion fit into the model together: GPT-2 would fail beyond, others read what
    they were never trained to."""
    longest = len(prompt) + max(map(len, completions))
    if longest > positions:
        raise BadJob(
            f"Question {question} has {longest} tokens with its longest completion, and the model "
            f"has positions for {positions}; lower max_prompt_tokens or max_completion_tokens, "
            "which leave out and count what is longer."
        )


def check_known(question: str, ids: Sequence[int], vocabulary: int) -> None:
    """Every id is one of the model's."""
    if (highest := max(ids)) >= vocabulary:
        raise BadJob(
            f"Question {question} has token {highest}, and the model knows {vocabulary} tokens: "
            f"this tokenizer is not the model's; {MEND}"
        )
