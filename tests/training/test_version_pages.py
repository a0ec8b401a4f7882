"""The pages of versions and exports: who may do what, and what they show."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from curation.models import DatasetVersion, Job
from tests.training.orchard import make_orchard
from training.models import Run
from training.versions.freezing import freeze
from training.versions.recipe import Recipe

RECIPE = {
    "selection": "everything",
    "splits": ["train"],
    "roles": ["teacher", "student", "human"],
    "rankings": ["people", "models"],
    "reviews": ["people"],
    "min_rationales": "1",
    "max_rationales": "0",
    "drop_duplicates": "on",
    "seed": "0",
    "accepted-rule": "no_reject",
    "accepted-accepts": "1",
    "correct-valid_steps": "0",
}


@pytest.fixture
def orchard(project, annotator, second_annotator):
    make_orchard(project, [annotator, second_annotator])
    return project


@pytest.fixture
def version(orchard, researcher):
    return freeze(orchard, Recipe(), researcher, "first")


def page(name: str, *arguments) -> str:
    return reverse(name, args=["orchard", *arguments])


def test_a_stranger_sees_nothing(client, version, stranger):
    client.force_login(stranger)
    for name in ("versions", "version-new"):
        assert client.get(page(name)).status_code == 404
    for name in ("version", "version-file", "version-left-out", "version-exports"):
        assert client.get(page(name, 1)).status_code == 404
    assert client.get(page("export-new", 1, "sft")).status_code == 404
    assert client.post(page("version-preview"), RECIPE).status_code == 404


def test_a_viewer_sees_but_makes_nothing(client, version, viewer):
    client.force_login(viewer)
    assert client.get(page("versions")).status_code == 200
    shown = client.get(page("version", 1)).content.decode()
    assert "Train on this" not in shown
    assert "Export as" not in shown
    assert client.get(page("version-new")).status_code == 403
    assert client.post(page("version-new"), RECIPE).status_code == 403
    assert client.post(page("export-new", 1, "sft"), {"data_files": "jsonl"}).status_code == 403
    assert DatasetVersion.objects.count() == 1
    assert not Job.objects.exists()


def test_a_run_that_is_offered_no_more_is_told_in_words(client, orchard, researcher):
    client.force_login(researcher)
    answer = client.post(page("version-new"), RECIPE | {"runs": ["999"], "authors": ["person-0"]})
    said = answer.content.decode()
    assert said.count("What was chosen here is not there any more. Choose again.") == 2
    assert not DatasetVersion.objects.exists()


def test_a_version_of_another_project_is_not_reached_through_ours(client, version, researcher):
    assert version.number == 1
    client.force_login(researcher)
    assert client.get(page("version", 2)).status_code == 404
    assert client.get("/p/meadow/versions/1/").status_code == 404


def test_an_empty_list_says_what_to_do(client, project, researcher):
    client.force_login(researcher)
    shown = client.get(page("versions")).content.decode()
    assert "No version yet" in shown
    assert page("version-new") in shown


def test_a_researcher_freezes_a_version(client, orchard, researcher):
    client.force_login(researcher)
    answer = client.post(page("version-new"), RECIPE | {"name": "all", "roles": ["teacher"]})
    made = DatasetVersion.objects.get()
    assert answer.url == made.get_absolute_url()
    assert (made.name, made.created_by, made.recipe["roles"]) == ("all", researcher, ["teacher"])


def test_the_settings_of_the_chosen_selection_are_taken(client, orchard, researcher):
    client.force_login(researcher)
    given = {"selection": "accepted", "accepted-rule": "majority", "correct-valid_steps": "0.5"}
    client.post(page("version-new"), RECIPE | given)
    assert DatasetVersion.objects.get().recipe["settings"] == {"rule": "majority", "accepts": 1}


def test_the_preview_counts_and_makes_nothing(client, orchard, researcher):
    client.force_login(researcher)
    chosen = RECIPE | {"selection": "correct"}
    part = client.post(page("version-preview"), chosen, headers={"hx-request": "true"})
    assert "Its answer is wrong" in part.content.decode()
    assert "<html" not in part.content.decode()
    whole = client.post(page("version-new"), chosen | {"preview": "yes"}).content.decode()
    assert "Its answer is wrong" in whole
    assert "<html" in whole
    assert not DatasetVersion.objects.exists()


def test_a_recipe_that_makes_no_sense_is_told(client, orchard, researcher):
    client.force_login(researcher)
    wrong = RECIPE | {"min_rationales": "5", "max_rationales": "2"}
    shown = client.post(page("version-new"), wrong).content.decode()
    assert "max_rationales is below min_rationales" in shown
    nothing = RECIPE | {"roles": ["human"]}
    assert "chooses no rationale" in client.post(page("version-new"), nothing).content.decode()
    assert not DatasetVersion.objects.exists()


def test_the_form_begins_with_the_recipe_of_another_version(client, orchard, researcher):
    freeze(orchard, Recipe(selection="accepted", settings={"accepts": 1}, seed=7), researcher)
    client.force_login(researcher)
    form = client.get(page("version-new") + "?from=1").context["form"]
    assert form["selection"].value() == "accepted"
    assert form["seed"].value() == 7


def test_the_page_shows_facts_recipe_reasons_and_lineage(client, version, orchard, researcher):
    run = Run.objects.create(project=orchard, kind="train", method="sft", dataset=version)
    client.force_login(researcher)
    shown = client.get(page("version", 1)).content.decode()
    for words in (
        version.sha256,
        "Everything",
        "Its question is in the test split",
        "8 + 0 = 8",
        run.get_absolute_url(),
        f"dataset={version.pk}",
        page("version-left-out", 1),
    ):
        assert words in shown


def test_the_same_content_is_said_to_be_the_same(client, version, orchard, researcher):
    client.force_login(researcher)
    client.post(page("version-new"), RECIPE | {"drop_corrected": "on"})
    shown = client.get(page("version", 2)).content.decode()
    assert "Same content as" in shown


def test_the_left_out_rows_can_be_downloaded(client, version, viewer):
    client.force_login(viewer)
    answer = client.get(page("version-left-out", 1))
    rows = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert len(rows) == sum(version.counts["left_out"].values())
    assert "orchard-v1-left-out.jsonl" in answer["Content-Disposition"]


def test_an_export_is_queued_with_what_was_chosen(
    client, version, researcher, django_capture_on_commit_callbacks
):
    client.force_login(researcher)
    assert client.get(page("export-new", 1, "dpo")).status_code == 200
    with django_capture_on_commit_callbacks() as callbacks:
        given = {"data_files": "parquet", "instruction": "on", "think": "lines", "margin": "0.5"}
        given |= {"pairs_from": ["rankings", "reviews"], "pairs": "all"}
        answer = client.post(page("export-new", 1, "dpo"), given | {"reading": "plackett_luce"})
    assert answer.url == version.get_absolute_url() + "#exports"
    assert len(callbacks) == 1
    assert Job.objects.get().params == {
        "version": 1,
        "format": "dpo",
        "options": {"pairs_from": ["rankings", "reviews"], "margin": 0.5},
        "parquet": True,
    }


def test_an_export_that_goes_on_is_looked_at_again(client, version, viewer):
    from training.versions.exporting import ask_for_export

    job = ask_for_export(version, "sft", {}, False, None)
    client.force_login(viewer)
    part = client.get(page("version-exports", 1), headers={"hx-request": "true"})
    assert "every 2s" in part.content.decode()
    Job.objects.filter(pk=job.pk).update(status="done", report={"rows": {"train": 5}})
    part = client.get(page("version-exports", 1), headers={"hx-request": "true"})
    assert "every 2s" not in part.content.decode()
    assert "5 train" in part.content.decode()


@pytest.mark.parametrize(
    "name", ["dpo", "grpo", "kto", "llamafactory", "openai", "rankings", "sft"]
)
def test_every_format_has_a_form(client, version, researcher, name):
    client.force_login(researcher)
    assert client.get(page("export-new", 1, name)).status_code == 200


def test_an_unknown_format_is_not_there(client, version, researcher):
    client.force_login(researcher)
    assert client.get(page("export-new", 1, "csv")).status_code == 404


def test_the_list_asks_the_database_the_same_however_many_there_are(
    client, orchard, researcher, viewer, django_assert_num_queries
):
    client.force_login(viewer)

    def queries() -> int:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as captured:
            client.get(page("versions"))
        return len(captured)

    freeze(orchard, Recipe(), researcher)
    one = queries()
    for _ in range(4):
        freeze(orchard, Recipe(), researcher)
    assert queries() == one
