"""What a screen reader is told, and where the focus is: on the ranking page, at the end of a queue,
on the page where somebody decides, and on pages that renew themselves."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from curation.models import Queue
from tests.make import make_group, make_model, make_queue
from training.models import Run, RunStatus
from training.runs.launch import launch

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def queue(project) -> Queue:
    make_group(project, text="What is 8 + 3?")
    return make_queue(project)


@pytest.fixture
def reviewing(logged_in, annotator, project, queue) -> Page:
    page = logged_in(annotator)
    page.goto(reverse("review", args=[project.slug, queue.pk]))
    page.wait_for_function("window.ranking && document.querySelectorAll('#unplaced li').length")
    return page


def press(page: Page, keys: str) -> None:
    for key in keys.split():
        page.keyboard.press(key)


def said_of(page: Page, keys: str) -> str:
    """Press them, and return what was said of the last."""
    press(page, keys)
    return page.locator("#moves-said").inner_text()


def test_every_move_is_said(reviewing):
    assert said_of(reviewing, "3") == "Rationale 3 is 1st. Order: 3."
    assert said_of(reviewing, "= 1") == "Rationale 1 is tied with 3. Order: 1 tied with 3."
    assert said_of(reviewing, "A") == "Rationales 1 and 3 are accepted. Order: 1 tied with 3."
    assert said_of(reviewing, "a").startswith("Rationale 1 is undecided.")
    assert said_of(reviewing, "r").startswith("Rationale 1 is rejected.")
    reviewing.locator("#card-1 .verdict input:checked").focus()
    assert said_of(reviewing, "ArrowUp").startswith("Rationale 1 is accepted.")
    assert said_of(reviewing, "0").startswith("Rationale 1 is not placed.")


def test_a_card_tells_its_place_and_no_two_of_its_controls_are_called_alike(reviewing):
    press(reviewing, "3")
    card = reviewing.get_by_role("group", name="Rationale 3", exact=True)
    expect(card).to_have_accessible_description("1st")
    names = reviewing.locator("#candidates :is(summary, textarea)").evaluate_all(
        "all => all.map(each => (each.labels?.[0] || each).textContent.trim())"
    )
    assert len(names) == len(set(names)) > 8


def test_the_last_one_leads_to_the_end_of_the_queue(reviewing):
    press(reviewing, "1 2 3 4 Enter")
    end = reviewing.get_by_role("heading", name="This queue is done for you")
    expect(end).to_be_focused()
    expect(reviewing.locator("#work [role=status]")).to_have_text("Submitted.")
    expect(reviewing.get_by_role("button", name="Stacked")).to_be_hidden()


def test_a_reason_that_is_too_long_is_said_and_still_there(reviewing):
    press(reviewing, "s")
    reviewing.get_by_label("Another reason").fill("unclear " * 40)
    reviewing.keyboard.press("Enter")
    expect(reviewing.get_by_role("alert")).to_be_focused()
    expect(reviewing.get_by_role("alert")).to_contain_text("319 characters")
    expect(reviewing.get_by_label("Another reason")).to_have_value("unclear " * 40)


def test_a_page_that_renews_itself_keeps_the_focus_and_says_only_what_changed(
    logged_in, owner, project
):
    make_group(project)
    student = make_model(project, "student", provider="local", uri="training/demo/student")
    run = launch(project, "generate", student=student, by=owner, enqueue=False)
    page = logged_in(owner)
    page.goto(run.get_absolute_url())
    page.get_by_role("button", name="Cancel").focus()
    for _ in range(2):
        with page.expect_response(lambda answer: "part=status" in answer.url):
            pass
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    expect(page.locator("#said")).to_be_empty()
    Run.objects.filter(pk=run.pk).update(status=RunStatus.FAILED, error="Memory ran out.")
    expect(page.locator("#said")).to_contain_text("Failed. Memory ran out.")
    expect(page.locator("#main")).to_be_focused()
