"""A student scores stored rationales: the real engine, rows once, and a version made of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from curation.models import LanguageModel, Rationale, Score
from tests.make import make_question, make_rationale
from training.demo.problems import demo_problems
from training.models import Run
from training.runs.folders import RunFolder
from training.runs.launch import launch
from training.runs.readback import ReadBack
from training.runs.scoring import score
from training.runs.supervise import supervise
from training.versions.freezing import freeze, preview, rows_of
from training.versions.recipe import Recipe, in_words

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rationales(project) -> list[Rationale]:
    """Three questions, each with three derivations and a wrong thought, their answers checked."""
    made = []
    for problem in demo_problems(3):
        answer = str(problem.answer)
        question = make_question(project, problem.question, reference_answer=answer)
        derivations = [d for d in problem.derivations if ":" not in d][:3]
        made += [make_rationale(question, derivation, answer=answer) for derivation in derivations]
        made.append(make_rationale(question, "1 + 1 = 2", answer="2"))
    score([rationale.pk for rationale in made])
    return made


def see_through(project, student, status="done", **config) -> Run:
    run = launch(project, "score", student=student, config=config, enqueue=False)
    assert supervise(run.pk, "tester", poll=0.1, enqueue=False) == status
    run.refresh_from_db()
    return run


def test_a_student_scores_and_morsd_selects(
    client, project, student, rationales, researcher, settings
):
    run = see_through(project, student, rouge_l=True)
    assert run.result["scored"] == len(rationales)
    assert run.progress["done"] == len(rationales)
    for one in rationales:
        names = {"rationale_difficulty", "answer_probability", "rationale_logprob"}
        found = {score.scorer: score for score in one.scores.filter(model=student)}
        assert set(found) == {*names, "rationale_rouge_l"}
        difficulty = found["rationale_difficulty"]
        assert difficulty.scorer_version == "1 mask reference"
        assert (difficulty.detail["weights"], difficulty.detail["run"]) == (
            run.result["weights"],
            run.pk,
        )
        assert difficulty.batch == run.batch

    before = Score.objects.count()
    ReadBack(run, RunFolder(Path(run.folder), run.folder)).read()
    assert Score.objects.count() == before, "a second delivery adds nothing"
    again = see_through(project, student, rouge_l=True)
    assert again.result["note"].startswith("Nothing left to score")

    chosen = {"student": f"model-{student.pk}", "k": 1}
    counts = preview(project, Recipe(selection="morsd", settings=chosen))
    assert counts["left_out"]["Its answer is wrong"] == 3
    assert counts["considered"] == len(rationales)
    assert counts["rationales"] <= 3
    recipe = Recipe(selection="morsd", settings={**chosen, "helps": False})
    version = freeze(project, recipe, researcher)
    assert version.recipe["settings"]["order"] == "lowest", "every default is stored"
    for row in rows_of(version):
        (kept,) = row["completions"]
        ratios = [
            one.scores.get(scorer="rationale_difficulty").value
            for one in rationales
            if str(one.question_id) == row["id"] and one.answer == row["reference_answer"]
        ]
        assert kept["scores"]["rationale_difficulty"] == min(ratios)
    words = dict(in_words(recipe, {f"model-{student.pk}": "sapling"}))
    assert "Student: sapling" in words["Selection"]
    stages = Recipe(selection="srd", settings={"student": f"model-{student.pk}", "stage": 2})
    assert preview(project, stages)["rationales"] == len(rationales) / 2
    client.force_login(researcher)
    shown = client.get(rationales[0].question.get_absolute_url()).content.decode()
    assert "rationale_difficulty" in shown
    assert "by sapling" in shown
    form = client.get(reverse("version-new", args=[project.slug])).content.decode()
    assert f'<option value="model-{student.pk}">sapling</option>' in form


def test_only_what_is_new_is_scored(project, student, rationales, monkeypatch):
    first = launch(project, "score", student=student, enqueue=False)
    rows = [
        {
            "question": str(one.question_id),
            "completion": str(one.pk),
            "weights": "0" * 64,
            "scores": {
                "rationale_difficulty": 0.5,
                "answer_probability": 0.1,
                "rationale_logprob": None,
            },
            "detail": {"why": "no answer to ask for"},
        }
        for one in rationales
    ]
    from training.runs.student_scores import store_scores, to_score

    store_scores(first, rows[:-2])
    assert list(to_score(first, Rationale.objects.all())) == rationales[-2:]
    store_scores(first, rows)
    assert not to_score(first, Rationale.objects.all()).exists()
    anew = {"again": True}, {"leakage": "none"}, {"rouge_l": True}
    for config in anew:
        other = launch(project, "score", student=student, config=config, enqueue=False)
        assert to_score(other, Rationale.objects.all()).count() == len(rationales)
    scored = Score.objects.get(rationale=rationales[0], scorer="rationale_logprob")
    assert (scored.value, scored.detail["why"]) == (None, "no answer to ask for")


def test_the_engine_reads_the_chosen_rationales_alone(project, student, rationales, tmp_path):
    from training.runs.layout import lay_out

    question = rationales[0].question
    make_rationale(question, "a student's", role="student")
    make_rationale(question, "", answer="7", conditioned_on=rationales[0])
    correction = make_rationale(question, "corrected", role="human", revises=rationales[0])
    run = launch(project, "score", student=student, enqueue=False)
    lay_out(run, tmp_path, 1, lambda: None)
    lines = (tmp_path / "dataset.jsonl").read_text().splitlines()
    ids = {one["id"] for line in lines for one in json.loads(line)["completions"]}
    assert ids == {str(one.pk) for one in [*rationales, correction]}
    job = json.loads((tmp_path / "run.json").read_text())
    assert (job["kind"], job["config"]["leakage"]) == ("score", "mask")
    assert "roles" not in job["config"]


def test_a_student_of_a_score_run_is_a_local_model(project, rationales):
    far = LanguageModel.objects.create(
        project=project, name="far", provider="openai", uri="http://localhost:1/v1"
    )
    with pytest.raises(ValidationError, match="only a local model can score"):
        launch(project, "score", student=far, enqueue=False)


def test_the_form_of_a_score_run_offers_a_student(client, project, student, rationales, researcher):
    client.force_login(researcher)
    url = reverse("run-new", args=[project.slug])
    shown = client.get(f"{url}?kind=score").content.decode()
    assert "None: check answers, steps and lengths" in shown
    assert 'name="leakage"' in shown
    given = {"kind": "score", "student": student.pk, "seed": 0, "host_class": "gpu"}
    given |= {"split": "train", "leakage": "none", "answer": "own", "roles": ["teacher"]}
    client.post(url, given)
    run = Run.objects.get()
    assert (run.kind, run.student, run.host_class) == ("score", student, "gpu")
    assert (run.config["leakage"], run.config["roles"]) == ("none", ["teacher"])
