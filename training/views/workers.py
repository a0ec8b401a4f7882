"""Who takes runs, on what, doing what; and how long the queues are."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render

from curation.access import get_project_for
from curation.requests import Request
from training.models import HostClass, Run, RunStatus, Worker
from training.runs.workers import queue_lengths


def worker_list(request: Request, slug: str) -> HttpResponse:
    """Workers serve every project; a run of another project is not named here."""
    project = get_project_for(request.user, slug)
    workers = list(Worker.objects.select_related("running"))
    for worker in workers:
        if worker.running and worker.running.project_id == project.pk:
            worker.running.project = project
    waiting = Run.objects.filter(status=RunStatus.QUEUED)
    lengths = queue_lengths()
    queues = [
        {
            "name": name,
            "label": label,
            "messages": lengths.get(name),
            "runs": waiting.filter(host_class=name).count(),
            "alive": sum(w.is_alive for w in workers if w.host_class == name),
        }
        for name, label in HostClass.choices
    ]
    context = {
        "project": project,
        "section": "workers",
        "workers": workers,
        "queues": queues,
        "off": [worker for worker in workers if worker.is_alive and worker.clock_is_off],
    }
    part = "#alive" if request.htmx else ""
    return render(request, f"training/worker_list.html{part}", context)
