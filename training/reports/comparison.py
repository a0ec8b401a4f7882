"""Several models side by side, on the same questions: measures as rows, models as columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from training.models import Evaluation

Row = dict[str, Any]


@dataclass(frozen=True)
class Measure:
    """A row of the table: where its figure and its interval stand in a summary."""

    key: str
    title: str
    about: str
    low: str = ""
    high: str = ""
    baseline: str = ""
    share: bool = False


MEASURES = [
    Measure(
        "accuracy",
        "Answer accuracy, greedy",
        "Share of questions answered right at temperature 0",
        "accuracy_low",
        "accuracy_high",
        share=True,
    ),
    Measure(
        "sampled_accuracy",
        "Answer accuracy, sampled",
        "Mean share of right answers among samples",
        "sampled_accuracy_low",
        "sampled_accuracy_high",
        share=True,
    ),
    Measure(
        "valid_chain_share",
        "Chains whose every step checks",
        "Every calculation holds",
        "valid_chain_share_low",
        "valid_chain_share_high",
        share=True,
    ),
    Measure(
        "parsed_share", "Answers that could be read", "The rest ended without an answer", share=True
    ),
    Measure(
        "length_ratio",
        "Length against the references",
        "Tokens over the reference's",
    ),
    Measure(
        "similarity",
        "Similarity to the references",
        "Cosine of sentence embeddings",
        baseline="similarity_shuffled",
    ),
    Measure("distinct_derivations", "Distinct derivations", "Different right ways a question"),
    Measure("vendi", "Vendi score", "Effective number of different samples a question"),
    Measure("distinct_2", "Distinct 2-grams", "Share that is not repeated", share=True),
    Measure("truncated_share", "Stopped by the length limit", "Of all completions", share=True),
    Measure("completion_tokens", "Tokens a completion", "Mean of the greedy answers"),
]


@dataclass(frozen=True)
class Cell:
    """One figure of one model, with what it is to be read against."""

    value: float | None
    low: float | None
    high: float | None
    baseline: float | None


def latest_evaluations(project: Any, chosen: list[int], most: int = 8) -> list[Evaluation]:
    """The chosen ones, or the newest of each model and split."""
    found = Evaluation.objects.filter(run__project=project).select_related("model", "run")
    if chosen:
        return sorted(found.filter(pk__in=chosen), key=lambda evaluation: evaluation.run_id)
    newest: dict[tuple[int, str], Evaluation] = {}
    for evaluation in found.order_by("-id"):
        newest.setdefault((evaluation.model_id, evaluation.split), evaluation)
    return sorted(list(newest.values())[:most], key=lambda evaluation: evaluation.run_id)


def side_by_side(evaluations: list[Evaluation]) -> list[tuple[Measure, list[Cell]]]:
    """Each measure that any of the summaries has, with a cell for each."""
    table = [(measure, [cell(measure, e.summary) for e in evaluations]) for measure in MEASURES]
    return [(m, cells) for m, cells in table if any(c.value is not None for c in cells)]


def cell(measure: Measure, summary: Row) -> Cell:
    keys = (measure.key, measure.low, measure.high, measure.baseline)
    value, low, high, baseline = (summary.get(key) if key else None for key in keys)
    return Cell(value, low, high, baseline)


def comparable(evaluations: list[Evaluation]) -> bool:
    return len({evaluation.questions_sha256 for evaluation in evaluations}) <= 1
