"""Count again what queues keep as counters, and set right what has drifted."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from curation.models import Queue
from curation.queues.counters import recount


class Command(BaseCommand):
    help = "Compare the counters of all queues with the record, and mend them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", nargs="?", help="the slug of one project; all by default")
        parser.add_argument(
            "--check", action="store_true", help="only tell; ends with 1 if anything has drifted"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        queues = Queue.objects.select_related("project").order_by("pk")
        if options["project"]:
            queues = queues.filter(project__slug=options["project"])
        drifted = 0
        for queue in queues:
            for one in recount(queue, mend=not options["check"]):
                drifted += 1
                where = f"{queue.project.slug}, {queue}"
                print(f"{where}: {one.what} is {one.kept}, counted {one.counted}")
        mended = "" if options["check"] else " and were set right"
        print(f"{drifted} counters had drifted{mended}." if drifted else "Every counter is right.")
        if drifted and options["check"]:
            sys.exit(1)
