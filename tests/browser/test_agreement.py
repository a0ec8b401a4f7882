"""The pages of queues, agreement and adjudication, as an owner and as an annotator see them."""

from __future__ import annotations

import pytest
from django.urls import reverse

from curation.models import Adjudication, Queue
from curation.review.adjudication import waiting
from tests.browser.dispute import make_dispute
from tests.browser.test_every_page import looked_at
from tests.browser.world import make_rationales

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def queue(project, owner, annotator) -> Queue:
    make_rationales(project)
    return make_dispute(project, owner)


def test_the_pages_of_a_disputed_queue_are_sound(logged_in, project, queue, owner, annotator):
    slug, pk = project.slug, queue.pk
    first = waiting(queue).values_list("question", flat=True).first()
    decided = Adjudication.objects.get().question_id
    everywhere = {
        "queue disputed": reverse("queue", args=[slug, pk]),
        "queue new": reverse("queue-new", args=[slug]),
        "queue settings": reverse("queue-settings", args=[slug, pk]),
        "queue gold": reverse("queue-gold", args=[slug, pk]),
        "agreement": reverse("agreement", args=[slug]),
        "agreement week": reverse("agreement", args=[slug]) + "?window=week",
        "queue agreement": reverse("queue-agreement", args=[slug, pk]),
        "agreement items": reverse("queue-agreement-items", args=[slug, pk]),
        "agreement pair": reverse("agreement-items", args=[slug]) + f"?person={annotator.pk}",
        "adjudication": reverse("adjudication", args=[slug, pk]),
        "adjudicate": reverse("adjudicate", args=[slug, pk, first]),
    }
    page = logged_in(owner)
    faults: list[str] = []
    for name, address in everywhere.items():
        faults += [f"{name}: {fault}" for fault in looked_at(page, name, address)]
    assert decided
    page = logged_in(annotator)
    for name in ("agreement", "queue agreement"):
        found = looked_at(page, f"{name} annotator", everywhere[name])
        faults += [f"{name}, annotator: {fault}" for fault in found]
    assert not faults, "\n" + "\n".join(faults)


def test_an_adjudicator_decides_by_keyboard_alone(logged_in, project, queue, owner):
    page = logged_in(owner)
    before = waiting(queue).count()
    page.goto(reverse("adjudication", args=[project.slug, queue.pk]))
    page.get_by_role("link", name="Decide the first").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="take this").first.focus()
    page.keyboard.press("Enter")
    page.get_by_role("spinbutton").first.wait_for()
    assert page.get_by_role("spinbutton").first.input_value()
    page.get_by_label("Note").focus()
    page.keyboard.type("The first is right.")
    page.keyboard.press("Enter")
    page.get_by_text("Decided. What everybody said").wait_for()
    assert waiting(queue).count() == before - 1
    assert Adjudication.objects.live().count() == 2
