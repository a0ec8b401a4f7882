"""What a selection looks at: one question with its candidates and what is known about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

SCORED_BY = "scored_by"  # in a field's json_schema_extra: the field names a model of the project


class Settings(BaseModel):
    """The settings of a selection. Names that it does not have are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @property
    def over_dataset(self) -> bool:
        """Whether `rank` has to see all questions of a split at once."""
        return False


def student_field(wanted: str) -> Any:
    """A setting that names the student whose scores count, as `model-7`; empty until chosen."""
    return Field(
        "",
        pattern=r"^(model-\d+)?$",
        title="Student",
        description=f"The one that is to be trained. It has to have scored the rationales: "
        f"launch a score run with it{wanted}.",
        json_schema_extra={SCORED_BY: True},
    )


@dataclass(slots=True)
class Candidate:
    """One rationale with the facts about it, as far as the recipe lets them count.

    `accepts` and `rejects` are the live reviews of the chosen reviewers; `scores` holds the last
    value of each scorer, None where it could not tell, and under `{scorer}@model-7` the last value
    that this model gave.
    """

    id: int
    role: str
    author: str
    thought: str = ""
    answer: str = ""
    conditioned_on: int | None = None
    content_hash: str = ""
    scores: dict[str, float | None] = field(default_factory=dict)
    accepts: int = 0
    rejects: int = 0

    def unscored(self, scorer: str, model: str) -> str | None:
        """Why there is no value of `scorer` by `model` ("model-7"), in words; None if there is."""
        if not model:
            return "No student is chosen whose scores would count"
        if f"{scorer}@{model}" not in self.scores:
            return f"Not scored by {model}"
        if self.scores[f"{scorer}@{model}"] is None:
            return f"{model} could not score it"
        return None

    def score(self, scorer: str, model: str) -> float:
        """The value of `scorer` by `model`; only where `unscored` has nothing to say."""
        value = self.scores[f"{scorer}@{model}"]
        assert value is not None
        return value


@dataclass(slots=True)
class Asked:
    """One question of the record.

    `rankings` holds the live ranks that count, 1 is best: judge -> candidate -> rank; `considered`
    is how many candidates there were before the selection took any away.
    """

    id: int
    text: str
    reference_answer: str
    answer_kind: str
    split: str
    candidates: list[Candidate] = field(default_factory=list)
    rankings: dict[str, dict[int, int]] = field(default_factory=dict)
    considered: int = 0
