"""Runs, evaluations and workers in the browser: who sees them, what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone

from training.forms.runs import LaunchForm, warnings_about
from training.methods import methods
from training.models import Evaluation, EvaluationItem, Metric, Preset, Run, Worker
from training.reports.group_table import store_rounds
from training.reports.probes import store_probes
from training.runs.launch import launch, request_cancel

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]


def pages(run: Run) -> list[str]:
    slug = run.project.slug
    return [
        reverse("runs", args=[slug]),
        reverse("run", args=[slug, run.pk]),
        reverse("run-metrics", args=[slug, run.pk]),
        reverse("evaluations", args=[slug]),
        reverse("workers", args=[slug]),
    ]


def test_a_stranger_sees_nothing(client, stranger, train_run):
    client.force_login(stranger)
    addresses = [*pages(train_run), reverse("run-new", args=["orchard"])]
    assert [client.get(url).status_code for url in addresses] == [404] * 6
    assert client.post(reverse("run-cancel", args=["orchard", train_run.pk])).status_code == 404


def test_nobody_sees_anything_without_a_login(client, train_run):
    assert {client.get(url).status_code for url in pages(train_run)} == {302}


def test_a_viewer_reads_but_neither_launches_nor_cancels(client, viewer, train_run):
    client.force_login(viewer)
    assert {client.get(url).status_code for url in pages(train_run)} == {200}
    assert client.get(reverse("run-new", args=["orchard"])).status_code == 403
    assert client.post(reverse("run-cancel", args=["orchard", train_run.pk])).status_code == 403
    assert "Cancel" not in client.get(train_run.get_absolute_url()).content.decode()


def test_cancelling_is_a_post(client, researcher, train_run):
    client.force_login(researcher)
    url = reverse("run-cancel", args=["orchard", train_run.pk])
    assert client.get(url).status_code == 405
    assert client.post(url).status_code == 302
    train_run.refresh_from_db()
    assert train_run.status == "cancelled"


@pytest.mark.parametrize("method", sorted(methods()))
def test_every_method_has_a_form_with_each_of_its_settings(
    method, client, researcher, project, version
):
    client.force_login(researcher)
    answer = client.get(reverse("run-new", args=["orchard"]), {"kind": "train", "method": method})
    page = answer.content.decode()
    for name, info in methods()[method].Config.model_fields.items():
        assert f'name="{name}"' in page
        assert info.title
        assert info.title in page


@pytest.mark.parametrize("asked", [{}, {"kind": "train"}, {"method": "no such method"}])
def test_who_names_no_method_is_offered_imitation(asked, client, researcher, version):
    client.force_login(researcher)
    page = client.get(reverse("run-new", args=["orchard"]), asked).content.decode()
    assert '<option value="sft" selected>' in page


@pytest.mark.parametrize("method", sorted(methods()))
def test_a_form_sent_as_it_stands_launches_the_defaults(
    method, project, version, student, researcher
):
    blank = LaunchForm(project, "train", method)
    sent = {name: blank[name].initial for name in blank.fields}
    sent |= {"student": student.pk, "dataset": version.pk}
    form = LaunchForm(project, "train", method, {k: v for k, v in sent.items() if v is not None})
    assert form.is_valid(), form.errors
    run = form.launch(by=researcher)
    assert run is not None, form.errors
    assert run.config == methods()[method].Config().model_dump(mode="json")


@pytest.mark.parametrize("kind", ["generate", "score", "evaluate"])
def test_the_other_kinds_have_forms_too(kind, client, researcher, project):
    client.force_login(researcher)
    page = client.get(reverse("run-new", args=["orchard"]), {"kind": kind}).content.decode()
    assert 'name="split"' in page
    assert ('name="temperatures"' in page) == (kind == "generate")


def send(client, **fields):
    url = reverse("run-new", args=["orchard"])
    frame = {"kind": "train", "method": "sft", "seed": "3", "host_class": "gpu"}
    return client.post(url, {**frame, "roles": ["teacher"], **fields})


def test_a_launch_leads_to_the_runs_page(client, researcher, version, student):
    client.force_login(researcher)
    answer = send(client, student=student.pk, dataset=version.pk, learning_rate="0.01")
    run = Run.objects.get()
    assert answer.url == run.get_absolute_url()
    assert (run.config["learning_rate"], run.seed, run.launched_by) == (0.01, 3, researcher)


def test_what_pydantic_refuses_is_said_at_the_field(client, researcher, version, student):
    client.force_login(researcher)
    answer = send(client, student=student.pk, dataset=version.pk, learning_rate="much")
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "valid number" in page
    assert 'value="much"' in page
    assert not Run.objects.exists()


def test_a_student_or_version_that_has_gone_is_told_in_words(client, researcher, version, student):
    client.force_login(researcher)
    page = send(client, student=student.pk + 99, dataset=version.pk + 99).content.decode()
    assert page.count("What was chosen here is not there any more. Choose again.") == 2
    assert not Run.objects.exists()


@pytest.mark.parametrize("unknown", [{"kind": "magic"}, {"method": "magic"}, {"method": "sft\0"}])
def test_nothing_else_is_launched_than_was_asked_for(client, researcher, version, student, unknown):
    client.force_login(researcher)
    answer = send(client, student=student.pk, dataset=version.pk, **unknown)
    assert answer.status_code == 422
    assert "There is no" in answer.context["form"].non_field_errors()[0]
    assert not Run.objects.exists()


def test_changing_the_method_swaps_the_settings_alone(client, researcher, project):
    client.force_login(researcher)
    url = reverse("run-new", args=["orchard"])
    page = client.get(url, {"kind": "score"}, headers={"HX-Request": "true"}).content.decode()
    assert page.lstrip().startswith('<div id="run-form"')
    assert "<html" not in page


def test_a_clone_starts_from_the_same_settings(client, researcher, project, version, student):
    run = launch(
        project,
        "train",
        method="sft",
        config={"epochs": 7, "roles": ["student"]},
        dataset=version,
        student=student,
        enqueue=False,
    )
    client.force_login(researcher)
    answer = client.get(reverse("run-new", args=["orchard"]), {"from": run.pk})
    form = answer.context["form"]
    assert form["epochs"].value() == 7
    assert form["roles"].value() == ["student"]
    assert form["student"].value() in (student, student.pk)


def test_unusual_values_are_warned_of_and_the_papers_own_are_not():
    sft = methods()["sft"].Config
    assert warnings_about(sft, {"learning_rate": 0.5}) == [
        "Learning rate is 0.5; the guide recommends 1e-05 to 5e-05."
    ]
    assert warnings_about(sft, {"learning_rate": 2e-5, "epochs": 3}) == []
    grpo = methods()["grpo"].Config
    assert warnings_about(grpo, grpo().model_dump()) == []
    assert len(warnings_about(grpo, {"temperature": 0.2, "epochs": 11})) == 2


def test_the_guides_ranges_are_the_help(client, researcher, project):
    client.force_login(researcher)
    asked = {"kind": "train", "method": "grpo"}
    page = client.get(reverse("run-new", args=["orchard"]), asked).content.decode()
    for words in ("1e-05 to 5e-05. The paper: 1e-06", "0.3 to 0.7", "8 to 32", "3 to 10"):
        assert f"The guide: {words}" in page


def test_a_warning_stands_at_the_field_before_the_launch(client, researcher, project):
    client.force_login(researcher)
    asked = {"kind": "train", "method": "sft", "learning_rate": "0.5"}
    page = client.get(reverse("run-new", args=["orchard"]), asked).content.decode()
    assert "Learning rate is 0.5; the guide recommends" in page
    assert page.count('class="help unusual"') == 1


def test_what_a_copy_changed_is_marked_on_its_page(client, researcher, version, student, train_run):
    client.force_login(researcher)
    url = reverse("run-new", args=["orchard"]) + f"?from={train_run.pk}"
    form = client.get(url).context["form"]
    sent = {name: form[name].value() for name in form.fields}
    sent |= {"kind": "train", "method": "sft", "epochs": "9", "seed": "5"}
    sent |= {"student": student.pk, "dataset": version.pk}
    answer = client.post(url, {k: v for k, v in sent.items() if v not in (None, False)})
    page = client.get(answer.url).content.decode()
    assert Run.objects.get(pk=answer.url.rstrip("/").rpartition("/")[2]).parent == train_run
    assert f"was {train_run.config['epochs']}" in page
    assert "was 0" in page  # the seed
    assert page.count('chip warn">was') == 2


def test_a_preset_is_kept_used_and_removed(client, researcher, version, student):
    client.force_login(researcher)
    frame = {"kind": "train", "method": "sft", "roles": ["teacher"], "epochs": "7"}
    save = reverse("preset-save", args=["orchard"])
    answer = client.post(save, {**frame, "preset_name": "long"})
    preset = Preset.objects.get()
    assert preset.config == {"epochs": 7, "roles": ["teacher"]}
    assert client.get(answer.url).context["form"]["epochs"].value() == 7
    again = client.post(save, {**frame, "preset_name": "long"})
    assert again.status_code == 422
    assert "There is a preset" in again.content.decode()
    assert "long" in client.get(reverse("presets", args=["orchard"])).content.decode()
    client.post(reverse("preset-remove", args=["orchard", preset.pk]))
    assert not Preset.objects.exists()


def test_a_runs_settings_become_a_preset(client, researcher, train_run):
    client.force_login(researcher)
    url = reverse("run-preset", args=["orchard", train_run.pk])
    client.post(url, {"preset_name": "as it was"})
    assert Preset.objects.get().config == {}
    client.post(url, {"preset_name": " "})
    assert Preset.objects.count() == 1


def test_a_run_that_was_cancelled_goes_on_in_its_row(client, researcher, train_run):
    client.force_login(researcher)
    url = reverse("run-resume", args=["orchard", train_run.pk])
    client.post(url)
    train_run.refresh_from_db()
    assert train_run.max_attempts == 5  # it waits already
    assert request_cancel(train_run)
    assert "Try again" in client.get(train_run.get_absolute_url()).content.decode()
    client.post(url)
    train_run.refresh_from_db()
    assert (train_run.status, train_run.cancel_requested_at) == ("queued", None)
    assert train_run.claim("somebody")


def test_the_whole_log_is_a_file(client, viewer, train_run, tmp_path):
    client.force_login(viewer)
    url = reverse("run-log", args=["orchard", train_run.pk])
    assert client.get(url).status_code == 404
    (tmp_path / "log.txt").write_text("step 1\n" * 10_000)
    Run.objects.filter(pk=train_run.pk).update(folder=str(tmp_path))
    answer = client.get(url)
    assert b"".join(answer).count(b"step 1") == 10_000
    assert "attachment" in answer["Content-Disposition"]


def test_runs_are_found_by_kind_method_status_and_text(client, viewer, train_run, student):
    project = train_run.project
    Run.objects.create(project=project, kind="score", name="Check all", status="done")
    client.force_login(viewer)
    url = reverse("runs", args=["orchard"])

    def found(**query) -> list[str]:
        return [str(run) for run, _ in client.get(url, query).context["rows"]]

    assert len(found()) == 2
    assert found(kind="score") == found(status="done") == found(q="CHECK") == ["Check all"]
    assert found(method="sft") == found(q="sapling") == found(q=str(train_run.pk))
    assert found(method="sft", status="done") == []
    assert len(found(kind="alchemy", method="magic")) == 2


def test_the_list_goes_on_by_key(client, viewer, project):
    Run.objects.bulk_create(Run(project=project, kind="score", name=f"r{n}") for n in range(60))
    client.force_login(viewer)
    url = reverse("runs", args=["orchard"])
    first = client.get(url, {"q": "r"}).context["page"]
    assert len(first.rows) == 50
    assert (first.before, first.after) == (None, str(first.rows[-1].pk))
    rest = client.get(url, {"q": "r", "after": first.after}).context["page"]
    assert len(rest.rows) == 10
    assert client.get(url, {"before": rest.before}).context["page"].rows[0] == first.rows[0]


def test_the_list_costs_the_same_however_many_runs(
    client, researcher, train_run, django_assert_max_num_queries
):
    for number in range(20):
        Run.objects.create(
            project=train_run.project,
            kind="train",
            method="sft",
            dataset=train_run.dataset,
            student=train_run.student,
            launched_by=researcher,
            name=f"run {number}",
        )
    client.force_login(researcher)
    with django_assert_max_num_queries(8):
        client.get(reverse("runs", args=["orchard"]))


def points(client, run: Run, **query) -> dict:
    answer = client.get(reverse("run-metrics", args=["orchard", run.pk]), query)
    return json.loads(answer.content)


def test_curves_come_from_a_cursor(client, viewer, train_run):
    client.force_login(viewer)
    Metric.objects.bulk_create(
        Metric(run=train_run, step=step, name="loss", value=1 / step) for step in range(1, 6)
    )
    first = points(client, train_run)
    assert first["series"]["loss"][0] == [1, 2, 3, 4, 5]
    assert first["groups"] == [["Learning", ["loss"]]]
    assert points(client, train_run, after=first["last"])["series"] == {}
    assert points(client, train_run, after=3)["series"]["loss"][0] == [4, 5]


def test_the_page_without_scripts_has_the_last_figures_and_the_alarms(client, viewer, train_run):
    client.force_login(viewer)
    Metric.objects.bulk_create(
        Metric(run=train_run, step=step, name="truncated_share", value=0.9) for step in range(1, 21)
    )
    page = client.get(train_run.get_absolute_url()).content.decode()
    assert "Completions are cut off" in page
    assert "steps 16 to 20" in page
    assert '<td class="num">0.9</td>' in page


def write_rounds(run: Run, folder: Path) -> None:
    """Two rounds as the engine tells them, each with one group of two completions."""
    at, lines, rounds = 0, [], []
    for number in (0, 1):
        completions = [
            {"index": n, "text": f"round {number}, draw {n}", "tokens": 5, "present": True,
             "anchor": False, "truncated": bool(n), "reward": float(n), "weight": n - 0.5,
             "rewards": {"answer_correct": 1.0 * n, "length": -0.5}, "side": ""}
            for n in (0, 1)
        ]  # fmt: skip
        group = {"round": number, "group": 0, "question": "1", "steps": [2 * number + 1],
                 "prompt": "What?", "completions": completions}  # fmt: skip
        line = (json.dumps(group) + "\n").encode()
        short = {"question": "1", "first_step": 2 * number + 1, "completions": 2, "truncated": 1,
                 "reward_mean": 0.5, "reward_spread": 1.0,
                 "at": at, "bytes": len(line)}  # fmt: skip
        contents = (json.dumps({"contents": [short]}) + "\n").encode()
        at += len(line)
        rounds.append({"round": number, "source": "policy", "groups": 1, "at": at,
                       "first_step": 2 * number + 1, "last_step": 2 * number + 2,
                       "bytes": len(contents)})  # fmt: skip
        at += len(contents)
        lines += [line, contents]
    (folder / "groups.jsonl").write_bytes(b"".join(lines))
    store_rounds(run, rounds)
    store_rounds(run, rounds)
    Run.objects.filter(pk=run.pk).update(folder=str(folder))


def test_any_group_of_any_past_step_can_be_looked_at(client, viewer, train_run, tmp_path):
    write_rounds(train_run, tmp_path)
    client.force_login(viewer)
    page = train_run.get_absolute_url()
    newest = client.get(page).content.decode()
    assert "round 1, draw 1" in newest
    assert "answer_correct" in newest
    assert "truncated" in newest
    for query in ({"round": 0}, {"step": 1}, {"step": 2}):
        assert "round 0, draw 1" in client.get(page, query).content.decode()
    htmx = {"HX-Request": "true"}
    part = client.get(page, {"part": "groups", "round": 0}, headers=htmx).content.decode()
    assert part.lstrip().startswith('<section id="run-groups"')
    assert "every 5s" not in part  # a past round does not change
    assert client.get(page, {"round": 99, "group": 99}).status_code == 200


def test_a_group_whose_file_is_not_there_yet_is_no_fault(client, viewer, train_run, tmp_path):
    write_rounds(train_run, tmp_path)
    (tmp_path / "groups.jsonl").write_bytes(b"")
    client.force_login(viewer)
    assert client.get(train_run.get_absolute_url()).status_code == 200


def probe_rows(step: int, rights: list[bool], project) -> list[dict]:
    asked = project.questions.order_by("id")
    return [
        {"step": step, "question": str(question.pk), "text": f"said at {step}\x00", "answer": "9",
         "finish_reason": "stop", "correct": right}
        for question, right in zip(asked, rights, strict=True)
    ]  # fmt: skip


def test_the_probe_shows_what_became_of_an_answer(client, viewer, train_run):
    for step, rights in ((0, [False, True]), (5, [False, False]), (10, [True, False])):
        rows = probe_rows(step, rights, train_run.project)
        store_probes(train_run, [*rows, {**rows[0], "question": "999999"}])
        store_probes(train_run, rows)
    client.force_login(viewer)
    page = train_run.get_absolute_url()
    newest = client.get(page)
    assert newest.context["probed"].steps == [0, 5, 10]
    text = newest.content.decode()
    assert "now right" in text
    assert "no longer right" in text
    assert "1 of 2 right" in text
    earlier = client.get(page, {"probe": 1}).content.decode()
    assert "said at 5" in earlier
    assert "said at 10" not in earlier
    first = client.get(page, {"probe": 0}).content.decode()
    assert "said at 5" not in first


def test_a_runs_page_costs_the_same_however_long_it_ran(
    client, viewer, train_run, tmp_path, django_assert_max_num_queries
):
    write_rounds(train_run, tmp_path)
    Metric.objects.bulk_create(
        Metric(run=train_run, step=step, name=name, value=1.0)
        for step in range(1, 1001)
        for name in ("loss", "kl", "entropy")
    )
    for step in range(0, 50, 10):
        store_probes(train_run, probe_rows(step, [True, False], train_run.project))
    client.force_login(viewer)
    with django_assert_max_num_queries(32):
        client.get(train_run.get_absolute_url())


def test_the_page_says_when_nobody_is_there_to_take_the_run(client, viewer, train_run):
    client.force_login(viewer)
    page = client.get(train_run.get_absolute_url()).content.decode()
    assert "no GPU host is alive" in page
    assert "manage.py work --queue gpu" in page


def test_a_failed_run_shows_its_error_and_its_log(client, viewer, train_run, tmp_path):
    (tmp_path / "log.txt").write_text("step 1\n<script>alert(1)</script>\nOut of cider.\n")
    Run.objects.filter(pk=train_run.pk).update(
        status="failed", error="Out of cider.", folder=str(tmp_path), attempt=1
    )
    client.force_login(viewer)
    page = client.get(train_run.get_absolute_url()).content.decode()
    assert "<b>Out of cider.</b>" in page
    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page


def test_another_projects_run_is_not_named_among_the_workers(client, viewer, train_run):

    from curation.models import Project

    other = Project.objects.create(slug="secret", name="Secret")
    run = Run.objects.create(project=other, kind="score", name="the secret one")
    Worker.objects.create(
        name="box:gpu", host_class="gpu", device="CPU", heartbeat_at=timezone.now(), running=run
    )
    client.force_login(viewer)
    page = client.get(reverse("workers", args=["orchard"])).content.decode()
    assert "a run of another project" in page
    assert "the secret one" not in page


@pytest.fixture
def evaluations(project, version, student):
    """Two evaluations of one model, on different questions."""
    made = []
    for number, accuracy in enumerate((0.5, 0.75)):
        run = Run.objects.create(project=project, kind="evaluate", student=student)
        summary = {"accuracy": accuracy, "accuracy_low": 0.4, "accuracy_high": 0.9}
        made.append(
            Evaluation.objects.create(
                run=run,
                model=student,
                split="test",
                questions=2,
                questions_sha256=str(number) * 64,
                summary={**summary, "similarity": 0.8, "similarity_shuffled": 0.3},
            )
        )
    for question in project.questions.all():
        for index, correct in enumerate((True, False)):
            EvaluationItem.objects.create(
                evaluation=made[0],
                question=question,
                index=index,
                thought="8 + 1 = 9",
                answer="9",
                correct=correct,
            )
    return made


def test_evaluations_stand_side_by_side_with_their_intervals(client, viewer, evaluations):
    client.force_login(viewer)
    chosen = {"e": [evaluations[0].pk, evaluations[1].pk]}
    page = client.get(reverse("evaluations", args=["orchard"]), chosen).content.decode()
    assert "50.0\N{NO-BREAK SPACE}%" in page
    assert "75.0\N{NO-BREAK SPACE}%" in page
    assert "40.0–90.0\N{NO-BREAK SPACE}%" in page
    assert "shuffled 0.300" in page
    assert "do not compare" in page


def test_an_evaluation_of_one_set_is_not_warned_of(client, viewer, evaluations):
    client.force_login(viewer)
    page = client.get(reverse("evaluations", args=["orchard"])).content.decode()
    assert "do not compare" not in page


def test_the_items_can_be_narrowed_to_the_wrong_ones(client, viewer, evaluations):
    client.force_login(viewer)
    url = reverse("evaluation", args=["orchard", evaluations[0].pk])
    assert client.get(url, {"show": "right"}).context["page"].paginator.count == 2
    assert client.get(url, {"show": "wrong"}).context["page"].paginator.count == 0


def test_the_web_process_never_imports_torch():
    code = (
        "import sys, config.wsgi\n"
        "from django.urls import get_resolver\n"
        "get_resolver().url_patterns and get_resolver()._populate()\n"
        "import training.forms.runs, training.tasks, training.methods\n"
        "training.methods.methods()\n"
        "heavy = {'torch', 'transformers', 'datasets', 'accelerate'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
