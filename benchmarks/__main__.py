"""`make bench` runs every benchmark but the claims, which take an hour; `make bench ARGS="pages"`
or `ARGS="claims.cotd_po_modes"` runs one of them.

Each is a module with `run(arguments) -> dict` that prints a table; the dict goes to
`benchmarks/results/NAME.json` with the load average and the versions beside it.
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

RESULTS = Path(__file__).parent / "results"
NAMES = sorted(
    file.stem for file in Path(__file__).parent.glob("*.py") if not file.stem.startswith("_")
)
CLAIMS = sorted(
    f"claims.{file.stem}"
    for file in (Path(__file__).parent / "claims").glob("*.py")
    if not file.stem.startswith("_")
)
EVERY = NAMES + CLAIMS


def circumstances() -> dict[str, object]:
    """What a figure depends on besides the code."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "versions": {name: version(name) for name in ("django", "psycopg", "torch")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {', '.join(EVERY)}")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rounds", type=int, default=9, help="of a training benchmark; 1 is lost")
    parser.add_argument("--seeds", type=int, default=5, help="of a claim; 5 or more for a figure")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(EVERY)
    if unknown:
        parser.error(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(EVERY)}.")
    names = arguments.names or NAMES
    if len(names) > 1:  # each in a process of its own, so that none warms up another
        for name in names:
            command = [sys.executable, "-m", "benchmarks", name, "--data", str(arguments.data)]
            subprocess.run(command, check=True)
        return
    before = circumstances()
    result = importlib.import_module(f"benchmarks.{names[0]}").run(arguments)
    text = json.dumps({"circumstances": before, **result}, indent=1)
    (RESULTS / f"{names[0].replace('claims.', 'claim_')}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
