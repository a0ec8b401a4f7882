"""Gold: questions whose right judgement is known, slipped in among the others.

A gold item has no end of slots: everybody is to meet it once. It counts in none of the queue's
figures, and no page that annotators see tells it apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, F, Max, OuterRef
from django.db.models.functions import Coalesce

from curation.agreement.concordance import Said
from curation.models import Adjudication, Gold, Place, Question, Queue, QueueItem, Review, User
from curation.review.judging import standard_ranks

ENDLESS = 32_767
AT_ONCE = 500

Known = tuple[dict[int, int], dict[int, str]]


def known_by(question: Question, user: User) -> Known:
    """What is known of a question: its adjudication, or else what `user` says of it.

    Raises ValidationError where neither is there.
    """
    decided = Adjudication.objects.live().filter(question=question).first()
    if decided is not None:
        return known_in(decided.ranks, decided.decisions)
    places = Place.objects.filter(
        ranking__question=question, ranking__judge_user=user, ranking__superseded_at=None
    )
    reviews = Review.objects.live().filter(rationale__question=question, reviewer=user)
    found = (
        dict(places.values_list("rationale", "rank")),
        dict(reviews.values_list("rationale", "decision")),
    )
    if not any(found):
        raise ValidationError(
            f"Nothing is known of question {question.pk} yet: it has no adjudication, and you have "
            "not judged it. Judge it in a queue first."
        )
    return found


def known_in(ranks: Mapping[str, int], decisions: Mapping[str, str]) -> Known:
    """From JSON, whose keys are texts."""
    return {int(k): v for k, v in ranks.items()}, {int(k): v for k, v in decisions.items()}


@transaction.atomic
def make_gold(queue: Queue, question: Question, known: Known, by: User) -> Gold:
    """Make the question a gold item of the queue, whether or not it is in it yet."""
    item = _locked_item(queue, question)
    if not item.is_gold:
        _count(item, -1)
        item.is_gold, item.overlap = True, ENDLESS
        item.save(update_fields=["is_gold", "overlap"])
    ranks, decisions = known
    stored = {
        "ranks": {str(k): rank for k, rank in standard_ranks(ranks).items()},
        "decisions": {str(k): decision for k, decision in decisions.items()},
        "created_by": by,
    }
    return Gold.objects.update_or_create(item=item, defaults=stored)[0]


@transaction.atomic
def unmake_gold(item: QueueItem) -> None:
    """From now on an item like any other; what was said of it stays."""
    item = QueueItem.objects.select_for_update().select_related("queue").get(pk=item.pk)
    if not item.is_gold:
        return
    Gold.objects.filter(item=item).delete()
    item.is_gold, item.overlap = False, max(item.queue.overlap, item.taken)
    item.save(update_fields=["is_gold", "overlap"])
    _count(item, 1)


def gold_of_decisions(queue: Queue, by: User) -> int:
    """Make gold of the project's adjudicated questions that nobody was given in this queue yet."""
    met = QueueItem.objects.filter(queue=queue, question=OuterRef("question"))
    met = met.exclude(taken=0, is_gold=False)
    decided = Adjudication.objects.live().filter(~Exists(met), question__project=queue.project)
    found = decided.select_related("question")[:AT_ONCE]
    for one in found:
        make_gold(queue, one.question, known_in(one.ranks, one.decisions), by)
    return len(found)


def _locked_item(queue: Queue, question: Question) -> QueueItem:
    """The question's item, at the queue's end if it had none."""
    last = queue.items.aggregate(last=Coalesce(Max("position"), 0.0))["last"]
    item, is_new = QueueItem.objects.select_for_update().get_or_create(
        queue=queue, question=question, defaults={"position": last + 1, "overlap": queue.overlap}
    )
    if is_new:
        Queue.objects.filter(pk=queue.pk).update(items_total=F("items_total") + 1)
    return item


def _count(item: QueueItem, sign: int) -> None:
    """Let the item count in the queue's figures, or no longer."""
    complete = int(item.submitted >= item.overlap)
    Queue.objects.filter(pk=item.queue_id).update(
        items_total=F("items_total") + sign,
        submitted=F("submitted") + sign * item.submitted,
        complete=F("complete") + sign * complete,
    )


def accuracy(known: Known, ranks: Said, decisions: Mapping[int, str]) -> float | None:
    """The share of what is known that a judgement says too, among all that it says of it.

    Known are the order of each pair that the gold ranking does not tie, and each decision. A pair
    tied by the judgement is a miss; what it leaves open counts neither way. None: it leaves all.
    """
    hits = [*_pairs_met(known[0], ranks), *_decisions_met(known[1], decisions)]
    return sum(hits) / len(hits) if hits else None


def _pairs_met(known: Said, said: Said) -> Iterator[bool]:
    for better in known:
        for worse in known:
            if known[better] < known[worse] and better in said and worse in said:
                yield said[better] < said[worse]


def _decisions_met(known: Mapping[int, str], said: Mapping[int, str]) -> Iterator[bool]:
    return (said[key] == decision for key, decision in known.items() if key in said)
