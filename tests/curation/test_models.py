"""The models page: endpoints, folders and imported authors, with sentences for what is wrong."""

import pytest
from django.urls import reverse

from curation.models import LanguageModel
from tests.make import make_model, make_question, make_rationale

ENDPOINT = {
    "provider": "openai",
    "name": "qwen3-8b",
    "uri": "http://gpu-1:8000/v1/",
    "revision": "",
    "api_key_variable": "STILLROOM_KEY_LAB",
    "licence": "apache-2.0",
    "prompt_price": "0.5",
    "completion_price": "2",
    "currency": "EUR",
}


def test_a_researcher_adds_an_endpoint_and_edits_it(client, project, researcher):
    client.force_login(researcher)
    answer = client.post(reverse("model-new", args=[project.slug]), ENDPOINT)
    assert answer.url == reverse("models", args=[project.slug])
    model = LanguageModel.objects.get()
    assert (model.uri, model.project) == ("http://gpu-1:8000/v1", project)
    assert model.prices == {"prompt": 0.5, "completion": 2.0, "currency": "EUR"}
    page = client.get(answer.url).content.decode()
    assert "qwen3-8b" in page
    assert "0.5 / 2.0 EUR" in page

    url = reverse("model", args=[project.slug, model.pk])
    assert 'value="0.5"' in client.get(url).content.decode()
    client.post(url, {**ENDPOINT, "prompt_price": "", "completion_price": "", "licence": "mit"})
    model.refresh_from_db()
    assert (model.prices, model.licence) == ({}, "mit")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"uri": "gpu-1:8000"}, "Give the base URL of the endpoint"),
        ({"uri": ""}, "Give the base URL of the endpoint"),
        ({"uri": "http://[::1"}, "That is no address"),
        ({"uri": "http://host:99999/v1"}, "That is no address"),
        ({"uri": "http://ho st/v1"}, "That is no address"),
        ({"provider": "local", "api_key_variable": "", "uri": "x://["}, "cannot be read from"),
        ({"uri": "https://me:secret@host/v1"}, "Do not put a key or a password into the URL"),
        ({"uri": "http://host/v1/chat/completions"}, "Give the base URL only"),
        ({"api_key_variable": "SECRET_KEY"}, "begins with STILLROOM_KEY_"),
        ({"name": ""}, "This field is required"),
        ({"currency": "euros"}, "three capital letters"),
        ({"prompt_price": "-1"}, "greater than or equal to 0"),
        (
            {"provider": "local", "api_key_variable": "", "uri": "models/x"},
            "whole path of the folder",
        ),
        ({"provider": "local", "api_key_variable": "", "uri": ""}, "Name the folder"),
        ({"provider": "local", "api_key_variable": "", "uri": "http://x/y"}, "cannot be read from"),
        ({"provider": "local", "uri": "/models/x"}, "Only an endpoint takes a key"),
        ({"provider": "imported", "api_key_variable": ""}, "has no address"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(client, project, researcher, change, sentence):
    client.force_login(researcher)
    page = client.post(reverse("model-new", args=[project.slug]), ENDPOINT | change)
    assert sentence in page.content.decode()
    assert LanguageModel.objects.count() == 0


def test_a_name_is_taken_once_per_revision(client, project, researcher):
    client.force_login(researcher)
    make_model(project, "qwen3-8b")
    page = client.post(reverse("model-new", args=[project.slug]), ENDPOINT).content.decode()
    assert "has a model of that name and revision" in page
    client.post(reverse("model-new", args=[project.slug]), ENDPOINT | {"revision": "main"})
    assert LanguageModel.objects.count() == 2


def test_a_local_folder_may_be_a_path_or_a_store(client, project, researcher):
    client.force_login(researcher)
    for uri in ("/models/tiny", "s3://bucket/tiny"):
        form = ENDPOINT | {"provider": "local", "name": uri, "uri": uri, "api_key_variable": ""}
        assert client.post(reverse("model-new", args=[project.slug]), form).status_code == 302


def test_the_list_counts_what_each_model_wrote_in_few_queries(
    client, project, viewer, django_assert_max_num_queries
):
    for number in range(3):
        question = make_question(project, f"q{number}?")
        make_rationale(question)
        make_rationale(question, role="student", author_model=make_model(project, f"s{number}"))
    client.force_login(viewer)
    with django_assert_max_num_queries(12):
        page = client.get(reverse("models", args=[project.slug])).content.decode()
    assert "3 teacher" in page
    assert "1 student" in page
    assert "Add a model" not in page


def test_only_researchers_edit_models_and_a_stranger_sees_none(
    client, project, annotator, viewer, stranger
):
    model = make_model(project)
    edit = reverse("model", args=[project.slug, model.pk])
    for user, reads, writes in ((stranger, 404, 404), (viewer, 200, 403), (annotator, 200, 403)):
        client.force_login(user)
        assert client.get(reverse("models", args=[project.slug])).status_code == reads
        assert client.get(edit).status_code == writes
        assert client.post(edit, ENDPOINT).status_code == writes
        new = reverse("model-new", args=[project.slug])
        assert client.post(new, ENDPOINT).status_code == writes
