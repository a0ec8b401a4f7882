"""A rehearsal as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import isfinite
from typing import Any

Facts = dict[str, Any]

LINES = 30  # tokens that are printed one by one; all stand in rehearsal.json


def table(found: Facts) -> str:
    """Everything that a person should look at before the run, as text."""
    return "\n".join(
        [
            f"{found['method']}, nothing was trained",
            *counted(found),
            *(line for row in found["rows"] for line in told(row)),
            *token_by_token(found["rows"]),
            *cost(found),
        ]
    )


def counted(found: Facts) -> Iterator[str]:
    """What there is, what is left out, and what the plan is."""
    plan = found["plan"]
    yield ""
    yield (
        f"{plan['groups']} groups in {plan['rounds']} rounds, {plan['epochs']} epochs each, "
        f"{plan['groups_per_step']} groups a step: {plan['steps']} steps"
    )
    if plan["completions_to_draw"]:
        yield f"{plan['completions_to_draw']} completions to draw"
    yield ""
    yield f"{'tokens':<14}{'count':>8}{'min':>8}{'median':>8}{'p95':>8}{'max':>8}"
    for name in ("prompts", "completions"):
        if numbers := found["lengths"][name]:
            columns = (numbers[key] for key in ("count", "min", "median", "p95", "max"))
            yield f"{name:<14}" + "".join(f"{number:>8g}" for number in columns)
    if altered := found["lengths"]["altered_texts"]:
        yield f"{altered} texts do not come back from their tokens: the tokenizer is not theirs"
    for why, count in found["skipped"].items():
        yield f"left out: {why}: {count}"


def told(row: Facts) -> Iterator[str]:
    """One group: its prompt as it is read, and its completions in runs of equal weight."""
    prompt, completions = row["prompt"], row["completions"]
    yield ""
    yield f"--- question {row['question']}, prompt of {len(prompt['tokens'])} tokens ---"
    yield prompt["text"]
    if any(token["in_loss"] for token in prompt["tokens"]):
        yield "--- its tokens in the loss ---"
        yield from runs(prompt["tokens"])
    for number, one in enumerate(completions, start=1):
        reward = f", reward {one['reward']:g}" if isfinite(one["reward"]) else ""
        count = len(one["tokens"])
        yield f"--- completion {number} of {row['of_completions']}, {count} tokens{reward} ---"
        yield from runs(one["tokens"])


def runs(tokens: Sequence[Facts]) -> Iterator[str]:
    """A line for each run of tokens with one weight, by thousand: what is in the loss, and what is
    only read."""
    yield f"{'in loss':<9}{'weight/1000':>12}{'tokens':>8}  text"
    for weight, run in groupby(tokens, key=lambda token: round(1000 * token["weight"], 6)):
        found = list(run)
        mark, text = "yes" if found[0]["in_loss"] else "no", "".join(one["text"] for one in found)
        yield f"{mark:<9}{weight:>12.4g}{len(found):>8}  {text!r}"


def token_by_token(rows: Sequence[Facts]) -> Iterator[str]:
    """The first completion again, a line for each token."""
    if not rows or not rows[0]["completions"]:
        return
    tokens = rows[0]["completions"][0]["tokens"]
    yield ""
    yield f"--- completion 1 of question {rows[0]['question']}, token by token ---"
    yield f"{'in loss':<9}{'weight/1000':>12}{'id':>8}  token"
    for token in tokens[:LINES]:
        mark = "yes" if token["in_loss"] else "no"
        yield f"{mark:<9}{token['weight'] * 1000:>12.4g}{token['id']:>8}  {token['text']!r}"
    if len(tokens) > LINES:
        yield f"… {len(tokens) - LINES} more in rehearsal.json"


def cost(found: Facts) -> Iterator[str]:
    """Memory by part, and time."""
    memory = dict(found["memory"])
    rehearsal, total = memory.pop("rehearsal"), memory.pop("total")
    yield ""
    yield "memory, estimated for the largest forward"
    for name, size in memory.items():
        yield f"  {name:<14}{megabytes(size):>12}"
    yield f"  {'together':<14}{megabytes(total):>12}"
    if rehearsal and rehearsal["measured"] is not None:
        measured, thought = megabytes(rehearsal["measured"]), megabytes(rehearsal["estimated"])
        yield f"  the forwards of this rehearsal took {measured}; estimated for them: {thought}"
    if time := found["time"]:
        yield ""
        yield f"training {duration(time['training_seconds'])}, at {speed(time, 'trained')}"
        if time["tokens_to_draw"]:
            yield f"drawing {duration(time['drawing_seconds'])}, at {speed(time, 'drawn')}"
        yield f"together {duration(time['total_seconds'])}, without loading, checkpoints and probes"


def speed(time: Facts, what: str) -> str:
    return f"{time[f'{what}_tokens_per_second']:.0f} tokens a second"


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, as far as they are needed."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
