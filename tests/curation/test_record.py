"""The database itself refuses nonsense."""

import pytest
from django.db import IntegrityError, ProgrammingError, transaction

from curation.models import Place, Ranking
from tests.make import make_question, make_rationale


def test_a_question_text_is_one_question_whatever_its_white_space(project):
    make_question(project, "How many  apples\nare left?")
    with pytest.raises(IntegrityError, match="a_question_text_is_one_question"):
        make_question(project, "How many apples are left?", external_id="other")


def test_a_rationale_is_never_edited(project):
    rationale = make_rationale(make_question(project))
    rationale.thought = "8 + 3 = 12"
    with pytest.raises(ProgrammingError, match="Cannot update rows"):
        rationale.save()


def test_the_same_text_by_the_same_author_is_stored_once(project):
    question = make_question(project)
    make_rationale(question)
    with pytest.raises(IntegrityError, match="a_draw_is_stored_once"):
        make_rationale(question)


def test_a_correction_may_say_the_same_as_another_text(project, annotator):
    question = make_question(project)
    first, second = make_rationale(question), make_rationale(question, "3 + 8 = 11")
    for old in (first, second):
        make_rationale(question, "11", author_user=annotator, role="human", revises=old)
    assert question.rationales.count() == 4


def test_a_rationale_is_placed_once_and_ranks_begin_at_one(project, annotator):
    question = make_question(project)
    rationale = make_rationale(question)
    ranking = Ranking.objects.create(question=question, judge_user=annotator)
    with transaction.atomic(), pytest.raises(IntegrityError, match="the_best_rank_is_one"):
        Place.objects.create(ranking=ranking, rationale=rationale, rank=0)
    Place.objects.create(ranking=ranking, rationale=rationale, rank=1)
    with pytest.raises(IntegrityError, match="a_rationale_is_placed_once"):
        Place.objects.create(ranking=ranking, rationale=rationale, rank=2)


def test_a_person_has_one_live_ranking_of_a_question(project, annotator):
    question = make_question(project)
    Ranking.objects.create(question=question, judge_user=annotator)
    with pytest.raises(IntegrityError, match="one_live_ranking"):
        Ranking.objects.create(question=question, judge_user=annotator)
