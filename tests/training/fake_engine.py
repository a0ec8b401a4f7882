"""A stand-in with the engine's manners and no torch: `fake_engine.py [options] FOLDER/run.json`.

It takes steps of a fixed length, writes the files of docs/seam.md, saves on SIGTERM and exits 75,
resumes from its last checkpoint, and can be told to fail, to ignore SIGTERM, or to have a child.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STOP = []


def main() -> int:
    options = parsed()
    folder = options.run.parent
    for name in ("DATABASE_URL", "SECRET_KEY"):
        assert name not in os.environ, f"{name} reached the engine"
    if options.fail:
        print("a long story", file=sys.stderr)
        print(options.fail, file=sys.stderr)
        return 1
    if options.child:
        child = subprocess.Popen(["sleep", "600"])
        (folder / "child.pid").write_text(str(child.pid))
    if not options.deaf:
        signal.signal(signal.SIGTERM, lambda *_: STOP.append(1))
    saved = last_saved(folder)
    for step in range(saved + 1, options.steps + 1):
        take(folder, step, options)
        if step == options.die_at and not saved:
            os.kill(os.getpid(), signal.SIGKILL)
        if STOP:
            save(folder, step)
            return 75
    save(folder, options.steps)
    write(folder / "result.json", {"kind": "train", "steps": options.steps})
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--pause", type=float, default=0.02)
    parser.add_argument("--save-every", type=int, default=5)
    parser.add_argument("--die-at", type=int, default=0)
    parser.add_argument("--fail", default="")
    parser.add_argument("--deaf", action="store_true")
    parser.add_argument("--child", action="store_true")
    parser.add_argument("run", type=Path)
    return parser.parse_args()


def take(folder: Path, step: int, options: argparse.Namespace) -> None:
    time.sleep(options.pause)
    with (folder / "metrics.jsonl").open("a") as file:
        row = {"step": step, "round": 0, "loss": 1 / step, "reward_mean": step / 100}
        file.write(json.dumps(row) + "\n")
    write(folder / "progress.json", {"done": step, "total": options.steps, "unit": "steps"})
    if step % options.save_every == 0:
        save(folder, step)


def save(folder: Path, step: int) -> None:
    target = folder / "checkpoints" / f"step-{step:06d}"
    target.mkdir(parents=True, exist_ok=True)
    weights = f"weights of step {step}".encode()
    (target / "model.safetensors").write_bytes(weights)
    digest = hashlib.sha256(weights).hexdigest()
    write(target / "manifest.json", {"step": step, "files": {"model.safetensors": digest}})


def last_saved(folder: Path) -> int:
    found = sorted(folder.glob("checkpoints/step-*/manifest.json"))
    return json.loads(found[-1].read_text())["step"] if found else 0


def write(path: Path, value: dict) -> None:
    aside = path.with_suffix(".tmp")
    aside.write_text(json.dumps(value))
    aside.replace(path)


if __name__ == "__main__":
    sys.exit(main())
