"""A database that goes away in the middle costs nobody a page, nor a judgement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.urls import reverse

from config.once_more import has_left
from curation.models import Assignment, Membership, Project, Queue, Ranking, User
from curation.queues import leases
from tests.make import make_group, make_queue

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def cut_off_at(words: str, times: int = 1) -> Iterator[list[str]]:
    """The server ends our connection when a statement with these words comes."""
    cut: list[str] = []

    def wrapper(
        execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        if words in sql and len(cut) < times:
            cut.append(sql)
            end_connection()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(wrapper):
        yield cut
    connection.close()  # as the end of a request does where no test holds it


def end_connection() -> None:
    asked = connection.get_connection_params()
    parameters = {key: asked[key] for key in ("dbname", "user", "password", "host", "port")
                  if asked.get(key)}  # fmt: skip
    with psycopg.connect(**parameters, autocommit=True) as other:
        mine = connection.connection.info.backend_pid
        other.execute("select pg_terminate_backend(%s, 5000)", [mine])


@pytest.fixture
def queue(project: Project) -> Queue:
    make_group(project, 2)
    return make_queue(project)


@pytest.fixture
def browser(annotator: User) -> Client:
    browser = Client(raise_request_exception=False)
    browser.force_login(annotator)
    return browser


def test_a_page_is_read_once_more(browser, project):
    with cut_off_at("curation_question") as cut:
        answer = browser.get(reverse("questions", args=[project.slug]))
    assert (len(cut), answer.status_code) == (1, 200)


def test_it_helps_where_the_session_is_read(browser, project):
    with cut_off_at("django_session") as cut:
        answer = browser.get(reverse("questions", args=[project.slug]))
    assert (len(cut), answer.status_code) == (1, 200)


@pytest.mark.parametrize("words", ["curation_ranking", "curation_place", "curation_queueitem"])
def test_a_judgement_is_submitted_once_wherever_it_was_cut_off(browser, annotator, queue, words):
    held = leases.claim(queue, annotator)
    form = {f"rank-{pk}": str(place) for place, pk in enumerate(held.shown_order, 1)}
    with cut_off_at(words) as cut:
        answer = browser.post(
            reverse("review-item", args=[queue.project.slug, queue.pk, held.pk]), form
        )
    assert (len(cut), answer.status_code) == (1, 302)
    assert Ranking.objects.filter(assignment=held).count() == 1
    assert Assignment.objects.get(pk=held.pk).status == "submitted"


def test_a_deed_that_does_not_say_so_is_not_done_twice(browser, annotator, project):
    Membership.objects.filter(user=annotator).update(role="researcher")
    form = {"name": "Second", "slug": "second"}
    with cut_off_at('INSERT INTO "curation_membership"') as cut:
        answer = browser.post(reverse("project-new"), form)
    assert (len(cut), answer.status_code) == (1, 500)
    assert not Project.objects.filter(slug="second").exists()


def test_a_database_that_stays_away_is_an_error_in_the_end(browser, project):
    with cut_off_at("curation_question", times=99) as cut:
        answer = browser.get(reverse("questions", args=[project.slug]))
    assert (len(cut), answer.status_code) == (4, 500)


def test_a_slow_query_that_was_ended_is_not_begun_again():
    def ask_for_too_long() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("set local statement_timeout = 50")
            cursor.execute("select pg_sleep(2)")

    with pytest.raises(OperationalError) as ended:
        ask_for_too_long()
    assert not has_left(ended.value)
    assert has_left(OperationalError("consuming input failed"))
