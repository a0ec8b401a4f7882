"""A real Chromium, offline, driven by Playwright against the live server.

`page` is a fresh page whose base URL is the live server; `logged_in(user)` signs it in.
A script error or a breach of the content policy on any page fails the test that opened it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

# ms: no claim about speed, so that a machine under load is no failure
PATIENCE = 60_000
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser a file: Playwright's event loop would stand in the way of other tests."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
    path = path or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        path = path or playwright.chromium.executable_path
        if not os.path.exists(path):
            pytest.skip("no Chromium on this machine: install it to run the browser tests")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        # Playwright runs an event loop in this thread; the tests' own queries are not in it.
        was = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
        yield browser
        browser.close()
        if was is None:
            del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def page(chromium: Browser, live_server) -> Iterator[Page]:
    context = chromium.new_context(
        base_url=live_server.url, viewport={"width": 1440, "height": 900}
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None,
    )
    under_way: set[Request] = set()
    context.on("request", lambda request: under_way.add(request))
    context.on("requestfinished", lambda request: under_way.discard(request))
    context.on("requestfailed", lambda request: under_way.discard(request))
    yield page
    # A draft that the server is still storing would hold the tables that are emptied next.
    for _ in range(100):
        if not under_way or page.is_closed():
            break
        page.wait_for_timeout(50)
    context.close()
    assert errors == []


@pytest.fixture
def logged_in(page: Page, live_server, client) -> Callable[..., Page]:
    """A function that signs the page in as `user`, by the session cookie."""

    def sign_in(user) -> Page:
        client.force_login(user)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        page.context.add_cookies(
            [{"name": cookie.key, "value": cookie.value, "url": live_server.url}]
        )
        return page

    return sign_in
