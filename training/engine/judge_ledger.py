"""What a judge is asked about each question, and what comes of its replies.

Everything that is asked is known before the first request, so a resume asks what is missing. When
all replies about a question are there, its line goes to `verdicts.jsonl`, once.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from training.decoding.judge_plan import JudgePlan
from training.decoding.judge_prompts import Text, prompt, scorer_version
from training.decoding.record import Completion, Question
from training.decoding.verdicts import Compared, Fault, consistency, ranking, read
from training.engine.drawing import Asked, Key, Row, Wanted, key_of, wanted
from training.engine.files import append_rows, keep_rows
from training.engine.seeds import seed_for

ALONE = "a question with one rationale, beside which there is nothing to compare"
TWICE = "says the same word for word as another rationale of its question"
TOO_MANY = "beyond the most rationales that are compared"


def text_of(completion: Completion) -> Text:
    return Text(completion.thought, completion.answer)


def draws_of(plan: JudgePlan, questions: Sequence[Question], seed: int) -> Draws:
    """Everything to ask, by question."""
    found = Draws(Counter(), {}, {})
    for question in questions:
        found.offered[question.id] = [one.id for one in question.completions]
        chosen = question.completions
        if plan.mode != "rating":
            chosen = comparable(plan, question, seed, found.skipped)
        asked = [asked_about(plan, question, shown) for shown in views(plan, chosen, seed)]
        if asked:
            settings = [(plan.sampling(), plan.samples)]
            found.by_question[question.id] = wanted(asked, settings, seed)
    return found


@dataclass
class Draws:
    """What is left out and why, what there is of each question, and what is asked of it."""

    skipped: Counter[str]
    offered: dict[str, list[str]]
    by_question: dict[str, list[Wanted]]

    def all(self) -> list[Wanted]:
        return [draw for draws in self.by_question.values() for draw in draws]


def comparable(
    plan: JudgePlan, question: Question, seed: int, skipped: Counter[str]
) -> list[Completion]:
    """The rationales to compare: each wording once, and a fixed random choice of the most."""
    distinct = list({text_of(one): one for one in reversed(question.completions)}.values())[::-1]
    skipped[TWICE] += len(question.completions) - len(distinct)
    drawn = sorted(distinct, key=lambda one: digest(seed, one))[: plan.most_rationales]
    skipped[TOO_MANY] += len(distinct) - len(drawn)
    if len(drawn) < 2:
        skipped[ALONE] += 1
        return []
    return drawn


def digest(seed: int, one: Completion) -> bytes:
    """Orders rationales at random, whatever a database calls them."""
    return hashlib.sha256(f"{seed}\0{text_of(one)}".encode()).digest()


def views(plan: JudgePlan, chosen: Sequence[Completion], seed: int) -> list[tuple[Completion, ...]]:
    """What is shown together, each in its order."""
    if plan.mode == "rating":
        return [(one,) for one in chosen]
    if plan.mode == "pairwise":
        return [view for two in combinations(chosen, 2) for view in (two, two[::-1])]
    shuffled = list(chosen)
    random.Random(seed_for(seed, *sorted(str(text_of(one)) for one in chosen))).shuffle(shuffled)
    return [tuple(shuffled)] if shuffled else []


def asked_about(plan: JudgePlan, question: Question, shown: Sequence[Completion]) -> Asked:
    """One request: its prompt stands for the question, the ids shown for what it is about."""
    words = prompt(plan, question.question, question.reference_answer, [text_of(o) for o in shown])
    return Asked(
        Question(id=question.id, question=words),
        conditioned_on=",".join(one.id for one in shown),
    )


def verdict_of(plan: JudgePlan, about: str, reply: str, finish_reason: str) -> Row:
    """The columns that a reply gets beside its text: what was shown, the verdict or its fault."""
    shown = about.split(",")
    said = read(plan, reply, len(shown), cut_off=finish_reason == "length")
    if isinstance(said, Fault):
        return {"shown": shown, "verdict": None, "fault": said.value}
    return {"shown": shown, "verdict": said.stored(), "fault": None}


@dataclass
class Ledger:
    """The replies so far, question by question, and the lines that are written of them."""

    folder: Path
    plan: JudgePlan
    draws: Draws
    replies: dict[str, dict[Key, Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.file = self.folder / "verdicts.jsonl"
        self.lines = {row["question"]: row for row in keep_rows(self.file, lambda row: True)}

    def take(self, rows: Sequence[Row]) -> None:
        """Note replies; write the line of each question that is complete now."""
        for row in rows:
            self.replies.setdefault(row["question"], {})[key_of(row)] = row
        ready = [pk for pk in {row["question"]: 0 for row in rows} if self._is_complete(pk)]
        self._write(ready)

    def close(self) -> None:
        """Nothing more will come: write what the questions have whose requests failed in part."""
        self._write([pk for pk in self.draws.by_question if self.replies.get(pk)])

    def _is_complete(self, question: str) -> bool:
        return len(self.replies[question]) == len(self.draws.by_question[question])

    def _write(self, questions: Sequence[str]) -> None:
        new = [pk for pk in questions if pk not in self.lines]
        lines = [self._line(pk) for pk in new]
        if lines:
            append_rows(self.file, lines)
            self.lines |= {line["question"]: line for line in lines}

    def _line(self, question: str) -> Row:
        """All that came of one question."""
        draws = self.draws.by_question[question]
        known = self.replies[question]
        rows = [known[draw.key] for draw in draws if draw.key in known]
        about = ratings if self.plan.mode == "rating" else orders[self.plan.mode]
        return {
            "question": question,
            "version": scorer_version(self.plan),
            "rationales": self.draws.offered[question],
            "asked": len(draws),
            "parsed": sum(row["fault"] is None for row in rows),
            "faults": dict(Counter(row["fault"] for row in rows if row["fault"])),
            **about(rows),
        }


def ratings(rows: Sequence[Row]) -> Row:
    """Each rationale's mean rating, and all that the judge wrote of it."""
    found: dict[str, Row] = {}
    for row in rows:
        one = found.setdefault(row["shown"][0], {"prompt": row["prompt"], "said": []})
        one["said"].append({name: row[name] for name in ("text", "verdict", "fault")})
    for one in found.values():
        known = [said["verdict"] for said in one["said"] if said["verdict"] is not None]
        one["rating"] = sum(known) / len(known) if known else None
    return {"shown": list(found), "ratings": found}


def ranked_by_pairs(rows: Sequence[Row]) -> Row:
    """The ranking that consistent verdicts on pairs give, and the pairs."""
    said = {tuple(row["shown"]): row["verdict"] for row in rows}
    found: dict[frozenset[str], Compared] = {}
    for one, other in said:
        pair = Compared(one, other, said[one, other], said.get((other, one)))
        found.setdefault(frozenset((one, other)), pair)
    pairs = list(found.values())
    return {
        "shown": list(dict.fromkeys(pk for row in rows for pk in row["shown"])),
        "ranks": ranking(pairs),
        "pairs": consistency(pairs),
        "replies": told(rows),
    }


def ranked_by_list(rows: Sequence[Row]) -> Row:
    """The one order that was given, letters back to rationales."""
    (row,) = rows
    ranks = dict(zip(row["shown"], row["verdict"] or [], strict=False))
    return {"shown": row["shown"], "ranks": ranks, "replies": told(rows)}


orders = {"pairwise": ranked_by_pairs, "listwise": ranked_by_list}


def told(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The replies word for word, with what was asked."""
    return [
        {name: row[name] for name in ("shown", "prompt", "text", "verdict", "fault")}
        for row in rows
    ]
