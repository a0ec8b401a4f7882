"""Files become rows: JSONL, JSON, CSV and parquet, streamed, one bad row at a time.

What cannot be read in one row (bytes that are not UTF-8, broken JSON, a line without end) is a
`Row` with a `problem`. What cannot be read at all is one sentence, `UnreadableFile`.
NUL characters, which PostgreSQL does not store, are taken out and counted.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import IO, Any
from uuid import UUID

import pyarrow
import pyarrow.parquet

from curation.ingest.record import Row, UnreadableFile
from curation.wording import counted

# Longer rows than this are left out with a reason: memory stays bounded whatever comes.
ROW_LIMIT_BYTES = 16 * 1024 * 1024
CHUNK = 256 * 1024
HEADER_LIMIT = 1024 * 1024
# Where a JSON object keeps its rows.
LIST_NAMES = ("data", "rows", "examples", "records")

BOM = b"\xef\xbb\xbf"
FORMATS = ("jsonl", "json", "csv", "parquet")
_FOREIGN = {
    b"\xff\xfe": "The file is saved as UTF-16. Save it as UTF-8 and import it again.",
    b"\xfe\xff": "The file is saved as UTF-16. Save it as UTF-8 and import it again.",
    b"\x1f\x8b": "The file is compressed with gzip. Unpack it and import it again.",
    b"PK\x03\x04": "The file is a ZIP archive or a spreadsheet. Unpack it, or save it as CSV.",
}


def detect_format(file: IO[bytes], name: str) -> str:
    """One of FORMATS, by the first bytes and then by the name. The file is left at its start."""
    head = file.read(CHUNK)
    file.seek(0)
    if not head.removeprefix(BOM).strip():
        raise UnreadableFile("The file is empty.")
    if head.startswith(b"PAR1"):
        return "parquet"
    for magic, sentence in _FOREIGN.items():
        if head.startswith(magic):
            raise UnreadableFile(sentence)
    suffix = PurePosixPath(name.lower()).suffix
    if suffix in {".csv", ".tsv"}:
        return "csv"
    if suffix == ".parquet":
        raise UnreadableFile("The name says parquet, but the file does not begin as parquet does.")
    return _json_kind(head.removeprefix(BOM).lstrip(), suffix)


def _json_kind(head: bytes, suffix: str) -> str:
    """Many a `.json` file holds one object a line: its first line is an object that is whole."""
    if suffix in {".jsonl", ".ndjson"}:
        return "jsonl"
    if head.startswith(b"["):
        return "json"
    if not head.startswith(b"{"):
        if suffix == ".json":
            raise UnreadableFile("The file is named .json, but begins neither with [ nor with {.")
        return "csv"
    try:
        first = json.loads(head.split(b"\n", 1)[0])
    except (ValueError, RecursionError):
        return "json"
    return "json" if _list_name(first) else "jsonl"


def _list_name(record: Any) -> str | None:
    names = (name for name in LIST_NAMES if isinstance(record.get(name), list))
    return next(names, None)


class Table:
    """An opened file as rows. `expected` tells, while it is read, how many there will be."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.file, self.name = file, name
        self.format = detect_format(file, name)
        self.size = file.seek(0, io.SEEK_END)
        file.seek(0)
        self._exact: int | None = None
        self._read = 0

    def __iter__(self) -> Iterator[Row]:
        self.file.seek(0)
        rows: Callable[[], Iterator[Row]] = getattr(self, f"_{self.format}")
        for self._read, row in enumerate(rows(), start=1):
            yield row

    @property
    def expected(self) -> int | None:
        """All rows: exact for parquet, for others about as many as the bytes still to come say."""
        if self._exact is not None:
            return self._exact
        at = 0 if self.file.closed else self.file.tell()
        if not at or not self._read:
            return None
        estimate = int(round(self._read * self.size / at, -2))
        return max(self._read, estimate) if at < self.size else None

    def _jsonl(self) -> Iterator[Row]:
        for line, raw in _lines(self.file):
            if raw is None:
                yield Row(line, {}, f"the line is longer than {ROW_LIMIT_BYTES // 2**20} MiB")
            elif raw.strip():
                yield _row_of_json(line, raw)

    def _json(self) -> Iterator[Row]:
        return _json_items(_Text(self.file))

    def _csv(self) -> Iterator[Row]:
        return _csv_rows(self.file)

    def _parquet(self) -> Iterator[Row]:
        try:
            table = pyarrow.parquet.ParquetFile(self.file)
            self._exact = table.metadata.num_rows
            _refuse_doubled("parquet", table.schema_arrow.names)
            line = 1
            for batch in table.iter_batches(batch_size=500):
                yield from _parquet_rows(line, batch)
                line += len(batch)
        except (pyarrow.ArrowException, OSError) as error:
            raise UnreadableFile(f"The parquet file is damaged: {_one_line(error)}") from error


def _parquet_rows(line: int, batch: pyarrow.RecordBatch) -> Iterator[Row]:
    """The rows of a batch. Where one has a value that Python cannot hold (a day in the year
    300,000), each row is taken by itself."""
    try:
        rows = batch.to_pylist()
    except (ValueError, OverflowError, pyarrow.ArrowException) as error:
        if len(batch) == 1:
            yield Row(line, {}, f"a value cannot be read: {_one_line(error)}")
            return
        for at in range(len(batch)):
            yield from _parquet_rows(line + at, batch.slice(at, 1))
        return
    for at, fields in enumerate(rows):
        yield _clean_row(line + at, _plain(fields))


def _refuse_doubled(kind: str, names: list[str]) -> None:
    doubled = sorted(name for name, n in Counter(names).items() if name and n > 1)
    if doubled:
        raise UnreadableFile(f"The {kind} file has two columns named {doubled[0]}. Rename one.")


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Numbered lines; one that is too long is passed over and comes as None."""
    line = 0
    while raw := file.readline(ROW_LIMIT_BYTES + 1):
        line += 1
        if len(raw) <= ROW_LIMIT_BYTES:
            yield line, raw.removeprefix(BOM) if line == 1 else raw
            continue
        while not raw.endswith(b"\n") and (raw := file.readline(CHUNK)):
            pass
        yield line, None


# Control characters inside strings are let through; NaN, which JSON lacks, is nothing.
_DECODER = json.JSONDecoder(strict=False, parse_constant=lambda name: None)


def _row_of_json(line: int, raw: bytes) -> Row:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        return Row(line, {}, _not_utf8(raw, error.start))
    try:
        fields = _DECODER.decode(text.strip().replace("\x00", ""))
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" starting at")
        return Row(line, {}, f"not JSON: {what} at character {error.pos + 1}")
    except (ValueError, RecursionError) as error:
        return Row(line, {}, _beyond_reading(error))
    return _checked(line, fields, text, text.count("\x00"))


_TOO_DEEP = "lists or objects are nested in it hundreds of levels deep"


def _beyond_reading(error: Exception) -> str:
    """Why JSON that is correct is still not read."""
    return _TOO_DEEP if isinstance(error, RecursionError) else "a number has thousands of digits"


def _checked(line: int, fields: Any, text: str, nuls: int = 0) -> Row:
    """An object is a row; one that spells characters by number is looked through for NUL."""
    if not isinstance(fields, dict):
        return Row(line, {}, f"the row is {_kind(fields)}, not an object with named fields")
    if "\\u" in text or nuls:
        return _clean_row(line, fields, nuls)
    return Row(line, fields)


def _clean_row(line: int, fields: dict[str, Any], nuls: int = 0) -> Row:
    found = [nuls]
    try:
        cleaned = _without_nul(fields, found)
        json.dumps(cleaned, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return Row(line, {}, "the text holds half of a surrogate pair (\\ud800 … \\udfff)")
    except RecursionError:
        return Row(line, {}, _TOO_DEEP)
    return Row(line, cleaned, nuls=found[0])


def _without_nul(value: Any, found: list[int]) -> Any:
    if isinstance(value, str):
        if "\x00" not in value:
            return value
        found[0] += value.count("\x00")
        return value.replace("\x00", "")
    if isinstance(value, list):
        return [_without_nul(item, found) for item in value]
    if isinstance(value, dict):
        return {_without_nul(k, found): _without_nul(v, found) for k, v in value.items()}
    return value


class _Text:
    """A window over a long JSON text: `value()` decodes what comes next, reading as it needs."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = _as_text(file)
        self.buffer, self.at, self.ended = "", 0, False

    def more(self, size: int = CHUNK) -> None:
        new = self._file.read(size)
        self.ended = not new
        self.buffer, self.at = self.buffer[self.at :] + new, 0

    def peek(self) -> str:
        """The next character that is not white space; "" at the end."""
        while True:
            while self.at < len(self.buffer) and self.buffer[self.at] in " \t\r\n":
                self.at += 1
            if self.at < len(self.buffer):
                return self.buffer[self.at]
            if self.ended:
                return ""
            self.more()

    def take(self) -> str:
        sign = self.peek()
        self.at += 1
        return sign

    def value(self) -> tuple[Any, str]:
        """The next value and the text it was decoded from."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self.buffer, self.at)
            except json.JSONDecodeError:
                if self.ended:
                    raise
            else:
                if end < len(self.buffer) or self.ended:
                    text, self.at = self.buffer[self.at : end], end
                    return value, text
            if len(self.buffer) - self.at > ROW_LIMIT_BYTES:
                raise UnreadableFile(
                    f"a row is longer than {ROW_LIMIT_BYTES // 2**20} MiB, or a quote is not closed"
                )
            self.more(max(CHUNK, len(self.buffer) - self.at))


def _as_text(file: IO[bytes]) -> io.TextIOWrapper:
    """Bytes that are not UTF-8 become lone surrogates, by which their row is known later."""
    raw = io.BufferedReader(_Undetached(file), CHUNK)
    return io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")


class _Undetached(io.RawIOBase):
    """Lets a text wrapper read a file without closing it when the wrapper goes away."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        chunk = self._file.read(len(target))
        target[: len(chunk)] = chunk
        return len(chunk)


def _json_items(text: _Text) -> Iterator[Row]:
    """The items of `[…]`, or of `{"data": […]}`. JSON that breaks off ends the reading."""
    _enter_list(text)
    line = 0
    try:
        while text.peek() not in ("]", ""):
            line += 1
            value, source = text.value()
            yield _json_item(line, value, source)
            if text.peek() == ",":
                text.take()
            elif text.peek() not in ("]", ""):
                yield Row(
                    line + 1,
                    {},
                    "not JSON: a comma is missing before it; nothing after it could be read",
                )
                return
        if text.peek() == "":
            yield Row(line + 1, {}, _CUT_SHORT)
    except (ValueError, UnreadableFile, RecursionError) as error:
        cut = isinstance(error, json.JSONDecodeError) and _breaks_off(error)
        reason = _CUT_SHORT if cut else f"{_why_not_json(error)}; nothing after it could be read"
        yield Row(line, {}, reason)


_CUT_SHORT = "the file ends in the middle of this row: it was cut short; export it again"


def _why_not_json(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg}"
    return f"not JSON: {error}" if isinstance(error, UnreadableFile) else _beyond_reading(error)


def _breaks_off(error: json.JSONDecodeError) -> bool:
    """Whether the text ended too early, rather than holding something wrong."""
    return error.msg.startswith("Unterminated") or not error.doc[error.pos :].strip()


def _json_item(line: int, value: Any, source: str) -> Row:
    try:
        source.encode()
    except UnicodeEncodeError as error:
        return Row(line, {}, f"byte 0x{ord(source[error.start]) - 0xDC00:02x} is not UTF-8")
    return _checked(line, value, source, source.count("\x00"))


def _enter_list(text: _Text) -> None:
    """Step behind the `[` that opens the rows."""
    if text.take() == "[":
        return
    try:
        while text.peek() == '"':
            name, _ = text.value()
            text.take()  # the colon
            if name in LIST_NAMES and text.peek() == "[":
                text.take()
                return
            text.value()
            if text.peek() == ",":
                text.take()
    except json.JSONDecodeError as error:
        raise UnreadableFile(
            "The JSON file was cut short, or is not JSON: "
            f"{error.msg} at line {error.lineno}. Export it again."
        ) from error
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(f"The JSON file: {_beyond_reading(error)}.") from error
    raise UnreadableFile(
        "The JSON file holds one object without a list of rows. Put the rows in a list: "
        '[{…}, …] or {"data": [{…}, …]}.'
    )


def _csv_rows(file: IO[bytes]) -> Iterator[Row]:
    csv.field_size_limit(ROW_LIMIT_BYTES)
    text = _as_text(file)
    header_line = text.readline(HEADER_LIMIT)
    while header_line and not header_line.strip():
        header_line = text.readline(HEADER_LIMIT)
    if len(header_line) == HEADER_LIMIT:
        raise UnreadableFile("The first line of the CSV file, with the column names, has no end.")
    delimiter = max(",;\t|", key=header_line.count)
    # Strict: a quote that is never closed would otherwise swallow all rows behind it.
    rows = csv.reader(_chain(header_line, text), delimiter=delimiter, strict=True)
    try:
        header = _csv_header(next(rows))
    except csv.Error as error:
        raise UnreadableFile(f"The column names are {_csv_fault(error)}.") from error
    while True:
        line = rows.line_num + 1
        try:
            values = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(line, {}, _csv_fault(error))
            continue
        if values:
            yield _csv_row(line, header, values)


def _csv_fault(error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return "not CSV: a quote that opens in this row is never closed"
    return f"not CSV: {error}"


def _chain(first: str, rest: io.TextIOWrapper) -> Iterator[str]:
    yield first
    yield from rest


def _csv_header(names: list[str]) -> list[str]:
    names = [name.strip().replace("\x00", "") for name in names]
    _refuse_doubled("CSV", names)
    if any("\udc80" <= sign <= "\udcff" for name in names for sign in name):
        raise UnreadableFile("The column names are not UTF-8. Save the file as UTF-8.")
    return names


def _csv_row(line: int, header: list[str], values: list[str]) -> Row:
    if len(values) > len(header):
        return Row(line, {}, f"{len(values)} values for {counted(len(header), 'column')}")
    for value in values:
        try:
            value.encode()
        except UnicodeEncodeError as error:
            byte = ord(value[error.start]) - 0xDC00
            return Row(line, {}, f"byte 0x{byte:02x} is not UTF-8")
    nuls = sum(value.count("\x00") for value in values)
    fields = dict(zip(header, (value.replace("\x00", "") for value in values), strict=False))
    return Row(line, {name: value for name, value in fields.items() if name}, nuls=nuls)


def _plain(value: Any) -> Any:
    """A parquet value as JSON would have it."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (Decimal, timedelta, UUID)):
        return str(value)
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return None if isinstance(value, float) and value - value != 0 else value


def _not_utf8(raw: bytes, at: int) -> str:
    return f"byte 0x{raw[at]:02x} at position {at + 1} is not UTF-8"


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _one_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:200]
