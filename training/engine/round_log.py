"""What a round was, so that any of its groups can be looked at later: texts, rewards, weights.

    groups.jsonl   a line for each group: question, prompt, the steps that train on it, and each
                   completion with its text, length, rewards and what the method made of them;
                   behind the groups of a round, a line of contents: where each group stands
    rounds.jsonl   a short line for each round: number, source, steps, and where its contents stand

A reader finds a group by three reads of a few bytes, however long the file is. A round is written
once: what a crash left without its line in `rounds.jsonl` is cut off and written again, the same,
for everything in it derives from the samples on disk.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import fsum
from pathlib import Path
from typing import Any

from training.decoding.prompts import Renderer
from training.engine.files import append_rows, finite, keep_rows
from training.engine.plan import Step
from training.methods.base import Group

Row = dict[str, Any]
MOST_STORED = 500  # groups of a round from the dataset: the rest stand in the version as well


@dataclass
class Told:
    """A group before it is weighed: a method may drop what its loss does not read."""

    group: Group
    completions: list[Row] = field(init=False)

    def __post_init__(self) -> None:
        group = self.group
        self.ids = list(group.completions)
        self.completions = [
            {
                "index": n,
                "tokens": len(ids),
                "present": group.present[n],
                "anchor": group.anchor[n],
                "truncated": group.truncated[n],
                "reward": group.rewards[n],
                "rewards": group.scored[n].values if n < len(group.scored) else {},
            }
            for n, ids in enumerate(self.ids)
        ]

    def row(self, number: int, place: int, text: Renderer, steps: Sequence[int]) -> Row:
        """Its line in `groups.jsonl`, with the weights that it has by now."""
        group = self.group
        place_of = {id(ids): n for n, ids in enumerate(group.completions)}
        better = {pair.better for pair in group.pairs}
        worse = {pair.worse for pair in group.pairs}
        for ids, row in zip(self.ids, self.completions, strict=True):
            n = place_of.get(id(ids))
            row["text"] = text.text(ids)
            row["weight"] = None if n is None else group.weights[n]
            row["side"] = sides(n, better, worse)
        about = {"round": number, "group": place, "question": group.question}
        prompt = text.text(group.prompt)
        return {**about, "steps": list(steps), "prompt": prompt, "completions": self.completions}


def sides(place: int | None, better: set[int], worse: set[int]) -> str:
    """Of a preference method: whether the completion is the better or the worse of a pair."""
    found = [word for word, side in (("better", better), ("worse", worse)) if place in side]
    return " and ".join(found)


class RoundLog:
    """The two files of one run."""

    def __init__(self, folder: Path, steps: Iterable[Step]) -> None:
        self.steps: dict[int, list[Step]] = defaultdict(list)
        for step in steps:
            self.steps[step.round].append(step)
        self.groups, self.rounds = folder / "groups.jsonl", folder / "rounds.jsonl"
        rows = self._cut_back()
        self.known = {row["round"] for row in rows}

    def _cut_back(self) -> list[Row]:
        """The rounds that are whole. Those whose groups are not all there leave `rounds.jsonl`,
        and groups without their round leave the other file."""
        size = self.groups.stat().st_size if self.groups.exists() else 0
        rows = keep_rows(self.rounds, lambda row: end_of(row) <= size)
        end = max(map(end_of, rows), default=0)
        if size > end:
            os.truncate(self.groups, end)
        return rows

    def tell(self, number: int, source: str, told: Sequence[Told], text: Renderer) -> None:
        """Write the round down, unless it is."""
        if number in self.known:
            return
        mine = self.steps[number]
        trained = steps_by_place(mine)
        shown = told if source == "policy" else told[:MOST_STORED]
        rows = [one.row(number, n, text, trained.get(n, [])) for n, one in enumerate(shown)]
        at, size = self._append(rows)
        facts = {"round": number, "source": source, "groups": len(told)}
        facts |= {"first_step": mine[0].number, "last_step": mine[-1].number}
        append_rows(self.rounds, [{**facts, "at": at, "bytes": size}])
        self.known.add(number)

    def _append(self, rows: Sequence[Row]) -> tuple[int, int]:
        """Write the groups and their contents in one go; where the contents begin, and how long
        they are."""
        start = at = self.groups.stat().st_size if self.groups.exists() else 0
        contents, lines = [], []
        for row in rows:
            line = encoded(row)
            contents.append({**in_short(row), "at": at, "bytes": len(line)})
            lines.append(line)
            at += len(line)
        last = encoded({"contents": contents})
        with self.groups.open("ab") as file:
            file.write(b"".join([*lines, last]))
            file.flush()
            os.fsync(file.fileno())
        assert self.groups.stat().st_size == start + sum(map(len, lines)) + len(last)
        return at, len(last)


def end_of(row: Row) -> int:
    """Where the groups of a round end in `groups.jsonl`."""
    return int(row["at"] + row["bytes"])


def encoded(row: Row) -> bytes:
    return (json.dumps(finite(row), ensure_ascii=False, allow_nan=False) + "\n").encode()


def steps_by_place(steps: Iterable[Step]) -> dict[int, list[int]]:
    """Place of a group in its round → the steps that train on it."""
    found: dict[int, list[int]] = defaultdict(list)
    for step in steps:
        for place in step.places:
            found[place].append(step.number)
    return found


def in_short(row: Row) -> Row:
    """A group in the line of contents: what a list of groups shows."""
    compared = [one for one in row["completions"] if one["present"] and not one["anchor"]]
    rewards = [one["reward"] for one in compared if one["reward"] == one["reward"]]
    return {
        "question": row["question"],
        "first_step": row["steps"][0] if row["steps"] else None,
        "completions": len(row["completions"]),
        "reward_mean": fsum(rewards) / len(rewards) if rewards else None,
        "reward_spread": max(rewards) - min(rewards) if rewards else None,
        "truncated": sum(one["truncated"] for one in row["completions"]),
    }
