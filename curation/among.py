"""`filter(pk__among=keys)`: as `pk__in`, but the keys travel as one array.

Of two thousand keys `IN` makes two thousand parameters, which Django and psycopg prepare one by
one; that took longer than the database took to find the rows.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Field, Lookup
from django.db.models.fields.related import ForeignObject


@Field.register_lookup
@ForeignObject.register_lookup
class Among(Lookup):  # type: ignore[type-arg]
    """`column = ANY(array)`; the keys are whole numbers."""

    lookup_name = "among"
    prepare_rhs = False

    def __init__(self, lhs: Any, rhs: Any) -> None:
        super().__init__(lhs, "{" + ",".join(str(int(key)) for key in rhs) + "}")

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s::bigint[])", (*parameters, self.rhs)
