"""From a rationale to every checkpoint that it reached, and from a checkpoint to everything that
made it, also through several iterations."""

from __future__ import annotations

import pytest
from django.urls import reverse

from curation.models import DatasetItem, Rationale, Review
from tests.make import make_group, make_queue, make_rationale
from tests.training.grove import Grove, evaluated, make_grove, trained
from training.lineage import checkpoint as checkpoints
from training.lineage import rationale as rationales
from training.lineage.drawing import picture_of_checkpoint, picture_of_rationale
from training.lineage.left_out import reason
from training.lineage.picture import Box, Picture
from training.models import Checkpoint
from training.versions.freezing import freeze
from training.versions.recipe import Recipe

pytestmark = pytest.mark.django_db


@pytest.fixture
def grove(project, annotator, researcher) -> Grove:
    return make_grove(project, [researcher, annotator])


def reached_by(grove: Grove, number: int = 0, reader=None):
    rationale = grove.good[number]
    rationale.question.project = grove.project
    return rationales.lineage_of(rationale, reader)


# Downstream.


def test_a_rationale_reaches_every_checkpoint_that_was_trained_on_top_of_it(grove):
    found = reached_by(grove)
    assert [version.number for version in found.holding] == [3, 2, 1]
    assert [run.distance for run in found.runs] == [0, 0, 0]
    assert [one.checkpoint for _, one in found.checkpoints] == [c.pk for c in grove.checkpoints]


def test_it_reaches_those_that_only_began_from_what_it_taught(grove):
    only_samples = freeze(grove.project, Recipe(roles=["student"]), None)
    later = trained(only_samples, grove.checkpoints[0].model, None)
    last = trained(only_samples, later.model, None)
    distances = {run.run: run.distance for run in reached_by(grove).runs}
    assert distances[later.run_id] == 1
    assert distances[last.run_id] == 2


def test_it_does_not_reach_a_run_beside_it(grove):
    only_samples = freeze(grove.project, Recipe(roles=["student"]), None)
    beside = trained(only_samples, grove.base, None)
    assert beside.run_id not in {run.run for run in reached_by(grove).runs}


def test_a_version_without_it_says_why(grove):
    found = {one.number: one for one in reached_by(grove, 1).versions}
    assert not any(one.holds for one in found.values())
    assert {one.reason for one in found.values()} == {"A correction replaces it"}
    late = make_rationale(grove.questions[0], "written after", answer="8")
    assert {one.reason for one in rationales.versions_of(late)[0]} == {"It was not written yet"}


def test_the_reason_is_found_wherever_it_stands_in_the_file(project):
    for number in range(40):
        make_group(project, texts=3, text=f"What is 8 + 3, asked {number} times?")
    version = freeze(project, Recipe(max_rationales=1, seed=3), None)
    held = set(DatasetItem.objects.values_list("rationale", flat=True))
    for one in Rationale.objects.select_related("question"):
        expected = "It was not considered"
        if one.pk not in held:
            expected = "Its group has 1 others already"
        assert reason(version, one) == expected


def test_a_version_whose_list_is_gone_says_so(grove):
    from curation.artifacts import remove
    from training.versions.freezing import left_out_file

    remove(left_out_file(grove.versions[0]))
    reasons = [one.reason for one in reached_by(grove, 1).versions]
    assert reasons[-1].startswith("Its list of what was left out is gone")


def test_an_answer_that_flipped_is_told_for_each_checkpoint(grove):
    asked, (first, second, third) = grove.questions[0], grove.checkpoints
    evaluated(grove.base, {asked: False})
    evaluated(first.model, {asked: True})
    evaluated(second.model, {asked: True})
    evaluated(third.model, {asked: False})
    found = reached_by(grove)
    assert [one.flip.words for _, one in found.checkpoints] == [
        "wrong → right", "right, as before", "right → wrong",
    ]  # fmt: skip
    assert found.flips == {"wrong → right": 1, "right, as before": 1, "right → wrong": 1}


def test_the_newest_evaluation_counts(grove):
    asked, first = grove.questions[0], grove.checkpoints[0]
    evaluated(grove.base, {asked: False})
    evaluated(first.model, {asked: False})
    evaluated(first.model, {asked: True})
    evaluated(first.model, {grove.questions[1]: False})
    _, one = reached_by(grove).checkpoints[0]
    assert one.flip.words == "wrong → right"
    assert one.flip.after.correct


def test_a_question_that_no_evaluation_asked_is_said_to_be_so(client, viewer, grove):
    evaluated(grove.checkpoints[0].model, {grove.questions[1]: True})
    found = reached_by(grove)
    assert not found.question_is_evaluated
    assert {one.flip.words for _, one in found.checkpoints} == {"not asked after it"}
    client.force_login(viewer)
    url = reverse("rationale-lineage", args=["orchard", grove.good[0].pk])
    assert "The question is in no evaluation" in client.get(url).content.decode()


def test_a_method_that_leaves_the_role_out_is_not_said_to_have_learnt_from_it(grove):
    reader = trained(grove.versions[0], grove.base, None, roles=["student"])
    found = {run.run: run.reads for run in reached_by(grove).runs}
    assert not found[reader.run_id]
    assert found[grove.checkpoints[0].run_id]


def test_a_part_that_no_run_learns_from_reaches_none(project, student):
    from tests.make import make_question

    question = make_question(project, split="validation")
    held_out = make_rationale(question)
    make_rationale(make_question(project, "What is 8 + 4?", reference_answer="12"), answer="12")
    version = freeze(project, Recipe(splits=["train", "validation"]), None)
    trained(version, student, None)
    found = rationales.lineage_of(held_out)
    assert [(one.holds, one.teaches) for one in found.versions] == [(True, False)]
    assert found.runs == []


def test_samples_of_its_checkpoints_are_followed_into_versions(grove):
    assert [(echo.version, echo.rationales) for echo in reached_by(grove).echoes] == [
        (2, 4),
        (3, 8),
    ]


def test_what_was_said_is_told_with_who_stands(grove, researcher, annotator, viewer):
    Review.objects.update(superseded_at="2026-01-01T00:00Z")
    said = reached_by(grove, reader=researcher).judgements
    told = {(one.kind, one.by, one.said, one.stands) for one in said}
    assert ("ranking", "rosa", "rank 1 among 1", True) in told
    assert ("ranking", "judge", "rank 1 among 1", True) in told
    assert ("review", "rosa", "accepted", False) in told
    assert ("decision", "rosa", "rank 1 among 1", True) in told
    assert ("score", "judge", "judge_rating 0.9", True) in told
    names = {one.by for one in reached_by(grove, reader=annotator).judgements}
    assert f"person-{researcher.pk}" in names
    assert "you" in names
    assert "rosa" not in names


# Upstream.


def test_a_checkpoint_leads_back_to_the_first_base_model(grove):
    found = checkpoints.lineage_of(grove.checkpoints[-1])
    assert [one.checkpoint for one in found.generations] == [
        c.pk for c in reversed(grove.checkpoints)
    ]
    assert found.base.name == "sapling/base"
    assert [version.number for version in found.versions] == [3, 2, 1]


def test_everybody_who_had_a_hand_in_it_is_counted_once(grove, researcher, annotator):
    found = checkpoints.lineage_of(grove.checkpoints[-1], named=True)
    people = {one.name: one for one in found.people}
    rosa, anna = people["rosa"], people["anna"]
    assert (rosa.ranked, rosa.accepted, rosa.adjudicated, rosa.launched) == (3, 3, 1, 3)
    assert (anna.ranked, anna.corrected) == (3, 1)
    written = {(one.model.name, one.role): one.rationales for one in found.writers}
    assert written["teacher/large", "teacher"] == 3
    assert sum(count for (_, role), count in written.items() if role == "student") == 8
    (judge,) = found.judges
    assert (judge.model.name, judge.rankings, judge.scores) == ("judge", 3, {"judge_rating": 3})


def test_what_was_said_after_the_freeze_does_not_count(grove, researcher):
    first = grove.checkpoints[0]
    before = checkpoints.lineage_of(first)
    Review.objects.create(rationale=grove.good[0], reviewer=_other(grove), decision="reject")
    Review.objects.filter(reviewer=researcher).update(superseded_at="2100-01-01T00:00Z")
    after = checkpoints.lineage_of(first)
    assert before.people == after.people


def _other(grove: Grove):
    from curation.models import User

    return User.objects.create_user("late")


def test_whom_the_recipe_does_not_hear_had_no_hand_in_it(grove, researcher, annotator):
    heard = Recipe(rankings=[f"person-{annotator.pk}"], reviews=[], adjudicated="ignore")
    checkpoint = trained(freeze(grove.project, heard, None), grove.base, None)
    found = checkpoints.lineage_of(checkpoint)
    assert {one.key: (one.ranked, one.accepted) for one in found.people} == {
        f"person-{annotator.pk}": (3, 0)
    }
    assert not any(judge.rankings for judge in found.judges)


def test_one_prompt_is_one_prompt_however_many_questions_it_asked(grove):
    found = checkpoints.lineage_of(grove.checkpoints[0])
    ((prompt,), total) = found.prompts, found.prompts_total
    assert (prompt.text, prompt.rationales, total) == ("{question}\n", 3, 1)


def test_a_prompt_that_was_sent_as_json_is_told_as_one_too(project, student):
    import json

    from tests.make import make_model, make_question

    teacher = make_model(project, "far", provider="openai", uri="http://far.example/v1")
    for number in range(3):
        question = make_question(project, f'He says:\n"{number}"\\\tand then "8"', split="train")
        said = [{"role": "user", "content": f"{question.text}\n\nThink."}]
        make_rationale(
            question, author_model=teacher, prompt_sent=json.dumps(said, ensure_ascii=False)
        )
    found = checkpoints.lineage_of(trained(freeze(project, Recipe(), None), student, None))
    (prompt,) = found.prompts
    assert prompt.text == '[{"role": "user", "content": "{question}\\n\\nThink."}]'
    assert (prompt.rationales, prompt.models) == (3, ["far"])


def test_a_thought_that_was_given_is_not_part_of_the_prompt(project, student):
    from tests.make import make_question

    for number in range(2):
        question = make_question(project, f"What is 8 + {number}?")
        thought = make_rationale(question, f"8 + {number} is easy")
        make_rationale(
            question, "", role="student", conditioned_on=thought, author_model=student,
            prompt_sent=f"{question.text}\n{thought.thought}\n",
        )  # fmt: skip
    found = checkpoints.lineage_of(trained(freeze(project, Recipe(), None), student, None))
    assert [one.text for one in found.prompts] == ["{question}\n{thought}\n"]


def test_licences_of_models_and_sources_are_gathered(grove):
    found = checkpoints.lineage_of(grove.checkpoints[-1])
    (only,) = found.licences
    assert only.licence == "mit"
    assert {"sapling/base", "teacher/large", "questions from orchard tales"} <= set(only.what)


def test_an_edit_names_what_it_rewrote(grove, annotator):
    found = checkpoints.lineage_of(grove.checkpoints[0], named=True)
    (edit,) = found.edits
    assert (edit.revises, edit.by) == (grove.good[1].pk, "anna")


def test_two_projects_do_not_mix(grove, stranger):
    from curation.models import Membership, Project

    other = Project.objects.create(slug="cellar", name="Cellar")
    Membership.objects.create(project=other, user=stranger, role="owner")
    second = make_grove(other, [stranger])
    found = checkpoints.lineage_of(second.checkpoints[-1], named=True)
    assert [one.name for one in found.people] == ["stan"]


# What it costs.


def more_of_everything(grove: Grove, people) -> None:
    student = grove.checkpoints[-1].model
    for number in range(8):
        version = freeze(grove.project, Recipe(), people[0], f"more {number}")
        checkpoint = trained(version, student, people[0], step=number)
        evaluated(checkpoint.model, {grove.questions[0]: bool(number % 2)})
        student = checkpoint.model
        grove.checkpoints.append(checkpoint)


def test_lineage_costs_the_same_however_long(
    grove, researcher, annotator, django_assert_max_num_queries
):
    with django_assert_max_num_queries(22):
        rationales.lineage_of(grove.good[0], researcher)
    with django_assert_max_num_queries(22):
        checkpoints.lineage_of(grove.checkpoints[-1], named=True)
    more_of_everything(grove, [researcher, annotator])
    with django_assert_max_num_queries(22):
        rationales.lineage_of(grove.good[0], researcher)
    with django_assert_max_num_queries(22):
        found = checkpoints.lineage_of(grove.checkpoints[-1], named=True)
    assert len(found.generations) == 11


# The pages.


def addresses(grove: Grove) -> list[str]:
    last = grove.checkpoints[-1].pk
    return [
        reverse("rationale-lineage", args=["orchard", grove.good[0].pk]),
        reverse("checkpoint-lineage", args=["orchard", last]),
        reverse("checkpoint-card", args=["orchard", last]),
    ]


def test_a_viewer_sees_the_pages_and_no_names(client, viewer, grove, researcher):
    client.force_login(viewer)
    for url in addresses(grove):
        page = client.get(url).content.decode()
        main = page.split("<main")[1]
        assert "rosa" not in main, url
        assert "anna" not in main, url


def test_the_same_as_json_with_its_schema(client, researcher, grove):
    client.force_login(researcher)
    down, up, _ = addresses(grove)
    found = client.get(down, {"format": "json"}).json()
    assert found["schema"] == "stillroom.lineage.rationale/1"
    assert found["runs"][0]["checkpoints"][0]["flip"]["words"] == "not asked after it"
    found = client.get(up, {"format": "json"}).json()
    assert found["schema"] == "stillroom.lineage.checkpoint/1"
    assert [one["step"] for one in found["generations"]] == [30, 20, 10]


def test_who_may_still_judge_it_learns_nothing(client, annotator, viewer, grove):
    make_queue(grove.project, overlap=2)
    down, _, _ = addresses(grove)
    client.force_login(annotator)
    page = client.get(down).content.decode()
    assert "You may still be asked to judge this question" in page
    assert "teacher/large" not in page
    answer = client.get(down, {"format": "json"})
    assert answer.status_code == 403
    assert set(answer.json()) == {"schema", "hidden"}
    client.force_login(viewer)
    assert "teacher/large" in client.get(down).content.decode()


def test_the_question_page_leads_to_the_lineage_of_each_rationale(client, viewer, grove):
    client.force_login(viewer)
    page = client.get(grove.questions[0].get_absolute_url()).content.decode()
    assert reverse("rationale-lineage", args=["orchard", grove.good[0].pk]) in page


def test_a_run_leads_to_the_lineage_and_the_card_of_its_checkpoint(client, viewer, grove):
    client.force_login(viewer)
    last = grove.checkpoints[-1]
    page = client.get(last.run.get_absolute_url()).content.decode()
    assert reverse("checkpoint-lineage", args=["orchard", last.pk]) in page


def test_a_stranger_finds_none_of_it(client, stranger, grove):
    client.force_login(stranger)
    assert {client.get(url).status_code for url in addresses(grove)} == {404}


def test_a_checkpoint_of_another_project_is_not_there(client, viewer, grove, student):
    from curation.models import Project

    other = Project.objects.create(slug="cellar", name="Cellar")
    Checkpoint.objects.filter(pk=grove.checkpoints[0].pk)
    foreign = make_grove(other, [viewer])
    client.force_login(viewer)
    url = reverse("checkpoint-lineage", args=["orchard", foreign.checkpoints[0].pk])
    assert client.get(url).status_code == 404


# The picture.


def test_boxes_lie_in_layers_and_do_not_overlap(grove):
    more_of_everything(grove, [_other(grove)])
    for picture in (
        picture_of_checkpoint(checkpoints.lineage_of(grove.checkpoints[-1])),
        picture_of_rationale(reached_by(grove)),
    ):
        places = [(box.x, box.y) for box in picture.boxes]
        for x, y in places:
            assert 0 <= x <= picture.width - picture.box_width
            assert 0 <= y <= picture.height - picture.box_height
            beside = [other for other, height in places if height == y and other != x]
            assert all(abs(other - x) >= picture.box_width for other in beside)
        assert len(set(places)) == len(places)
        assert all(line.begin.y < line.end.y for line in picture.lines)


def test_a_line_that_passes_a_layer_bends_around_its_box():
    picture = Picture()
    top, middle, foot = (picture.box(Box(key, "version", key)) for key in "abc")
    for begin, end in ((top, middle), (middle, foot), (top, foot)):
        picture.line(begin, end, "leads to")
    picture.laid_out()
    passing = picture.lines[2].path
    assert passing.count("C") == 2
    assert "V" in passing


def test_a_lone_box_is_a_picture_too():
    picture = Picture()
    picture.box(Box("only", "rationale", "Rationale 1"))
    assert picture.laid_out().width > 0
