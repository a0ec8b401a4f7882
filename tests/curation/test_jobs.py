"""Background jobs: claimed once, cancelled, found again when lost; their files behind the gate."""

import io
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from curation import jobs
from curation.artifacts import project_path, store
from curation.ingest import job as ingest_job
from curation.models import Job, JobKind, JobStatus, Question
from curation.tasks import run_import


@pytest.fixture
def sent(monkeypatch):
    """The messages that would have gone to the broker."""
    messages = []
    monkeypatch.setattr(jobs, "send", lambda task, pk, queue: messages.append((task, pk)))
    return messages


def make_job(project, content: bytes = b'{"question": "a?", "answer": "1"}', **fields) -> Job:
    uri = store(project_path(project, "uploads", "rows.jsonl"), io.BytesIO(content))
    fields.setdefault("params", {"file": uri, "name": "rows.jsonl"})
    return Job.objects.create(project=project, kind=JobKind.IMPORT, **fields)


def test_a_job_is_told_to_the_workers_after_the_commit(
    project, sent, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        job = jobs.start(project, JobKind.IMPORT, {}, None)
        assert sent == []
    assert sent == [("curation.tasks.run_import", job.pk)]


def test_an_export_goes_to_those_who_do_exports(project, sent, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        job = jobs.start(project, JobKind.EXPORT, {}, None)
    assert sent == [("training.tasks.run_export", job.pk)]


def test_a_broker_that_is_away_leaves_the_job_queued(project, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):  # no broker runs in the tests
        job = jobs.start(project, JobKind.IMPORT, {}, None)
    job.refresh_from_db()
    assert job.status == JobStatus.QUEUED


def test_a_message_delivered_twice_is_done_once(project):
    job = make_job(project)
    run_import(job.pk)
    run_import(job.pk)
    job.refresh_from_db()
    assert (job.status, job.attempt, job.done) == (JobStatus.DONE, 1, 1)
    run_import(job.pk + 1000)  # the job of a project that is gone


def test_a_cancelled_job_stops_at_its_next_batch_and_keeps_what_it_stored(project, monkeypatch):
    content = b"\n".join(b'{"question": "q%d?", "answer": "1"}' % n for n in range(1200))
    job = make_job(project, content)
    told = ingest_job._told

    def cancel_after_the_first(current, table, report):
        told(current, table, report)
        assert jobs.cancel(current)

    monkeypatch.setattr(ingest_job, "_told", cancel_after_the_first)
    run_import(job.pk)
    job.refresh_from_db()
    assert job.status == JobStatus.CANCELLED
    assert Question.objects.count() == 1000  # the batch under way was finished
    assert not jobs.cancel(job)


def test_a_job_that_failed_can_be_started_again(project, sent, django_capture_on_commit_callbacks):
    job = make_job(project, b"broken")
    run_import(job.pk)
    job.refresh_from_db()
    assert job.status == JobStatus.FAILED
    assert "Row 1: not JSON" in job.error
    with django_capture_on_commit_callbacks(execute=True):
        assert jobs.again(job)
        assert not jobs.again(job)
    job.refresh_from_db()
    assert (job.status, job.error) == (JobStatus.QUEUED, "")
    assert len(sent) == 1


def test_a_job_whose_rows_are_all_bad_fails_and_names_each(project):
    job = make_job(project, b'{"question": "", "answer": "1"}\n' * 3)
    run_import(job.pk)
    job.refresh_from_db()
    assert job.status == JobStatus.FAILED
    assert job.report["left_out_total"] == 3


def test_an_upload_that_is_gone_is_a_sentence(project):
    job = make_job(project, params={"file": "file:///nowhere/rows.jsonl", "name": "rows.jsonl"})
    run_import(job.pk)
    job.refresh_from_db()
    assert job.error == "The uploaded file is gone. Upload it again."


def test_a_fault_of_ours_ends_the_job_and_is_not_swallowed(project, monkeypatch):
    def fail(*args):
        raise RuntimeError("out of figs")

    monkeypatch.setattr(ingest_job, "begin", fail)
    job = make_job(project)
    with pytest.raises(RuntimeError):
        run_import(job.pk)
    job.refresh_from_db()
    assert (job.status, job.error) == (JobStatus.FAILED, "RuntimeError: out of figs")


def test_a_job_whose_worker_fell_silent_is_queued_again_and_goes_to_its_end(
    project, sent, django_capture_on_commit_callbacks
):
    job = make_job(project)
    assert job.claim()
    ghost = Job.objects.get(pk=job.pk)
    Job.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=5))
    with django_capture_on_commit_callbacks(execute=True):
        assert jobs.requeue_lost() == 1
    assert sent == [("curation.tasks.run_import", job.pk)]
    run_import(job.pk)
    job.refresh_from_db()
    assert (job.status, job.attempt) == (JobStatus.DONE, 2)
    assert any("earlier attempt" in note for note in job.report["notes"])
    with pytest.raises(jobs.TakenAway):  # the first worker comes back from the dead
        jobs.advance(ghost, 5, None)
    assert not jobs.finish(ghost, JobStatus.FAILED)


def test_a_job_that_nobody_heard_of_is_told_again(
    project, sent, django_capture_on_commit_callbacks
):
    job = make_job(project)
    assert jobs.requeue_lost() == 0, "it was made just now"
    Job.objects.update(created_at=timezone.now() - timedelta(minutes=1))
    with django_capture_on_commit_callbacks(execute=True):
        assert jobs.requeue_lost() == 1
    assert sent == [("curation.tasks.run_import", job.pk)]


def test_a_job_that_beats_is_left_alone(project, sent):
    assert make_job(project).claim()
    assert jobs.requeue_lost() == 0
    assert Job.objects.get().status == JobStatus.RUNNING


def test_a_job_that_loses_every_worker_ends(project, sent):
    long_ago = timezone.now() - timedelta(minutes=5)
    make_job(project, status=JobStatus.RUNNING, attempt=5, heartbeat_at=long_ago)
    assert jobs.requeue_lost() == 0
    assert "lost 5 times" in Job.objects.get().error


def test_the_pace_tells_what_is_left(project):
    job = make_job(project, status=JobStatus.RUNNING, done=25, total=100)
    now = timezone.now()
    job.started_at = now - timedelta(seconds=10)
    pace = jobs.Pace.of(job, now)
    assert pace.elapsed == timedelta(seconds=10)
    assert pace.remaining == timedelta(seconds=30)


# Pages


def test_a_running_job_asks_for_its_own_state_until_it_is_over(client, project, viewer):
    client.force_login(viewer)
    job = make_job(project, status=JobStatus.RUNNING, done=25, total=100, started_at=timezone.now())
    url = reverse("job", args=[project.slug, job.pk])
    page = client.get(url).content.decode()
    assert 'hx-trigger="every 1s"' in page
    assert '<progress max="100" value="25"' in page
    state = client.get(url, headers={"hx-request": "true"}).content.decode()
    assert "<html" not in state
    jobs.finish(job, JobStatus.DONE)
    assert "hx-trigger" not in client.get(url, headers={"hx-request": "true"}).content.decode()


def test_a_job_that_no_worker_takes_says_so(client, project, researcher):
    client.force_login(researcher)
    job = make_job(project)
    url = reverse("job", args=[project.slug, job.pk])
    assert "No worker has taken this job" not in client.get(url).content.decode()
    Job.objects.update(created_at=timezone.now() - timedelta(seconds=10))
    assert "No worker has taken this job" in client.get(url).content.decode()


def test_the_file_of_a_job_comes_as_an_attachment_that_nobody_sniffs(client, project, researcher):
    client.force_login(researcher)
    job = make_job(project, b'{"question": "a?", "answer": "1"}\n<script>')
    run_import(job.pk)
    answer = client.get(reverse("job-file", args=[project.slug, job.pk]))
    assert answer["Content-Disposition"] == 'attachment; filename="left-out.jsonl"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Type"] == "application/octet-stream"
    body = b"".join(answer.streaming_content)
    assert b'"line": 2' in body
    assert int(answer["Content-Length"]) == len(body)


def test_an_export_has_a_link_to_its_file(client, project, researcher):
    client.force_login(researcher)
    uri = store(project_path(project, "exports", "1", "o.zip"), io.BytesIO(b"zip"))
    job = Job.objects.create(
        project=project,
        kind=JobKind.EXPORT,
        status=JobStatus.DONE,
        params={"version": 1, "format": "sft"},
        report={"left_out": {"not accepted": 4}, "rows": {"train": 6}},
        file=uri,
    )
    page = client.get(reverse("job", args=[project.slug, job.pk])).content.decode()
    assert reverse("job-file", args=[project.slug, job.pk]) in page
    assert "not accepted" in page


def test_a_job_without_a_file_has_none_to_give(client, project, researcher):
    client.force_login(researcher)
    job = make_job(project)
    assert client.get(reverse("job-file", args=[project.slug, job.pk])).status_code == 404


def test_the_list_of_jobs_takes_few_queries_and_pages_by_key(
    client, project, researcher, django_assert_max_num_queries
):
    client.force_login(researcher)
    for _ in range(60):
        make_job(project, created_by=researcher)
    with django_assert_max_num_queries(12):
        page = client.get(reverse("jobs", args=[project.slug])).content.decode()
    older = page.split('href="?before=')[1].split('"')[0]
    rest = client.get(reverse("jobs", args=[project.slug]), {"before": older}).content.decode()
    assert rest.count("Import of rows.jsonl") == 10
    assert client.get(reverse("jobs", args=[project.slug]), {"before": "x"}).status_code == 200


def test_a_stranger_sees_nothing_and_a_viewer_changes_nothing(
    client, project, viewer, annotator, stranger
):
    job = make_job(project, status=JobStatus.RUNNING)
    here = [project.slug, job.pk]
    for user, reads, writes in ((stranger, 404, 404), (viewer, 200, 403), (annotator, 200, 403)):
        client.force_login(user)
        assert client.get(reverse("jobs", args=[project.slug])).status_code == reads
        assert client.get(reverse("job", args=here)).status_code == reads
        assert client.get(reverse("job-file", args=here)).status_code == writes
        assert client.post(reverse("job-cancel", args=here)).status_code == writes
        assert client.post(reverse("job-again", args=here)).status_code == writes
    job.refresh_from_db()
    assert job.status == JobStatus.RUNNING


def test_a_job_is_not_reached_through_another_project(client, project, researcher):
    from curation.models import Membership, Project

    other = Project.objects.create(slug="other", name="Other")
    Membership.objects.create(project=other, user=researcher, role="owner")
    client.force_login(researcher)
    job = make_job(project)
    for name in ("job", "job-file"):
        assert client.get(reverse(name, args=[other.slug, job.pk])).status_code == 404
    assert client.post(reverse("job-cancel", args=[other.slug, job.pk])).status_code == 404


def test_a_job_is_cancelled_by_a_button(client, project, researcher):
    client.force_login(researcher)
    job = make_job(project)
    assert client.get(reverse("job-cancel", args=[project.slug, job.pk])).status_code == 405
    client.post(reverse("job-cancel", args=[project.slug, job.pk]))
    job.refresh_from_db()
    assert job.status == JobStatus.CANCELLED
