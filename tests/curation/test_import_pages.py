"""Import in the browser: upload, look, start; bounded, signed, and only for researchers."""

import json
import os
import re
import time

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from curation.artifacts import exists
from curation.models import Job, JobKind, JobStatus, LanguageModel, Project, Question, Rationale
from curation.tasks import run_import
from curation.uploads import DAY, find, keep, sweep

GSM = [{"question": f"q{n}?", "answer": f"{n} + 1\n#### {n + 1}"} for n in range(7)]


def as_lines(rows) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def upload(client, project, content=None, name="rows_test.jsonl", **kwargs):
    content = as_lines(GSM) if content is None else content
    file = SimpleUploadedFile(name, content)
    return client.post(reverse("import", args=[project.slug]), {"file": file}, **kwargs)


def test_an_upload_is_shown_as_it_will_be_read_and_then_imported(client, project, researcher):
    client.force_login(researcher)
    preview = upload(client, project, as_lines(GSM) + b"\nbroken").url
    page = client.get(preview).content.decode()
    assert "GSM8K as published" in page
    assert "by the name of the file" in page
    assert "not JSON" in page
    assert "q0?" in page
    assert Question.objects.count() == 0

    started = client.post(preview, {"start": "1", "source": "mine"})
    job = Job.objects.get()
    assert started.url == job.get_absolute_url()
    assert job.created_by == researcher
    run_import(job.pk)
    job.refresh_from_db()
    assert job.status == JobStatus.DONE
    assert job.report["questions_added"] == job.report["rationales_added"] == 7
    assert job.report["left_out"] == [
        {"line": 8, "field": "", "reason": "not JSON: Expecting value at character 1"}
    ]
    assert Question.objects.filter(split="test", source="mine").count() == 7
    assert set(Rationale.objects.values_list("batch", flat=True)) == {job.batch}
    report = client.get(job.get_absolute_url()).content.decode()
    assert "questions added" in report
    assert "Expecting value" in report


def test_an_unknown_shape_asks_what_each_field_is(client, project, researcher):
    client.force_login(researcher)
    rows = [{"frage": "Wie viele?", "antwort": "3", "weg": "1 + 2"}]
    preview = upload(client, project, as_lines(rows)).url
    page = client.get(preview).content.decode()
    assert "The shape of this file is not known (fields: frage, antwort, weg)" in page
    assert 'name="field:frage"' in page

    said = {"field:frage": "question", "field:antwort": "reference_answer"}
    looked = client.post(preview, said, headers={"hx-request": "true"}).content.decode()
    assert "<html" not in looked
    assert "Wie viele?" in looked
    client.post(preview, {**said, "field:weg": "teacher_rationale", "teacher": "R1", "start": "1"})
    run_import(Job.objects.get().pk)
    assert Rationale.objects.get().author == "R1"


def test_a_mapping_without_a_question_starts_nothing(client, project, researcher):
    client.force_login(researcher)
    preview = upload(client, project, as_lines([{"x": "1", "y": "2"}])).url
    page = client.post(preview, {"field:x": "metadata", "start": "1"}).content.decode()
    assert "Say which field holds the question." in page
    assert Job.objects.count() == 0


def test_a_person_may_overrule_the_shape_that_was_found(client, project, researcher):
    client.force_login(researcher)
    preview = upload(
        client, project, as_lines([{"question": "a?", "answer": "1", "hint": "b"}])
    ).url
    said = {"mapped": "on", "field:question": "question", "field:hint": "reference_answer"}
    client.post(preview, {**said, "field:answer": "ignore", "start": "1"})
    run_import(Job.objects.get().pk)
    assert Question.objects.get().reference_answer == "b"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty."),
        (b'[{"question": "a', "cut short"),
        (b"PAR1 and no more", "The parquet file is damaged"),
    ],
)
def test_a_file_that_cannot_be_read_gets_one_clear_sentence(
    client, project, researcher, content, sentence
):
    client.force_login(researcher)
    page = upload(client, project, content, "rows.json", follow=True).content.decode()
    assert sentence in page
    assert "Import 0 rows" not in page


def test_an_upload_that_is_too_large_is_refused_with_a_sentence(
    client, project, researcher, settings
):
    settings.UPLOAD_LIMIT_BYTES = 100_000
    client.force_login(researcher)
    answer = upload(client, project, b"x" * 300_000)
    assert answer.status_code == 413
    assert "larger than" in answer.content.decode()
    assert "manage.py import" in answer.content.decode()


def test_a_form_without_its_token_is_refused(project, researcher):
    client = Client(enforce_csrf_checks=True)
    client.force_login(researcher)
    assert upload(client, project).status_code == 403
    page = client.get(reverse("import", args=[project.slug])).content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page).group(1)
    file = SimpleUploadedFile("rows.jsonl", as_lines(GSM))
    form = {"csrfmiddlewaretoken": token, "file": file}
    assert client.post(reverse("import", args=[project.slug]), form).status_code == 302


def test_a_ticket_opens_only_its_own_projects_upload(project):
    other = Project.objects.create(slug="other", name="Other")
    ticket = keep(project, SimpleUploadedFile("../../etc/pass wd.jsonl", b"{}"))
    found = find(project, ticket)
    assert found is not None
    assert found.name == "pass wd.jsonl"
    assert f"/projects/{project.pk}/uploads/" in found.uri
    assert ".." not in found.uri
    assert find(other, ticket) is None
    assert find(project, ticket + "x") is None


def test_a_lost_ticket_leads_back_to_the_upload(client, project, researcher):
    client.force_login(researcher)
    answer = client.get(reverse("import-preview", args=[project.slug, "made-up"]))
    assert answer.url == reverse("import", args=[project.slug])


def test_only_researchers_import(client, project, annotator, viewer, stranger):
    url = reverse("import", args=[project.slug])
    preview = reverse("import-preview", args=[project.slug, "x"])
    for user, status in ((annotator, 403), (viewer, 403), (stranger, 404)):
        client.force_login(user)
        assert client.get(url).status_code == status
        assert upload(client, project).status_code == status
        assert client.get(preview).status_code == status
    client.logout()
    assert client.get(url).status_code == 302


def test_what_a_file_says_is_shown_as_text(client, project, researcher):
    client.force_login(researcher)
    row = {"question": "<script>alert(1)</script>", "answer": "1", "rationale": "<b>x</b>"}
    preview = upload(client, project, as_lines([row])).url
    page = client.get(preview).content.decode()
    assert "<script>alert" not in page
    assert "<b>x</b>" not in page


def test_the_authors_of_an_import_become_models(client, project, researcher):
    client.force_login(researcher)
    preview = upload(client, project).url
    client.post(preview, {"human": "Teachers of Leipzig", "start": "1"})
    run_import(Job.objects.get().pk)
    assert LanguageModel.objects.get().name == "Teachers of Leipzig"


def test_uploads_that_nobody_imported_are_swept_after_two_days(project, settings, tmp_path):
    settings.ARTIFACTS_URL = f"file://{tmp_path}"
    taken, left, fresh = (
        find(project, keep(project, SimpleUploadedFile(f"{name}.jsonl", b"{}")))
        for name in ("taken", "left", "fresh")
    )
    Job.objects.create(project=project, kind=JobKind.IMPORT, params={"file": taken.uri})
    for upload in (taken, left):
        path = upload.uri.removeprefix("file://")
        os.utime(path, (0, time.time() - 3 * DAY))
    assert sweep() == 1
    assert [exists(upload.uri) for upload in (taken, left, fresh)] == [True, False, True]
    assert sweep() == 0
