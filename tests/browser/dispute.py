"""People who disagree, for the pages of agreement and adjudication."""

from __future__ import annotations

import random
from datetime import timedelta

from django.utils import timezone

from curation.agreement.figures import measure
from curation.models import LanguageModel, Membership, Project, Queue, Ranking, User
from curation.queues import gold
from curation.queues.contents import fill
from curation.queues.leases import claim
from curation.review.adjudication import decide, shown, waiting
from curation.review.judging import rank, submit

NAMES = ("ben", "maria-magdalena.von-schwarzenberg", "cleo")


def make_dispute(project: Project, owner: User) -> Queue:
    """A queue of overlap 4 that four people and a judge model have ranked over five weeks, with a
    decision, gold, and groups that wait."""
    queue = Queue.objects.create(
        project=project, name="Do we agree?", overlap=4, filter={"split": "train"},
        ordering="variance", gold_share=0.1, created_by=owner,
    )  # fmt: skip
    fill(queue)
    people = [project.memberships.get(role="annotator").user]
    for name in NAMES:
        people.append(User.objects.create_user(name))
        Membership.objects.create(project=project, user=people[-1], role="annotator")
    for number, person in enumerate(people):
        _judge_all(queue, person, 0.1 + 0.25 * number)
    judge = LanguageModel.objects.filter(project=project).earliest("pk")
    for item in queue.items.all()[:20]:
        order = sorted(item.question.rationales.values_list("pk", flat=True))
        rank(item.question, judge, {pk: place for place, pk in enumerate(order, 1)})
    first = waiting(queue).first()
    assert first is not None
    order = shown(first)
    decide(first, owner, {pk: n for n, pk in enumerate(order, 1)}, {order[0]: "accept"},
           shown_order=order, note="The second step adds twice.")  # fmt: skip
    gold.gold_of_decisions(queue, owner)
    known = gold.known_by(first.question, owner)
    gold.make_gold(queue, first.question, known, owner)
    _spread(queue)
    measure(project, queue)
    measure(project)
    return queue


def _judge_all(queue: Queue, person: User, noise: float) -> None:
    rng = random.Random(person.username)
    while held := claim(queue, person):
        order = sorted(held.shown_order, key=lambda pk: pk + rng.gauss(0, 4 * noise))
        vote = "accept" if rng.random() > noise / 2 else "reject"
        ranks = {pk: place for place, pk in enumerate(order, 1)}
        submit(held, ranks, {min(order): vote}, seconds=rng.lognormvariate(3.4, 0.5))


def _spread(queue: Queue) -> None:
    """As if it had taken five weeks."""
    now = timezone.now()
    for number, item in enumerate(queue.items.order_by("pk")):
        at = now - timedelta(days=(number % 5) * 7)
        Ranking.objects.filter(assignment__item=item).update(created_at=at)
