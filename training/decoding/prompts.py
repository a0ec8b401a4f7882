"""The one place where question, thought and answer become prompt and completion text, and back.

A tokenizer with a chat template gets the question and `INSTRUCTION` as a user's turn; one without
(a base model, a model trained from nothing) gets `"{question}\\n"`. A completion is always
`"{thought}\\n#### {answer}"` and the end-of-sequence token.

A model that was trained on two tasks (Distilling step-by-step) is asked for one of them: the
question then stands behind the task's prefix, and a chat model gets the task's own instruction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

INSTRUCTION = (
    "Reason step by step, one step a line, and end with a line '#### ' followed by the answer."
)
ANSWER_INSTRUCTION = (
    "The thought below leads to the answer. "
    "Reply with one line only: '#### ' followed by the answer."
)
ANSWER_MARK = "####"

Task = Literal["label", "rationale"]
TASK_PREFIX: dict[Task, str] = {"label": "predict: ", "rationale": "explain: "}
TASK_INSTRUCTION: dict[Task, str] = {
    "label": "Reply with one line only: '#### ' followed by the answer.",
    "rationale": "Reason step by step, one step a line, and do not state the answer.",
}

_MARK = re.compile(r"(?:^|\n)[ \t]*#{4}(?!#)[ \t]*", re.MULTILINE)
_WORDED = re.compile(r"(?:^|\n)[ \t*]*(?:Final Answer|Answer|A)\s{0,3}:[ \t*]*", re.IGNORECASE)
_OPENED, _CLOSED = "<think>", "</think>"


def user_text(question: str, thought: str | None = None) -> str:
    """What a chat model is asked; with a thought, it is asked for the answer alone."""
    if thought is None:
        return f"{question}\n\n{INSTRUCTION}"
    return f"{question}\n\n{ANSWER_INSTRUCTION}\n\nThought:\n{thought}"


def task_text(question: str, task: Task) -> str:
    """What a chat model is asked that was trained on two tasks."""
    return f"{TASK_PREFIX[task]}{question}\n\n{TASK_INSTRUCTION[task]}"


def messages(
    question: str, thought: str | None = None, system_prompt: str = ""
) -> list[dict[str, str]]:
    """The conversation sent to an endpoint."""
    system = [{"role": "system", "content": system_prompt}] if system_prompt else []
    return [*system, {"role": "user", "content": user_text(question, thought)}]


def completion_text(thought: str, answer: str) -> str:
    """Thought and answer as the student is to write them."""
    return f"{thought}\n{ANSWER_MARK} {answer}" if thought else f"{ANSWER_MARK} {answer}"


def split_completion(text: str) -> tuple[str, str]:
    """Thought and answer of a completion; the answer is `""` where none is marked.

    The last mark counts, and only its first line is the answer. What stands within `<think>` is
    thought, whatever marks it holds; one that was never closed was cut off before its answer.
    """
    inside, said = split_thinking(text)
    marks = list(_MARK.finditer(said)) or list(_WORDED.finditer(said))
    before = said[: marks[-1].start()] if marks else said
    thought = f"{inside}\n{before.strip()}".strip()
    if not marks:
        return thought, ""
    tail = said[marks[-1].end() :].strip()
    return thought, tail.split("\n", 1)[0].strip().strip("*").strip()


def split_thinking(text: str) -> tuple[str, str]:
    """What a reasoning model thought, and what it said then. The tag that opens the thought may
    stand in the prompt."""
    inside, closed, said = text.rpartition(_CLOSED)
    if not closed:
        opened = text.lstrip().startswith(_OPENED)
        inside, said = (text, "") if opened else ("", text)
    for tag in (_OPENED, _CLOSED):
        inside = inside.replace(tag, "")
    return inside.strip(), said.strip()


@dataclass(frozen=True)
class Renderer:
    """Text to token ids with one tokenizer (any object with the transformers interface)."""

    tokenizer: Any
    system_prompt: str = ""
    task: Task | None = None  # None: a whole rationale, thought and answer

    def for_task(self, task: Task | None) -> Renderer:
        """The same tokenizer and system prompt, asking for one task."""
        return Renderer(self.tokenizer, self.system_prompt, task)

    def prompt_text(self, question: str) -> str:
        """The exact prompt string."""
        if not self.tokenizer.chat_template:
            return f"{TASK_PREFIX[self.task] if self.task else ''}{question}\n"
        turns = messages(question, system_prompt=self.system_prompt)
        if self.task:
            turns[-1]["content"] = task_text(question, self.task)
        return self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)

    def prompt(self, question: str) -> list[int]:
        """Token ids of the prompt. A template writes its own special tokens, so none are added."""
        plain = not self.tokenizer.chat_template
        return self._ids(self.prompt_text(question), special=plain)

    def thought(self, thought: str) -> list[int]:
        """Token ids of a thought that an answer is conditioned on."""
        return self._ids(f"{thought}\n")

    def answer(self, answer: str) -> list[int]:
        """Token ids of the answer line, with the end of sequence."""
        return [*self._ids(completion_text("", answer)), self.end]

    def rationale(self, thought: str) -> list[int]:
        """Token ids of a thought that is a whole completion, with the end of sequence."""
        return [*self._ids(thought), self.end]

    def completion(self, thought: str, answer: str) -> list[int]:
        """Token ids of a whole completion, with the end of sequence."""
        return [*self._ids(completion_text(thought, answer)), self.end]

    def answer_from(self, thought: str, answer: str) -> int:
        """How many tokens of `completion` stand before the answer: thought and mark.

        A token that holds the last of the mark and the first of the answer counts as answer.
        """
        before = self._ids(completion_text(thought, ""))
        whole = self.completion(thought, answer)
        same = [n for n, (a, b) in enumerate(zip(before, whole, strict=False)) if a != b]
        return same[0] if same else len(before)

    def text(self, ids: list[int]) -> str:
        """Token ids back to text, without special tokens."""
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    @property
    def end(self) -> int:
        """The end-of-sequence id; a tokenizer without one cannot be trained to stop."""
        if self.tokenizer.eos_token_id is None:
            raise ValueError("The tokenizer has no end-of-sequence token.")
        return self.tokenizer.eos_token_id

    def _ids(self, text: str, special: bool = False) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=special)["input_ids"])
