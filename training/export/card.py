"""The dataset card: a README.md that the Hugging Face hub and `datasets.load_dataset` read.

Its front matter names the files and the type of every column, so that no reader has to guess a
type from the first rows. JSON is YAML, so each value of it is written as JSON.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pyarrow as pa

from training.export.files import Report

DTYPES = {pa.string(): "string", pa.bool_(): "bool", pa.int64(): "int64", pa.float64(): "float64"}


@dataclass
class Facts:
    """What the card says about the version that was exported."""

    project: str
    version: str
    created: str
    sha256: str
    command: str
    counts: dict[str, Any]
    recipe: Sequence[tuple[str, str]]
    options: Mapping[str, Any] = field(default_factory=dict)
    authors: Sequence[tuple[str, str, str]] = ()  # name, role, licence
    sources: Sequence[str] = ()
    prompts: Sequence[tuple[str, str, str]] = ()  # sha256, text, rationales
    judges: Sequence[tuple[str, str, str]] = ()  # who, what they did, how often
    corrections: int = 0
    licences: Sequence[tuple[str, str]] = ()  # licence, of what


def card(facts: Facts, shape: ModuleType, report: Report) -> str:
    """The whole README.md."""
    return f"---\n{front_matter(facts, shape, report)}---\n\n{body(facts, shape, report)}"


def front_matter(facts: Facts, shape: ModuleType, report: Report) -> str:
    """YAML. Without rows there are no files to name."""
    data_files = [{"split": split, "path": name} for split, name in report.files.items()]
    entries = {
        "pretty_name": f"{facts.project} {facts.version}: {shape.TITLE}",
        **_licence(facts),
        "tags": ["stillroom", "chain-of-thought", shape.__name__.rsplit(".", 1)[-1]],
        "configs": [{"config_name": "default", "data_files": data_files}],
        "dataset_info": {"config_name": "default", "features": features(shape.SCHEMA)},
    }
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in entries.items())


def _licence(facts: Facts) -> dict[str, str]:
    """The models' own licence where they share one; the questions have theirs besides."""
    named = {licence.lower() for _, _, licence in facts.authors if licence}
    every = all(licence for _, _, licence in facts.authors)
    if len(named) == 1 and every and facts.authors:
        return {"license": named.pop()}
    return {"license": "other", "license_name": "mixed-see-card"}


def features(schema: pa.Schema) -> list[dict[str, Any]]:
    """The columns as the front matter describes them."""
    return [{"name": column.name, **_feature(column.type)} for column in schema]


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_struct(kind):
        return {"struct": [{"name": member.name, **_feature(member.type)} for member in kind]}
    if pa.types.is_list(kind):
        inner = _feature(kind.value_type)
        return {"list": inner.get("struct") or inner.get("dtype") or inner}
    return {"dtype": DTYPES[kind]}


def body(facts: Facts, shape: ModuleType, report: Report) -> str:
    """What a person reads."""
    sections = [
        (f"# {facts.project} {facts.version}: {shape.TITLE}", summary(facts, shape, report)),
        ("## Use", f"{LOADING}\n\n{shape.USE}\n\n{SIDECAR}"),
        ("## Authors and licences", authors(facts)),
        ("## Who judged", table(("Who", "Did", "Times"), facts.judges)),
        ("## Prompts", prompts(facts)),
        ("## Recipe", table(("What", "Choice"), facts.recipe)),
        ("## Options", table(("Option", "Value"), coded(facts.options))),
        ("## Left out of this export", table(("Reason", "Number"), counted(report.left_out))),
        ("## Made by", f"sha256 of the version: `{facts.sha256}`\n\n```\n{facts.command}\n```"),
    ]
    return "\n\n".join(f"{heading}\n\n{text}" for heading, text in sections) + "\n"


LOADING = """```python
from datasets import load_dataset
dataset = load_dataset(FOLDER)
```"""
SIDECAR = "`meta/` tells for each row, by its number, which question and rationales it came from."


def summary(facts: Facts, shape: ModuleType, report: Report) -> str:
    """How much there is, and who judged it."""
    counts = facts.counts
    judged, overlap = counts["judgements"], counts["overlap"]
    made_from = (
        f"Made from version {facts.version} of the project “{facts.project}” ({facts.created}): "
        f"{counts['questions']:,} questions with {counts['rationales']:,} rationales, "
        f"{judged.get('rankings', 0):,} rankings by {judged['people']} people "
        f"and {judged['judges']} judge models, {judged.get('accepted', 0):,} rationales accepted "
        f"and {judged.get('rejected', 0):,} rejected. People appear under pseudonyms. "
        f"Questions that share {overlap['words']} words in a row with a test question: "
        f"{overlap['questions']}."
    )
    return f"{shape.HELP}\n\n{table(('Split', 'Rows'), counted(report.rows))}\n\n{made_from}"


def authors(facts: Facts) -> str:
    """Who wrote the rationales, under what licence, and where the questions come from."""
    sources = ", ".join(facts.sources) or "no named source"
    listed = table(("Author", "Wrote as", "Licence"), facts.authors)
    told = f"Questions come from: {sources}. Check their licence too."
    if facts.licences:
        told += f"\n\n{table(('Questions from', 'Licence as their metadata say'), facts.licences)}"
    if facts.corrections:
        told += f"\n\nCorrected by hand: {facts.corrections:,} rationales."
    return f"{listed}\n\n{told}"


def prompts(facts: Facts) -> str:
    """What the models were asked, each once, without the questions' own texts."""
    if not facts.prompts:
        return "None was stored, as is so with imported rationales."
    return table(("sha256", "Prompt", "Rationales"), facts.prompts)


def counted(numbers: Counter[str]) -> list[tuple[str, str]]:
    """A counter as rows of a table, the largest first."""
    return [(what, f"{number:,}") for what, number in numbers.most_common()]


def coded(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Options as rows of a table."""
    return [(key, f"`{json.dumps(value, ensure_ascii=False)}`") for key, value in values.items()]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, or a word where there is nothing to list."""
    if not rows:
        return "Nothing."
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(text) for text in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
