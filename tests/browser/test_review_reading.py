"""Reading, labelling, comparing and correcting on the review page, in a real browser."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import expect

from curation.models import Assignment, Queue, Ranking, Rationale, Review, StepLabel
from tests.browser.test_review import next_one, place, press, saved
from tests.make import make_model, make_question, make_queue, make_rationale

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = "8 + 3 = 11\n11 * 2 = 23\nSo it is {}.\nThat is all."


def make_steps(project, texts: list[str], **fields) -> Queue:
    for number in range(2):
        question = make_question(project, f"What is 8 + 3, twice? ({number})")
        for n, text in enumerate(texts):
            make_rationale(question, text, answer=str(n), author_model=make_model(project, f"m{n}"))
    return make_queue(project, **fields)


@pytest.fixture
def queue(project) -> Queue:
    texts = [STEPS.format(n) for n in ("22", "23", "24")]
    return make_steps(project, texts, asked=["rank", "accept", "steps"])


@pytest.fixture
def reviewing(logged_in, annotator, project, queue):
    return opened(logged_in(annotator), project, queue)


def opened(page, project, queue):
    page.goto(reverse("review", args=[project.slug, queue.pk]))
    page.wait_for_function("window.ranking && document.querySelector('#judgement')")
    return page


def labels(held: Assignment, card: int) -> dict[int, str]:
    found = StepLabel.objects.live().filter(rationale=held.shown_order[card - 1])
    return dict(found.values_list("step", "label"))


def said(page) -> str:
    return page.locator("#moves-said").inner_text()


def test_the_first_wrong_step_is_two_keys(reviewing):
    held = Assignment.objects.get(status="leased")
    press(reviewing, "1 w 2 3 w 0")
    assert "Every step of rationale 3 is right." in said(reviewing)
    expect(reviewing.locator("#card-1 .step").first).to_have_attribute("data-label", "good")
    expect(reviewing.locator("#card-1 .step").nth(1)).to_have_attribute("data-label", "bad")
    press(reviewing, "Enter")
    next_one(reviewing, 1)
    assert labels(held, 1) == {1: "good", 2: "bad"}
    assert labels(held, 3) == {1: "good", 2: "good", 3: "good", 4: "good"}


def test_steps_are_walked_and_labelled_by_keyboard_and_undone(reviewing):
    held = Assignment.objects.get(status="leased")
    press(reviewing, "2 1 j j n j o k k p")
    expect(reviewing.locator("#card-1 .step").first).to_be_focused()
    assert "Step 1 of rationale 1 is good." in said(reviewing)
    press(reviewing, "u")
    saved(reviewing)
    reviewing.reload()
    third = reviewing.get_by_role("group", name="Step 3 of rationale 1 is")
    expect(third.get_by_role("radio", name="neutral")).to_be_checked()
    press(reviewing, "Enter")
    next_one(reviewing, 1)
    assert labels(held, 1) == {2: "bad", 3: "neutral"}


def test_steps_are_labelled_with_the_mouse_and_taken_back(reviewing):
    step = reviewing.locator("#card-2 .step").nth(1)
    step.locator("label.bad").click()
    expect(step).to_have_attribute("data-label", "bad")
    step.locator("label.bad").click()
    expect(step).to_have_attribute("data-label", "")
    step.get_by_role("button", name="mark it as the first wrong one").click()
    expect(reviewing.locator("#card-2 [name^=wrong-]")).to_have_value("2")


def test_two_cards_change_places(reviewing):
    press(reviewing, "3 1 2")
    assert values_of_places(reviewing) == ["2", "3", "1"]
    press(reviewing, "3 x 1")
    assert values_of_places(reviewing) == ["1", "3", "2"]
    assert "Rationales 3 and 1 are swapped." in said(reviewing)
    press(reviewing, "x Escape 3 ArrowUp")
    assert values_of_places(reviewing) == ["2", "3", "1"]


def values_of_places(page) -> list[str]:
    return page.eval_on_selector_all("[name^=rank-]", "all => all.map(i => i.value)")


def test_two_cards_are_compared_by_keys(reviewing):
    press(reviewing, "1 d 3")
    sheet = reviewing.get_by_role("dialog", name="Rationale 1 beside Rationale 3")
    expect(sheet).to_be_visible()
    expect(sheet.locator("del")).to_have_count(1)
    expect(sheet.locator("ins")).to_have_count(1)
    expect(sheet.get_by_text("Of 4 steps: 3 the same, 1 changed.")).to_be_visible()
    press(reviewing, "a 2")
    assert values_of_places(reviewing) == ["1", "", ""], "the page behind hears nothing"
    press(reviewing, "Escape")
    expect(sheet).not_to_be_visible()
    expect(reviewing.locator("#card-1")).to_be_focused()


def test_a_card_is_corrected_where_it_stands(reviewing, annotator):
    held = Assignment.objects.get(status="leased")
    press(reviewing, "1 2 e")
    text = reviewing.locator("#card-2 [name=thought]")
    expect(text).to_be_focused()
    text.fill("8 + 3 = 11\n11 * 2 = 22\nSo it is 22.")
    press(reviewing, "Escape")
    press(reviewing, "Enter")
    expect(reviewing.get_by_text("This correction is not saved yet")).to_be_visible()
    assert not Ranking.objects.exists()
    reviewing.reload()
    press(reviewing, "2 e")
    expect(text).to_have_value("8 + 3 = 11\n11 * 2 = 22\nSo it is 22.")
    reviewing.get_by_role("button", name="Save and accept it").click()
    expect(reviewing.locator("#card-2 .corrected")).to_contain_text("Saved as rationale")
    written = Rationale.objects.get(role="human")
    assert (written.author_user, written.revises_id) == (annotator, held.shown_order[1])
    assert Review.objects.get().rationale == written
    press(reviewing, "Enter")
    next_one(reviewing, 1)
    assert place(held) == {1: 1, 2: 2}


def test_a_correction_that_changes_nothing_is_refused_in_place(reviewing):
    press(reviewing, "1 e")
    reviewing.get_by_role("button", name="Save alone").click()
    expect(reviewing.get_by_text("Nothing is changed yet")).to_be_visible()
    reviewing.get_by_role("button", name="Cancel").click()
    expect(reviewing.locator(".editor")).to_have_count(0)
    expect(reviewing.locator("#card-1")).to_be_focused()


def test_keys_of_ones_own_work_and_are_printed(reviewing, project, queue):
    reviewing.goto(reverse("review-keys", args=[project.slug]))
    accept = reviewing.get_by_label("Accept the card; once more takes it back")
    accept.focus()
    press(reviewing, "r")
    reviewing.get_by_role("button", name="Save the keys").click()
    expect(reviewing.get_by_role("alert")).to_contain_text("“r” would do two things")
    accept.focus()
    press(reviewing, "Escape q")
    expect(accept).to_have_value("q")
    reviewing.get_by_label("Submit, and go to the next").focus()
    press(reviewing, "F8")
    reviewing.get_by_role("button", name="Save the keys").click()
    expect(reviewing.get_by_text("Your keys are saved")).to_be_visible()
    opened(reviewing, project, queue)
    expect(reviewing.locator("#card-1 label.accept kbd")).to_have_text("q")
    press(reviewing, "1 2 a q F8")
    next_one(reviewing, 1)
    assert Review.objects.get().decision == "accept"
    press(reviewing, "?")
    expect(reviewing.get_by_role("dialog").get_by_text("F8")).to_be_visible()


def test_reasons_and_layout_have_keys_too(reviewing):
    press(reviewing, "2 r y")
    expect(reviewing.locator("#card-2 .if-reject input").first).to_be_focused()
    press(reviewing, "Space Escape")
    expect(reviewing.locator("#card-2")).to_be_focused()
    press(reviewing, "l")
    expect(reviewing.locator("#work")).to_have_attribute("data-layout", "stack")
    press(reviewing, "m")
    reviewing.wait_for_url("**/mine/")


def test_a_group_of_200_kb_texts_hears_its_first_key(logged_in, annotator, project):
    line = "Step {}: 8 + {} = {} and so we go on with some more words about it, line by line.\n"
    long = "".join(line.format(n, n, n + 8) for n in range(2600))
    assert len(long) > 200_000
    texts = [long + "!" * n for n in range(4)]
    queue = make_steps(project, texts, asked=["rank", "accept", "steps"])
    page = opened(logged_in(annotator), project, queue)
    press(page, "3")
    assert values_of_places(page) == ["", "", "1", ""]
    count = page.locator("#card-3 .step").count()
    press(page, "f")
    expect(page.locator("#card-3 .step").nth(count)).to_be_attached()
    press(page, "w 2 7 0")
    expect(page.locator("#card-3 [name^=wrong-]")).to_have_value("270")
    press(page, "1 Enter")
    expect(page.get_by_text("1 judged by you")).to_be_visible(timeout=60_000)
    assert StepLabel.objects.count() == 270


def test_a_text_from_right_to_left_is_read_so(logged_in, annotator, project):
    hebrew = "יש לה 8 תפוחים.\nלכן 8 + 3 = 12."
    queue = make_steps(project, [hebrew, "She has 8 apples."])
    page = opened(logged_in(annotator), project, queue)
    card = page.locator(".candidate", has_text="תפוחים")
    direction = "e => getComputedStyle(e).direction"
    assert card.locator(".step-text").first.evaluate(direction) == "rtl"
    assert card.locator(".finding.wrong").evaluate(direction) == "ltr"
    other = page.locator(".candidate", has_text="apples")
    assert other.locator(".step-text").first.evaluate(direction) == "ltr"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_opens_on_the_page_has_no_accessibility_violations(reviewing, scheme):
    reviewing.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    press(reviewing, "1 w 2 e")
    expect(reviewing.locator(".editor")).to_be_visible()
    assert sound(reviewing)
    press(reviewing, "Escape d 2")
    expect(reviewing.get_by_role("dialog")).to_be_visible()
    assert sound(reviewing)


def sound(page) -> bool:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    return True
