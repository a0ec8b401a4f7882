"""Peak resident memory of one arm in a process of its own.

    python -m benchmarks._training.memory BENCHMARK ARM TIER AT_ONCE

Both arms load the same modules; the peak is reset once everything stands ready, and two steps are
taken. `BENCHMARK` is a module with `arm(name, tier, folder, at_once)`, which gives those two steps
as a function.
"""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch


def megabytes(field: str) -> float:
    """A line of this process's status, in MB."""
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    assert found, field
    return int(found.group(1)) / 1024


def main(benchmark: str, arm: str, tier: str, at_once: str) -> None:
    torch.set_num_threads(1)
    module = importlib.import_module(f"benchmarks.{benchmark}")
    with tempfile.TemporaryDirectory() as folder:
        steps = module.arm(arm, module.TIERS[int(tier)], Path(folder), int(at_once))
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        ready = megabytes("VmRSS")
        steps()
        peak = megabytes("VmHWM")
    print(json.dumps({"peak_mb": round(peak), "steps_mb": round(peak - ready)}))


def measured(benchmark: str, tier: int, at_once: int) -> dict[str, int]:
    """Peaks of both arms, and how much of them the steps took."""
    figures = {}
    module = "benchmarks._training.memory"
    for prefix, arm in (("", "ours"), ("rival_", "rival")):
        command = [sys.executable, "-m", module, benchmark, arm, str(tier), str(at_once)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        for name, value in json.loads(done.stdout.splitlines()[-1]).items():
            figures[prefix + name] = value
    return figures


if __name__ == "__main__":
    main(*sys.argv[1:])
