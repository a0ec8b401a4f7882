"""From a line of dataset.jsonl to groups: completions that answer the same prompt.

Answers drawn after somebody's thought have another prompt than the question's own rationales, so
they never stand in one pair or one ranking with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from training.decoding.prompts import ANSWER_MARK, completion_text, user_text
from training.decoding.record import Completion, JudgeRanking, Question

Row = dict[str, Any]
Skip = Callable[[str, str], None]

# The columns that several formats share.
MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
MESSAGES = pa.list_(MESSAGE)


class Said(Completion):
    """A completion with its author's pseudonym."""

    author: str = ""


class Line(Question):
    """A line of dataset.jsonl as `training.versions.freezing` writes it."""

    question_id: str | None = None
    thought: str | None = None
    completions: list[Said] = Field(default_factory=list)  # type: ignore[assignment]


class Options(BaseModel):
    """What every format lets one choose about the text."""

    model_config = ConfigDict(extra="forbid")

    instruction: bool = Field(
        True,
        title="Add the instruction",
        description="Ask for steps and a marked answer, in the words our own engine trains and "
        "evaluates with. Otherwise the prompt is the bare question.",
    )
    system_prompt: str = Field(
        "", title="System prompt", description="A turn before the question; none if empty."
    )
    think: Literal["lines", "tags"] = Field(
        "lines",
        title="Thought and answer",
        description="lines: the thought, then a line '#### answer'. "
        "tags: the thought between <think> and </think>, then that line.",
    )


@dataclass(frozen=True)
class Group:
    """One prompt, the completions that answer it, and how judges ranked them."""

    id: str
    question: Line
    thought: str | None
    completions: list[Said]
    rankings: list[JudgeRanking]


def groups_of(line: Line) -> Iterator[Group]:
    """The question's own group, and one for each thought that answers were drawn after."""
    own = [one for one in line.completions if one.conditioned_on is None]
    if own or not line.completions:
        yield Group(line.id, line, None, own, _among(line, own))
    given = sorted(
        (one for one in line.completions if one.conditioned_on is not None),
        key=lambda one: int(one.conditioned_on or 0),
    )
    written = {one.id: one.thought for one in own}
    for source, found in groupby(given, key=lambda one: one.conditioned_on or ""):
        members = list(found)
        thought = line.thought or written[source]
        name = line.id if line.thought else f"{line.id}-{source}"
        yield Group(name, line, thought, members, _among(line, members))


def _among(line: Line, members: list[Said]) -> list[JudgeRanking]:
    """The rankings as far as they place `members`."""
    ids = {one.id for one in members}
    for_these = [
        ranking.model_copy(
            update={"ranks": {key: rank for key, rank in ranking.ranks.items() if key in ids}}
        )
        for ranking in line.rankings
    ]
    return [ranking for ranking in for_these if ranking.ranks]


def prompt(group: Group, config: Options) -> list[Row]:
    """What the model is asked, as a conversation."""
    system = [turn("system", config.system_prompt)] if config.system_prompt else []
    return [*system, turn("user", asked(group, config))]


def asked(group: Group, config: Options) -> str:
    """The user's turn."""
    text = group.question.question
    if config.instruction:
        return user_text(text, group.thought)
    return text if group.thought is None else f"{text}\n\n{group.thought}"


def reply(group: Group, said: Completion, config: Options) -> str:
    """The assistant's turn: thought and answer, or after a given thought the answer alone."""
    if group.thought is not None:
        return completion_text("", said.answer)
    if config.think == "tags" and said.thought:
        return f"<think>\n{said.thought}\n</think>\n\n{ANSWER_MARK} {said.answer}"
    return completion_text(said.thought, said.answer)


def turn(role: str, content: str) -> Row:
    """One message of a conversation."""
    return {"role": role, "content": content}


def answered(group: Group, skip: Skip) -> list[Said]:
    """The completions that end with an answer; the others would teach not to give one."""
    for one in group.completions:
        if not one.answer.strip():
            skip(one.id, "It has no answer")
    return [one for one in group.completions if one.answer.strip()]
