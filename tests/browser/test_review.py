"""What an annotator does all day, in a real browser."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import expect

from curation.models import Assignment, Queue, Ranking, Review
from tests.make import make_group, make_queue

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def queue(project) -> Queue:
    for n in range(3):
        make_group(project, text=f"What is 8 + {n}?")
    return make_queue(project, guidelines="Prefer the **shorter** way.")


@pytest.fixture
def reviewing(logged_in, annotator, project, queue):
    page = logged_in(annotator)
    page.goto(reverse("review", args=[project.slug, queue.pk]))
    page.wait_for_function("window.ranking && document.querySelectorAll('#unplaced li').length")
    return page


def press(page, keys: str) -> None:
    for key in keys.split():
        page.keyboard.press(key)


def place(held: Assignment) -> dict[int, int]:
    """The live ranking of the assignment, by the numbers of its cards."""
    ranking = held.rankings.live().get()
    number = {pk: n for n, pk in enumerate(held.shown_order, 1)}
    return {number[p.rationale_id]: p.rank for p in ranking.places.all()}


def values(page) -> list[str]:
    return page.eval_on_selector_all(
        ".candidate input[type=number]", "all => all.map(i => i.value)"
    )


def saved(page) -> None:
    expect(page.locator("#saved")).to_have_text("Draft saved")


def next_one(page, done: int) -> None:
    expect(page.get_by_text(f"{done} judged by you")).to_be_visible()


def test_four_are_ranked_accepted_and_submitted_in_six_keys(reviewing, annotator):
    first = Assignment.objects.get()
    press(reviewing, "3 1 4 2 A Enter")
    next_one(reviewing, 1)
    assert place(first) == {3: 1, 1: 2, 4: 3, 2: 4}
    review = Review.objects.get()
    assert (review.rationale_id, review.decision) == (first.shown_order[2], "accept")
    assert Assignment.objects.filter(user=annotator, status="leased").count() == 1
    assert values(reviewing) == ["", "", "", ""]


def test_the_whole_queue_goes_by_keyboard_with_one_swap_an_item(reviewing):
    reviewing.evaluate("window.sameDocument = true")
    for done in (1, 2):
        press(reviewing, "1 2 3 4 Enter")
        next_one(reviewing, done)
    press(reviewing, "c Enter")
    expect(reviewing.get_by_role("heading", name="This queue is done for you")).to_be_visible()
    assert reviewing.evaluate("window.sameDocument")
    assert Ranking.objects.count() == 3


def test_ties_undo_and_moves(reviewing):
    press(reviewing, "3 = 1 4")
    assert values(reviewing) == ["1", "", "1", "3"]
    press(reviewing, "u")
    assert values(reviewing) == ["1", "", "1", ""]
    press(reviewing, "4 2 ArrowUp")
    assert values(reviewing) == ["1", "3", "1", "4"]
    press(reviewing, "Alt+ArrowDown")
    assert values(reviewing) == ["1", "4", "1", "3"]
    expect(reviewing.locator("#moves-said")).to_contain_text("Rationale 2 is 4th.")
    press(reviewing, "0 Backspace")
    assert values(reviewing) == ["1", "4", "1", "3"]


def test_what_is_typed_into_a_field_is_no_key(reviewing):
    press(reviewing, "1 r")
    note = reviewing.locator("#card-1 textarea")
    note.click()
    reviewing.keyboard.type("A 2 c u?")
    assert note.input_value() == "A 2 c u?"
    assert values(reviewing) == ["1", "", "", ""]
    reviewing.locator("#card-3 input[type=number]").click()
    reviewing.keyboard.type("1")
    assert values(reviewing) == ["1", "", "1", ""]
    saved(reviewing)
    reviewing.reload()
    assert note.input_value() == "A 2 c u?"
    assert values(reviewing) == ["1", "", "1", ""]


def test_a_confirmed_order_can_be_unsaid(reviewing):
    reviewing.get_by_label("Right as shown").check()
    assert values(reviewing) == ["1", "2", "3", "4"]
    reviewing.get_by_label("Right as shown").uncheck()
    assert values(reviewing) == ["", "", "", ""]
    press(reviewing, "c Alt+ArrowDown 1 ArrowDown")
    expect(reviewing.get_by_label("Right as shown")).not_to_be_checked()


def test_silence_is_refused(reviewing):
    press(reviewing, "Enter")
    expect(reviewing.get_by_role("alert")).to_contain_text("Nothing is said about this group yet")
    assert not Ranking.objects.exists()
    press(reviewing, "c")
    assert values(reviewing) == ["1", "2", "3", "4"]
    press(reviewing, "Enter")
    next_one(reviewing, 1)


def test_what_is_not_placed_is_not_last(reviewing):
    first = Assignment.objects.get()
    press(reviewing, "2 4 Enter")
    next_one(reviewing, 1)
    assert place(first) == {2: 1, 4: 2}


def test_a_reload_keeps_the_draft(reviewing):
    press(reviewing, "2 4 a r a")
    saved(reviewing)
    reviewing.reload()
    assert values(reviewing) == ["", "1", "", "2"]
    expect(reviewing.locator("#card-4 input[value=accept]")).to_be_checked()
    expect(reviewing.locator("#order li")).to_have_count(2)


def test_a_lost_connection_loses_nothing(reviewing):
    first = Assignment.objects.get()
    reviewing.context.set_offline(True)
    press(reviewing, "4 3 2 1")
    expect(reviewing.get_by_text("will be saved when the connection is back")).to_be_visible()
    press(reviewing, "Enter")
    expect(reviewing.get_by_text("will be submitted when")).to_be_visible()
    reviewing.context.set_offline(False)
    next_one(reviewing, 1)
    assert place(first) == {4: 1, 3: 2, 2: 3, 1: 4}


def test_what_the_server_never_got_comes_back_from_the_browser(reviewing):
    reviewing.route("**/draft/", lambda route: route.abort())
    reviewing.on("dialog", lambda dialog: dialog.accept())
    press(reviewing, "4 1")
    expect(reviewing.locator("#saved")).to_have_text("Kept in this browser")
    reviewing.unroute("**/draft/")
    reviewing.reload()
    saved(reviewing)
    assert values(reviewing) == ["2", "", "", "1"]


def test_a_second_window_goes_on(reviewing, project, queue):
    other = reviewing.context.new_page()
    other.goto(reverse("review", args=[project.slug, queue.pk]))
    press(reviewing, "1 2 Enter")
    next_one(reviewing, 1)
    press(other, "1 2 Enter")
    expect(other.get_by_text("submitted already")).to_be_visible()
    assert Ranking.objects.count() == 1


def test_chips_are_dragged_into_an_order(reviewing):
    press(reviewing, "1 2 3")
    reviewing.locator("#unplaced li").drag_to(
        reviewing.locator("#order li").first, target_position={"x": 2, "y": 8}
    )
    assert values(reviewing) == ["2", "3", "4", "1"]


def test_buttons_and_second_clicks(reviewing):
    first = reviewing.locator("#card-1")
    first.get_by_text("Reject").click()
    expect(first.get_by_role("radio", name="Reject")).to_be_checked()
    expect(first.get_by_text("A step is wrong")).to_be_visible()
    first.get_by_text("Reject").click()
    expect(first.get_by_role("radio", name="Reject")).not_to_be_checked()
    first.get_by_role("button", name="Move rationale 1 up").click()
    assert values(reviewing) == ["1", "", "", ""]


def test_a_skip_is_two_keys(reviewing):
    press(reviewing, "s 2")
    expect(reviewing.get_by_text("Skipped: The question is unclear.")).to_be_visible()
    assert Assignment.objects.get(status="skipped").skip_reason == "The question is unclear"


def test_all_keys_are_shown_on_demand(reviewing):
    press(reviewing, "?")
    expect(reviewing.get_by_role("dialog")).to_be_visible()
    press(reviewing, "Escape")
    expect(reviewing.get_by_role("dialog")).not_to_be_visible()


def test_it_works_without_javascript(chromium, live_server, client, annotator, project, queue):
    client.force_login(annotator)
    context = chromium.new_context(base_url=live_server.url, java_script_enabled=False)
    cookie = client.cookies["sessionid"]
    context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": live_server.url}])
    page = context.new_page()
    page.goto(reverse("review", args=[project.slug, queue.pk]))
    for number, rank in ((1, 2), (2, 1), (3, 1)):
        page.locator(f"#card-{number} input[type=number]").fill(str(rank))
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Here is the next one")).to_be_visible()
    assert place(Assignment.objects.exclude(status="leased").get()) == {1: 3, 2: 1, 3: 1}
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_no_accessibility_violations(reviewing, scheme):
    reviewing.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    press(reviewing, "1 2 r")
    saved(reviewing)
    found = Axe().run(reviewing)
    assert found.violations_count == 0, found.generate_report()
