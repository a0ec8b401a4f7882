"""Which question comes first, where that is computed: the figure, and the places that follow.

A judge's *standing* of a rationale lies between 0 (last) and 1 (first) among those it placed, ties
at their mean; a *rating* is the mean of the judges' last ratings, as its percentile in the queue.

* disagreement: four times the mean, over a question's rationales, of the variance of their
  standings among judges; or, if larger, how evenly accepts and rejects split on one of them.
* accord: the mean distance between what the verifier says (correct: 1, not: 0) and the rating or,
  where nobody rated, the standing that models give.
* closest: minus the distance between the two best, by mean standing or else by rating.
* variance: four times the variance of correctness, plus that of the ratings.

A question of which nothing of the kind is known comes last. The figure is stored on the item when
the queue is filled; `refresh` computes it anew.
"""

from __future__ import annotations

from django.db import connection, transaction

from curation.models import Ordering, Queue

# Per rationale of the queue's questions: what is known of it.
KNOWN = """
item AS (
  SELECT id, question_id FROM curation_queueitem WHERE queue_id = %(queue)s AND NOT is_gold
), rationale AS (
  SELECT r.id, r.question_id FROM curation_rationale r JOIN item USING (question_id)
), correct AS (
  SELECT DISTINCT ON (rationale.id) rationale.id, s.value
  FROM rationale JOIN curation_score s ON s.rationale_id = rationale.id
  WHERE s.scorer = 'answer_correct' AND s.value IS NOT NULL
  ORDER BY rationale.id, s.id DESC
), last_rating AS (
  SELECT DISTINCT ON (rationale.id, s.model_id) rationale.id, s.value
  FROM rationale JOIN curation_score s ON s.rationale_id = rationale.id
  WHERE s.scorer = 'judge_rating' AND s.value IS NOT NULL
  ORDER BY rationale.id, s.model_id, s.id DESC
), rated AS (
  SELECT id, percent_rank() OVER (ORDER BY avg(value)) AS value FROM last_rating GROUP BY id
), place AS (
  SELECT p.rationale_id AS id, k.judge_model_id IS NOT NULL AS by_model,
    rank() OVER (PARTITION BY p.ranking_id ORDER BY p.rank)
      + (count(*) OVER (PARTITION BY p.ranking_id, p.rank) - 1) / 2.0 AS mid,
    count(*) OVER (PARTITION BY p.ranking_id) AS n
  FROM curation_ranking k JOIN item USING (question_id) JOIN curation_place p ON p.ranking_id = k.id
  WHERE k.superseded_at IS NULL
), standing AS (
  SELECT id, by_model, 1 - (mid - 1) / (n - 1) AS value FROM place WHERE n > 1
), stood AS (
  SELECT id, avg(value) AS mean, var_pop(value) AS variance, count(*) AS judges,
    avg(value) FILTER (WHERE by_model) AS by_models
  FROM standing GROUP BY id
)"""

# Per question: the figure, highest first.
FIGURES = {
    Ordering.DISAGREEMENT: """
SELECT question_id, greatest(4 * avg(variance), max(split)) AS value
FROM rationale LEFT JOIN (SELECT id, variance FROM stood WHERE judges > 1) s USING (id)
LEFT JOIN (
  SELECT rationale_id AS id,
    4 * avg((decision = 'accept')::int) * (1 - avg((decision = 'accept')::int)) AS split
  FROM curation_review WHERE superseded_at IS NULL AND rationale_id IN (SELECT id FROM rationale)
  GROUP BY rationale_id HAVING count(*) > 1
) v USING (id)
GROUP BY question_id""",
    Ordering.ACCORD: """
SELECT question_id, avg(abs(correct.value - coalesce(rated.value, stood.by_models))) AS value
FROM rationale JOIN correct USING (id) LEFT JOIN rated USING (id) LEFT JOIN stood USING (id)
GROUP BY question_id""",
    Ordering.CLOSEST: """
SELECT question_id, max(value) FILTER (WHERE n = 2) - max(value) FILTER (WHERE n = 1) AS value
FROM (
  SELECT question_id, coalesce(stood.mean, rated.value) AS value,
    row_number() OVER (
      PARTITION BY question_id ORDER BY coalesce(stood.mean, rated.value) DESC
    ) AS n
  FROM rationale LEFT JOIN stood USING (id) LEFT JOIN rated USING (id)
  WHERE coalesce(stood.mean, rated.value) IS NOT NULL
) utility
GROUP BY question_id""",
    Ordering.VARIANCE: """
SELECT question_id,
  CASE WHEN count(correct.value) + count(rated.value) > 1
    THEN 4 * coalesce(var_pop(correct.value), 0) + coalesce(var_pop(rated.value), 0) END AS value
FROM rationale LEFT JOIN correct USING (id) LEFT JOIN rated USING (id)
GROUP BY question_id""",
}
COMPUTED = frozenset(FIGURES)

COMPUTE = """
CREATE TEMP TABLE ordered ON COMMIT DROP AS
WITH {known}, figure AS ({figure})
SELECT item.id, figure.value,
  row_number() OVER (ORDER BY figure.value DESC NULLS LAST, item.question_id) AS place
FROM item LEFT JOIN figure USING (question_id)"""

MOVE = """
UPDATE curation_queueitem AS kept SET priority = ordered.value, position = ordered.place
FROM ordered WHERE kept.id = ordered.id
AND (kept.priority, kept.position) IS DISTINCT FROM (ordered.value, ordered.place)"""


@transaction.atomic
def refresh(queue: Queue) -> int:
    """Compute the figures of the queue's items anew and put them in order; returns how many moved.

    Work goes on while the figures are computed. Then the items are locked, in the order of their
    ids as `leases.settle` locks them, and moved.
    """
    figure = FIGURES[Ordering(queue.ordering)]
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS ordered")
        cursor.execute(COMPUTE.format(known=KNOWN, figure=figure), {"queue": queue.pk})
        list(queue.items.order_by("pk").select_for_update().values_list("pk"))
        cursor.execute(MOVE)
        return cursor.rowcount
