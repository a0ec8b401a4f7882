"""Pages by key: each begins after the last row of the page before.

Such a page costs the same however far into a million rows it lies, and a row that comes or goes
moves no other row to a page that has been read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Generic, TypeVar

from django.db import OperationalError, connection, transaction
from django.db.models import F, Model, Q, QuerySet
from psycopg.errors import QueryCanceled

M = TypeVar("M", bound=Model)
T = TypeVar("T")
COUNTED = 10_000  # an exact count of more rows than this costs more than the page
PATIENCE = 300  # milliseconds for a count; a rare filter reads the whole table


@dataclass(frozen=True)
class Order:
    """By `column`, then by key; both upwards or both downwards. `of` reads a value in a key."""

    column: str = "pk"
    descending: bool = False
    of: type = int

    @property
    def columns(self) -> tuple[str, ...]:
        """What rows are sorted by; `page` annotates them with `sort_value`."""
        return ("pk",) if self.column == "pk" else ("sort_value", "pk")

    def ordering(self, backward: bool = False) -> list[str]:
        sign = "-" if self.descending != backward else ""
        return [sign + column for column in self.columns]

    def beyond(self, key: tuple[Any, ...], backward: bool = False) -> Q:
        """What comes after a key (or before it); worded so that an index finds the beginning."""
        than = "lt" if self.descending != backward else "gt"
        if len(key) == 1:
            return Q(**{f"pk__{than}": key[0]})
        value, pk = key
        further = Q(**{f"sort_value__{than}": value}) | Q(**{f"pk__{than}": pk})
        return Q(**{f"sort_value__{than}e": value}) & further

    def key_of(self, row: Model) -> str:
        """The row's key as an address holds it: `17`, or `0.25,17`."""
        if self.column == "pk":
            return str(row.pk)
        return f"{row.sort_value},{row.pk}"  # type: ignore[attr-defined]

    def read(self, given: str | None) -> tuple[Any, ...] | None:
        """The key in an address; None for what is none."""
        value, _, last = (given or "").rpartition(",")
        if "\0" in value or not (last.isascii() and last.isdigit() and len(last) < 19):
            return None
        if self.column == "pk":
            return None if value else (int(last),)
        try:
            found = self.of(value)
        except ValueError:
            return None
        return (found, int(last)) if self.of is not float or isfinite(found) else None


@dataclass
class Slice(Generic[M]):
    """Some rows, and the keys where the pages beside it begin; None at either end."""

    rows: list[M] = field(default_factory=list)
    before: str | None = None
    after: str | None = None


Whole = Callable[[QuerySet[M]], QuerySet[M]]


def page(
    found: QuerySet[M],
    order: Order,
    size: int,
    after: str | None = None,
    before: str | None = None,
    whole: Whole[M] = lambda rows: rows,
) -> Slice[M]:
    """The rows after a key, or those that end before one; the first without either. `whole` adds
    what is to be read with each."""
    if order.column != "pk":
        found = found.annotate(sort_value=F(order.column))  # type: ignore[assignment]
    ends, begins = order.read(before), order.read(after)
    if ends:
        rows = _some(
            found.filter(order.beyond(ends, backward=True)), order.ordering(True), size, whole
        )
        return _slice(rows[:size][::-1], order, len(rows) > size, True)
    rest = found.filter(order.beyond(begins)) if begins else found
    rows = _some(rest, order.ordering(), size, whole)
    return _slice(rows[:size], order, bool(begins), len(rows) > size)


def _some(found: QuerySet[M], ordering: Sequence[str], size: int, whole: Whole[M]) -> list[M]:
    """One more than the page, to know whether there are more.

    By key alone the keys are chosen first and their rows read then: an index that holds what is
    asked for is walked without a look at the rows.
    """
    if len(ordering) > 1:
        return list(whole(found).order_by(*ordering)[: size + 1])
    keys = found.order_by(*ordering).values("pk")[: size + 1]
    return list(whole(found.model._default_manager.filter(pk__in=keys)).order_by(*ordering))


def _slice(rows: list[M], order: Order, has_before: bool, has_after: bool) -> Slice[M]:
    if not rows:
        return Slice()
    return Slice(
        rows,
        before=order.key_of(rows[0]) if has_before else None,
        after=order.key_of(rows[-1]) if has_after else None,
    )


def patiently(ask: Callable[[], T]) -> T | None:
    """What a query answers within `PATIENCE`; None where it would take longer."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {PATIENCE}")
            answer = ask()
            cursor.execute("SET LOCAL statement_timeout = DEFAULT")
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled):
            raise
        return None
    return answer


@dataclass(frozen=True)
class Count:
    """How many there are, as far as could be counted while nobody has to wait."""

    number: int
    is_exact: bool = True
    is_known: bool = True

    @classmethod
    def of(cls, found: QuerySet[Any]) -> Count:
        number = patiently(lambda: found.order_by()[: COUNTED + 1].count())
        if number is None:
            return cls(0, False, False)
        return cls(min(number, COUNTED), number <= COUNTED)

    def __str__(self) -> str:
        if not self.is_known:
            return "many"
        return f"{self.number:,}" if self.is_exact else f"more than {self.number:,}"
