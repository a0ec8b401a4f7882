"""What a dataset card says beyond its version's own counts: who judged, which prompts, which edits.
People are counted and never named."""

from __future__ import annotations

from typing import Any

from curation.models import DatasetVersion, LanguageModel, Split
from training.lineage.makers import Makers, makers_of

SHOWN, LONGEST = 20, 300  # prompts, and characters of each


def lineage_facts(version: DatasetVersion) -> dict[str, Any]:
    """The fields of `training.export.card.Facts` that come from a version's lineage."""
    makers = makers_of([version], Split.values)
    return {
        "prompts": [
            (f"`{one.sha256[:12]}`", one.text[:LONGEST], f"{one.count:,}")
            for one in makers.prompts[:SHOWN]
        ],
        "judges": judges(makers),
        "corrections": makers.edits_total,
        "licences": [
            (source or "no named source", said) for source, said, _ in makers.sources if said
        ],
    }


def judges(makers: Makers) -> list[tuple[str, str, str]]:
    """People by what they did, then each judge model."""
    ranked = [count for person, _, count in makers.ranked if person is not None]
    deeds = [
        ("ranked", ranked),
        ("accepted or rejected", [yes + no for _, yes, no in makers.reviewed]),
        ("decided between the others", [count for _, count in makers.settled]),
    ]
    rows = [
        (f"{len(counts)} {'person' if len(counts) == 1 else 'people'}", what, f"{sum(counts):,}")
        for what, counts in deeds
        if counts
    ]
    said = [(model, "ranked", count) for _, model, count in makers.ranked if model is not None]
    said += list(makers.scored)
    names = LanguageModel.objects.in_bulk({model for model, _, _ in said})
    return rows + [(str(names[model]), what, f"{count:,}") for model, what, count in said]
