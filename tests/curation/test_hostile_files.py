"""Files that want to do harm, or were harmed: each answered in words, the good rows kept."""

from __future__ import annotations

import json
from datetime import timedelta
from io import BytesIO
from threading import Thread

import pyarrow
import pyarrow.parquet
import pytest
from django.db import connection

from curation.ingest.plan import MOST_NAMES, Plan
from curation.ingest.preview import MOST_FIELDS, preview
from curation.ingest.readers import ROW_LIMIT_BYTES, Table
from curation.ingest.record import Row, UnreadableFile
from curation.models import Question, Rationale
from tests.curation.test_ingest import run_import

GOOD = '{"question": "What is 1 + 1?", "answer": "2"}'


def rows_of(content: bytes | str, name: str = "rows.jsonl") -> list[Row]:
    content = content.encode() if isinstance(content, str) else content
    return list(Table(BytesIO(content), name))


def problems(content: bytes | str, name: str = "rows.jsonl") -> list[str]:
    return [row.problem for row in rows_of(content, name)]


def nested(levels: int, more: str = "") -> str:
    deep = "[" * levels + "]" * levels
    return f'{{"question": "q{more}", "answer": "2", "note": {deep}}}'


def parquet(**columns: pyarrow.Array) -> bytes:
    file = BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


def test_nesting_without_end_is_one_bad_row():
    # An escape makes the reader walk through the row, which must not sink either.
    for row in (nested(3000), nested(950), nested(950, "\\u0041")):
        said = problems(f"{row}\n{GOOD}\n")
        assert said[1] == ""
        assert "nested" in said[0] or said[0] == ""  # the decoder itself may manage it


def test_nesting_without_end_in_a_json_file_is_told_in_a_sentence():
    assert "levels deep; nothing after it" in problems(f"[{nested(3000)}]", "rows.json")[0]
    with pytest.raises(UnreadableFile, match="levels deep"):
        rows_of('{"a":' * 5000, "rows.json")


def test_metadata_that_is_nested_too_deep_for_the_record_is_left_out(project):
    report = run_import(project, f"{nested(900)}\n{nested(60)}\n{nested(40)}\n{GOOD}\n".encode())
    assert (report.questions_added, report.left_out_total) == (2, 2)
    assert {row["reason"] for row in report.left_out} == {"is nested more than 50 levels deep"}


def test_a_number_of_thousands_of_digits_is_one_bad_row():
    huge = f'{{"question": "q", "n": {"9" * 5000}}}'
    assert problems(f"{huge}\n{GOOD}\n") == ["a number has thousands of digits", ""]
    assert "thousands of digits" in problems(f"[{GOOD}, {huge}]", "rows.json")[1]
    with pytest.raises(UnreadableFile, match="thousands of digits"):
        rows_of(f'{{"data": {"9" * 5000}}}', "rows.json")


def test_a_quote_that_is_never_closed_does_not_swallow_the_rows_behind_it_unseen():
    said = rows_of('question,answer\nfine,1\n"open,2\nlost,3\n', "rows.csv")
    assert said[0].fields == {"question": "fine", "answer": "1"}
    assert said[1] == Row(3, {}, "not CSV: a quote that opens in this row is never closed")
    with pytest.raises(UnreadableFile, match="column names are not CSV: a quote"):
        rows_of('"question,answer\na,1\n', "rows.csv")


def test_column_names_without_end_are_refused_at_once():
    with pytest.raises(UnreadableFile, match="has no end"):
        rows_of(b"a" * (2 * 1024 * 1024) + b",b\n1,2\n", "rows.csv")
    with pytest.raises(UnreadableFile, match="column names are not CSV"):
        rows_of(b'"question,answer\n' + b"some,row\n" * (ROW_LIMIT_BYTES // 8), "rows.csv")


def test_many_columns_take_no_quadratic_time_and_no_endless_sentence(tmp_path):
    names = [f"column {n}" for n in range(50_000)]
    file = tmp_path / "wide.csv"
    file.write_text(f"{','.join(names)}\n{','.join('1' * len(names))}\n")
    seen = preview(Plan(file=file.as_uri(), name="wide.csv"))
    assert f"and {50_000 - MOST_NAMES:,} more" in seen.error
    assert len(seen.error) < 1000
    assert len(seen.guess) <= MOST_FIELDS


def test_a_parquet_value_that_python_cannot_hold_is_one_bad_row():
    days = pyarrow.array([0, 2**30, 1], pyarrow.date32())
    content = parquet(question=pyarrow.array(["a", "b", "c"]), day=days)
    said = rows_of(content, "rows.parquet")
    assert [row.line for row in said] == [1, 2, 3]
    assert [bool(row.problem) for row in said] == [False, True, False]
    assert said[1].problem.startswith("a value cannot be read")
    assert said[2].fields == {"question": "c", "day": "1970-01-02"}


def test_a_parquet_text_that_is_no_utf8_is_one_bad_row():
    offsets, text = pyarrow.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pyarrow.py_buffer(b"a\xff")
    texts = pyarrow.Array.from_buffers(pyarrow.string(), 2, [None, offsets, text])
    assert [bool(said) for said in problems(parquet(question=texts), "rows.parquet")] == [
        False,
        True,
    ]


def test_parquet_has_values_that_json_lacks_and_nested_ones():
    took = pyarrow.array([timedelta(seconds=90)])
    steps = pyarrow.array([[{"step": 1, "raw": b"\xff"}]])
    row = rows_of(parquet(took=took, steps=steps), "rows.parquet")[0]
    assert row.fields == {"took": "0:01:30", "steps": [{"step": 1, "raw": "\\xff"}]}


def test_a_parquet_file_with_a_column_twice_is_refused_as_a_csv_is():
    twice = pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 2, names=["answer", "answer"])
    file = BytesIO()
    pyarrow.parquet.write_table(twice, file)
    with pytest.raises(UnreadableFile, match="The parquet file has two columns named answer"):
        rows_of(file.getvalue(), "rows.parquet")


def test_a_byte_order_mark_windows_lines_and_separators_inside_texts_are_read():
    content = "\ufeff" + GOOD + "\r\n" + json.dumps({"question": "a\u2028b\x85c"}) + "\r\n"
    raw = '{"question": "d\u2028e\x85f"}\n'
    assert [row.fields["question"] for row in rows_of(content + raw)] == [
        "What is 1 + 1?", "a\u2028b\x85c", "d\u2028e\x85f",
    ]  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_two_imports_of_one_file_at_once_store_each_row_once(project):
    rows = "".join(
        json.dumps({"question": f"What is {n} + 1?", "answer": str(n + 1), "teacher_cot": f"{n}"})
        + "\n"
        for n in range(1200)
    ).encode()
    reports = []

    def load() -> None:
        try:
            reports.append(run_import(project, rows))
        finally:
            connection.close()

    threads = [Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Question.objects.count() == 1200
    assert sum(report.questions_added for report in reports) == 1200
    assert sum(report.questions_known for report in reports) == 1200
    assert sum(report.rationales_added for report in reports) == Rationale.objects.count()
