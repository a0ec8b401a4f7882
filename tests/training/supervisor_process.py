"""A supervisor in a process of its own, to be killed: `supervisor_process.py RUN COMMAND…`."""

import sys

import django

django.setup()

from training.supervise import supervise  # noqa: E402

print(supervise(int(sys.argv[1]), "doomed", command=sys.argv[2:], poll=0.05, enqueue=False))
