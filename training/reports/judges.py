"""The judges of a project as its page lists them: by model and version of the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, IntegerField, Max, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce

from curation.models import LanguageModel, Project
from training.models import JudgeVerdict, Run, RunKind
from training.reports.judge_agreement import Agreement, agreement_with_people
from training.runs.costs import Cost, token_cost, usage

MOST = 20
COUNTED = ("pairs", "consistent", "inconsistent", "incomplete", "first_won", "second_won")


@dataclass(frozen=True)
class Line:
    """One judge: a model, asked by one prompt."""

    model: LanguageModel
    version: str
    questions: int
    asked: int
    parsed: int
    pairs: dict[str, int]
    last: Run
    tokens: int
    cost: Cost | None
    agreement: Agreement

    @property
    def mode(self) -> str:
        return self.version.split(" ", 1)[0]

    @property
    def prompt_version(self) -> str:
        return self.version.split(" ", 1)[1]

    @property
    def prompt(self) -> str:
        """Word for word; "" until one of its runs has ended."""
        return str(self.last.result.get("prompt", ""))

    @property
    def tau(self) -> str:
        return in_two_digits(self.agreement.tau.value)

    @property
    def tau_range(self) -> str:
        low, high = self.agreement.tau.low, self.agreement.tau.high
        return f"{in_two_digits(low)} to {in_two_digits(high)}"

    @property
    def lost(self) -> float | None:
        """The share of replies without a verdict."""
        return 1 - self.parsed / self.asked if self.asked else None

    @property
    def consistency(self) -> float | None:
        """Of the pairs decided in both orders, the share that was decided alike."""
        decided = self.pairs["consistent"] + self.pairs["inconsistent"]
        return self.pairs["consistent"] / decided if decided else None

    @property
    def first_preferred(self) -> float | None:
        """Of the verdicts for one of two, the share for the one shown first; 0.5 is fair."""
        chosen = self.pairs["first_won"] + self.pairs["second_won"]
        return self.pairs["first_won"] / chosen if chosen else None


def in_two_digits(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def judges_of(project: Project) -> list[Line]:
    """The judges that were asked last, the latest first."""
    rows = counted(project)
    models = LanguageModel.objects.in_bulk([row["run__student"] for row in rows])
    runs = runs_by_version(project)
    found = []
    for row in rows:
        model, version = models[row["run__student"]], row["version"]
        own = runs[model.pk, version]
        last = next((run for run in own[::-1] if run.result), own[-1])
        costs = [cost for run in own if (cost := token_cost(run))]
        found.append(
            Line(
                model=model,
                version=version,
                questions=row["questions"],
                asked=row["asked"],
                parsed=row["parsed"],
                pairs={name: row[f"of_{name}"] for name in COUNTED},
                last=with_project(last, project),
                tokens=sum(sum(usage(run).values()) for run in own),
                cost=summed(costs),
                agreement=agreement_with_people(project, model, version=version),
            )
        )
    return found


def counted(project: Project) -> list[dict[str, Any]]:
    """Sums over all verdicts, by judge and version, in one query."""
    pairs = {
        f"of_{name}": Coalesce(Sum(Cast(KT(f"detail__pairs__{name}"), IntegerField())), 0)
        for name in COUNTED
    }
    verdicts = JudgeVerdict.objects.filter(run__project=project).order_by()
    by_judge = verdicts.values("run__student", "version").annotate(
        questions=Count("question", distinct=True),
        asked=Sum("asked"),
        parsed=Sum("parsed"),
        run=Max("run"),
        **pairs,
    )
    return [dict(row) for row in by_judge.order_by("-run")[:MOST]]


def runs_by_version(project: Project) -> dict[tuple[int, str], list[Run]]:
    """The judge runs that gave a verdict, the latest last; one that was cancelled or failed is
    paid for as well."""
    found: dict[tuple[int, str], list[Run]] = {}
    verdicts = JudgeVerdict.objects.filter(run__project=project).order_by()
    versions = dict(verdicts.values_list("run", "version").distinct())
    runs = project.runs.filter(kind=RunKind.JUDGE, pk__in=versions)
    for run in runs.select_related("student").order_by("pk"):
        found.setdefault((run.student_id or 0, versions[run.pk]), []).append(run)
    return found


def with_project(run: Run, project: Project) -> Run:
    run.project = project
    return run


def summed(costs: list[Cost]) -> Cost | None:
    """All of them as one; they are of one model, so in one currency."""
    if not costs:
        return None
    return Cost("tokens", sum(cost.amount for cost in costs), costs[-1].currency)
