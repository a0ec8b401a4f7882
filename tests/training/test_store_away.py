"""The store of the files is away: pages say so, and what needs no file is as ever."""

from __future__ import annotations

from typing import Any

import fsspec
import pytest
from botocore.exceptions import EndpointConnectionError
from django.urls import reverse
from fsspec.spec import AbstractFileSystem

from training.models import Run

pytestmark = pytest.mark.django_db


class Away(AbstractFileSystem):
    """A store of which nothing is heard."""

    protocol = "away"

    def info(self, path: str, **kwargs: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="http://store:9000")


@pytest.fixture
def run(train_run) -> Run:
    fsspec.register_implementation("away", Away, clobber=True)
    Run.objects.filter(pk=train_run.pk).update(folder="away://bucket/runs/1")
    return train_run


@pytest.mark.parametrize("name", ["run", "run-log"])
def test_what_lies_in_the_store_is_missed_in_words(client, viewer, run, name):
    client.force_login(viewer)
    answer = client.get(reverse(name, args=[run.project.slug, run.pk]))
    assert answer.status_code == 503
    assert "The artifact store does not answer" in answer.text
    assert "ARTIFACTS_URL" in answer.text


def test_what_the_database_knows_is_shown_and_a_run_is_cancelled_without_the_store(
    client, researcher, run
):
    client.force_login(researcher)
    assert client.get(reverse("runs", args=[run.project.slug])).status_code == 200
    client.post(reverse("run-cancel", args=[run.project.slug, run.pk]))
    run.refresh_from_db()
    assert run.status == "cancelled"


def test_the_page_of_a_store_that_is_away_leads_back_to_what_was_asked_for(client, viewer, run):
    client.force_login(viewer)
    url = reverse("run", args=[run.project.slug, run.pk])
    assert f'href="{url}?step=2&amp;group=1">Try again' in client.get(f"{url}?step=2&group=1").text
