"""The shell in a real browser: theme, menus, mathematics, and what a failed request says."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from curation.models import Assignment
from tests.make import make_question, make_queue, make_rationale

pytestmark = pytest.mark.django_db(transaction=True)

FORMULAS = [
    "\\frac{1}{2}",
    "\\sqrt{2}",
    "\\vec{v}",
    "\\boxed{72}",
    "\\overbrace{a+b}^{n}",
    "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
    "\\xrightarrow{n}",
    "\\widehat{abc}",
    "\\cancel{x}",
]


def ground(page: Page) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


@pytest.fixture
def jobs(logged_in, owner, project) -> Page:
    page = logged_in(owner)
    page.goto(reverse("jobs", args=[project.slug]))
    return page


def test_the_theme_follows_the_system_until_one_is_chosen(jobs):
    jobs.emulate_media(color_scheme="light")
    light = ground(jobs)
    jobs.emulate_media(color_scheme="dark")
    dark = ground(jobs)
    assert light != dark
    jobs.get_by_label("Account of olga").click()
    jobs.get_by_role("button", name="Light").click()
    assert ground(jobs) == light
    jobs.reload()
    assert ground(jobs) == light
    expect(jobs.locator("[data-theme-choice=light]")).to_have_attribute("aria-pressed", "true")
    jobs.get_by_label("Account of olga").click()
    jobs.get_by_role("button", name="System").click()
    assert ground(jobs) == dark


def test_a_menu_closes_on_escape_and_on_a_click_beside_it(jobs):
    menu = jobs.locator(".user-menu")
    summary = menu.locator("summary")
    summary.click()
    expect(menu).to_have_attribute("open", "")
    jobs.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    expect(summary).to_be_focused()
    summary.click()
    jobs.locator("h1").click()
    expect(menu).not_to_have_attribute("open", "")


def test_the_skip_link_leads_past_the_navigation(jobs):
    jobs.keyboard.press("Tab")
    expect(jobs.get_by_text("Skip to the content")).to_be_focused()
    jobs.keyboard.press("Enter")
    expect(jobs.locator("main")).to_be_focused()


def test_mathematics_is_set_without_a_breach_of_the_policy(logged_in, annotator, project):
    question = make_question(project, "What is $x_1$?")
    written = " ".join(f"\\({tex}\\)" for tex in FORMULAS)
    make_rationale(question, f"{written}\n\\[\n\\sum_{{i=1}}^n i\n\\]\nand \\(\\oops{{\\)")
    make_rationale(question, "it is 2*3*4", answer="12")
    queue = make_queue(project)
    page = logged_in(annotator)
    page.goto(reverse("review", args=[project.slug, queue.pk]))
    expect(page.locator(".math.set")).to_have_count(len(FORMULAS) + 2)
    expect(page.locator(".math.display .katex-display")).to_have_count(1)
    assert page.locator(".math.set").first.get_attribute("title") == "x_1"  # set once, not twice
    expect(page.get_by_text("\\oops{", exact=True)).to_be_visible()  # unreadable: as written
    assert Assignment.objects.count() == 1


def test_a_page_without_mathematics_fetches_no_katex(jobs):
    fetched = jobs.evaluate("performance.getEntriesByType('resource').map(e => e.name)")
    assert not any("katex" in name for name in fetched)


def poll(page: Page, address: str) -> None:
    """Ask htmx for a part of a page, as a page that follows a job does."""
    ask = "address => htmx.ajax('GET', address, {target: 'main', swap: 'none'}).catch(() => {})"
    page.evaluate(ask, address)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "your role does not allow it"),
        (404, "no longer there"),
        (500, "error 500"),
        (503, "busy or being restarted"),
    ],
)
def test_a_failed_request_says_so_in_one_sentence(jobs, status, words):
    jobs.route("**/part/", lambda route: route.fulfill(status=status, body=""))
    poll(jobs, "/part/")
    expect(jobs.get_by_role("alert")).to_contain_text(words)
    jobs.get_by_role("alert").get_by_role("button", name="Close").click()
    expect(jobs.locator("#alerts")).to_be_empty()


def test_a_lost_connection_is_told_and_forgotten_when_it_is_back(jobs):
    jobs.route("**/part/", lambda route: route.abort())
    poll(jobs, "/part/")
    expect(jobs.get_by_role("alert")).to_contain_text("No connection to the server")
    jobs.unroute("**/part/")
    jobs.route("**/part/", lambda route: route.fulfill(status=200, body="back"))
    poll(jobs, "/part/")
    expect(jobs.locator("#alerts")).to_be_empty()


def test_a_session_that_ended_is_told_and_the_page_stays_as_it_was(jobs):
    jobs.context.clear_cookies()
    poll(jobs, jobs.url)
    link = jobs.get_by_role("alert").get_by_role("link", name="Sign in again")
    expect(link).to_have_attribute("href", "/accounts/login/?next=%2Fp%2Forchard%2Fjobs%2F")
    expect(jobs.get_by_role("heading", name="Jobs")).to_be_visible()


def test_on_a_phone_the_section_one_is_in_is_in_sight(jobs):
    jobs.set_viewport_size({"width": 390, "height": 844})
    jobs.reload()
    expect(jobs.locator(".side [aria-current=page]")).to_be_in_viewport()
    assert jobs.evaluate("document.documentElement.scrollWidth") <= 390
