"""Reading ahead changes nothing but the time it takes."""

from __future__ import annotations

import threading
from contextlib import closing
from itertools import count

import pytest

from curation.ingest.ahead import read_ahead


def test_the_items_come_in_their_order_and_all_of_them():
    assert list(read_ahead(iter([1, None, 0, "four"]))) == [1, None, 0, "four"]
    assert list(read_ahead(iter(()))) == []


def test_one_item_is_made_while_the_one_before_is_worked_on():
    made = threading.Event()

    def items():
        yield "first"
        made.set()
        yield "second"

    with closing(read_ahead(items())) as coming:
        assert next(coming) == "first"
        assert made.wait(10), "nobody asked for the second one yet"


def test_an_error_comes_where_its_item_would_have_come():
    def items():
        yield 1
        raise ValueError("line 2 is no JSON")

    coming = read_ahead(items())
    assert next(coming) == 1
    with pytest.raises(ValueError, match="line 2"):
        next(coming)


def test_leaving_early_leaves_no_thread():
    with closing(read_ahead(count())) as coming:
        assert next(coming) == 0
    assert not [one for one in threading.enumerate() if one.name.startswith("reading-ahead")]
