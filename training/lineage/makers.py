"""Who and what stands behind dataset versions: one statement, which reads each item once.

A version froze what people and judges had said by then. So a judgement counts if it stood at the
moment of the freeze and the version's recipe hears that judge, and for a checkpoint only rationales
of the training part count, for a run trains on nothing else. A ranking that an adjudicator later
overruled counts for its person still: it led to the decision.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.core.cache import cache
from django.db import connection

from curation.models import DatasetVersion
from training.versions.recipe import MODELS, PEOPLE, Recipe

SHOWN = 50  # of lists that grow with the data
LONGEST_PROMPT = 4000
REMEMBERED = 600  # seconds; a version never changes, but a question's licence may be written down

STOOD = "x.{made} <= v.frozen and (x.superseded_at is null or x.superseded_at > v.frozen)"
# The versions, when they were frozen, and whom their recipes hear; their items, once a version
# (`held`) and once in all (`items`); the rankings that they were frozen with.
GROUND = f"""
with v as (
  select * from jsonb_to_recordset(%s::jsonb) as v(
    id bigint, frozen timestamptz, people boolean, models boolean, users bigint[], judges bigint[],
    reviewed boolean, reviewers bigint[], settled boolean, parts text[])
), held as materialized (
  select v.id as version, r.id, r.question_id, r.role, r.author_model_id, r.author_user_id,
    r.revises_id, r.batch
  from v join curation_datasetitem i on i.version_id = v.id and i.part = any(v.parts)
  join curation_rationale r on r.id = i.rationale_id
), items as materialized (
  select distinct on (id) * from held order by id
), heard as materialized (
  select distinct v.id as version, x.id, x.judge_user_id as person, x.judge_model_id as model
  from v join held on held.version = v.id
  join curation_place p on p.rationale_id = held.id
  join curation_ranking x on x.id = p.ranking_id and {STOOD.format(made="created_at")}
  where case when x.judge_user_id is null
    then v.models or x.judge_model_id = any(v.judges)
    else v.people or x.judge_user_id = any(v.users) end
)
"""
WRITTEN = """
select role, author_model_id as model, author_user_id as person,
  revises_id is not null as is_edit, count(*) as n
from items group by 1, 2, 3, 4 order by 5 desc, 1, 2, 3
"""
WRITTEN_BY_VERSION = """
select version, author_model_id as model, count(*) as n
from held group by 1, 2 order by 3 desc, 1, 2
"""
RANKED = """
select person, model, count(distinct id) as n from heard group by 1, 2 order by 3 desc, 1, 2
"""
RANKED_BY_VERSION = """
select version, count(distinct person) as people, count(distinct model) as models,
  count(person) as by_people
from heard group by 1
"""
REVIEWED = f"""
select x.reviewer_id as person,
  count(distinct x.id) filter (where x.decision = 'accept') as accepted,
  count(distinct x.id) filter (where x.decision = 'reject') as rejected
from v join held on held.version = v.id
join curation_review x on x.rationale_id = held.id and {STOOD.format(made="created_at")}
where v.reviewed or x.reviewer_id = any(v.reviewers)
group by 1 order by 2 desc, 1
"""
SETTLED = f"""
select x.by_id as person, count(distinct x.id) as n
from v join (select distinct version, question_id from held) as asked on asked.version = v.id
join curation_adjudication x on x.question_id = asked.question_id and {STOOD.format(made="at")}
where v.settled
group by 1 order by 2 desc, 1
"""
SCORED = """
select x.model_id as model, x.scorer, count(distinct x.id) as n
from v join held on held.version = v.id
join curation_score x on x.rationale_id = held.id and x.created_at <= v.frozen
where x.model_id is not null
group by 1, 2 order by 3 desc, 1, 2
"""


def _inside(column: str) -> str:
    """A text as it stands within a JSON text."""
    return f"substr(to_json({column})::text, 2, length(to_json({column})::text) - 2)"


# A prompt without what is its question's own: the question, and the thought that was given. An
# endpoint's prompt is stored as JSON, where both stand escaped.
PROMPTS = f"""
select text, count(*) as n, array_agg(distinct model) as models, count(*) over () as total
from (
  select r.author_model_id as model,
    replace(replace(replace(replace(r.prompt_sent,
      t.thought, '{{thought}}'), {_inside("t.thought")}, '{{thought}}'),
      q.text, '{{question}}'), {_inside("q.text")}, '{{question}}') as text
  from items join curation_rationale r on r.id = items.id
  join curation_question q on q.id = r.question_id
  cross join lateral (
    select coalesce((select thought from curation_rationale where id = r.conditioned_on_id), '')
  ) as t(thought)
  where r.prompt_sent <> ''
) as sent
group by 1 order by 2 desc, 1 limit {SHOWN}
"""
EDITS = f"""
select id, revises_id, question_id, author_user_id as person, count(*) over () as total
from items where revises_id is not null order by 1 limit {SHOWN}
"""
SOURCES = f"""
select q.source, coalesce(q.metadata ->> 'licence', q.metadata ->> 'license', '') as licence,
  count(*) as n
from (select distinct question_id from items) as asked
join curation_question q on q.id = asked.question_id
group by 1, 2 order by 3 desc, 1, 2 limit {SHOWN}
"""
BATCHES = """
select batch, count(*) as n from items where batch is not null group by 1 order by 2 desc, 1
"""
ASKED = {
    "written": WRITTEN,
    "by_version": WRITTEN_BY_VERSION,
    "judged": RANKED_BY_VERSION,
    "ranked": RANKED,
    "reviewed": REVIEWED,
    "settled": SETTLED,
    "scored": SCORED,
    "prompts": PROMPTS,
    "edits": EDITS,
    "sources": SOURCES,
    "batches": BATCHES,
}
STATEMENT = GROUND + " union all ".join(
    f"select '{name}', coalesce(json_agg(a), '[]')::text from ({asked}) as a"
    for name, asked in ASKED.items()
)


@dataclass(frozen=True)
class Prompt:
    """What a model was asked, with `{question}` and `{thought}` in the place of the texts."""

    text: str
    sha256: str
    count: int
    models: list[int]


@dataclass(frozen=True)
class Edit:
    """A correction among the items: the new rationale, and the one it rewrote."""

    rationale: int
    revises: int
    question: int
    person: int | None


@dataclass
class Makers:
    """What stands behind some versions. People and models are keys; counts are of rows."""

    written: list[tuple[str, int | None, int | None, bool, int]] = field(default_factory=list)
    by_version: list[tuple[int, int | None, int]] = field(default_factory=list)
    judged: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    ranked: list[tuple[int | None, int | None, int]] = field(default_factory=list)
    reviewed: list[tuple[int, int, int]] = field(default_factory=list)
    settled: list[tuple[int, int]] = field(default_factory=list)
    scored: list[tuple[int, str, int]] = field(default_factory=list)
    prompts: list[Prompt] = field(default_factory=list)
    prompts_total: int = 0
    edits: list[Edit] = field(default_factory=list)
    edits_total: int = 0
    sources: list[tuple[str, str, int]] = field(default_factory=list)
    batches: list[tuple[UUID, int]] = field(default_factory=list)


def makers_of(versions: Sequence[DatasetVersion], parts: Sequence[str] = ("train",)) -> Makers:
    """Everything that is known of these versions together, of their training parts unless other
    parts are named."""
    if not versions:
        return Makers()
    heard = json.dumps([_heard(version) | {"parts": list(parts)} for version in versions])
    known = f"makers-{sha256(heard.encode()).hexdigest()}"
    return cache.get_or_set(known, lambda: _ask(heard), REMEMBERED)  # type: ignore[return-value]


def _ask(heard: str) -> Makers:
    with connection.cursor() as cursor:
        cursor.execute(STATEMENT, [heard])
        answers = {name: json.loads(rows) for name, rows in cursor.fetchall()}
    found: dict[str, list[Any]] = {
        name: [tuple(row.values()) for row in rows] for name, rows in answers.items()
    }
    prompts, edits = found["prompts"], found["edits"]
    return Makers(
        written=found["written"],
        by_version=found["by_version"],
        judged={row[0]: (row[1], row[2], row[3]) for row in found["judged"]},
        ranked=found["ranked"],
        reviewed=found["reviewed"],
        settled=found["settled"],
        scored=found["scored"],
        prompts=[_prompt(*row[:3]) for row in prompts],
        prompts_total=prompts[0][3] if prompts else 0,
        edits=[Edit(*row[:4]) for row in edits],
        edits_total=edits[0][4] if edits else 0,
        sources=found["sources"],
        batches=[(UUID(batch), count) for batch, count in found["batches"]],
    )


def _heard(version: DatasetVersion) -> dict[str, Any]:
    """Whom the version's recipe listens to, as one row of `v`."""
    recipe = Recipe.model_validate(version.recipe)
    return {
        "id": version.pk,
        "frozen": version.created_at.isoformat(),
        "people": PEOPLE in recipe.rankings,
        "models": MODELS in recipe.rankings,
        "users": _keys(recipe.rankings, "person-"),
        "judges": _keys(recipe.rankings, "model-"),
        "reviewed": PEOPLE in recipe.reviews,
        "reviewers": _keys(recipe.reviews, "person-"),
        "settled": recipe.adjudicated != "ignore",
    }


def _keys(names: Sequence[str], kind: str) -> list[int]:
    return [int(name.removeprefix(kind)) for name in names if name.startswith(kind)]


def _prompt(text: str, count: int, models: list[int | None]) -> Prompt:
    digest = sha256(text.encode()).hexdigest()
    return Prompt(text[:LONGEST_PROMPT], digest, count, [pk for pk in models if pk])
