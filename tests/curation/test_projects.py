"""Projects: made by anybody, seen by members, changed by owners; home leads through the loop."""

from __future__ import annotations

import pytest
from django.urls import reverse

from curation.funnel import funnel, suggestions
from curation.models import Membership, Project
from curation.review.judging import rank, review
from tests.make import make_group, make_queue
from training.versions.freezing import freeze
from training.versions.recipe import Recipe

pytestmark = pytest.mark.django_db


def test_whoever_makes_a_project_owns_it(client, stranger):
    client.force_login(stranger)
    answer = client.post(reverse("project-new"), {"name": "Still life", "description": "Fruit."})
    project = Project.objects.get(name="Still life")
    assert answer.url == project.get_absolute_url() == "/p/still-life/"
    assert Membership.objects.get(project=project).role == "owner"
    client.post(reverse("project-new"), {"name": "Still life!"})
    assert Project.objects.filter(slug="still-life-2").exists()


def test_a_name_without_a_letter_is_refused(client, stranger):
    client.force_login(stranger)
    page = client.post(reverse("project-new"), {"name": "!!!"}).content.decode()
    assert "at least one letter or figure" in page
    assert not Project.objects.exclude(slug="orchard").exists()


def test_the_list_shows_mine_alone(client, project, annotator, stranger):
    client.force_login(stranger)
    assert "Orchard" not in client.get(reverse("projects")).content.decode()
    client.force_login(annotator)
    page = client.get(reverse("projects")).content.decode()
    assert "Orchard" in page
    assert "you are annotator" in page


def test_a_strangers_home_is_not_there_and_settings_are_the_owners(client, project, member):
    home, settings = (reverse(name, args=["orchard"]) for name in ("project", "project-settings"))
    seen = {"owner": (200, 200), "researcher": (200, 403), "viewer": (200, 403), None: (404, 404)}
    for role, expected in seen.items():
        client.force_login(member(f"a {role}", role))
        assert (client.get(home).status_code, client.get(settings).status_code) == expected


def test_an_archived_project_leaves_the_list_and_comes_back(client, project, owner):
    client.force_login(owner)
    url = reverse("project-settings", args=["orchard"])
    client.post(url, {"archive": "yes"})
    project.refresh_from_db()
    assert project.archived_at
    assert "1 archived" in client.get(reverse("projects")).content.decode()
    client.post(url, {"archive": "no"})
    project.refresh_from_db()
    assert project.archived_at is None


def test_the_loop_in_figures(project, annotator):
    question = make_group(project, 3)
    make_group(project, 2, "What is 8 + 4?")
    first, second, _ = question.rationales.all()
    rank(question, annotator, {first.pk: 1, second.pk: 2})
    review(first, annotator, "accept")
    review(second, annotator, "reject")
    freeze(project, Recipe(), annotator)
    counts = {step.title: step.count for step in funnel(project)}
    assert counts == {
        "Questions": 2, "Rationales": 5, "Judged": 1, "Accepted": 1, "Versions": 1, "Runs": 0,
        "Evaluations": 0,
    }  # fmt: skip


def test_what_next_follows_the_loop_and_the_role(project, researcher, annotator, viewer):
    def told(user) -> list[str]:
        return [found.words for found in suggestions(project, user)]

    assert told(researcher) == ["Import a file"]
    assert told(annotator) == told(viewer) == []
    group = make_group(project)
    assert told(researcher) == ["Make a queue"]
    make_queue(project)
    assert told(annotator) == ["Review"]
    assert told(viewer) == []
    review(group.rationales.first(), annotator, "accept")
    assert told(researcher) == ["Review", "Freeze a version"]
    freeze(project, Recipe(), researcher)
    assert told(researcher) == ["Review", "Train on it"]


def test_home_asks_the_database_the_same_whatever_is_in_it(
    client, project, researcher, django_assert_max_num_queries
):
    for number in range(12):
        make_group(project, 3, f"What is 8 + {number}?")
    make_queue(project)
    client.force_login(researcher)
    with django_assert_max_num_queries(26):
        client.get(project.get_absolute_url())
