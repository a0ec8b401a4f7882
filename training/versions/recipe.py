"""The recipe of a dataset version: whose rationales, whose judgements, which selection.

It is stored whole with the version, so a version says by itself how it came to be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from training.selection import selection

Split = Literal["train", "validation", "test"]
Role = Literal["teacher", "student", "human"]
PEOPLE, MODELS = "people", "models"


def _listed(value: Any) -> Any:
    """`a,b` and a lone value are lists too, as the command line has them."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [value] if isinstance(value, int) else value


def _keys(pattern: str) -> AfterValidator:
    """Each entry has to match; double ones are dropped."""

    def check(values: list[str]) -> list[str]:
        for value in values:
            if not re.fullmatch(pattern, value):
                raise ValueError(f"{value!r} is none of {pattern.replace('|', ', ')}")
        return list(dict.fromkeys(values))

    return AfterValidator(check)


Listed = BeforeValidator(_listed)
Authors = Annotated[list[str], Listed, _keys(r"model-\d+|person-\d+")]
Judges = Annotated[list[str], Listed, _keys(r"people|models|model-\d+|person-\d+")]
Reviewers = Annotated[list[str], Listed, _keys(r"people|person-\d+")]


class Recipe(BaseModel):
    """What a version is made of. The defaults: everything of the training split."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    selection: str = Field("everything", title="Selection")
    settings: dict[str, Any] = Field(
        default_factory=dict, title="Settings", description="Of the selection."
    )
    splits: Annotated[list[Split], Listed] = Field(
        ["train"],
        min_length=1,
        title="Splits",
        description="Each stays a part of its own. Test questions are held out unless asked for.",
    )
    roles: Annotated[list[Role], Listed] = Field(
        ["teacher", "student", "human"],
        min_length=1,
        title="Written by",
    )
    authors: Authors = Field(
        default_factory=list, title="Authors", description="Only theirs; none chosen means all."
    )
    rankings: Judges = Field(
        default_factory=lambda: [PEOPLE, MODELS],
        title="Whose rankings",
        description="They travel with the version for the method to use. "
        "Untick “all” to take only some.",
    )
    reviews: Reviewers = Field(
        default_factory=lambda: [PEOPLE],
        title="Whose reviews",
        description="They decide what counts as accepted. Untick “all” to take only some.",
    )
    adjudicated: Literal["prefer", "only", "ignore"] = Field(
        "prefer",
        title="Decisions of adjudicators",
        description="prefer: where there is one, it counts in the place of all rankings and "
        "reviews. only: questions without one are left out.",
    )
    runs: Annotated[list[int], Listed] = Field(
        default_factory=list, title="Runs", description="Only what these runs wrote."
    )
    imports: Annotated[list[int], Listed] = Field(
        default_factory=list, title="Imports", description="Only what these imports wrote."
    )
    samples: Annotated[list[int], Listed] = Field(
        default_factory=list,
        title="Samples of",
        description="Only questions that these runs drew for, and of student samples only theirs.",
    )
    min_rationales: int = Field(
        1,
        ge=0,
        le=1000,
        title="Fewest rationales a question",
        description="2 for preferences; 0 keeps questions that have none, which GRPO can draw for.",
    )
    max_rationales: int = Field(
        0,
        ge=0,
        le=10_000,
        title="Most rationales a question",
        description="Chosen at random by the seed; 0 sets no limit.",
    )
    conditioned: bool = Field(
        False,
        title="Answers to a given thought form groups of their own",
        description="Student answers drawn after a teacher's thought, as CoTD-PO draws them: "
        "one group a thought. Otherwise they stay with their question.",
    )
    drop_duplicates: bool = Field(
        True,
        title="Drop duplicates",
        description="Of rationales that say the same word for word, the most judged one stays.",
    )
    drop_corrected: bool = Field(
        True,
        title="Drop what was corrected",
        description="A rationale that somebody rewrote gives way to its correction.",
    )
    drop_overlap: bool = Field(
        False,
        title="Drop questions that overlap with the test split",
        description="Those that share 13 words in a row with a test question. "
        "They are counted either way.",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, title="Seed")

    @model_validator(mode="after")
    def _settle(self) -> Self:
        """Resolve the selection's settings, so that the stored recipe names every default."""
        try:
            config = selection(self.selection).Config(**self.settings)
        except KeyError as error:
            raise ValueError(error.args[0]) from error
        except ValidationError as error:
            raise ValueError(f"settings of {self.selection}: {first_fault(error)}") from error
        self.settings = config.model_dump()
        if 0 < self.max_rationales < self.min_rationales:
            raise ValueError("max_rationales is below min_rationales, so no question could enter")
        self.splits, self.roles = list(dict.fromkeys(self.splits)), list(dict.fromkeys(self.roles))
        return self

    def chosen(self) -> Any:
        """The settings as the selection's own `Config`."""
        return selection(self.selection).Config(**self.settings)

    def hears(self, judge: str) -> bool:
        """Whether the ranking of `judge` ("person-3", "model-7") counts."""
        kind = PEOPLE if judge.startswith("person-") else MODELS
        return kind in self.rankings or judge in self.rankings

    def heeds(self, reviewer: str) -> bool:
        """Whether the review of `reviewer` ("person-3") counts."""
        return PEOPLE in self.reviews or reviewer in self.reviews


def first_fault(error: ValidationError) -> str:
    """The first thing wrong, as `name: what`."""
    fault = error.errors()[0]
    place = ".".join(str(part) for part in fault["loc"])
    message = fault["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def in_words(recipe: Recipe, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """The recipe as facts for a person; `names` resolves "person-3" and "model-7"."""

    def told(keys: list[str], nobody: str) -> str:
        return ", ".join(names.get(key, key) for key in keys) or nobody

    chosen = selection(recipe.selection)
    fields = chosen.Config.model_fields
    settings = [
        f"{fields[name].title}: {names.get(str(value), value)}"
        for name, value in recipe.settings.items()
    ]
    most = recipe.max_rationales or "any number"
    written = [f"run {run}" for run in recipe.runs] + [f"import {job}" for job in recipe.imports]
    kept = [
        ("duplicates", recipe.drop_duplicates),
        ("corrected originals", recipe.drop_corrected),
        ("questions that overlap with the test split", recipe.drop_overlap),
    ]
    return [
        ("Selection", "; ".join([chosen.TITLE, *settings])),
        ("Splits", ", ".join(recipe.splits)),
        ("Written by", ", ".join(f"{role}s" for role in recipe.roles)),
        ("Authors", told(recipe.authors, "all")),
        ("Only from", ", ".join(written) or "all runs and imports"),
        ("Samples of", ", ".join(f"run {run}" for run in recipe.samples) or "every run"),
        ("Rankings of", told(recipe.rankings, "nobody")),
        ("Reviews of", told(recipe.reviews, "nobody")),
        ("Decisions of adjudicators", recipe.adjudicated),
        ("Rationales a question", f"{recipe.min_rationales} to {most}"),
        (
            "Answers to a given thought",
            "groups of their own" if recipe.conditioned else "with their question",
        ),
        ("Dropped", ", ".join(what for what, on in kept if on) or "nothing"),
        ("Seed", str(recipe.seed)),
    ]
