"""An export as a folder: data files by split, a sidecar of our own facts, and what was left out.

    data/train.jsonl …  or  data/train.parquet …      what the trainer reads
    meta/train.jsonl …     line n tells about row n of the data: question, rationales, source
    left_out.jsonl         what made no row, and why

Rows are written as they come; memory holds one batch of them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from training.export.groups import Line, Row, groups_of

BATCH = 1000
SPLITS = ("train", "validation", "test")
Progress = Callable[[int], None]


@dataclass
class Report:
    """What came of an export: rows by split, reasons for what made none, and the data files."""

    rows: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    files: dict[str, str] = field(default_factory=dict)
    size: int = 0  # bytes of the data files


class Jsonl:
    """Rows as JSON lines. Marks that some readers take for the end of a line are escaped."""

    suffix = "jsonl"

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.file = path.open("w", encoding="utf-8", newline="\n")

    def write(self, row: Row) -> None:
        self.file.write(json_line(row))

    def close(self) -> None:
        self.file.close()


class Parquet:
    """Rows in groups of `BATCH`, typed by the schema."""

    suffix = "parquet"

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.schema, self.waiting = schema, list[Row]()
        self.file = pq.ParquetWriter(path, schema, compression="zstd")

    def write(self, row: Row) -> None:
        self.waiting.append(row)
        if len(self.waiting) == BATCH:
            self.flush()

    def flush(self) -> None:
        self.file.write_table(pa.Table.from_pylist(self.waiting, schema=self.schema))
        self.waiting = []

    def close(self) -> None:
        if self.waiting:
            self.flush()
        self.file.close()


def json_line(row: Any) -> str:
    """One line, readable in any language."""
    text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    for mark in ("\x85", "\u2028", "\u2029"):
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text + "\n"


@dataclass
class Part:
    """One split of an export."""

    data: Jsonl | Parquet
    meta: IO[str]
    count: int = 0

    def write(self, row: Row, known: Row) -> None:
        self.data.write(row)
        self.meta.write(json_line({"row": self.count, **known}))
        self.count += 1


def write_files(
    lines: Iterable[Line],
    shape: ModuleType,
    config: Any,
    folder: Path,
    parquet: bool = False,
    progress: Progress = lambda done: None,
) -> Report:
    """Write the export of `lines` in a format into an empty `folder`."""
    report = Report()
    (folder / "data").mkdir(parents=True)
    (folder / "meta").mkdir()
    with ExitStack() as stack, (folder / "left_out.jsonl").open("w", encoding="utf-8") as others:
        parts = Parts(folder, shape.SCHEMA, Parquet if parquet else Jsonl, stack)

        for done, line in enumerate(lines, start=1):
            split = line.split or "train"

            def skip(key: str, reason: str, split: str = split) -> None:
                report.left_out[reason] += 1
                others.write(json_line({"id": key, "split": split, "reason": reason}))

            for group in groups_of(line):
                for row, known in shape.rows(group, config, skip):
                    parts[split].write(row, {"question": line.question_id or line.id, **known})
            if done % BATCH == 0:
                progress(done)
    report.rows = Counter({split: parts[split].count for split in SPLITS if split in parts})
    report.files = {split: parts.name(split) for split in report.rows}
    report.size = sum((folder / name).stat().st_size for name in report.files.values())
    return report


class Parts(dict[str, Part]):
    """The splits; a file is opened when its first row comes."""

    def __init__(
        self, folder: Path, schema: pa.Schema, kind: type[Jsonl] | type[Parquet], stack: ExitStack
    ) -> None:
        super().__init__()
        self.folder, self.schema, self.kind, self.stack = folder, schema, kind, stack

    def __missing__(self, split: str) -> Part:
        data = self.kind(self.folder / self.name(split), self.schema)
        self.stack.callback(data.close)
        path = self.folder / "meta" / f"{split}.jsonl"
        meta = self.stack.enter_context(path.open("w", encoding="utf-8"))
        self[split] = Part(data, meta)
        return self[split]

    def name(self, split: str) -> str:
        return f"data/{split}.{self.kind.suffix}"
