"""A run's page in a browser: what one looks at stands in the address."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.world import make_rationales, make_runs
from training.models import Run
from training.versions.freezing import freeze
from training.versions.recipe import Recipe


@pytest.fixture
def run(project, owner, tmp_path) -> Run:
    """Three rounds of six groups, forty steps each, and four probes."""
    make_rationales(project)
    freeze(project, Recipe(selection="correct"), owner, "correct rationales")
    make_runs(project, owner, tmp_path)
    return Run.objects.get(project=project, method="grpo")


def test_a_step_and_a_probe_are_in_the_address_for_a_reload_and_a_second_browser(
    logged_in, owner, run
):
    page = logged_in(owner)
    page.goto(f"{run.get_absolute_url()}?smooth=0.50")
    groups = page.locator("#groups-heading")
    expect(groups).to_contain_text("round 2")

    page.get_by_label("At step").fill("43")
    page.locator("#run-groups button[type=submit]").click()
    expect(groups).to_contain_text("round 1")
    page.locator("#id_probe").fill("1")
    expect(page.locator("label[for=id_probe]")).to_have_text("Step 40")
    expect(page.locator("#id_probe")).to_have_value("1")
    expect(page).to_have_url(re.compile(r"\?smooth=0\.50&step=43&probe=1$"))
    shown = page.locator(".group-shown .asked").inner_text()
    assert "step 43" in shown

    page.reload()
    second = page.context.new_page()
    second.goto(page.url)
    for one in (page, second):
        expect(one.locator("#groups-heading")).to_contain_text("round 1")
        expect(one.locator(".group-shown .asked")).to_have_text(shown)
        expect(one.locator("label[for=id_probe]")).to_have_text("Step 40")

    page.locator("#run-groups").get_by_text("Newest").click()
    expect(groups).to_contain_text("round 2")
    expect(page).to_have_url(re.compile(r"\?smooth=0\.50&probe=1$"))
    page.go_back()
    expect(groups).to_contain_text("round 1")
    expect(page.locator("label[for=id_probe]")).to_have_text("Step 40")


def test_a_page_that_follows_a_run_leaves_the_address_alone(client, owner, run):
    client.force_login(owner)
    url = run.get_absolute_url()

    def pushed(query: str, at: str = "") -> str | None:
        headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{url}{at}"}
        return client.get(f"{url}?{query}", headers=headers).headers.get("HX-Push-Url")

    assert pushed("part=groups", "?metrics=loss") is None
    assert pushed("part=probes&probe=2") == f"{url}?probe=2"
    assert pushed("part=groups&step=3", "?round=1&group=2&log=1") == f"{url}?log=1&step=3"
    assert pushed("part=groups&round=", "?round=1&group=2") == url
