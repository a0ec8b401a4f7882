"""Rounds: draw N completions a prompt from the current model, score them, train on them, repeat.

A round is drawn in chunks of prompts. Each chunk is appended to `samples.jsonl` whole, with token
ids, log-probabilities and rewards, before anything trains on it; a resume reads what is there and
draws the rest in the same chunks, so it ends with the samples it would have had. Several processes
draw several chunks at once. A round whose source is the dataset is read, not drawn.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from types import ModuleType
from typing import Any

from training.decoding.prompts import Renderer, split_completion
from training.decoding.record import Question
from training.decoding.sampling import Sampling
from training.engine.files import append_rows, keep_rows, read_rows, write_json
from training.engine.plan import Step
from training.engine.ranks import Ranks
from training.engine.round_log import RoundLog, Told
from training.engine.sampler import Sampler
from training.engine.seeds import seed_for
from training.engine.stop import Stop, Stopped
from training.methods.base import (
    Group,
    OnlineConfig,
    Prompt,
    Round,
    Skipped,
    temperature_of,
)
from training.rewards.compose import Scored, combined, scored
from training.rewards.sample import Sample

Row = dict[str, Any]
Reference = Callable[[Any], AbstractContextManager[Any]]  # policy → the frozen model, within


@dataclass
class Rounds:
    """The rounds of one run; `groups` are those of the round that is open."""

    folder: Path
    seed: int
    method: ModuleType
    config: Any
    text: Renderer
    questions: list[Question]
    ends: list[int]
    ranks: Ranks = field(default_factory=Ranks)
    reference: Reference | None = None  # the frozen start, if the method compares with it
    skipped: Skipped = field(default_factory=Skipped)
    groups: list[Group] = field(default_factory=list)
    steps: Sequence[Step] = ()  # the plan, if the rounds are to be told

    def __post_init__(self) -> None:
        self.opened = -1
        self.log: RoundLog | None = None
        self.on_disk: dict[int, dict[int, list[Row]]] | None = None  # until a round is drawn
        self.kinds: list[Round] = self.method.rounds(self.config)
        self.sampler = Sampler(self.config.slots if isinstance(self.config, OnlineConfig) else 0)
        self.by_id = {question.id: question for question in self.questions}
        sources = {kind.source for kind in self.kinds}
        self.stored = self._stored() if "dataset" in sources else []
        self.prompts = self._prompts() if "policy" in sources else []

    def sizes(self) -> list[int]:
        """How many groups each round has, known before the first is drawn."""
        return [len(self.chosen(number)) for number in range(len(self.kinds))]

    def open(self, number: int, model: Any, stop: Stop) -> None:
        """Make `groups` those of round `number`, drawing what is not on disk yet."""
        if number == self.opened:
            return
        if self.kinds[number].source == "dataset":
            groups = list(self.stored)
        else:
            groups = self._drawn(number, model, stop)
        told = [Told(group) for group in groups]
        self.method.weigh(groups, self.config)
        if self.steps and self.ranks.is_first:
            self.log = self.log or RoundLog(self.folder, self.steps)
            self.log.tell(number, self.kinds[number].source, told, self.text)
        let_go_of_long_asides(groups, model)
        self._compare_with_reference(groups, model, self.kinds[number].source == "policy")
        if number + 1 == len(self.kinds):
            self.reference = None  # nothing more to compare: let it go
        self.groups, self.opened = groups, number

    def _stored(self) -> list[Group]:
        made = [
            self.method.groups(question, self.config, self.text, self.skipped)
            for question in self.questions
        ]
        return [group for groups in made for group in groups]

    def _prompts(self) -> list[Prompt]:
        """Each prompt once: a question may have several lines, its own rationales' first."""
        lines = sorted(self.questions, key=lambda question: question.thought is not None)
        unique: dict[tuple[int, ...], Prompt] = {}
        for question in lines:
            for prompt in self.method.prompts(question, self.config, self.text, self.skipped):
                unique.setdefault(tuple(prompt.ids), prompt)
        return list(unique.values())

    def chosen(self, number: int) -> Sequence[Any]:
        """The prompts (or stored groups) of a round."""
        if self.kinds[number].source == "dataset":
            return self.stored
        wanted = self.config.questions_per_round
        if not wanted or wanted >= len(self.prompts):
            return self.prompts
        return random.Random(seed_for(self.seed, "round", number)).sample(self.prompts, wanted)

    def _drawn(self, number: int, model: Any, stop: Stop) -> list[Group]:
        """The groups of a round, from disk as far as they are there. Raises `Stopped` between
        chunks."""
        prompts = self.chosen(number)
        rows = self._rows_of(number)
        size = max(1, self.config.rows_per_batch // self.config.group_size)
        chunks = range(0, len(prompts), size)
        missing = [chunk for chunk in range(len(chunks)) if chunk not in rows]
        for first in range(0, len(missing), self.ranks.count):
            if self.ranks.any(stop.requested()):
                raise Stopped(f"Stopped while drawing round {number}; run again to go on.")
            drawn = [
                row
                for chunk in self.ranks.share(missing[first : first + self.ranks.count])
                for row in self._draw(number, chunk, prompts[chunks[chunk] :][:size], model)
            ]
            for row in self._kept(drawn):
                rows.setdefault(row["chunk"], []).append(row)
            self._tell(number, min(len(rows) * size, len(prompts)), len(prompts))
        drawn = [row for chunk in sorted(rows) for row in rows[chunk]]
        return [
            self._group(prompt, drawn[n * self.config.group_size :][: self.config.group_size])
            for n, prompt in enumerate(prompts)
        ]

    def taste(self, prompts: Sequence[Prompt], model: Any) -> list[Group]:
        """Groups that are drawn and scored for these prompts, and not stored."""
        rows, size = self._draw(0, 0, prompts, model), self.config.group_size
        return [self._group(one, rows[n * size :][:size]) for n, one in enumerate(prompts)]

    def _kept(self, drawn: list[Row]) -> list[Row]:
        """What all processes drew, after the first has stored it."""
        rows = self.ranks.gathered(drawn)
        if self.ranks.is_first:
            append_rows(self.folder / "samples.jsonl", rows)
        return rows

    def _tell(self, number: int, done: int, total: int) -> None:
        if self.ranks.is_first:
            progress = {"done": done, "total": total, "unit": "questions"}
            write_json(self.folder / "round.json", {"round": number, **progress})

    def _rows_of(self, number: int) -> dict[int, list[Row]]:
        """The chunks of a round that are on disk. The file is read once: later rounds are ours."""
        if self.on_disk is None:
            self.on_disk = self._whole_chunks(number)
        return self.on_disk.pop(number, {})

    def _whole_chunks(self, first: int) -> dict[int, dict[int, list[Row]]]:
        """By round, from round `first` on. What a crash left of a chunk is cut off the file."""
        path = self.folder / "samples.jsonl"
        if self.ranks.is_first:
            counts = Counter((row["round"], row["chunk"]) for row in read_rows(path))
            keep_rows(path, lambda row: counts[row["round"], row["chunk"]] == row["of_chunk"])
        self.ranks.wait()
        found: dict[int, dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
        for row in read_rows(path):
            if row["round"] >= first:
                found[row["round"]][row["chunk"]].append(row)
        return found

    def _draw(self, number: int, chunk: int, prompts: Sequence[Prompt], model: Any) -> list[Row]:
        """One chunk of samples, scored, as rows of `samples.jsonl`."""
        config = self.config
        sampling = Sampling(
            temperature=config.temperature, max_new_tokens=config.max_completion_tokens
        )
        seeds = [
            [seed_for(self.seed, number, *p.ids, index) for index in range(config.group_size)]
            for p in prompts
        ]
        drawn = self.sampler.draw(model, [p.ids for p in prompts], seeds, sampling, self.ends)
        place = {"round": number, "chunk": chunk, "of_chunk": len(prompts) * config.group_size}
        rows = []
        for prompt, samples, row_seeds in zip(prompts, drawn, seeds, strict=True):
            for index, (sample, seed) in enumerate(zip(samples, row_seeds, strict=True)):
                facts = {**place, "question": prompt.question, "index": index, "seed": seed}
                rows.append({**facts, **self._scored(prompt, sample, sampling)})
        return rows

    def _scored(self, prompt: Prompt, sample: Any, sampling: Sampling) -> Row:
        text = self.text.text(sample.token_ids)
        thought, answer = split_completion(text)
        shown = Sample(
            thought=thought if prompt.thought is None else prompt.thought,
            answer=answer,
            text=text,
            tokens=len(sample.token_ids),
            limit=sampling.max_new_tokens,
            finish_reason=sample.finish_reason,
            given_thought=prompt.thought is not None,
        )
        found = scored(self.by_id[prompt.question], shown, self.config.rewards)
        (reward,), _ = combined([found.values], self.config.rewards)
        return {
            "conditioned_on": prompt.conditioned_on,
            "sampling": sampling.model_dump(),
            "prompt": self.text.text(prompt.ids),
            "text": text,
            "thought": shown.thought,
            "answer": answer,
            "token_ids": sample.token_ids,
            "logprobs": sample.logprobs,
            "finish_reason": sample.finish_reason,
            "rewards": found.values,
            "faults": found.faults,
            "reward": reward,
        }

    def _group(self, prompt: Prompt, rows: Sequence[Row]) -> Group:
        """The rows of one prompt, with its anchors behind them."""
        rewards = [float("nan") if row["reward"] is None else row["reward"] for row in rows]
        extra = len(prompt.anchors)
        blank = [[0.0] * len(ids) for ids in prompt.anchors]
        return Group(
            question=prompt.question,
            prompt=prompt.ids,
            completions=[row["token_ids"] for row in rows] + [list(ids) for ids in prompt.anchors],
            present=[isfinite(reward) for reward in rewards] + [True] * extra,
            rewards=rewards + [float("nan")] * extra,
            anchor=[False] * len(rows) + [True] * extra,
            truncated=[row["finish_reason"] == "length" for row in rows] + [False] * extra,
            scored_from=prompt.scored_from,
            old_logprobs=[row["logprobs"] for row in rows] + blank,
            scored=[Scored(row["rewards"], row.get("faults", {})) for row in rows],
        )

    def _compare_with_reference(self, groups: list[Group], model: Any, drawn: bool) -> None:
        """Give each group the log-probabilities of the model it is held to, if there is one. Stored
        groups are always those of the first round, which begins as the run does."""
        if drawn and self.config.reference == "round":
            for group in groups:  # what drew the round is what the round began as
                group.ref_logprobs = group.old_logprobs
        elif self.reference is not None:
            from training.engine.reference import add_reference_logprobs

            temperature = temperature_of(self.config)
            read = groups + [group.aside for group in groups if group.aside]
            mine = self.ranks.share(read)
            with self.reference(model) as frozen:
                add_reference_logprobs(frozen, mine, temperature, self.config.tokens_per_batch)
            self._share_reference(read)

    def _share_reference(self, groups: Sequence[Group]) -> None:
        places = self.ranks.share(range(len(groups)))
        for place, values in self.ranks.gathered([(n, groups[n].ref_logprobs) for n in places]):
            groups[place].ref_logprobs = values


def let_go_of_long_asides(groups: Sequence[Group], model: Any) -> None:
    """An aside has the prompt of one question and completions of another: together they may be
    longer than the model can read, though neither question is. Those completions go."""
    from training.engine.model import positions_of

    for group in groups:
        if group.aside is None:
            continue
        room = positions_of(model) - len(group.prompt)
        rows = [ids for ids in group.aside.completions if len(ids) <= room]
        if len(rows) < len(group.aside.completions):
            kept = Group(group.question, group.prompt, rows, present=[True] * len(rows))
            group.aside = kept if rows else None
