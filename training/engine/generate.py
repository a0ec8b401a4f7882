"""A `generate` job on a local model: rationales, or answers after stored thoughts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.decoding.prompts import Renderer, split_completion
from training.decoding.sampling import SamplingPlan
from training.engine.dataset import open_dataset
from training.engine.drawing import Drawing, Row, Wanted, prompts_of, wanted
from training.engine.job import Job, checked
from training.engine.model import end_ids, load_model, on_device
from training.engine.stop import Stop


def generate(job: Job, folder: Path, stop: Stop) -> dict[str, Any]:
    """Draw everything that the plan asks for and is not stored yet. Raises `BadJob`, `Stopped`."""
    began = time.monotonic()
    plan = checked(SamplingPlan, job.config)
    asked = prompts_of(open_dataset(job, folder), plan.what == "answer_given_thought")
    model, tokenizer = load_model(str(job.model), folder, job.seed)
    model, text = on_device(model), Renderer(tokenizer, plan.system_prompt)
    drawing = Drawing(
        folder / "samples.jsonl",
        text,
        end_ids(model, tokenizer),
        plan.rows_per_batch,
        described,
        plan.slots,
    )
    settings = [(plan.settings(t), plan.samples_per_temperature) for t in plan.temperatures]
    rows = drawing.run(model, wanted(asked, settings, job.seed), stop)
    return result(job, plan, rows, time.monotonic() - began)


def described(one: Wanted, sample: Any, text: Renderer) -> Row:
    """The columns of a sample. An answer drawn after a thought says no thought of its own."""
    said = text.text(sample.token_ids)
    thought, answer = split_completion(said)
    prompt = text.prompt_text(one.asked.question.question)
    if one.asked.thought is not None:
        prompt += f"{one.asked.thought}\n"
    return {
        "prompt": prompt,
        "text": said,
        "thought": thought,
        "answer": answer,
        "token_ids": sample.token_ids,
        "logprobs": sample.logprobs,
        "finish_reason": sample.finish_reason,
    }


def result(job: Job, plan: SamplingPlan, rows: Sequence[Row], seconds: float) -> dict[str, Any]:
    """The content of `result.json`."""
    return {
        "kind": "generate",
        "seed": job.seed,
        "config": plan.model_dump(),
        "drawn": len(rows),
        "questions": len({row["question"] for row in rows}),
        "without_answer": sum(not row["answer"] for row in rows),
        "finish_reasons": dict(Counter(row["finish_reason"] for row in rows)),
        "tokens": sum(len(row["token_ids"]) for row in rows),
        "seconds": round(seconds, 2),
    }
