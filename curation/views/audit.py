"""The audit, for owners: a page to look through, and all of it as a file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render

from curation import audit
from curation.access import get_project_for
from curation.audit import Entry
from curation.forms.audit import AuditForm
from curation.requests import Request

COLUMNS = ("at", "person", "kind", "deed", "row", "about", "changed", "address")


def audit_page(request: Request, slug: str) -> HttpResponse:
    project = get_project_for(request.user, slug, "curation.own")
    form = AuditForm(request.GET, project=project)
    asked = form.asked()
    entries, older = audit.page_of(project, asked, request.GET.get("before"))
    context = {
        "project": project,
        "section": "audit",
        "form": form,
        "asked": asked,
        "entries": entries,
        "older": older,
        "is_first": not request.GET.get("before"),
    }
    return render(request, "curation/audit.html", context)


def audit_file(request: Request, slug: str) -> StreamingHttpResponse:
    """All that the filters let through, the oldest first, streamed as JSONL or CSV."""
    project = get_project_for(request.user, slug, "curation.own")
    asked = AuditForm(request.GET, project=project).asked()
    is_csv = request.GET.get("format") == "csv"
    entries = audit.every(project, asked)
    response = StreamingHttpResponse(
        csv_lines(entries) if is_csv else json_lines(entries),
        content_type="text/csv; charset=utf-8" if is_csv else "application/jsonl",
    )
    name = f"{project.slug}-audit.{'csv' if is_csv else 'jsonl'}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def json_lines(entries: Iterator[Entry]) -> Iterator[str]:
    for entry in entries:
        record = audit.as_record(entry)
        yield json.dumps(record, cls=DjangoJSONEncoder, ensure_ascii=False) + "\n"


class _Line:
    """What `csv.writer` writes to: it hands each line back."""

    def write(self, line: str) -> str:
        return line


def csv_lines(entries: Iterator[Entry]) -> Iterator[str]:
    write = csv.writer(_Line()).writerow
    yield write(COLUMNS)
    for entry in entries:
        record = audit.as_record(entry)
        record["at"] = record["at"].isoformat()
        told = (f"{name}: {old} → {new}" for name, old, new in record["changed"])
        record["changed"] = "; ".join(told)
        yield write([harmless(record[column]) for column in COLUMNS])


def harmless(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    if isinstance(value, str) and value[:1] in "=+-@\t\r" and value:
        return f"'{value}"
    return value
