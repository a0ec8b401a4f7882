"""Uploads: bounded while they arrive, kept in the project's folder, named by a signed ticket.

The ticket travels through the preview, so nothing about an unfinished import needs a table.
"""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from django.conf import settings
from django.core import signing
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopUpload

from curation.artifacts import files_under, project_path, remove, store
from curation.models import Job, JobKind, Project

SALT = "stillroom.upload"
DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Upload:
    uri: str
    name: str


class BoundedUpload(FileUploadHandler):
    """Stops storing once a request has sent more than UPLOAD_LIMIT_BYTES; `over` tells so."""

    def __init__(self) -> None:
        super().__init__()
        self.received, self.over = 0, False

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        self.received += len(raw_data)
        if self.received > settings.UPLOAD_LIMIT_BYTES:
            self.over = True
            # The rest is read and dropped, so that the browser gets to see the answer.
            raise StopUpload(connection_reset=False)
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """The handlers behind this one make the file."""


def keep(project: Project, file: UploadedFile) -> str:
    """Store an upload in the project's folder; returns its ticket."""
    name = PurePosixPath((file.name or "upload").replace("\\", "/")).name[:150]
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".") or "upload"
    uri = store(project_path(project, "uploads", uuid.uuid4().hex, safe), file)  # type: ignore[arg-type]
    ticket: dict[str, Any] = {"project": project.pk, "uri": uri, "name": name}
    return signing.dumps(ticket, salt=SALT, compress=True)


def find(project: Project, ticket: str) -> Upload | None:
    """The upload of a ticket; none if it is forged, a day old, or another project's."""
    try:
        found = signing.loads(ticket, salt=SALT, max_age=DAY)
    except signing.BadSignature:
        return None
    if found["project"] != project.pk:
        return None
    return Upload(found["uri"], found["name"])


def sweep() -> int:
    """Delete uploads that no import has taken up within two days; returns how many."""
    wanted = set(Job.objects.filter(kind=JobKind.IMPORT).values_list("params__file", flat=True))
    long_ago = time.time() - 2 * DAY
    swept = 0
    for project in Project.objects.all():
        for uri, written in files_under(project_path(project, "uploads")):
            if uri not in wanted and written < long_ago:
                remove(uri)
                swept += 1
    return swept
