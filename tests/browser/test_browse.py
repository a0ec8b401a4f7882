"""The list of rationales by keyboard: rows, ticks, verdicts, pages; and all without scripts."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from curation.browsing import rationale_search
from curation.models import Review
from tests.make import make_group

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def rows(project, monkeypatch) -> list[int]:
    monkeypatch.setattr(rationale_search, "PAGE", 6)
    keys: list[int] = []
    for number in range(2):
        question = make_group(project, 4, f"What is 8 + {number}?")
        keys += question.rationales.values_list("pk", flat=True)
    return keys


@pytest.fixture
def opened(rows, researcher, logged_in) -> Page:
    page: Page = logged_in(researcher)
    page.goto("/p/orchard/rationales/")
    return page


def ticked(page: Page) -> list[int]:
    boxes = page.locator('input[name="pk"]:checked').all()
    return [int(box.get_attribute("value") or 0) for box in boxes]


def verdicts() -> dict[int, str]:
    return dict(Review.objects.live().values_list("rationale", "decision"))


def test_keys_walk_and_judge_row_by_row(opened: Page, rows):
    opened.keyboard.press("j")
    expect(opened.locator(f"#row-{rows[0]} [data-row]")).to_be_focused()
    opened.keyboard.press("a")
    expect(opened.locator(f"#row-{rows[0]} .verdict")).to_contain_text("accepted")
    opened.keyboard.press("j")
    opened.keyboard.press("r")
    expect(opened.locator(f"#row-{rows[1]} .verdict")).to_contain_text("rejected")
    opened.keyboard.press("j")
    expect(opened.locator(f"#row-{rows[2]} [data-row]")).to_be_focused()
    assert verdicts() == {rows[0]: "accept", rows[1]: "reject"}
    opened.keyboard.press("Enter")
    opened.wait_for_url(f"**/questions/*/#rationale-{rows[2]}")


def test_a_row_that_fits_no_more_leaves_the_list(opened: Page, rows):
    opened.goto("/p/orchard/rationales/?verdict=undecided")
    opened.keyboard.press("j")
    opened.keyboard.press("a")
    expect(opened.locator(f"#row-{rows[0]}")).to_have_count(0)
    expect(opened.locator(f"#row-{rows[1]} [data-row]")).to_be_focused()


def test_fast_fingers_lose_nothing(opened: Page, rows):
    for _ in range(4):
        opened.keyboard.press("j")
        opened.keyboard.press("a")
    expect(opened.locator(".verdict .chip.ok")).to_have_count(4)
    assert verdicts() == dict.fromkeys(rows[:4], "accept")


def test_ticks_by_key_by_range_and_all(opened: Page, rows):
    opened.keyboard.press("j")
    opened.keyboard.press("x")
    assert ticked(opened) == rows[:1]
    opened.locator(f'input[value="{rows[3]}"]').click(modifiers=["Shift"])
    assert ticked(opened) == rows[:4]
    expect(opened.locator("[data-count]")).to_have_text("4 rows ticked")
    opened.keyboard.press("a")
    expect(opened.locator(".notice.ok")).to_contain_text("4 changed")
    opened.keyboard.press("Shift+X")
    assert ticked(opened) == rows[:6]
    opened.keyboard.press("Shift+X")
    assert ticked(opened) == []


def test_pages_turn_by_key_and_the_keys_can_be_switched_off(opened: Page, rows):
    opened.keyboard.press("n")
    expect(opened.locator(f"#row-{rows[6]}")).to_be_visible()
    opened.keyboard.press("p")
    expect(opened.locator(f"#row-{rows[0]}")).to_be_visible()
    opened.locator("#list-keys summary").click()
    opened.locator("[data-keys-on]").uncheck()
    opened.keyboard.press("n")
    opened.reload()
    opened.keyboard.press("j")
    expect(opened.locator("tr.here")).to_have_count(0)
    expect(opened.locator(f"#row-{rows[0]}")).to_be_visible()


def test_letters_typed_into_a_field_are_letters(opened: Page, rows):
    opened.keyboard.press("/")
    opened.keyboard.type("jar")
    expect(opened.locator("#id_q")).to_have_value("jar")
    assert verdicts() == {}


def test_without_scripts_the_forms_do_it(rows, researcher, chromium, live_server, client, settings):
    client.force_login(researcher)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    context = chromium.new_context(base_url=live_server.url, java_script_enabled=False)
    context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": live_server.url}])
    page = context.new_page()
    page.goto("/p/orchard/rationales/?split=train")
    page.locator('input[name="pk"]').nth(1).check()
    page.locator(".why summary").click()
    page.get_by_label("Misreads the question").check()
    page.get_by_role("button", name="Reject").click()
    expect(page.locator(".notice.ok")).to_contain_text("Reject: 1 changed.")
    page.get_by_label("all that match").check()
    page.locator("#bulk-tag").fill("to fix")
    page.get_by_role("button", name="Put on").click()
    expect(page.locator("h1")).to_contain_text("Tag “to fix”: 8 rationales?")
    page.locator("main form button").click()
    expect(page.locator(".chip.tag")).to_have_count(6)
    context.close()
    assert Review.objects.get().reasons == ["misread"]
