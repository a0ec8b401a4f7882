"""A `judge` job: a model rates, or orders, the rationales of each question.

An endpoint is asked by the client of `generate`, with its retries, limits and threads; a local
model through the same sampler. Every reply is a line of `replies.jsonl` before the next is asked
for, so a resume asks only for what is missing; `verdicts.jsonl` gets one line a question. The words
of the prompt, with names in the places of the texts, are in `prompt.txt`. A job of an endpoint
loads no torch.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.decoding.judge_plan import JudgePlan
from training.decoding.judge_prompts import scorer_version, template, version
from training.decoding.prompts import Renderer
from training.engine.dataset import open_dataset
from training.engine.drawing import Asked, Drawing, Row, Wanted
from training.engine.endpoint import Asking, client_of
from training.engine.job import BadJob, Endpoint, Job, checked
from training.engine.judge_ledger import Draws, Ledger, draws_of, verdict_of
from training.engine.stop import Stop

REPLIES = "replies.jsonl"
TOO_LONG = "a prompt that is longer than the judge can read"


def judge(job: Job, folder: Path, stop: Stop) -> dict[str, Any]:
    """Ask for everything that is not stored. Raises `BadJob`, `Stopped`."""
    began = time.monotonic()
    plan = checked(JudgePlan, job.config).settled(follows_instructions(job, folder))
    draws = draws_of(plan, open_dataset(job, folder), job.seed)
    if not draws.by_question:
        raise BadJob(f"There is nothing to judge: {told(draws.skipped) or 'no rationales'}.")
    (folder / "prompt.txt").write_text(template(plan))
    ledger = Ledger(folder, plan, draws)
    ask = ask_endpoint if isinstance(job.model, Endpoint) else ask_local
    rows = ask(job, folder, ledger, stop)
    ledger.close()
    return result(job, ledger, rows, time.monotonic() - began)


def follows_instructions(job: Job, folder: Path) -> bool:
    """Whether the judge is a chat model."""
    if isinstance(job.model, Endpoint):
        return True
    from training.engine.model import load_tokenizer

    return bool(load_tokenizer(job.model, folder).chat_template)


def told(skipped: Counter[str]) -> str:
    return "; ".join(f"{count} × {why}" for why, count in skipped.items() if count)


# --- An endpoint ----------------------------------------------------------------------------------


class AskingJudge(Asking):
    """Requests for verdicts."""

    file, unit, doing = REPLIES, "replies", "asking the judge"

    def said(self, one: Wanted) -> list[dict[str, str]]:
        return [{"role": "user", "content": one.asked.question.question}]

    def row(self, one: Wanted, said: list[dict[str, str]], answer: Any) -> Row:
        assert isinstance(self.plan, JudgePlan)
        row = super().row(one, said, answer)
        about = verdict_of(self.plan, one.asked.conditioned_on or "", row["text"], ended(row))
        return reply(row, about)


def ask_endpoint(job: Job, folder: Path, ledger: Ledger, stop: Stop) -> Sequence[Row]:
    """Every reply of an endpoint; what failed for good is counted among the skipped."""
    assert isinstance(job.model, Endpoint)
    asking = AskingJudge(folder, ledger.plan, job.model, client_of(job.model, ledger.plan))
    asking.after = ledger.take
    asking.run(ledger.draws.all(), stop)
    ledger.draws.skipped.update(
        {f"the endpoint failed: {why}": count for why, count in asking.failed.items()}
    )
    return asking.rows


def ended(row: Row) -> str:
    return str(row["finish_reason"])


def reply(row: Row, about: Row) -> Row:
    """The columns of a reply: those of a sample, less what a thought and an answer would be."""
    dropped = ("thought", "answer", "token_ids", "logprobs")
    return {name: value for name, value in row.items() if name not in dropped} | about


# --- A local model --------------------------------------------------------------------------------


@dataclass
class DrawingVerdicts(Drawing):
    """Draws of a model that reads what it judges."""

    unit, doing = "replies", "judging"

    def ids(self, asked: Asked) -> list[int]:
        return prompt_ids(self.text, asked.question.question)


def prompt_ids(text: Renderer, words: str) -> list[int]:
    """Token ids of a judge's prompt: a user's turn, or the words and a line feed."""
    plain = not text.tokenizer.chat_template
    return list(text.tokenizer(rendered(text, words), add_special_tokens=plain)["input_ids"])


def rendered(text: Renderer, words: str) -> str:
    """The exact prompt string."""
    if not text.tokenizer.chat_template:
        return f"{words}\n"
    turns = [{"role": "user", "content": words}]
    return text.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)


def ask_local(job: Job, folder: Path, ledger: Ledger, stop: Stop) -> Sequence[Row]:
    """Every reply of a local model."""
    from training.engine.model import end_ids, load_model, on_device, positions_of

    plan = ledger.plan
    model, tokenizer = load_model(str(job.model), folder, job.seed)
    model, text = on_device(model), Renderer(tokenizer)
    leave_out_long(ledger.draws, text, positions_of(model))

    def described(one: Wanted, sample: Any, text: Renderer) -> Row:
        words = one.asked.question.question
        said = text.text(sample.token_ids)
        return {
            "prompt": rendered(text, words),
            "text": said,
            "token_count": len(sample.token_ids),
            "prompt_tokens": len(prompt_ids(text, words)),
            "finish_reason": sample.finish_reason,
            **verdict_of(plan, one.asked.conditioned_on or "", said, sample.finish_reason),
        }

    ends = end_ids(model, tokenizer)
    drawing = DrawingVerdicts(
        folder / REPLIES, text, ends, plan.rows_per_batch, described, plan.slots
    )
    drawing.after = ledger.take
    return drawing.run(model, ledger.draws.all(), stop)


def leave_out_long(draws: Draws, text: Renderer, positions: int) -> None:
    """Drop what the model has no positions for, and count it. Raises `BadJob` if that is all."""
    for question, asked in list(draws.by_question.items()):
        read = {draw.key: len(prompt_ids(text, draw.asked.question.question)) for draw in asked}
        kept = [draw for draw in asked if read[draw.key] < positions]
        draws.skipped[TOO_LONG] += len(asked) - len(kept)
        draws.by_question[question] = kept
        if not kept:
            del draws.by_question[question]
    if not draws.by_question:
        raise BadJob(f"Every prompt is longer than the {positions} tokens that the judge can read.")


# --- The end --------------------------------------------------------------------------------------


def result(job: Job, ledger: Ledger, rows: Sequence[Row], seconds: float) -> dict[str, Any]:
    """The content of `result.json`."""
    lines = list(ledger.lines.values())
    pairs: Counter[str] = Counter()
    for line in lines:
        pairs.update(line.get("pairs", {}))
    rated = [one for line in lines for one in line.get("ratings", {}).values()]
    prices = job.model.prices if isinstance(job.model, Endpoint) else {}
    return {
        "kind": "judge",
        "seed": job.seed,
        "config": ledger.plan.model_dump(),
        "version": scorer_version(ledger.plan),
        "prompt_version": version(ledger.plan),
        "prompt": template(ledger.plan),
        "questions": len(lines),
        "asked": len(ledger.draws.all()),
        "replies": len(rows),
        "parsed": sum(row["fault"] is None for row in rows),
        "faults": dict(Counter(row["fault"] for row in rows if row["fault"])),
        "rated": sum(one["rating"] is not None for one in rated),
        "ranked": sum(bool(line.get("ranks")) for line in lines),
        "pairs": dict(pairs),
        "skipped": {why: count for why, count in ledger.draws.skipped.items() if count},
        "usage": {
            "prompt": sum(row["prompt_tokens"] or 0 for row in rows),
            "completion": sum(row["token_count"] or 0 for row in rows),
        },
        **({"prices": prices} if prices else {}),
        "seconds": round(seconds, 2),
    }
