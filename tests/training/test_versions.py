"""Dataset versions: what a recipe chooses, and that the choice stays as it was made."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256

import pytest
from django.db import ProgrammingError, connection, transaction
from pydantic import ValidationError

from curation.models import DatasetItem, Place, Question, Ranking, Rationale, Review, Score
from tests.make import make_model, make_question, make_rationale
from training.decoding.record import Question as SeamQuestion
from training.models import Run
from training.runs.storing import read_lines
from training.versions.freezing import freeze, left_out_file, preview, rows_of, twins
from training.versions.recipe import Recipe, in_words

LONG = "Mia has three red apples and her brother gives her {} green pears on every single morning"


def judge(rationale: Rationale, correct: float | None) -> None:
    Score.objects.create(
        rationale=rationale, scorer="answer_correct", scorer_version="1", value=correct
    )


def review(rationale: Rationale, reviewer, decision: str) -> None:
    Review.objects.create(rationale=rationale, reviewer=reviewer, decision=decision)


def rank(question: Question, user, *ranked: tuple[Rationale, int]) -> None:
    ranking = Ranking.objects.create(question=question, judge_user=user)
    Place.objects.bulk_create(
        Place(ranking=ranking, rationale=rationale, rank=place) for rationale, place in ranked
    )


@pytest.fixture
def orchard(project, annotator, second_annotator):
    """Three training questions and a test one, with right, wrong, accepted and rejected ones."""
    student = make_model(project, "student")
    for number in range(3):
        question = make_question(project, f"What is 8 + {number}?", reference_answer="11")
        right = make_rationale(question, f"8 + {number} = 11", answer="11")
        wrong = make_rationale(
            question,
            f"8 - {number} = 5",
            answer="5",
            role="student",
            author_model=student,
            seed=number,
            sampling={"temperature": 0.7},
            token_ids=[1, 2, 3],
            token_logprobs=[-0.1, -0.2, -0.3],
        )
        judge(right, 1)
        judge(wrong, 0)
        review(right, annotator, "accept")
        review(wrong, annotator, "reject")
        rank(question, annotator, (right, 1), (wrong, 2))
    held_out = make_question(project, "What is 1 + 1?", split="test", reference_answer="2")
    make_rationale(held_out, "1 + 1 = 2", answer="2")
    return project


def test_a_version_holds_every_rationale_of_the_training_split_by_default(orchard, researcher):
    version = freeze(orchard, Recipe(), researcher, "first")
    assert (version.number, version.name, version.created_by) == (1, "first", researcher)
    assert version.counts["questions"] == 3
    assert version.counts["by_role"] == {"student": 3, "teacher": 3}
    assert version.counts["by_part"] == {"train": {"questions": 3, "rationales": 6}}
    assert version.items.count() == 6


def test_the_file_is_in_the_shape_of_the_seam_and_hashed_by_its_bytes(
    orchard, researcher, annotator
):
    version = freeze(orchard, Recipe(), researcher)
    lines = list(read_lines(version.file))
    assert sha256(b"".join(lines)).hexdigest() == version.sha256
    rows = [SeamQuestion.model_validate_json(line) for line in lines]
    assert [len(row.completions) for row in rows] == [2, 2, 2]
    right, wrong = rows[0].completions
    assert (right.role, right.scores, right.accepted) == ("teacher", {"answer_correct": 1.0}, True)
    assert (wrong.token_ids, wrong.logprobs) == ([1, 2, 3], [-0.1, -0.2, -0.3])
    assert wrong.sampling == {"temperature": 0.7}
    assert wrong.accepted is False
    assert rows[0].rankings[0].judge == f"person-{annotator.pk}"
    assert rows[0].rankings[0].ranks == {right.id: 1, wrong.id: 2}


def test_names_of_people_do_not_enter_the_file(orchard, researcher):
    text = b"".join(read_lines(freeze(orchard, Recipe(), researcher).file)).decode()
    assert "anna" not in text


def test_items_say_which_line_holds_a_rationale(orchard, researcher):
    version = freeze(orchard, Recipe(), researcher)
    lines = list(rows_of(version))
    for item in DatasetItem.objects.filter(version=version):
        ids = [completion["id"] for completion in lines[item.row - 1]["completions"]]
        assert str(item.rationale_id) in ids


def test_the_preview_says_what_the_version_will_hold(orchard, researcher):
    recipe = Recipe(selection="correct", splits=["train", "test"])
    assert preview(orchard, recipe) == freeze(orchard, recipe, researcher).counts


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"selection": "correct"},
        {"selection": "accepted"},
        {"roles": ["teacher"], "min_rationales": 2},
        {"splits": "train,test", "max_rationales": 1},
        {"conditioned": True, "drop_duplicates": False},
    ],
)
def test_every_rationale_is_in_or_has_a_reason_and_the_counts_add_up(orchard, researcher, fields):
    recipe = Recipe(**fields)
    counts = preview(orchard, recipe)
    everything = Rationale.objects.filter(question__project=orchard)
    assert counts["rationales"] + sum(counts["left_out"].values()) == everything.count()
    if not counts["rationales"]:
        return
    version = freeze(orchard, recipe, researcher)
    left_out = [json.loads(line) for line in read_lines(left_out_file(version))]
    assert Counter(row["reason"] for row in left_out) == counts["left_out"]
    kept = {str(pk) for pk in version.items.values_list("rationale_id", flat=True)}
    assert kept | {row["rationale"] for row in left_out} == {str(one.pk) for one in everything}
    assert kept.isdisjoint(row["rationale"] for row in left_out)


def test_the_same_recipe_over_the_same_facts_has_the_same_hash(orchard, researcher):
    first = freeze(orchard, Recipe(max_rationales=1, seed=4), researcher)
    second = freeze(orchard, Recipe(max_rationales=1, seed=4), researcher)
    assert (first.sha256, first.number, second.number) == (second.sha256, 1, 2)
    assert list(twins(second)) == [first]


def test_a_new_judgement_changes_the_hash(orchard, researcher, second_annotator):
    first = freeze(orchard, Recipe(), researcher)
    review(Rationale.objects.earliest("pk"), second_annotator, "reject")
    assert freeze(orchard, Recipe(), researcher).sha256 != first.sha256


def test_a_version_and_its_items_cannot_be_changed(orchard, researcher):
    version = freeze(orchard, Recipe(), researcher)
    with pytest.raises(ProgrammingError, match="Cannot update"), transaction.atomic():
        type(version).objects.filter(pk=version.pk).update(name="other")
    with pytest.raises(ProgrammingError, match="Cannot update"), transaction.atomic():
        version.items.update(part="test")


def test_a_test_question_never_enters_a_training_part(orchard, researcher):
    recipe = Recipe(splits=["train", "validation", "test"])
    version = freeze(orchard, recipe, researcher)
    assert version.counts["by_part"]["test"] == {"questions": 1, "rationales": 1}
    splits = {str(pk): split for pk, split in Question.objects.values_list("pk", "split")}
    assert all(row["split"] == splits[row["id"]] for row in rows_of(version))
    for item in version.items.select_related("rationale__question"):
        assert item.part == item.rationale.question.split


def test_training_questions_that_overlap_with_test_questions_are_counted(project):
    near = make_question(project, LONG.format("four") + ", how many has she?")
    make_rationale(near)
    make_rationale(make_question(project, LONG.format("ninety")[::-1] + "?"))
    make_question(project, "On the farm, " + LONG.format("four") + "!", split="test")
    counts = preview(project, Recipe())
    assert counts["overlap"] == {"words": 13, "questions": 1}
    dropped = preview(project, Recipe(drop_overlap=True))
    assert dropped["left_out"] == {"Its question shares 13 words in a row with a test question": 1}


def test_rankings_and_reviews_of_others_do_not_count(orchard, annotator, second_annotator):
    mine = Recipe(rankings=[f"person-{annotator.pk}"], reviews=[f"person-{annotator.pk}"])
    theirs = Recipe(
        rankings=[f"person-{second_annotator.pk}"], reviews=f"person-{second_annotator.pk}"
    )
    assert preview(orchard, mine)["judgements"]["rankings"] == 3
    assert preview(orchard, theirs)["judgements"]["rankings"] == 0
    accepted = theirs.model_copy(update={"selection": "accepted"})
    assert preview(orchard, Recipe(**accepted.model_dump() | {"settings": {}}))["left_out"] == {
        "Nobody has reviewed it": 6,
        "Its question is in the test split": 1,
    }


def test_a_superseded_judgement_does_not_count(orchard):
    from django.utils import timezone

    Ranking.objects.update(superseded_at=timezone.now())
    Review.objects.update(superseded_at=timezone.now())
    assert preview(orchard, Recipe())["judgements"]["rankings"] == 0
    assert preview(orchard, Recipe(selection="accepted"))["rationales"] == 0


def test_only_what_the_chosen_runs_wrote(project, researcher):
    run = Run.objects.create(project=project, kind="generate")
    question = make_question(project)
    inside = make_rationale(question, "by the run", batch=run.batch)
    make_rationale(question, "by somebody else")
    version = freeze(project, Recipe(runs=[run.pk]), researcher)
    assert [item.rationale_id for item in version.items.all()] == [inside.pk]
    assert version.counts["left_out"] == {"Not written by the chosen runs or imports": 1}


def test_a_run_of_another_project_is_refused(project):
    with pytest.raises(ValueError, match="This project has no run 99"):
        preview(project, Recipe(runs=[99]))


def test_of_duplicates_the_most_judged_stays(project, annotator):
    question = make_question(project)
    make_rationale(question, "8 + 3 = 11")
    other = make_model(project, "another teacher")
    ranked = make_rationale(question, "8 + 3 = 11", author_model=other)
    rank(question, annotator, (ranked, 1))
    version = freeze(project, Recipe(), None)
    assert [item.rationale_id for item in version.items.all()] == [ranked.pk]
    assert version.counts["left_out"] == {"Another one says the same word for word": 1}


def test_a_corrected_rationale_gives_way_to_its_correction(project, annotator):
    question = make_question(project)
    old = make_rationale(question, "8 + 3 = 12", answer="12")
    new = make_rationale(question, role="human", author_user=annotator, revises=old)
    version = freeze(project, Recipe(), None)
    assert [item.rationale_id for item in version.items.all()] == [new.pk]
    assert version.counts["left_out"] == {"A correction replaces it": 1}


def test_answers_to_a_given_thought_form_groups_of_their_own(project):
    question = make_question(project)
    thought = make_rationale(question, "Add three to eight.", answer="11")
    student = make_model(project, "student")
    for seed, answer in enumerate(["11", "12"]):
        make_rationale(
            question,
            "",
            answer=answer,
            role="student",
            author_model=student,
            conditioned_on=thought,
            seed=seed,
        )
    together = list(rows_of(freeze(project, Recipe(), None)))
    assert [len(row["completions"]) for row in together] == [3]
    own, given = rows_of(freeze(project, Recipe(conditioned=True), None))
    assert [one["id"] for one in own["completions"]] == [str(thought.pk)]
    assert (given["id"], given["question_id"]) == (f"{question.pk}-{thought.pk}", str(question.pk))
    assert given["thought"] == "Add three to eight."
    assert [one["answer"] for one in given["completions"]] == ["11", "12"]
    assert {one["conditioned_on"] for one in given["completions"]} == {str(thought.pk)}


def test_an_answer_whose_thought_is_left_out_goes_too(project):
    question = make_question(project)
    thought = make_rationale(question)
    fields = {"role": "student", "author_model": make_model(project, "student")}
    make_rationale(question, "", conditioned_on=thought, **fields)
    make_rationale(question, "of its own", **fields)
    counts = preview(project, Recipe(roles=["student"]))
    assert counts["left_out"]["The thought it answers is not in its group"] == 1
    assert preview(project, Recipe(roles=["student"], conditioned=True))["rows"] == 2


def test_at_most_so_many_are_drawn_by_the_seed(project):
    question = make_question(project)
    for number in range(10):
        make_rationale(question, f"way {number}")

    def chosen(seed: int) -> set[int]:
        version = freeze(project, Recipe(max_rationales=3, seed=seed), None)
        return set(version.items.values_list("rationale_id", flat=True))

    assert len(chosen(0)) == 3
    assert chosen(0) == chosen(0)
    assert len({frozenset(chosen(seed)) for seed in range(5)}) > 1


def test_questions_without_rationales_enter_where_none_are_asked_for(project):
    make_question(project)
    version = freeze(project, Recipe(min_rationales=0), None)
    assert version.counts["questions"] == 1
    assert next(rows_of(version))["completions"] == []


def test_a_recipe_that_chooses_nothing_makes_no_version(project):
    with pytest.raises(ValueError, match="chooses no rationale"):
        freeze(project, Recipe(), None)
    assert project.dataset_versions.count() == 0


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"selection": "best"}, "There is no selection 'best'"),
        ({"selection": "accepted", "settings": {"rule": "dice"}}, "settings of accepted: rule"),
        ({"authors": ["rosa"]}, "'rosa' is none of"),
        ({"min_rationales": 3, "max_rationales": 2}, "max_rationales is below min_rationales"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(fields, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Recipe(**fields)


def test_a_recipe_is_told_in_words(annotator):
    recipe = Recipe(selection="accepted", reviews=[f"person-{annotator.pk}"])
    words = dict(in_words(recipe, {f"person-{annotator.pk}": "Anna"}))
    assert words["Selection"].startswith("Accepted only; When reviewers differ: no_reject")
    assert words["Reviews of"] == "Anna"


def test_the_number_of_queries_does_not_grow_with_the_rationales(
    orchard, django_assert_max_num_queries
):
    with django_assert_max_num_queries(16):
        preview(orchard, Recipe())


def test_a_version_that_cannot_be_numbered_leaves_no_file(orchard):
    from django.db.utils import DataError

    from curation.artifacts import artifact_uri, filesystem, project_path

    with pytest.raises(DataError), transaction.atomic():
        freeze(orchard, Recipe(), None, "a name with \0 in it")
    fs, path = filesystem(artifact_uri(project_path(orchard, "versions")))
    assert fs.ls(path) == []


@pytest.mark.django_db(transaction=True)
def test_two_people_who_freeze_at_once_get_two_numbers(project):
    from concurrent.futures import ThreadPoolExecutor

    make_rationale(make_question(project))

    def frozen(_: int) -> int:
        try:
            return freeze(project, Recipe(), None).number
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as people:
        assert sorted(people.map(frozen, range(4))) == [1, 2, 3, 4]
