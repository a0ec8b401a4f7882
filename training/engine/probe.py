"""A probe: a few questions answered greedily while a run is under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.decoding.prompts import Renderer, split_completion
from training.decoding.record import Question
from training.decoding.sampling import Sampling
from training.engine.files import append_rows
from training.engine.sampler import Sampler
from training.rewards.answer import judged


@dataclass
class Probe:
    """Answers the same questions each time and appends them to `probes.jsonl`."""

    folder: Path
    text: Renderer
    questions: Sequence[Question]
    max_new_tokens: int
    ends: list[int]
    sampler: Sampler = field(default_factory=Sampler)

    def take(self, model: Any, step: int, tell: bool = True) -> dict[str, float]:
        """`probe_accuracy` among the questions that have a reference, nothing without such; the
        texts go to the file if this process is to `tell`."""
        if not self.questions:
            return {}
        prompts = [self.text.prompt(question.question) for question in self.questions]
        sampling = Sampling(temperature=0, max_new_tokens=self.max_new_tokens)
        drawn = self.sampler.draw(model, prompts, [[0]] * len(prompts), sampling, self.ends)
        rows = [
            self._row(step, question, sample)
            for question, (sample,) in zip(self.questions, drawn, strict=True)
        ]
        if tell:
            append_rows(self.folder / "probes.jsonl", rows)
        known = [row["correct"] for row in rows if row["correct"] is not None]
        return {"probe_accuracy": sum(known) / len(known)} if known else {}

    def _row(self, step: int, question: Question, sample: Any) -> dict[str, Any]:
        text = self.text.text(sample.token_ids)
        thought, answer = split_completion(text)
        verdict = judged(answer, question)  # no mark, no answer: as in training
        return {
            "step": step,
            "question": question.id,
            "text": text,
            "thought": thought,
            "answer": answer,
            "finish_reason": sample.finish_reason,
            "correct": verdict.correct,
        }
