"""`make bench` runs every benchmark but the claims, which take an hour, those for a GPU, and the
load test; `make bench ARGS="pages"` or `ARGS="claims.cotd_po_modes"` runs one of them. A module's
own options (`add_arguments`) are known where it alone is named.

Each is a module with `run(arguments) -> dict` that prints a table; the dict goes to
`benchmarks/results/NAME.json` (or the name that the module gives as `RESULT`) with the machine, the
load average and the versions beside it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

VERSIONS = ("django", "psycopg", "torch", "transformers", "trl")
RESULTS = Path(__file__).parent / "results"
NAMES = sorted(
    file.stem for file in Path(__file__).parent.glob("*.py") if not file.stem.startswith("_")
)
GPU = [name for name in NAMES if name.startswith("gpu_")]  # run only where they are named
LONG = ["annotators", "closed_loop", "size_m", "two_people"]  # gigabytes and half an hour
CLAIMS = sorted(
    f"claims.{file.stem}"
    for file in (Path(__file__).parent / "claims").glob("*.py")
    if not file.stem.startswith("_")
)
EVERY = NAMES + CLAIMS


def machine() -> str:
    """The processor and how many of its cores there are."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{named[0] if named else platform.machine()}, {os.cpu_count()} cores"


def circumstances() -> dict[str, object]:
    """What a figure depends on besides the code."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "default"),
        "versions": {name: version(name) for name in VERSIONS},
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {', '.join(EVERY)}")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rounds", type=int, default=9, help="of a training benchmark; 1 is lost")
    parser.add_argument("--seeds", type=int, default=5, help="of a claim; 5 or more for a figure")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments, _ = parser.parse_known_args()
    unknown = set(arguments.names) - set(EVERY)
    if unknown:
        parser.error(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(EVERY)}.")
    names = arguments.names or [name for name in NAMES if name not in [*GPU, *LONG]]
    if len(names) > 1:  # each in a process of its own, so that none warms up another
        parser.parse_args()
        for name in names:
            subprocess.run(
                [sys.executable, "-m", "benchmarks", name, *options(arguments)], check=True
            )
        return
    module, before = importlib.import_module(f"benchmarks.{names[0]}"), circumstances()
    getattr(module, "add_arguments", lambda parser: None)(parser)
    arguments = parser.parse_args()
    result = module.run(arguments)
    text = json.dumps({"machine": machine(), "circumstances": before, **result}, indent=1)
    file = getattr(module, "RESULT", names[0].replace("claims.", "claim_"))
    (RESULTS / f"{file}.json").write_text(text + "\n")


def options(arguments: argparse.Namespace) -> list[str]:
    """The same options for a process of its own."""
    given = {name: value for name, value in vars(arguments).items() if name != "names"}
    listed = {name: value if isinstance(value, list) else [value] for name, value in given.items()}
    return [word for name, values in listed.items() for word in (f"--{name}", *map(str, values))]


if __name__ == "__main__":
    main()
