"""Whatever stands in an address or a form, the answer is a page and never a crash."""

from __future__ import annotations

import pytest

from tests.test_permissions import TABLE, addresses  # noqa: F401

pytestmark = pytest.mark.django_db

NONSENSE = [
    "²",
    "٣",
    "9" * 30,
    "9" * 5000,
    "-1",
    "--5",
    "\0",
    "' or 1=1",
    "NaN",
    "1e400",
    "🙈" * 300,
]
PARAMETERS = (
    "e", "show", "page", "from", "run", "after", "before", "kind", "status", "method", "part",
    "names", "q", "split", "source", "state", "next", "open", "role", "name", "user", "seed",
    "student", "dataset", "order", "author", "batch", "tag", "scorer", "low", "high", "verdict",
    "step", "group", "round", "probe", "metric", "x", "preset", "rehearsal", "preset_name",
    "measured", "who", "since", "until", "question", "deed", "pk", "all", "address", "queue",
    "format", "url", "told_of",
)  # fmt: skip


@pytest.fixture
def pages(request, client, owner) -> dict[str, str]:
    client.force_login(owner)
    client.raise_request_exception = False
    return request.getfixturevalue("addresses")


@pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda text: ascii(text[:9]))
def test_no_parameter_breaks_a_page(client, pages, nonsense):
    crashed = []
    for name, (get, _) in TABLE.items():
        if get:
            everything = client.get(pages[name], dict.fromkeys(PARAMETERS, nonsense))
            alone = [
                client.get(pages[name], {one: nonsense}) for one in ("from", "after", "e", "q")
            ]
            if any(answer.status_code >= 500 for answer in (everything, *alone)):
                crashed.append(name)
    assert crashed == []


@pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda text: ascii(text[:9]))
def test_no_form_breaks_on_what_is_sent(client, pages, nonsense):
    crashed = []
    for name, (get, post) in TABLE.items():
        if post:
            form = (client.get(pages[name]).context or {}).get("form") if get else None
            sent = dict.fromkeys([*PARAMETERS, *getattr(form, "fields", [])], nonsense)
            if client.post(pages[name], sent).status_code >= 500:
                crashed.append(name)
    assert crashed == []
