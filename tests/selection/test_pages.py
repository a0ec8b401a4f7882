"""Each selection through the form: its fields, the counts and reasons it shows, what is stored."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils.html import escape

from curation.models import DatasetVersion, LanguageModel, Rationale, Score
from tests.selection.cast import asked, candidate, verdicts
from tests.training.orchard import make_orchard
from training.selection import selections
from training.versions.freezing import preview
from training.versions.recipe import Recipe

pytestmark = pytest.mark.django_db

# What a browser sends of the fields that do not depend on the selection.
FRAME = {
    "splits": ["train"],
    "roles": ["teacher"],
    "rankings": ["people", "models"],
    "reviews": ["people"],
    "min_rationales": "1",
    "max_rationales": "0",
    "drop_duplicates": "on",
    "seed": "0",
}


@pytest.fixture
def sapling(project):
    return LanguageModel.objects.create(
        project=project, name="sapling", provider="local", uri="nowhere"
    )


@pytest.fixture
def orchard(project, sapling, annotator, second_annotator):
    """Six training questions with two right teacher rationales each; the student has scored one
    question's, and no judge has rated any."""
    make_orchard(project, [annotator, second_annotator])
    teachers = Rationale.objects.filter(role="teacher", question__split="train")
    for rationale in teachers.order_by("pk")[:2]:
        for scorer, value in (("rationale_difficulty", 0.5), ("rationale_logprob", -1.0)):
            Score.objects.create(
                rationale=rationale, scorer=scorer, scorer_version="1", model=sapling, value=value
            )
    return project


def send(client, selection: str, name: str = "version-preview", **settings: str) -> str:
    given = {f"{selection}-{key}": value for key, value in settings.items()}
    sent = FRAME | {"selection": selection} | given
    return client.post(reverse(name, args=["orchard"]), sent).content.decode()


def test_the_form_shows_every_setting_of_every_selection(client, orchard, researcher):
    client.force_login(researcher)
    shown = client.get(reverse("version-new", args=["orchard"])).content.decode()
    for name, module in selections().items():
        assert escape(module.HELP) in shown
        for field in module.Config.model_fields:
            assert f'name="{name}-{field}"' in shown


def test_morsd_tells_what_the_student_has_not_scored_by_its_name(
    client, orchard, researcher, sapling
):
    client.force_login(researcher)
    settings = {"valid_steps": "0", "similarity": "0.5", "variant": "ratio", "order": "lowest"}
    settings |= {"keep": "per_question", "k": "2", "share": "0.3", "helps": "on"}
    shown = send(client, "morsd", student=f"model-{sapling.pk}", **settings)
    assert "Not scored by sapling" in shown
    assert "No student is chosen" in send(client, "morsd", student="", **settings)
    send(client, "morsd", "version-new", student=f"model-{sapling.pk}", **settings)
    stored = DatasetVersion.objects.get().recipe["settings"]
    assert stored["student"] == f"model-{sapling.pk}"
    assert (stored["similarity"], stored["order"], stored["helps"]) == (0.5, "lowest", True)


def test_a_field_that_is_missing_is_asked_for_only_where_it_counts(client, orchard, researcher):
    client.force_login(researcher)
    assert "Mend the fields" in send(client, "random_k", keep="share")
    assert "Mend the fields" not in send(client, "everything")


@pytest.mark.parametrize(
    ("selection", "settings", "reason", "left_out"),
    [
        ("best_by_judge", {}, "Not rated by any judge", 12),
        ("best_by_judge", {"by": "rankings"}, "Not among the 1 best of its question", 6),
        ("random_k", {"k": 1}, "Not among the 1 chosen of its question", 6),
        ("random_k", {"keep": "share", "share": 0.25},
         "Not among the 0.25 of all rationales that are chosen", 9),
        ("self_consistency", {}, "Its question has fewer than 3 votes", 12),
        ("srd", {}, "No student is chosen whose scores would count", 12),
    ],
)  # fmt: skip
def test_the_counts_say_why(orchard, selection, settings, reason, left_out):
    recipe = Recipe(selection=selection, settings=settings, roles=["teacher"])
    counts = preview(orchard, recipe)
    assert counts["left_out"][reason] == left_out
    assert counts["considered"] == counts["rationales"] + sum(counts["left_out"].values())


def test_a_share_is_taken_of_each_split_by_itself(orchard):
    """Six questions of training and two of validation, two rationales each: half of 12 and of 4."""
    recipe = Recipe(
        selection="random_k",
        settings={"keep": "share", "share": 0.5},
        roles=["teacher"],
        splits=["train", "validation"],
    )
    parts = preview(orchard, recipe)["by_part"]
    assert {part: counts["rationales"] for part, counts in parts.items()} == {
        "train": 6,
        "validation": 2,
    }


def test_duplicates_take_no_place_of_a_share(project):
    from tests.make import make_model, make_question, make_rationale

    question = make_question(project)
    for n in range(4):
        said = "the same" if n < 3 else "another"
        make_rationale(question, said, author_model=make_model(project, f"m{n}"))
    recipe = Recipe(selection="random_k", settings={"keep": "share", "share": 0.5})
    counts = preview(project, recipe)
    assert counts["rationales"] == 2
    assert counts["left_out"] == {"Another one says the same word for word": 2}


def test_a_chain_without_a_step_that_can_be_checked_is_not_called_invalid():
    unknown = candidate(scores={"answer_correct": 1.0, "valid_steps": None})
    poor = candidate(scores={"answer_correct": 1.0, "valid_steps": 0.5})
    found = verdicts("correct", asked(unknown, poor), valid_steps=0.9)
    assert found == ["No step of it could be checked", "Too few of its steps are valid"]
