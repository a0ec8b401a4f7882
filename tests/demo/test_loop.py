"""The headless demo goes the whole way through the product and tells it in the promised JSON."""

from __future__ import annotations

import json
from math import isnan
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from curation.models import DatasetVersion, Job, Project, Ranking, Review, User
from training.demo import loop
from training.export import formats

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

COLUMNS = {
    "checkpoint", "seed", "accuracy", "accuracy_low", "accuracy_high", "valid_chain_share",
    "length_ratio", "similarity", "distinct_derivations", "vendi", "seconds",
}  # fmt: skip


@pytest.fixture
def small(monkeypatch):
    """A loop of a minute: few questions, one short round."""
    monkeypatch.setattr(loop, "TRAIN", 10)
    monkeypatch.setattr(loop, "TEST", 6)
    monkeypatch.setitem(loop.EVALUATION, "samples_per_question", 2)
    for method in ("cotd_po", "grpo"):
        quick = {"rounds": 1, "questions_per_round": 6, "group_size": 4}
        monkeypatch.setitem(loop.METHODS, method, {**loop.METHODS[method], **quick})


def test_the_loop_goes_from_questions_to_a_table(small, tmp_path, capsys):
    file = tmp_path / "results.json"
    call_command("demo", headless=True, json=file)
    results = json.loads(file.read_text())
    assert results["seeds"] == 1
    rows = results["rows"]
    assert [row["checkpoint"] for row in rows] == ["student", "sft", "cotd_po", "grpo", "teacher"]
    for row in rows:
        assert set(row) >= COLUMNS
        assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]
    assert "accuracy, greedy" in capsys.readouterr().out
    annotator = User.objects.get(username=loop.ANNOTATOR)
    assert not annotator.has_usable_password()
    assert Ranking.objects.filter(judge_user=annotator).count() == 10
    accepted = Review.objects.filter(decision="accept").count()
    assert 0 < accepted == DatasetVersion.objects.get(number=1).counts["rationales"] + duplicates()
    exports = Job.objects.filter(kind="export")
    assert exports.count() == 2 * len(formats())
    done = exports.filter(status="done").values_list("params__format", flat=True)
    assert set(done) == set(formats())


def duplicates() -> int:
    """Accepted rationales that say the same as another, so that the version holds one of them."""
    left_out = DatasetVersion.objects.get(number=1).counts["left_out"]
    return sum(count for reason, count in left_out.items() if "uplicate" in reason)


def test_a_setting_that_is_none_is_refused_before_anything_is_made(db):
    with pytest.raises(CommandError, match="takes METHOD"):
        call_command("demo", headless=True, set=["kappa=5"])
    with pytest.raises(CommandError, match="There is no folder"):
        call_command("demo", headless=True, json=Path("/no/such/folder/x.json"))
    assert not Project.objects.exists()


def test_means_leave_out_what_is_not_known():
    rows = [{"checkpoint": "student", **dict.fromkeys(loop.FIGURES, value), "seconds": 1.0}
            for value in (0.5, 0.7, None)]  # fmt: skip
    (name, figures), = loop.averages(rows)  # fmt: skip
    assert name == "student"
    assert figures["accuracy"] == pytest.approx((0.6, 0.02**0.5))
    assert isnan(loop.spread([None])[0])
    assert loop.spread([3.0]) == (3.0, 0.0)
