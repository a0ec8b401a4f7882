"""Names for the keys of a recipe: "model-7" and "person-3", and the words for all of a kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from curation.models import LanguageModel, Project, User


def names_in(project: Project, people: bool = True) -> dict[str, str]:
    """Key to name; `people=False` leaves people under their pseudonyms, for what goes outside."""
    names = {"people": "all people", "models": "all judge models"}
    models = LanguageModel.objects.filter(project=project)
    names |= {f"model-{model.pk}": str(model) for model in models}
    if people:
        members = User.objects.filter(memberships__project=project)
        names |= {f"person-{user.pk}": str(user) for user in members}
    return names


def with_names(counts: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The counts of a version, its reasons with names in the place of keys."""

    def told(reason: str) -> str:
        return re.sub(r"\b(?:model|person)-\d+\b", lambda key: names.get(key[0], key[0]), reason)

    return {**counts, "left_out": {told(why): n for why, n in counts["left_out"].items()}}
