"""What stands around every page: the bar, the sections, signing in, and the pages of errors."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.paginator import Paginator
from django.template import Context, Template
from django.template.loader import render_to_string
from django.test import Client, override_settings
from django.urls import path, reverse

from config.urls import urlpatterns as all_urls
from curation.models import Membership, Project, User
from curation.templatetags import stillroom


def fails(request):
    raise RuntimeError("on purpose")


fails.login_required = False
urlpatterns = [*all_urls, path("fails/", fails)]


@pytest.fixture
def seen_by(client, project):
    """A function that gives the HTML of a page of the project, as `user` gets it."""

    def page(user: User, name: str = "jobs") -> str:
        client.force_login(user)
        return client.get(reverse(name, args=[project.slug])).content.decode()

    return page


def test_the_section_one_is_in_is_marked(seen_by, annotator):
    page = seen_by(annotator, "queues")
    assert f'<a href="{reverse("queues", args=["orchard"])}" aria-current="page">Review</a>' in page
    assert page.count('aria-current="page"') == 1


def test_a_section_beyond_ones_role_is_not_offered(seen_by, annotator, researcher):
    members = reverse("members", args=["orchard"])
    assert f'href="{members}"' not in seen_by(annotator)
    assert f'href="{members}"' in seen_by(researcher)


def test_the_bar_says_who_and_in_which_role(seen_by, annotator):
    page = seen_by(annotator)
    assert "anna" in page
    assert "annotator in Orchard" in page


def test_only_ones_own_projects_can_be_switched_to(seen_by, annotator, db):
    Project.objects.create(slug="elsewhere", name="The secret orchard")
    mine = Project.objects.create(slug="meadow", name="Meadow")
    Membership.objects.create(user=annotator, project=mine, role="viewer")
    page = seen_by(annotator)
    assert "Meadow" in page
    assert "The secret orchard" not in page


def test_every_page_has_one_heading_a_skip_link_and_no_inline_code(seen_by, owner):
    page = seen_by(owner)
    assert page.count("<h1>") == 1
    assert 'href="#main"' in page
    assert 'id="main"' in page
    assert "<style" not in page
    assert " style=" not in page


def test_signing_out_asks_for_a_post(client, annotator):
    client.force_login(annotator)
    assert "Sign out?" in client.get(reverse("account_logout")).content.decode()
    client.post(reverse("account_logout"))
    assert client.get(reverse("projects")).status_code == 302


def test_the_theme_is_chosen_before_the_styles_load(client, db):
    page = client.get(reverse("account_login")).content.decode()
    assert page.index("js/theme.js") < page.index("css/tokens.css")


# ---- signing in ----


def test_the_login_page_of_a_demo_names_its_people(client, db):
    User.objects.create_user("olga", password="stillroom-demo")
    page = client.get(reverse("account_login")).content.decode()
    assert "stillroom-demo" in page
    assert "olga" in page
    assert "rosa" not in page  # only who is really here


def test_without_the_demo_the_login_page_names_nobody(client, db):
    assert "stillroom-demo" not in client.get(reverse("account_login")).content.decode()


@override_settings(EMBEDDED=False)
def test_a_production_host_never_shows_the_demo_logins(client, db):
    User.objects.create_user("olga", password="stillroom-demo")
    assert "stillroom-demo" not in client.get(reverse("account_login")).content.decode()


def test_a_wrong_password_is_told_and_the_name_is_kept(client, annotator):
    form = {"login": "anna", "password": "no"}
    page = client.post(reverse("account_login"), form).content.decode()
    assert 'role="alert"' in page
    assert 'value="anna"' in page


def test_sign_up_is_closed_unless_the_operator_opens_it(client, db):
    assert "Sign-up is closed" in client.get(reverse("account_signup")).content.decode()
    with override_settings(SIGNUP_OPEN=True):
        assert "Make an account" in client.get(reverse("account_signup")).content.decode()
        assert reverse("account_signup") in client.get(reverse("account_login")).content.decode()


def test_a_forgotten_password_can_be_set_anew_by_letter(client, annotator, mailoutbox):
    User.objects.filter(pk=annotator.pk).update(email="anna@example.org")
    client.post(reverse("account_reset_password"), {"email": "anna@example.org"})
    link = next(word for word in mailoutbox[0].body.split() if "/password/reset/key/" in word)
    form_page = client.get(link[link.index("/accounts/") :], follow=True)
    assert "New password" in form_page.content.decode()
    new = {"password1": "medlar-and-sloe-7", "password2": "medlar-and-sloe-7"}
    done = client.post(form_page.request["PATH_INFO"], new, follow=True)
    assert "The new password is set" in done.content.decode()
    assert client.login(username="anna", password="medlar-and-sloe-7")


@pytest.mark.parametrize(
    "name", ["account_change_password", "account_email", "mfa_index", "socialaccount_connections"]
)
def test_the_pages_of_the_account_wear_the_layout(client, annotator, name):
    client.force_login(annotator)
    page = client.get(reverse(name), follow=True).content.decode()
    assert 'class="topbar"' in page
    assert page.count("<h1>") == 1


# ---- errors ----


def test_a_page_that_is_not_there_says_so_and_leads_back(client, annotator):
    client.force_login(annotator)
    answer = client.get("/no/such/page/")
    assert answer.status_code == 404
    assert "There is no such page" in answer.content.decode()
    assert f'href="{reverse("projects")}"' in answer.content.decode()


def test_a_page_beyond_ones_role_says_why(client, annotator, project):
    client.force_login(annotator)
    answer = client.get(reverse("import", args=[project.slug]))
    assert answer.status_code == 403
    assert "Your role in this project does not allow that." in answer.content.decode()


def test_a_form_of_an_old_session_says_what_to_do(annotator):
    client = Client(enforce_csrf_checks=True)
    answer = client.post(reverse("account_login"), {"login": "anna"})
    assert answer.status_code == 403
    assert "That was not taken in" in answer.content.decode()


@override_settings(ROOT_URLCONF=__name__)
def test_the_page_of_a_failure_needs_nothing_but_itself(db):
    client = Client(raise_request_exception=False)
    answer = client.get("/fails/")
    assert answer.status_code == 500
    assert "The server failed" in answer.content.decode()
    assert "on purpose" not in answer.content.decode()


# ---- words for figures ----


def test_shares_and_intervals_read_as_per_cent():
    template = Template(
        "{% load stillroom %}{{ share|percent }} ({% interval low high %}) {{ none|percent }}"
    )
    shown = template.render(Context({"share": 0.7312, "low": 0.702, "high": 0.759, "none": None}))
    assert shown.replace("\N{NO-BREAK SPACE}", " ") == "73.1 % (70.2–75.9 %) —"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.42, "0.4 s"), (12, "12 s"), (185, "3 min 05 s"), (7800, "2 h 10 min"), (-3, "0.0 s")],
)
def test_durations_read_as_a_clock_shows_them(seconds, words):
    assert stillroom.duration(seconds) == words
    assert stillroom.duration(timedelta(seconds=seconds)) == words


def test_the_way_through_a_numbered_list_keeps_what_else_the_address_says(rf):
    page = Paginator(range(9), 3).page(2)
    request = rf.get("/", {"show": "wrong", "page": "2"})
    shown = render_to_string("includes/pages.html", {"page": page, "on": "On"}, request)
    assert 'rel="prev" href="?show=wrong&amp;page=1">Newer</a>' in shown
    assert "Page 2 of 3" in shown
    assert 'rel="next" href="?show=wrong&amp;page=3">On</a>' in shown
    one = {"page": Paginator(range(3), 3).page(1)}
    assert not render_to_string("includes/pages.html", one, request).strip()
