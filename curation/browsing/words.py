"""Making rationales findable by their words, soon after they were written.

The vectors are written in the order of the keys. A pass begins a stretch before the newest vector,
because a transaction may commit keys that are older than some it can see.
"""

from __future__ import annotations

from django.db import connection

BATCH = 2_000
BEHIND = 200_000  # keys; far more than all open transactions hold together
LONGEST = 100_000  # characters of a text that are searched; PostgreSQL's vectors end at 1 MB

INDEX = """
INSERT INTO curation_words (rationale_id, search)
SELECT id, to_tsvector('english', left(thought, %(longest)s) || ' ' || left(answer, 200))
FROM curation_rationale AS r
WHERE id > coalesce((SELECT max(rationale_id) FROM curation_words), 0) - %(behind)s
  AND NOT EXISTS (SELECT FROM curation_words WHERE rationale_id = r.id)
ORDER BY id LIMIT %(batch)s
ON CONFLICT DO NOTHING
"""


def index_batch() -> int:
    """Write the vectors of the next rationales that have none; returns of how many."""
    with connection.cursor() as cursor:
        cursor.execute(INDEX, {"longest": LONGEST, "behind": BEHIND, "batch": BATCH})
        return cursor.rowcount


def index_all() -> int:
    """Until every rationale can be found."""
    total = 0
    while added := index_batch():
        total += added
    return total
