"""What a shape is, and the fields that every shape reads alike."""

from __future__ import annotations

from typing import Any, Protocol

from curation.ingest.record import BadRow, Draft, Names
from curation.models import Split

SPLITS = {
    **{split: split for split in Split.values},
    "training": Split.TRAIN,
    "dev": Split.VALIDATION,
    "valid": Split.VALIDATION,
    "val": Split.VALIDATION,
    "eval": Split.TEST,
}


class Shape(Protocol):
    """A known way of laying out rows.

    `words` says it to a person; `names` are the authors of texts that do not name theirs;
    `split` is where such questions belong if neither the row nor the person says so.
    """

    @property
    def name(self) -> str: ...
    @property
    def words(self) -> str: ...
    @property
    def names(self) -> Names: ...
    @property
    def split(self) -> str: ...

    def recognises(self, fields: dict[str, Any]) -> bool: ...

    def read(self, fields: dict[str, Any], names: Names) -> Draft:
        """What the row says. Raises BadRow, with the field, where it cannot be taken in."""
        ...


def text_of(fields: dict[str, Any], name: str, *, required: bool = False) -> str:
    """The field as text, its ends trimmed and its line ends made alike; "" where it is empty."""
    value = fields.get(name)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise BadRow(name, f"holds {type(value).__name__}, not text")
    value = value.replace("\r\n", "\n").strip()
    if required and not value:
        raise BadRow(name, "is missing or empty")
    return value


def split_of(fields: dict[str, Any], name: str = "split") -> str:
    """The split that the row names; "" where it names none."""
    given = text_of(fields, name).lower()
    if given and given not in SPLITS:
        raise BadRow(name, f"is {given!r}; a split is train, validation or test")
    return SPLITS.get(given, "")


def count_of(fields: dict[str, Any], name: str) -> int | None:
    given = text_of(fields, name)
    if not given:
        return None
    if not given.isascii() or not given.isdigit() or int(given) >= 2**31:
        raise BadRow(name, f"is {given[:40]!r}, not a count")
    return int(given)
