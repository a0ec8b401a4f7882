"""Rows into tables by COPY: constraints and triggers see each of them, the ORM sees none.

What a caller does not name takes the default of its field.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection
from django.db.models import Model
from django.utils import timezone


def reserve(model: type[Model], count: int) -> range:
    """Keys for so many rows, taken from the table's sequence."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [model._meta.db_table])
        sequence = cursor.fetchone()[0]
        cursor.execute("SELECT nextval(%s)", [sequence])
        first = cursor.fetchone()[0]
        cursor.execute("SELECT setval(%s, %s)", [sequence, first + max(count, 1) - 1])
    return range(first, first + count)


def copy(model: type[Model], names: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Put the rows, tuples of the named attributes, into the model's table; returns how many."""
    fixed = _defaults(model, names)
    quoted = ", ".join(map(connection.ops.quote_name, [*_columns(model, names), *fixed]))
    rest, count = tuple(fixed.values()), 0
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {model._meta.db_table} ({quoted}) FROM STDIN") as sink,
    ):
        for count, row in enumerate(rows, 1):  # noqa: B007
            sink.write_row((*row, *rest))
    return count


def _columns(model: type[Model], names: Sequence[str]) -> list[str]:
    known = {field.attname: field.column for field in model._meta.concrete_fields}
    return [known[name] for name in names]


def _defaults(model: type[Model], names: Sequence[str]) -> dict[str, Any]:
    """Column → value, of the fields that are not named and that the database does not fill."""
    found = {}
    for field in model._meta.concrete_fields:
        if field.attname in names or field.generated or field.primary_key:
            continue
        value = timezone.now() if getattr(field, "auto_now_add", False) else field.get_default()
        found[field.column] = json.dumps(value) if isinstance(value, dict) else value
    return found
