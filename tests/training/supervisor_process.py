"""A supervisor in a process of its own, to be killed: `supervisor_process.py RUN COMMAND…`.

With CLOCK_AHEAD its clock is so many seconds off.
"""

import os
import sys
from datetime import timedelta

import django
from django.utils import timezone

if ahead := os.environ.get("CLOCK_AHEAD"):
    right = timezone.now
    timezone.now = lambda: right() + timedelta(seconds=float(ahead))

django.setup()

from training.runs import supervise as supervising  # noqa: E402

supervising.PUSH_EVERY = float(os.environ.get("PUSH_EVERY") or supervising.PUSH_EVERY)
owner = os.environ.get("OWNER", "doomed")
status = supervising.supervise(
    int(sys.argv[1]), owner, command=sys.argv[2:], poll=0.05, enqueue=False
)
print(status)
