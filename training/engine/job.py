"""`run.json`: what one engine job is asked to do."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Settings = TypeVar("Settings", bound=BaseModel)


class BadJob(ValueError):
    """The job cannot be done as asked; the message is one sentence for a person."""


class Endpoint(BaseModel):
    """An OpenAI-compatible server. The key itself never stands in a file, only its variable."""

    model_config = ConfigDict(extra="forbid")

    provider: Literal["openai"] = "openai"
    base_url: str
    name: str
    api_key_env: str | None = None
    prices: dict[str, Any] = Field(default_factory=dict)  # a million tokens, as they stand now


class Job(BaseModel):
    """The checked content of `run.json`."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["train", "generate", "evaluate", "score", "judge"]
    method: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    seed: int = Field(0, ge=0)
    model: str | Endpoint
    reference: str | None = None  # what a train job is held to, where that is not `model`
    dataset: str = "dataset.jsonl"
    threads: int = Field(1, ge=1)
    processes: int = Field(1, ge=1, le=1024)

    def fingerprint(self) -> str:
        """Changes with whatever changes the outcome, so that a resume cannot mix two jobs."""
        facts = self.model_dump(exclude={"threads": True, "processes": True, "model": {"prices"}})
        if self.reference is None:  # as of jobs from before there was such a key
            del facts["reference"]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def read_job(path: Path) -> Job:
    """Read and check `run.json`. Raises `BadJob` with the first fault in words."""
    try:
        job = Job.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise BadJob(f"There is no file {path}.") from error
    except ValidationError as error:
        raise BadJob(f"{path.name}: {first_fault(error)}") from error
    if (job.kind == "train") != (job.method is not None):
        raise BadJob("A train job names its method, and only a train job does.")
    if isinstance(job.model, Endpoint) and job.kind not in ("generate", "judge"):
        raise BadJob(f"A {job.kind} job needs a local model, not an endpoint.")
    return job


def checked(config: type[Settings], values: dict[str, Any]) -> Settings:
    """`config(**values)`, with the first fault in words. Raises `BadJob`."""
    try:
        return config(**values)
    except ValidationError as error:
        raise BadJob(f"config: {first_fault(error)}") from error


def first_fault(error: ValidationError) -> str:
    """One sentence: where the first fault is and what is wrong with it."""
    fault = error.errors()[0]
    place = ".".join(str(part) for part in fault["loc"]) or "the file"
    if fault["type"] == "extra_forbidden":
        return f"{place} is not a known setting."
    return f"{place}: {fault['msg']}."
