"""An `evaluate` job: a greedy answer and some samples a question, and what they come to.

Every completion goes to `items.jsonl` as it is judged, so the summary can be recomputed and each
figure traced to the answers behind it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.decoding.evaluation import EvaluationPlan
from training.decoding.prompts import Renderer, split_completion
from training.decoding.record import Question
from training.decoding.sampling import Sampling
from training.engine.dataset import open_dataset
from training.engine.drawing import Drawing, Row, Wanted, asked_of, wanted
from training.engine.embedding import embed, embedding_name
from training.engine.job import Job, checked
from training.engine.model import end_ids, load_model, on_device
from training.engine.stop import Stop
from training.measures.diversity import distinct_derivations, distinct_n, vendi
from training.measures.intervals import over_questions, wilson
from training.measures.similarity import cosines, shuffled_baseline
from training.measures.steps import STEPS_VERSION, all_hold, valid_share
from training.rewards.answer import VERDICT_VERSION, judged


def evaluate(job: Job, folder: Path, stop: Stop) -> dict[str, Any]:
    """Answer every question and measure. Raises `BadJob`, `Stopped`."""
    began = time.monotonic()
    plan = checked(EvaluationPlan, job.config)
    questions = open_dataset(job, folder)
    model, tokenizer = load_model(str(job.model), folder, job.seed)
    model = on_device(model)
    text = Renderer(tokenizer, task="label" if plan.ask_for == "label" else None)
    drawing = Drawing(
        folder / "items.jsonl",
        text,
        end_ids(model, tokenizer),
        plan.rows_per_batch,
        described,
        plan.slots,
    )
    draws = wanted(asked_of(questions, given_thoughts=False), settings_of(plan), job.seed)
    rows = drawing.run(model, draws, stop)
    return {
        "kind": "evaluate",
        "seed": job.seed,
        "config": plan.model_dump(),
        "questions": len(questions),
        "tokens": sum(row["token_count"] for row in rows),
        "embedding": embedding_name(),
        "checkers": {"answer_correct": VERDICT_VERSION, "valid_steps": STEPS_VERSION},
        "summary": summary(questions, rows, text, job.seed),
        "seconds": round(time.monotonic() - began, 2),
    }


def settings_of(plan: EvaluationPlan) -> list[tuple[Sampling, int]]:
    """Index 0 is greedy; the samples have the indices after it."""
    greedy = Sampling(temperature=0, max_new_tokens=plan.max_new_tokens)
    warm = Sampling(temperature=plan.temperature, max_new_tokens=plan.max_new_tokens)
    return [(greedy, 1), (warm, plan.samples_per_question)]


def described(one: Wanted, sample: Any, text: Renderer) -> Row:
    """The columns of an item: what was said, and what the checkers say of it."""
    said = text.text(sample.token_ids)
    thought, answer = split_completion(said)
    verdict = judged(answer, one.asked.question)  # no mark, no answer: as in training
    return {
        "thought": thought,
        "answer": answer,
        "correct": verdict.correct,
        "parsed": verdict.parsed,
        "valid_steps": valid_share(thought),
        "token_count": len(sample.token_ids),
        "finish_reason": sample.finish_reason,
    }


def summary(
    questions: Sequence[Question], rows: Sequence[Row], text: Renderer, seed: int
) -> dict[str, float | None]:
    """Every measure of the run; the keys are those of the evaluation page."""
    greedy = [row for row in rows if row["index"] == 0]
    sampled: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["index"]:
            sampled[row["question"]].append(row)
    groups = list(sampled.values())
    return {
        **accuracy(greedy, groups, seed),
        **form(greedy, rows),
        **against_references(questions, greedy, text),
        **diversity(groups),
    }


def accuracy(greedy: Sequence[Row], groups: Sequence[Sequence[Row]], seed: int) -> Row:
    """Greedy and sampled; only questions with a reference answer count."""
    verdicts = [row["correct"] for row in greedy if row["correct"] is not None]
    means = [
        sum(row["correct"] for row in group) / len(group)
        for group in groups
        if group[0]["correct"] is not None
    ]
    found = share("accuracy", sum(verdicts), len(verdicts))
    low, high = over_questions(means, seed) if means else (None, None)
    return {
        **found,
        "sampled_accuracy": mean(means),
        "sampled_accuracy_low": low,
        "sampled_accuracy_high": high,
    }


def share(name: str, count: int, asked: int) -> Row:
    """A share with Wilson's interval; empty where nothing was asked."""
    if not asked:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    low, high = wilson(count, asked)
    return {name: count / asked, f"{name}_low": low, f"{name}_high": high}


def form(greedy: Sequence[Row], rows: Sequence[Row]) -> Row:
    """Whether chains check, answers can be read and completions end."""
    whole = sum(all_hold(row["thought"]) for row in greedy)
    return {
        **share("valid_chain_share", whole, len(greedy)),
        "parsed_share": mean([float(row["parsed"]) for row in greedy]),
        "truncated_share": mean([float(row["finish_reason"] == "length") for row in rows]),
        "completion_tokens": mean([row["token_count"] for row in greedy]),
    }


def against_references(questions: Sequence[Question], greedy: Sequence[Row], text: Renderer) -> Row:
    """Length and meaning beside the first reference of the same question, with one tokenizer."""
    references = {q.id: q.completions[0] for q in questions if q.completions}
    pairs = [(row, references[row["question"]]) for row in greedy if row["question"] in references]
    pairs = [(row, reference) for row, reference in pairs if row["thought"] and reference.thought]
    if not pairs:
        return {"length_ratio": None, "similarity": None, "similarity_shuffled": None}
    own = [tokens(text, row["thought"], row["answer"]) for row, _ in pairs]
    theirs = [tokens(text, one.thought, one.answer) for _, one in pairs]
    vectors = embed([row["thought"] for row, _ in pairs] + [one.thought for _, one in pairs])
    left, right = vectors[: len(pairs)], vectors[len(pairs) :]
    return {
        "length_ratio": sum(own) / sum(theirs),
        "similarity": float(cosines(left, right).mean()),
        "similarity_shuffled": shuffled_baseline(left, right),
    }


def tokens(text: Renderer, thought: str, answer: str) -> int:
    return len(text.completion(thought, answer))


def diversity(groups: Sequence[Sequence[Row]]) -> Row:
    """Means over questions of what their samples offer."""
    if not groups:
        return dict.fromkeys(("distinct_derivations", "vendi", "distinct_1", "distinct_2"))
    right = [[row["thought"] for row in group if row["correct"]] for group in groups]
    texts = [[row["thought"] or row["answer"] for row in group] for group in groups]
    vectors = embed([said for group in texts for said in group])
    ends = np.cumsum([len(group) for group in texts])
    return {
        "distinct_derivations": mean([float(distinct_derivations(each)) for each in right]),
        "vendi": mean([vendi(part) for part in np.split(vectors, ends[:-1])]),
        "distinct_1": mean([distinct_n(group, 1) for group in texts]),
        "distinct_2": mean([distinct_n(group, 2) for group in texts]),
    }


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of the values there are; None without any."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
