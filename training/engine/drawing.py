"""Drawing completions for a fixed list of prompts, chunk by chunk, each stored before the next.

What is to be drawn is known before the first token: every prompt at every setting, so many times,
each with a seed of its own. It is drawn in chunks that are the same in every attempt, so a resume
ends with the completions that an undisturbed job would have; what is in the file is never drawn
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from training.decoding.prompts import Renderer
from training.decoding.record import Question
from training.decoding.sampling import Sampling
from training.engine.files import append_rows, keep_rows, write_json
from training.engine.job import BadJob
from training.engine.seeds import seed_for
from training.engine.stop import Stop, Stopped

if TYPE_CHECKING:  # an endpoint draws without torch
    from training.engine.sampler import Sampler

Row = dict[str, Any]
Key = tuple[str, str, float, int]


@dataclass(frozen=True)
class Asked:
    """One prompt: a question, and perhaps the thought that an answer is to be drawn after."""

    question: Question
    thought: str | None = None
    conditioned_on: str | None = None


@dataclass(frozen=True)
class Wanted:
    """One completion that is to be drawn."""

    asked: Asked
    sampling: Sampling
    index: int
    seed: int

    @property
    def key(self) -> Key:
        """What makes it the same draw in another attempt."""
        thought = self.asked.conditioned_on or ""
        return (self.asked.question.id, thought, self.sampling.temperature, self.index)


def key_of(row: Row) -> Key:
    """The key of a stored row."""
    return (
        row["question"],
        row["conditioned_on"] or "",
        row["sampling"]["temperature"],
        row["index"],
    )


def asked_of(questions: Sequence[Question], given_thoughts: bool) -> list[Asked]:
    """The prompts of these questions: one each, or one for each stored thought."""
    if not given_thoughts:
        return [Asked(question) for question in questions]
    return [
        Asked(question, completion.thought, completion.id)
        for question in questions
        for completion in question.completions
        if completion.thought
    ]


def prompts_of(questions: Sequence[Question], given_thoughts: bool) -> list[Asked]:
    """`asked_of`, never empty. Raises `BadJob` where answers are wanted and no thought is there."""
    asked = asked_of(questions, given_thoughts)
    if not asked:
        raise BadJob("No question of the dataset has a thought to draw an answer after.")
    return asked


def wanted(
    asked: Sequence[Asked], settings: Sequence[tuple[Sampling, int]], seed: int
) -> list[Wanted]:
    """Every draw: for each setting, for each prompt, so many. Indices run on over settings."""
    draws, first = [], 0
    for sampling, count in settings:
        draws += [
            Wanted(one, sampling, index, seed_of(seed, one, sampling, index))
            for one in asked
            for index in range(first, first + count)
        ]
        first += count
    return draws


def seed_of(seed: int, asked: Asked, sampling: Sampling, index: int) -> int:
    """Depends on the job's seed and on what is drawn, not on what is drawn beside it, nor on what
    a database calls the question."""
    thought = asked.thought or ""
    return seed_for(seed, asked.question.question, thought, str(sampling.temperature), index)


def chunks(draws: Sequence[Wanted], size: int) -> Iterator[list[Wanted]]:
    """At most `size` draws of one setting together; those of one prompt stay together."""
    chunk: list[Wanted] = []
    for number, draw in enumerate(draws):
        another = bool(chunk) and draw.sampling != chunk[0].sampling
        full = len(chunk) >= size and draw.asked is not draws[number - 1].asked
        if another or full:
            yield chunk
            chunk = []
        chunk.append(draw)
    if chunk:
        yield chunk


def tokens_of(rows: Iterable[Row]) -> int:
    """What was drawn of these rows; a job that does not keep the ids keeps their number."""
    return sum(row.get("token_count") or len(row.get("token_ids") or ()) for row in rows)


@dataclass
class Drawing:
    """The draws of one job and the file that they go to."""

    file: Path
    text: Renderer
    ends: list[int]
    rows_per_batch: int
    describe: Callable[[Wanted, Any, Renderer], Row]
    slots: int = 0  # decoded at a time; 0 is all
    after: Callable[[Sequence[Row]], None] | None = None  # hears of all that is stored

    unit: ClassVar[str] = "completions"
    doing: ClassVar[str] = "drawing"

    def run(self, model: Any, draws: Sequence[Wanted], stop: Stop) -> list[Row]:
        """Draw what is not in the file yet. Returns every row in the order of `draws`; raises
        `Stopped` between chunks."""
        from training.engine.sampler import Sampler

        model.eval()
        self.check(draws, model)
        sampler = Sampler(self.slots)
        keys = {draw.key for draw in draws}
        stored = {key_of(row): row for row in keep_rows(self.file, lambda r: key_of(r) in keys)}
        done, tokens = len(stored), tokens_of(stored.values())
        self.tell(done, len(draws), tokens)
        self.hand_on(list(stored.values()))
        for chunk in chunks(draws, self.rows_per_batch):
            if all(draw.key in stored for draw in chunk):
                continue
            if stop.requested():
                raise Stopped("Stopped while drawing; run again to go on.")
            rows = [row for row in self.drawn(model, chunk, sampler) if key_of(row) not in stored]
            append_rows(self.file, rows)
            self.hand_on(rows)
            stored |= {key_of(row): row for row in rows}
            done, tokens = done + len(rows), tokens + tokens_of(rows)
            self.tell(done, len(draws), tokens)
        return [stored[draw.key] for draw in draws]

    def check(self, draws: Sequence[Wanted], model: Any) -> None:
        """Every prompt can be answered, before the first is. Raises `BadJob`."""
        from training.engine.model import check_room, positions_of

        for asked in {id(draw.asked): draw.asked for draw in draws}.values():
            check_room(asked.question.id, self.ids(asked), positions_of(model))

    def hand_on(self, rows: Sequence[Row]) -> None:
        """Tell whoever works with what is stored."""
        if self.after:
            self.after(rows)

    def tell(self, done: int, total: int, tokens: int) -> None:
        """For whoever watches: how many are drawn, and of how many tokens."""
        progress = {"done": done, "total": total, "unit": self.unit, "doing": self.doing}
        write_json(self.file.parent / "progress.json", {**progress, "tokens": tokens})

    def drawn(self, model: Any, chunk: Sequence[Wanted], sampler: Sampler) -> list[Row]:
        """One chunk through the sampler, as rows."""
        groups: dict[int, list[Wanted]] = {}
        for one in chunk:
            groups.setdefault(id(one.asked), []).append(one)
        prompts = [self.ids(group[0].asked) for group in groups.values()]
        seeds = [[one.seed for one in group] for group in groups.values()]
        drawn = sampler.draw(model, prompts, seeds, chunk[0].sampling, self.ends)
        return [
            self.row(one, sample)
            for group, samples in zip(groups.values(), drawn, strict=True)
            for one, sample in zip(group, samples, strict=True)
        ]

    def ids(self, asked: Asked) -> list[int]:
        """The prompt's token ids; a thought follows the question as if the model had said it."""
        prompt = self.text.prompt(asked.question.question)
        return prompt if asked.thought is None else [*prompt, *self.text.thought(asked.thought)]

    def row(self, one: Wanted, sample: Any) -> Row:
        """What both kinds of job know of a completion, and what the job's own `describe` adds."""
        return {
            "question": one.asked.question.id,
            "index": one.index,
            "seed": one.seed,
            "conditioned_on": one.asked.conditioned_on,
            "sampling": one.sampling.model_dump(),
            **self.describe(one, sample, self.text),
        }
