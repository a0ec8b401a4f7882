"""`pk__among`: as `pk__in`, with the keys as one array."""

from __future__ import annotations

import pytest

from curation.models import Question, Rationale
from tests.make import make_group

pytestmark = pytest.mark.django_db


def test_it_finds_what_in_finds(project):
    groups = [make_group(project, text=f"What is 8 + {n}?") for n in range(3)]
    keys = [Question.objects.order_by("pk")[n].pk for n in (0, 2)]
    assert len(groups) == 3
    assert set(Question.objects.filter(pk__among=keys)) == set(Question.objects.filter(pk__in=keys))
    found = Rationale.objects.filter(question__among=dict.fromkeys(keys))
    assert set(found) == set(Rationale.objects.filter(question__in=keys))


def test_of_no_keys_it_finds_nothing(project):
    make_group(project)
    assert not Question.objects.filter(pk__among=[]).exists()


def test_only_whole_numbers_are_keys(project):
    with pytest.raises(ValueError, match="invalid literal"):
        Question.objects.filter(pk__among=["1}') or true --"])
