"""A `generate` job on an OpenAI-compatible server. Imports no torch.

Requests run side by side in threads; each answer is on disk before the next request of its thread
starts, so a resume asks only for what is missing. Retries with back-off, and the wait that a
server asks for, are the client library's. What fails for good is one row's loss, counted with its
reason and asked again by the next run; a wrong key or a wrong name stops the job at once.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import openai

from training.decoding.prompts import messages, split_completion
from training.decoding.sampling import EndpointSettings, SamplingPlan
from training.engine.dataset import open_dataset
from training.engine.drawing import Row, Wanted, key_of, prompts_of, wanted
from training.engine.files import append_rows, keep_rows, write_json
from training.engine.job import BadJob, Endpoint, Job, checked
from training.engine.stop import Stop, Stopped

SEEDS = 2**31  # what servers take
NO_COMPLETION = (
    "The endpoint answered, but with no chat completion; see that its base URL is the right one, "
    "up to /v1."
)


def generate_remotely(job: Job, folder: Path, stop: Stop) -> dict[str, Any]:
    """Ask for everything that the plan wants and is not stored. Raises `BadJob`, `Stopped`."""
    began = time.monotonic()
    assert isinstance(job.model, Endpoint)
    plan = checked(SamplingPlan, job.config)
    asked = prompts_of(open_dataset(job, folder), plan.what == "answer_given_thought")
    settings = [(plan.settings(t), plan.samples_per_temperature) for t in plan.temperatures]
    draws = wanted(asked, settings, job.seed)
    client = client_of(job.model, plan)
    asking = Asking(folder, plan, job.model, client, system_prompt=plan.system_prompt)
    asking.run(draws, stop)
    return asking.result(job, time.monotonic() - began)


def client_of(endpoint: Endpoint, plan: EndpointSettings) -> openai.OpenAI:
    """The client, with the key from its environment variable. Raises `BadJob` without one."""
    key = os.environ.get(endpoint.api_key_env, "") if endpoint.api_key_env else "none"
    if not key:
        raise BadJob(
            f"The environment variable {endpoint.api_key_env} is not set on this worker; "
            "set it to the endpoint's key and start the worker again."
        )
    return openai.OpenAI(
        base_url=endpoint.base_url,
        api_key=key,
        max_retries=plan.retries,
        timeout=plan.timeout_seconds,
    )


@dataclass
class Pace:
    """At most so many starts a minute, evenly spread; 0 sets no limit."""

    per_minute: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    free_at: float = 0.0

    def wait(self) -> None:
        """Sleep until it is this caller's turn."""
        if not self.per_minute:
            return
        with self.lock:
            turn = max(time.monotonic(), self.free_at)
            self.free_at = turn + 60 / self.per_minute
        time.sleep(max(0.0, turn - time.monotonic()))


@dataclass
class Asking:
    """One job's requests: what is stored, and what failed and why."""

    folder: Path
    plan: EndpointSettings
    endpoint: Endpoint
    client: openai.OpenAI
    rows: list[Row] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    usage: Counter[str] = field(default_factory=Counter)  # tokens of all rows
    after: Callable[[Sequence[Row]], None] | None = None  # hears of all that is stored
    system_prompt: str = ""

    file: ClassVar[str] = "samples.jsonl"
    unit: ClassVar[str] = "completions"
    doing: ClassVar[str] = "asking the endpoint"

    def __post_init__(self) -> None:
        self.pace = Pace(self.plan.requests_per_minute)

    def run(self, draws: list[Wanted], stop: Stop) -> None:
        """Ask for all draws that are missing. Raises `Stopped`, or `BadJob` if nothing can come."""
        keys = {draw.key for draw in draws}
        self.rows = keep_rows(self.folder / self.file, lambda row: key_of(row) in keys)
        self.count(self.rows)
        self.hand_on(self.rows)
        stored = {key_of(row) for row in self.rows}
        missing = iter([draw for draw in draws if draw.key not in stored])
        self.tell(len(draws))
        with ThreadPoolExecutor(self.plan.concurrency) as pool:
            try:
                self.take_all(pool, missing, len(draws), stop)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        if stop.requested():
            raise Stopped("Stopped while asking the endpoint; run again to go on.")
        if self.failed and not self.rows:
            raise BadJob(f"No request was answered. {self.failed.most_common(1)[0][0]}")

    def take_all(
        self, pool: ThreadPoolExecutor, missing: Iterator[Wanted], total: int, stop: Stop
    ) -> None:
        """Keep the pool busy, and store each answer as it comes."""
        open_: set[Future[Row | str]] = set()
        while True:
            while len(open_) < self.plan.concurrency and not stop.requested():
                one = next(missing, None)
                if one is None:
                    break
                open_.add(pool.submit(self.ask, one))
            if not open_:
                return
            ended, open_ = wait(open_, return_when=FIRST_COMPLETED)
            for future in ended:
                self.take(future.result(), total)

    def take(self, answer: Row | str, total: int) -> None:
        """Store a row; count a failure by its reason."""
        if isinstance(answer, str):
            self.failed[answer] += 1
            return
        append_rows(self.folder / self.file, [answer])
        self.rows.append(answer)
        self.count([answer])
        self.hand_on([answer])
        self.tell(total)

    def hand_on(self, rows: Sequence[Row]) -> None:
        """Tell whoever works with what is stored."""
        if self.after:
            self.after(rows)

    def count(self, rows: Sequence[Row]) -> None:
        """Tokens are paid for also where the job does not come to its end."""
        for row in rows:
            self.usage["prompt"] += row["prompt_tokens"] or 0
            self.usage["completion"] += row["token_count"] or 0

    def spent(self) -> dict[str, Any]:
        """What the server has read and said so far, and its prices at the start of the job."""
        prices = self.endpoint.prices
        return {"usage": dict(self.usage), **({"prices": prices} if prices else {})}

    def tell(self, total: int) -> None:
        progress = {"done": len(self.rows), "total": total, "unit": self.unit}
        told = {**progress, "doing": self.doing, **self.spent()}
        write_json(self.folder / "progress.json", told)

    def said(self, one: Wanted) -> list[dict[str, str]]:
        """The conversation that a draw is asked for with."""
        return messages(one.asked.question.question, one.asked.thought, self.system_prompt)

    def ask(self, one: Wanted) -> Row | str:
        """One request: its row, or why there is none. Raises `BadJob` where all would fail."""
        self.pace.wait()
        said = self.said(one)
        try:
            answer = self.client.chat.completions.create(
                model=self.endpoint.name,
                messages=said,  # type: ignore[arg-type]
                temperature=one.sampling.temperature,
                top_p=one.sampling.top_p,
                max_tokens=one.sampling.max_new_tokens,
                seed=one.seed % SEEDS,
            )
            return self.row(one, said, answer)
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise BadJob(f"The endpoint refused the key: {in_words(error)}") from error
        except openai.NotFoundError as error:
            raise BadJob(
                f"{self.endpoint.base_url} has no model {self.endpoint.name!r}, "
                f"or is not the base URL: {in_words(error)}"
            ) from error
        except NoCompletion:
            return NO_COMPLETION
        except (openai.OpenAIError, ValueError, AttributeError, IndexError, TypeError) as error:
            return in_words(error)

    def row(self, one: Wanted, said: list[dict[str, str]], answer: Any) -> Row:
        """The columns of a sample. Reasoning that a server (vLLM, DeepSeek's) returns apart, in a
        field that OpenAI's has not, is a thought as well."""
        choice = choice_of(answer)
        text = choice.message.content or ""
        if reasoning := getattr(choice.message, "reasoning_content", None):
            text = f"<think>{reasoning}</think>\n{text}"
        thought, final = split_completion(text)
        used = answer.usage
        return {
            "question": one.asked.question.id,
            "index": one.index,
            "seed": one.seed,
            "conditioned_on": one.asked.conditioned_on,
            "sampling": one.sampling.model_dump(),
            "prompt": json.dumps(said, ensure_ascii=False),
            "text": text,
            "thought": thought,
            "answer": final,
            "token_ids": None,
            "logprobs": None,
            "token_count": counted(used, "completion_tokens"),
            "prompt_tokens": counted(used, "prompt_tokens"),
            "finish_reason": choice.finish_reason or "",
        }

    def result(self, job: Job, seconds: float) -> dict[str, Any]:
        """The content of `result.json`; the run's page shows `skipped`."""
        return {
            "kind": "generate",
            "seed": job.seed,
            "config": self.plan.model_dump(),
            "drawn": len(self.rows),
            "questions": len({row["question"] for row in self.rows}),
            "without_answer": sum(not row["answer"] for row in self.rows),
            "finish_reasons": dict(Counter(row["finish_reason"] for row in self.rows)),
            "skipped": {f"the endpoint failed: {why}": n for why, n in self.failed.items()},
            **self.spent(),
            "seconds": round(seconds, 2),
        }


class NoCompletion(Exception):
    """A server answered 200 with something else: a log-in page, a list, no choice."""


def choice_of(answer: Any) -> Any:
    """The first choice of a reply; the client checks nothing of it. Raises `NoCompletion`."""
    try:
        choice = answer.choices[0]
        text = choice.message.content
    except (AttributeError, IndexError, TypeError) as error:
        raise NoCompletion from error
    if not isinstance(text, str | None):
        raise NoCompletion
    return choice


def counted(used: Any, name: str) -> int | None:
    """Tokens as the server counts them; None where it does not, or says nonsense."""
    count = getattr(used, name, None)
    return count if isinstance(count, int) and count >= 0 else None


def in_words(error: Exception) -> str:
    """What went wrong, on one line; of the client's errors, those of an answer have its body."""
    body = getattr(error, "body", None)
    told = body.get("message") if isinstance(body, dict) else None
    return f"{type(error).__name__}: {' '.join(str(told or error).split())}"[:300]
