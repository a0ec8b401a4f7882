"""A checkpoint as a download: one folder that transformers and vLLM load."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect

from curation.access import get_project_for
from curation.requests import Request
from training.leaving import folder_name, in_a_zip, parcel
from training.models import Checkpoint
from training.runs.storing import FileGone


def checkpoint_download(request: Request, slug: str, pk: int) -> HttpResponseBase:
    """A zip, streamed: files of gigabytes are never held whole."""
    project = get_project_for(request.user, slug)
    checkpoint = get_object_or_404(
        Checkpoint.objects.select_related("run__project", "model"), run__project=project, pk=pk
    )
    try:
        files = parcel(checkpoint)
    except FileGone as error:
        messages.error(request, str(error))
        return redirect(checkpoint.run)
    name = folder_name(checkpoint)
    response = StreamingHttpResponse(in_a_zip(name, files), content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="{name}.zip"'
    return response
