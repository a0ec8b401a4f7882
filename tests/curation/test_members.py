"""Members: added by owners, one role each, and never a project without an owner."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.urls import reverse

from curation import members
from curation.models import Membership, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def url(project) -> str:
    return reverse("members", args=[project.slug])


def test_an_owner_adds_by_name_or_address(client, project, owner, stranger, url):
    stranger.email = "sam@example.org"
    stranger.save()
    client.force_login(owner)
    client.post(url, {"user": "SAM@example.org", "role": "annotator"})
    assert Membership.objects.get(user=stranger).role == "annotator"
    page = client.post(url, {"user": stranger.username, "role": "viewer"}).content.decode()
    assert "is here already, as annotator" in page
    page = client.post(url, {"user": "nobody", "role": "viewer"}).content.decode()
    assert "Nobody here is called “nobody”" in page


@pytest.mark.parametrize(("role", "sees", "adds"), [
    ("researcher", 200, 403), ("annotator", 403, 403), ("viewer", 403, 403), (None, 404, 404),
])  # fmt: skip
def test_others_change_nothing(client, project, owner, member, url, role, sees, adds):
    client.force_login(member("eve", role))
    assert client.get(url).status_code == sees
    assert client.post(url, {"user": "eve", "role": "owner"}).status_code == adds
    own = Membership.objects.get(user=owner)
    for name in ("member-role", "member-remove"):
        answer = client.post(reverse(name, args=[project.slug, own.pk]), {"role": "viewer"})
        assert answer.status_code == adds
    assert Membership.objects.get(user=owner).role == "owner"


def test_roles_change_and_members_go(client, project, owner, viewer):
    client.force_login(owner)
    held = Membership.objects.get(user=viewer)
    client.post(reverse("member-role", args=[project.slug, held.pk]), {"role": "researcher"})
    held.refresh_from_db()
    assert held.role == "researcher"
    client.post(reverse("member-role", args=[project.slug, held.pk]), {"role": "king"})
    held.refresh_from_db()
    assert held.role == "researcher"
    client.post(reverse("member-remove", args=[project.slug, held.pk]))
    assert not Membership.objects.filter(user=viewer).exists()
    assert User.objects.filter(pk=viewer.pk).exists()


def test_the_last_owner_stays(client, project, owner, url):
    client.force_login(owner)
    held = Membership.objects.get(user=owner)
    for name, data in (("member-remove", {}), ("member-role", {"role": "viewer"})):
        answer = client.post(reverse(name, args=[project.slug, held.pk]), data, follow=True)
        assert "is the last owner" in answer.content.decode()
    held.refresh_from_db()
    assert held.role == "owner"


@pytest.mark.django_db(transaction=True)
def test_two_owners_cannot_remove_each_other_at_once(project, member):
    held = [Membership.objects.get(user=member(name, "owner")) for name in ("ida", "kim")]

    def remove(membership) -> bool:
        try:
            members.remove(membership)
            return True
        except ValidationError:
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(remove, held)) == [False, True]
    assert Membership.objects.filter(project=project, role="owner").count() == 1
