"""The store of the files is away: pages say so, and what needs no file is as ever."""

from __future__ import annotations

import io
from typing import Any

import fsspec
import pyarrow
import pyarrow.parquet
import pytest
from django.urls import reverse
from fsspec.spec import AbstractFileSystem

from curation.artifacts import filesystem, local_path, open_artifact, size
from curation.store_away import StoreAway, StoreRefuses, is_away
from training.models import Run

pytestmark = pytest.mark.django_db


class NoAnswer(Exception):
    """As a client of a store has them: an error of its own, of no class that anybody knows."""


class Breaking(io.RawIOBase):
    """A file whose store goes away while it is read."""

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        raise NoAnswer("http://store:9000")


class Away(AbstractFileSystem):
    """A store of which nothing is heard, or nothing more once a file of "breaking" is open."""

    protocol = "away"

    def info(self, path: str, **kwargs: Any) -> Any:
        if "breaking" not in path:
            raise NoAnswer("http://store:9000")
        return {"name": path, "size": 9, "type": "file"}

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        return Breaking()


class Refusing(AbstractFileSystem):
    """A store that knows no key of ours."""

    protocol = "refusing"

    def info(self, path: str, **kwargs: Any) -> Any:
        raise PermissionError("The Access Key Id you provided does not exist in our records.")


@pytest.fixture
def store() -> None:
    fsspec.register_implementation("away", Away, clobber=True)
    fsspec.register_implementation("refusing", Refusing, clobber=True)


@pytest.fixture
def run(train_run, store) -> Run:
    Run.objects.filter(pk=train_run.pk).update(folder="away://bucket/runs/1")
    return train_run


@pytest.mark.parametrize("name", ["run", "run-log"])
def test_what_lies_in_the_store_is_missed_in_words(client, viewer, run, name):
    client.force_login(viewer)
    answer = client.get(reverse(name, args=[run.project.slug, run.pk]))
    assert answer.status_code == 503
    assert "The artifact store does not answer" in answer.text
    assert "ARTIFACTS_URL" in answer.text


@pytest.mark.parametrize("name", ["run", "run-log"])
def test_a_store_that_refuses_our_keys_is_told_of_as_one(client, viewer, run, name):
    Run.objects.filter(pk=run.pk).update(folder="refusing://bucket/runs/1")
    client.force_login(viewer)
    answer = client.get(reverse(name, args=[run.project.slug, run.pk]))
    assert answer.status_code == 503
    assert "The artifact store refuses us" in answer.text
    assert "keys in <code>ARTIFACTS_URL</code>" in answer.text


def test_a_refusal_is_nothing_to_wait_for(store):
    with pytest.raises(StoreRefuses, match=r"does not exist in our records.*ARTIFACTS_URL") as told:
        size("refusing://bucket/a")
    assert not is_away(told.value)


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


def test_a_client_of_any_store_is_understood_and_its_answers_are_left_alone(store):
    with pytest.raises(StoreAway, match="does not answer"):
        size("away://bucket/a")
    with pytest.raises(StoreAway), open_artifact("away://bucket/breaking") as file:
        file.read()
    with pytest.raises(StoreAway), open_artifact("away://bucket/breaking", "r") as text:
        next(iter(text))
    with pytest.raises(FileNotFoundError):
        open_artifact("memory://bucket/nothing")
    fs, path = filesystem("memory://bucket/nothing")
    with pytest.raises(TypeError):
        fs.find(path, no_such_thing=True, maxdepth="many")


def test_a_mistake_of_ours_that_looks_like_a_clients_is_no_matter_of_the_store(
    client, viewer, run, monkeypatch
):
    """An error of another use of such a client is a failure of ours, and told as one."""

    def broken(*args: Any) -> Any:
        raise NoAnswer("not of the store")

    monkeypatch.setattr("training.views.runs.status_context", broken)
    client.force_login(viewer)
    client.raise_request_exception = False
    url = reverse("run", args=[run.project.slug, run.pk])
    assert client.get(url).status_code == 500


def test_parquet_and_lines_are_read_and_written_through_a_store(project):
    table = pyarrow.table({"question": ["What is 8 + 3?"] * 3})
    held = io.BytesIO()
    pyarrow.parquet.write_table(table, held)
    memory, _ = filesystem("memory://cellar")
    memory.pipe_file("/cellar/t.parquet", held.getvalue())
    memory.pipe_file("/cellar/t.jsonl", "é\nb\n".encode())
    with open_artifact("memory://cellar/t.parquet") as file:
        assert pyarrow.parquet.ParquetFile(file).metadata.num_rows == 3
    with open_artifact("memory://cellar/t.jsonl", "r") as text:
        assert list(text) == ["é\n", "b\n"]
    with local_path("memory://cellar/t.jsonl") as path:
        assert path.read_bytes() == "é\nb\n".encode()
