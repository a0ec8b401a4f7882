"""Who did what, when, to which row: read from the histories that the database's triggers write.

Every tracked model is a `Trail`. A trail knows the way from one of its events to the project and,
where there is one, to the question. Pages and files merge the trails by time; each is read by its
index, so that the newest fifty of a million cost what fifty cost. Other apps add trails of theirs
with `register`, so that curation knows nothing of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from django.db.models import Model, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from curation.models import Project, User

PAGE = 50
CHUNK = 500
DEEDS = {"insert": "added", "update": "changed", "delete": "removed"}
SECRET = {"draft"}
QUIET = {"id", "created_at", "project", "search", "text_hash"}


@dataclass(frozen=True)
class Trail:
    """The history of one model. `about` says of an event which row it is, in words."""

    name: str
    words: str
    model: str
    project: str
    about: Callable[[Any], str]
    question: str = ""
    with_rows: tuple[str, ...] = ()

    @property
    def events(self) -> type[Any]:
        from django.apps import apps

        found: type[Any] = apps.get_model(f"{self.model}Event")
        return found

    @property
    def fields(self) -> list[str]:
        """The columns of the model that an event holds."""
        names = [one.name for one in self.events._meta.concrete_fields]
        return [n for n in names if not n.startswith("pgh_") and n not in QUIET | SECRET]


@dataclass(frozen=True)
class Change:
    name: str
    old: str
    new: str


@dataclass
class Entry:
    """One event: `who` is None where no person's request did it."""

    trail: Trail
    event: Any
    who: User | None = None
    changes: list[Change] = field(default_factory=list)

    @property
    def at(self) -> datetime:
        moment: datetime = self.event.pgh_created_at
        return moment

    @property
    def deed(self) -> str:
        return DEEDS.get(self.event.pgh_label, self.event.pgh_label)

    @property
    def about(self) -> str:
        return self.trail.about(self.event)

    @property
    def place(self) -> tuple[datetime, str, int]:
        """Where it stands among all entries."""
        return self.at, self.trail.name, self.event.pgh_id

    @property
    def url(self) -> str:
        """The address that the person's request went to, or the page of the job."""
        context = self.event.pgh_context
        return str(context.metadata.get("url", "")) if context else ""


@dataclass(frozen=True)
class Asked:
    """What of the audit is looked at. Empty means all; days are whole, in the host's time zone."""

    who: int | None = None
    kind: str = ""
    question: int | None = None
    since: date | None = None
    until: date | None = None

    def address(self, **more: object) -> str:
        given = {**self.__dict__, **more}
        return urlencode({name: value for name, value in given.items() if value not in ("", None)})

    @property
    def is_empty(self) -> bool:
        return not any(self.__dict__.values())


def _rationale(event: Any) -> str:
    return f"rationale {event.rationale_id}"


def _ranking(event: Any) -> str:
    judge = f" by {event.judge_model}" if event.judge_model_id else ""
    return f"question {event.question_id}{judge}"


TRAILS = {
    trail.name: trail
    for trail in (
        Trail("project", "Settings", "curation.Project", "id", lambda e: e.name),
        Trail("member", "Member", "curation.Membership", "project",
              lambda e: str(e.user), with_rows=("user",)),
        Trail("account", "Account", "curation.User", "pgh_obj__memberships__project",
              lambda e: e.username),
        Trail("queue", "Queue", "curation.Queue", "project", lambda e: e.name),
        Trail("queue-person", "Person of a queue", "curation.QueuePerson", "queue__project",
              lambda e: f"{e.user} in {e.queue}", with_rows=("user", "queue")),
        Trail("gold", "Gold item", "curation.Gold", "item__queue__project",
              lambda e: f"question {e.item.question_id} in {e.item.queue}",
              question="item__question", with_rows=("item__queue",)),
        Trail("model", "Model", "curation.LanguageModel", "project", lambda e: e.name),
        Trail("job", "Job", "curation.Job", "project",
              lambda e: f"{e.get_kind_display().lower()} {e.id}"),
        Trail("question", "Question", "curation.Question", "project",
              lambda e: f"question {e.id}", question="id"),
        Trail("ranking", "Ranking", "curation.Ranking", "question__project", _ranking,
              question="question", with_rows=("judge_model",)),
        Trail("review", "Review", "curation.Review", "rationale__question__project",
              lambda e: f"rationale {e.rationale_id}: {e.decision}",
              question="rationale__question"),
        Trail("step", "Step label", "curation.StepLabel", "rationale__question__project",
              _rationale, question="rationale__question"),
        Trail("comment", "Comment", "curation.Comment", "rationale__question__project",
              _rationale, question="rationale__question"),
        Trail("decision", "Adjudication", "curation.Adjudication", "question__project",
              lambda e: f"question {e.question_id}", question="question"),
        Trail("question-tag", "Tag on a question", "curation.QuestionTag", "question__project",
              lambda e: f"“{e.tag}” on question {e.question_id}", question="question",
              with_rows=("tag",)),
        Trail("rationale-tag", "Tag on a rationale", "curation.RationaleTag",
              "rationale__question__project",
              lambda e: f"“{e.tag}” on rationale {e.rationale_id}",
              question="rationale__question", with_rows=("tag",)),
    )
}  # fmt: skip


def register(trail: Trail) -> None:
    """Add the history of a model that curation does not know."""
    TRAILS[trail.name] = trail


def trails(asked: Asked) -> list[Trail]:
    """Those that can hold what is asked for."""
    found = [trail for trail in TRAILS.values() if asked.kind in ("", trail.name)]
    return [trail for trail in found if trail.question or not asked.question]


def events_of(trail: Trail, project: Project, asked: Asked) -> QuerySet[Any]:
    """The trail's events in the project, without the copies of rows as they were before."""
    found = trail.events.objects.exclude(pgh_label="before").filter(**{trail.project: project.pk})
    if asked.question:
        found = found.filter(**{trail.question: asked.question})
    if asked.who:
        found = found.filter(pgh_context__metadata__user=asked.who)
    if asked.since:
        found = found.filter(pgh_created_at__gte=_midnight(asked.since))
    if asked.until:
        found = found.filter(pgh_created_at__lt=_midnight(asked.until + timedelta(days=1)))
    return found.select_related("pgh_context", *trail.with_rows)


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def key_of(entry: Entry) -> str:
    at, trail, pk = entry.place
    return f"{at.isoformat()}~{trail}~{pk}"


def read_key(given: str | None) -> tuple[datetime, str, int] | None:
    """The key in an address; None for what is none."""
    parts = (given or "").split("~")
    if len(parts) != 3 or not (parts[2].isascii() and parts[2].isdigit() and len(parts[2]) < 10):
        return None
    try:
        at = parse_datetime(parts[0])
    except ValueError:
        return None
    return (at, parts[1], int(parts[2])) if at is not None and timezone.is_aware(at) else None


def page_of(
    project: Project, asked: Asked, before: str | None = None
) -> tuple[list[Entry], str | None]:
    """The newest entries, or those before a key; and the key where the older ones begin."""
    key = read_key(before)
    rows: list[Iterable[Entry]] = []
    for trail in trails(asked):
        found = events_of(trail, project, asked)
        if key:
            found = found.filter(earlier(trail, key))
        newest = found.order_by("-pgh_created_at", "-pgh_id")[: PAGE + 1]
        rows.append([Entry(trail, event) for event in newest])
    merged = heapq.merge(*rows, key=lambda entry: entry.place, reverse=True)
    entries = list(islice(merged, PAGE + 1))
    told(entries[:PAGE])
    return entries[:PAGE], key_of(entries[PAGE - 1]) if len(entries) > PAGE else None


def earlier(trail: Trail, key: tuple[datetime, str, int]) -> Q:
    """What of a trail comes before a key, which may be another trail's."""
    at, name, pk = key
    if trail.name == name:
        same = Q(pgh_created_at=at, pgh_id__lt=pk)
    elif trail.name < name:
        same = Q(pgh_created_at=at)
    else:
        return Q(pgh_created_at__lt=at)
    return Q(pgh_created_at__lte=at) & (Q(pgh_created_at__lt=at) | same)


def every(project: Project, asked: Asked) -> Iterator[Entry]:
    """All entries, the oldest first, read from the database as they are taken."""
    merged = heapq.merge(
        *(_stream(trail, project, asked) for trail in trails(asked)),
        key=lambda entry: entry.place,
    )
    while chunk := list(islice(merged, CHUNK)):
        told(chunk)
        yield from chunk


def _stream(trail: Trail, project: Project, asked: Asked) -> Iterator[Entry]:
    found = events_of(trail, project, asked).order_by("pgh_created_at", "pgh_id")
    for event in found.iterator(chunk_size=CHUNK):
        yield Entry(trail, event)


def told(entries: list[Entry]) -> None:
    """Fill in who did it and what changed, for all of them at once."""
    people = User.objects.in_bulk({key for entry in entries if (key := user_of(entry.event))})
    for entry in entries:
        entry.who = people.get(user_of(entry.event) or 0)
    for trail in {entry.trail.name: entry.trail for entry in entries}.values():
        changed = [e for e in entries if e.trail is trail and e.event.pgh_label == "update"]
        befores = before(trail, [entry.event for entry in changed])
        for entry in changed:
            entry.changes = changes(trail, befores.get(entry.event.pgh_id), entry.event)


def user_of(event: Any) -> int | None:
    """The key of the person in whose request a trigger noted the event; None without a request."""
    key = event.pgh_context.metadata.get("user") if event.pgh_context else None
    return key if isinstance(key, int) else None


def before(trail: Trail, events: list[Any]) -> dict[int, Any]:
    """Event → the event of the same row that came before it."""
    if not events:
        return {}
    older = trail.events.objects.filter(pgh_obj=OuterRef("pgh_obj"), pgh_id__lt=OuterRef("pgh_id"))
    last = Subquery(older.order_by("-pgh_id").values("pgh_id")[:1])
    mine = trail.events.objects.filter(pk__in=[event.pgh_id for event in events])
    pairs = dict(mine.annotate(last=last).values_list("pgh_id", "last"))
    found = trail.events.objects.in_bulk({key for key in pairs.values() if key})
    return {key: found[last] for key, last in pairs.items() if last in found}


def changes(trail: Trail, old: Model | None, new: Model) -> list[Change]:
    """Which columns differ, as they were and as they became."""
    if old is None:
        return []
    found = []
    for name in trail.fields:
        column = trail.events._meta.get_field(name).attname
        was, became = getattr(old, column), getattr(new, column)
        if was != became:
            found.append(Change(name.replace("_", " "), shown(was), shown(became)))
    return found


def shown(value: Any) -> str:
    if value in (None, "", [], {}):
        return "—"
    if isinstance(value, datetime):
        return timezone.localtime(value).strftime("%-d %b %Y, %H:%M")
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def as_record(entry: Entry) -> dict[str, Any]:
    """An entry as a file holds it: the deed, and the row as it was after it (or before its end)."""
    event = entry.event
    row = {name: getattr(event, event._meta.get_field(name).attname) for name in entry.trail.fields}
    return {
        "at": entry.at,
        "person": entry.who.username if entry.who else None,
        "kind": entry.trail.name,
        "deed": entry.deed,
        "row": event.pgh_obj_id,
        "about": entry.about,
        "changed": [[one.name, one.old, one.new] for one in entry.changes],
        "address": entry.url,
        "is_now": row,
    }
