"""The artifact store does not answer, or refuses: told from our own failures by where it happens.

Each client of a store has errors of its own. `Told` stands before a file system of fsspec and the
files it opens: whatever fails in a call of theirs, and is neither an answer (no such file) nor a
mistake in the call, is `StoreAway`; "not yours" is `StoreRefuses`. Nothing else needs to know any
client.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# What no waiting mends: wrong keys, wrong names, a full disk.
FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StoreAway(OSError):
    """The artifact store did not answer for as long as we were willing to wait."""


class StoreRefuses(PermissionError):
    """The artifact store answers that our keys do not open this."""


def is_away(error: Exception) -> bool:
    """Whether what a file system raised may mend itself: an error of the system that is no answer,
    or one that its client brings along. Python's other errors are mistakes in the call."""
    if isinstance(error, OSError):
        return not isinstance(error, FINAL) and error.errno not in FULL
    return type(error).__module__ != "builtins"


@contextmanager
def asking() -> Iterator[None]:
    """What the store alone does stands in this block."""
    try:
        yield
    except (StoreAway, StoreRefuses):
        raise
    except PermissionError as error:
        raise StoreRefuses(
            f"The artifact store refuses ({first_words(error)}); look at the keys in ARTIFACTS_URL."
        ) from error
    except Exception as error:
        if not is_away(error):
            raise
        raise StoreAway(in_words(error)) from error


def in_words(error: Exception) -> str:
    return f"The artifact store does not answer ({first_words(error)})."


def first_words(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


class Told:
    """A file system, a file of it or a transaction, as it is but for what its silence is called."""

    def __init__(self, theirs: Any) -> None:
        self._theirs = theirs

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._theirs, name)
        if name == "transaction":
            return Told(found)
        return self._asked(found, name == "open") if callable(found) else found

    def _asked(self, deed: Callable[..., Any], opens: bool) -> Callable[..., Any]:
        def asked(*args: Any, **kwargs: Any) -> Any:
            with asking():
                found = deed(*args, **kwargs)
            return Told(found) if opens else found

        return asked

    def __enter__(self) -> Told:
        with asking():
            self._theirs.__enter__()
        return self

    def __exit__(self, *how: Any) -> Any:
        with asking():
            return self._theirs.__exit__(*how)

    def __iter__(self) -> Told:
        return self

    def __next__(self) -> Any:
        with asking():
            return next(self._theirs)
