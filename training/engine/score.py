"""A `score` job: what the student to be trained makes of each stored rationale.

For each question the group is the prompt with up to 2N + 1 completions: every rationale as it would
be trained on, every rationale with its answer hidden and the asked answer behind it, and the bare
answer. The prompt goes through the model once for all of them, and equal completions are read once;
which tokens count is a span of each. See `training/decoding/scoring_plan.py` for the formulas, and
`docs/selection.md` for what selections make of them.

A row is stored as soon as its question is read, and what is in the file is never read again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import exp, fsum
from pathlib import Path
from typing import Any

import torch

from training.decoding.leakage import hidden
from training.decoding.prompts import Renderer, completion_text
from training.decoding.record import Completion, Question
from training.decoding.sampling import Sampling
from training.decoding.scoring_plan import DIFFICULTY, LOGPROB, PROBABILITY, ROUGE, ScoringPlan
from training.engine.dataset import open_dataset
from training.engine.drawing import Drawing, Row, Wanted, asked_of, wanted
from training.engine.files import append_rows, keep_rows, sha256, write_json
from training.engine.group import collate, group_logprobs
from training.engine.job import BadJob, Job, checked
from training.engine.model import end_ids, load_model, locate, on_device, positions_of
from training.engine.plan import micro_batches
from training.engine.shortage import in_parts
from training.engine.stop import Stop, Stopped
from training.measures.rouge import rouge_l
from training.methods.base import Group, window_of

PAGE = 256  # questions whose completions are sorted by length together
FARTHEST = 700.0  # nats; beyond it exp overflows, and any rationale is as bad as another
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors")

Ids = tuple[int, ...]
Key = tuple[str, str]  # question, completion


def score(job: Job, folder: Path, stop: Stop) -> dict[str, Any]:
    """Score every rationale that is not scored yet. Raises `BadJob`, `Stopped`."""
    began = time.monotonic()
    plan = checked(ScoringPlan, job.config)
    questions = open_dataset(job, folder)
    if not any(completion.thought for q in questions for completion in q.completions):
        raise BadJob("No question of the dataset has a rationale with a thought to score.")
    model, tokenizer = load_model(str(job.model), folder, job.seed)
    model, text = on_device(model), Renderer(tokenizer)
    weights = hash_of_weights(locate(str(job.model), folder))
    said = own_answers(model, text, questions, plan, job.seed, folder, stop)
    scoring = Scoring(folder / "scores.jsonl", text, plan, weights, said)
    rows = scoring.run(model, questions, stop)
    return result(job, plan, weights, rows, time.monotonic() - began)


def hash_of_weights(path: str) -> str:
    """sha256 of the weights file of a folder, as checkpoints carry it, or of the hashes of the
    files that an index names; "" if there is none here."""
    found = [Path(path) / name for name in WEIGHTS if (Path(path) / name).is_file()]
    if not found:
        return ""
    if found[0].suffix != ".json":
        return sha256(found[0])
    shards = sorted(set(json.loads(found[0].read_text())["weight_map"].values()))
    hashes = [sha256(Path(path) / name) for name in shards]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def own_answers(
    model: Any,
    text: Renderer,
    questions: Sequence[Question],
    plan: ScoringPlan,
    seed: int,
    folder: Path,
    stop: Stop,
) -> dict[str, str]:
    """The student's greedy completion of each question, by its id; none unless the plan asks."""
    longest = min(plan.max_prompt_tokens, positions_of(model) - 1)
    asked = [q for q in questions if q.completions and len(text.prompt(q.question)) <= longest]
    if not plan.rouge_l or not asked:
        return {}
    greedy = Sampling(temperature=0, max_new_tokens=plan.max_new_tokens)
    ends = end_ids(model, text.tokenizer)
    drawing = Drawing(
        folder / "answers.jsonl", text, ends, plan.rows_per_batch, described, plan.slots
    )
    draws = wanted(asked_of(asked, given_thoughts=False), [(greedy, 1)], seed)
    rows = drawing.run(model, draws, stop)
    return {row["question"]: row["text"] for row in rows}


def described(one: Wanted, sample: Any, text: Renderer) -> Row:
    """The columns of the student's own answer."""
    return {"text": text.text(sample.token_ids), "finish_reason": sample.finish_reason}


@dataclass(frozen=True)
class Span:
    """Some tokens of a completion: those whose log-probabilities are wanted."""

    ids: Ids
    start: int
    end: int


@dataclass
class Sheet:
    """One question: its prompt, the spans wanted of each rationale, and what was read so far."""

    question: Question
    prompt: list[int]
    spans: dict[str, dict[str, Span]] = field(default_factory=dict)  # completion -> name -> span
    faults: dict[str, str] = field(default_factory=dict)  # completion -> why it has no score
    read: dict[Ids, list[float]] = field(default_factory=dict)

    def unread(self) -> list[Ids]:
        """Every completion that is still to be read, each once, the shortest first."""
        every = {span.ids for named in self.spans.values() for span in named.values()}
        return sorted(every - self.read.keys(), key=lambda ids: (len(ids), ids))

    def groups(self, tokens: int) -> Iterator[Group]:
        """What is unread, as groups of at most `tokens` padded tokens (or of one completion)."""
        part: list[list[int]] = []
        for ids in self.unread():  # the longest so far is always the last
            if part and len(self.prompt) + (len(part) + 1) * len(ids) > tokens:
                yield self._group(part)
                part = []
            part.append(list(ids))
        if part:
            yield self._group(part)

    def _group(self, completions: list[list[int]]) -> Group:
        return Group(self.question.id, self.prompt, completions, [True] * len(completions))

    def values(self, span: Span) -> list[float]:
        """The log-probabilities of a span's tokens, in nats."""
        return self.read[span.ids][span.start : span.end]


@dataclass
class Scoring:
    """The rationales of one job and the file that their scores go to."""

    file: Path
    text: Renderer
    plan: ScoringPlan
    weights: str
    said: dict[str, str]

    def run(self, model: Any, questions: Sequence[Question], stop: Stop) -> list[Row]:
        """Read what is not in the file yet. Returns every row; raises `Stopped` between forwards.

        Rows of other weights than these, of a model folder that has changed, are read again.
        """
        keys = {(q.id, one.id) for q in questions for one in q.completions if one.thought}
        rows = keep_rows(self.file, lambda row: key_of(row) in keys and self._current(row))
        due = keys - {key_of(row) for row in rows}
        self._tell(len(rows), len(keys))
        pending = [q for q in questions if any((q.id, one.id) in due for one in q.completions)]
        limit = positions_of(model)
        for start in range(0, len(pending), PAGE):
            sheets = [self._sheet(q, due, limit) for q in pending[start : start + PAGE]]
            for new in self._read(model, sheets, stop):
                append_rows(self.file, new)
                rows += new
                self._tell(len(rows), len(keys))
        return rows

    def _current(self, row: Row) -> bool:
        return bool(row["weights"] == self.weights)

    def _tell(self, done: int, total: int) -> None:
        progress = {"done": done, "total": total, "unit": "rationales", "doing": "scoring"}
        write_json(self.file.parent / "progress.json", progress)

    def _sheet(self, question: Question, due: set[Key], limit: int) -> Sheet:
        """What is to be read of the question's rationales that have no row yet."""
        sheet = Sheet(question, self.text.prompt(question.question))
        for one in question.completions:
            if (question.id, one.id) in due:
                spans = spans_of(self.text, question, one, self.plan)
                longest = max(len(span.ids) for span in spans.values())
                fault = too_long(len(sheet.prompt), longest, self.plan, limit)
                sheet.spans[one.id] = {} if fault else spans
                if fault:
                    sheet.faults[one.id] = fault
        return sheet

    def _read(self, model: Any, sheets: Sequence[Sheet], stop: Stop) -> Iterator[list[Row]]:
        """The rows of the sheets, as each is read to its end."""
        by_question = {sheet.question.id: sheet for sheet in sheets}
        done = [sheet for sheet in sheets if not sheet.unread()]
        yield [row for sheet in done for row in self._rows(sheet)]
        groups = [group for sheet in sheets for group in sheet.groups(self.plan.tokens_per_batch)]
        for part in micro_batches(groups, self.plan.tokens_per_batch):
            if stop.requested():
                raise Stopped("Stopped while scoring; run again to go on.")
            read(model, part, by_question)
            touched = dict.fromkeys(group.question for group in part)
            finished = [by_question[pk] for pk in touched if not by_question[pk].unread()]
            yield [row for sheet in finished for row in self._rows(sheet)]

    def _rows(self, sheet: Sheet) -> Iterator[Row]:
        """One row for each rationale of a sheet that is read."""
        by_id = {completion.id: completion for completion in sheet.question.completions}
        for pk in sheet.spans:
            scores, detail = facts(sheet, by_id[pk], self.plan)
            if self.plan.rouge_l:
                said = self.said.get(sheet.question.id)
                text = completion_text(by_id[pk].thought, by_id[pk].answer)
                scores[ROUGE] = None if said is None else rouge_l(said, text)
            yield {
                "question": sheet.question.id,
                "completion": pk,
                "weights": self.weights,
                "scores": scores,
                "detail": detail,
            }


def key_of(row: Row) -> Key:
    """The question and the rationale that a row is about."""
    return row["question"], row["completion"]


@torch.no_grad()
def read(model: Any, groups: Sequence[Group], sheets: dict[str, Sheet]) -> None:
    """One forward; the log-probabilities go to the sheets of their questions.

    Where memory runs out, it is halved, down to one completion.
    """
    device = next(model.parameters()).device

    def forward(part: Sequence[Group]) -> Any:
        batch = collate(part, window_of(part)).to(device)
        return group_logprobs(model, batch).completion.tolist()  # [B, N, T]

    for part, found in in_parts(forward, groups, halves):
        for group, rows in zip(part, found, strict=True):
            for ids, row in zip(group.completions, rows, strict=False):  # rows are padded to N
                sheets[group.question].read[tuple(ids)] = row[: len(ids)]


def halves(part: Sequence[Group]) -> Sequence[Sequence[Group]]:
    """Two parts of half the size; none where one completion is left."""
    if len(part) > 1:
        middle = len(part) // 2
        return [list(part[:middle]), list(part[middle:])]
    (group,) = part
    middle = len(group.completions) // 2
    if middle == 0:
        return []
    cut = (group.completions[:middle], group.completions[middle:])
    return [[Group(group.question, group.prompt, ids, [True] * len(ids))] for ids in cut]


def spans_of(
    text: Renderer, question: Question, one: Completion, plan: ScoringPlan
) -> dict[str, Span]:
    """What is to be read of one rationale: `whole`, and, where an answer can be asked for, `given`
    (the answer behind the rationale) and `bare` (the answer alone)."""
    whole = tuple(text.completion(one.thought, one.answer))
    spans = {"whole": Span(whole, 0, len(whole))}
    answer, thought = asked_answer(question, one, plan), shown_thought(question, one, plan)
    if answer and thought:
        spans["given"] = answer_span(text, thought, answer)
        spans["bare"] = answer_span(text, "", answer)
    return spans


def asked_answer(question: Question, one: Completion, plan: ScoringPlan) -> str:
    """The answer whose probability is measured; "" where there is none."""
    reference = question.reference_answer.strip() if plan.answer == "reference" else ""
    return reference or one.answer.strip()


def shown_thought(question: Question, one: Completion, plan: ScoringPlan) -> str:
    """The thought without the answer that is asked for."""
    return hidden(one.thought, asked_answer(question, one, plan), plan.leakage).strip("\n")


def answer_span(text: Renderer, thought: str, answer: str) -> Span:
    """The answer's own tokens in a completion as training renders it: neither mark nor end.

    They begin where the completion departs from the same one with an empty answer.
    """
    ids, empty = text.completion(thought, answer), text.completion(thought, "")[:-1]
    apart = (n for n, (left, right) in enumerate(zip(ids, empty, strict=False)) if left != right)
    return Span(tuple(ids), next(apart, len(empty)), len(ids) - 1)


def too_long(prompt: int, completion: int, plan: ScoringPlan, limit: int) -> str:
    """Why a rationale cannot be read, in words; "" if it can."""
    if prompt > plan.max_prompt_tokens:
        return "prompt longer than max_prompt_tokens"
    if completion > plan.max_completion_tokens:
        return "completion longer than max_completion_tokens"
    return "longer than the model's positions" if prompt + completion > limit else ""


def facts(sheet: Sheet, one: Completion, plan: ScoringPlan) -> tuple[Row, Row]:
    """The scores of one rationale, and the figures that they come from."""
    scores: Row = {DIFFICULTY: None, PROBABILITY: None, LOGPROB: None}
    if fault := sheet.faults.get(one.id):
        return scores, {"why": fault}
    spans = sheet.spans[one.id]
    scores[LOGPROB] = mean(sheet.values(spans["whole"]))
    detail: Row = {"tokens": spans["whole"].end}
    if "given" not in spans:
        return scores, {**detail, "why": missing(sheet.question, one, plan)}
    given, bare = sheet.values(spans["given"]), sheet.values(spans["bare"])
    if not given or not bare:
        return scores, {**detail, "why": "the tokenizer reads nothing in the answer"}
    logdiff = mean(bare) - mean(given)  # log PPL(a | q, r) - log PPL(a | q)
    scores[DIFFICULTY] = exp(min(logdiff, FARTHEST))
    scores[PROBABILITY] = exp(fsum(given))
    return scores, {
        **detail,
        "answer": asked_answer(sheet.question, one, plan),
        "answer_tokens": len(given),
        "answer_logprob_given": mean(given),
        "answer_logprob_bare": mean(bare),
        "logdiff": logdiff,
        "hidden": shown_thought(sheet.question, one, plan) != one.thought.strip("\n"),
    }


def missing(question: Question, one: Completion, plan: ScoringPlan) -> str:
    """Why there is no answer's probability."""
    if not asked_answer(question, one, plan):
        return "no answer to ask for"
    return "nothing is left of the rationale without its last step"


def mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)


def result(
    job: Job, plan: ScoringPlan, weights: str, rows: Sequence[Row], seconds: float
) -> dict[str, Any]:
    """The content of `result.json`."""
    reasons = Counter(row["detail"]["why"] for row in rows if "why" in row["detail"])
    return {
        "kind": "score",
        "seed": job.seed,
        "config": plan.model_dump(),
        "versions": plan.versions(),
        "weights": weights,
        "scored": len(rows) - sum(reasons.values()),
        "questions": len({row["question"] for row in rows}),
        "skipped": dict(reasons),
        "helpful": sum((row["scores"][DIFFICULTY] or 1) < 1 for row in rows),
        "tokens": sum(row["detail"].get("tokens", 0) for row in rows),
        "seconds": round(seconds, 2),
    }
