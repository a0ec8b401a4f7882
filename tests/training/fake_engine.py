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
    job = json.loads(options.run.read_text())
    if job["kind"] != "train":
        return {"generate": generate, "evaluate": evaluate}[job["kind"]](job, folder)
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


def generate(job: dict, folder: Path) -> int:
    """Every draw of the plan that is not in samples.jsonl yet, all of them saying the same."""
    plan = job["config"]
    file = folder / "samples.jsonl"
    there = len(file.read_text().splitlines()) if file.exists() else 0
    rows = [
        drawn(question, thought, temperature, index, job)
        for question in questions(folder)
        for thought in (question["completions"] or [None])
        for temperature in plan["temperatures"]
        for index in range(plan["samples_per_temperature"])
    ]
    with (folder / "samples.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows[there:])
    write(folder / "result.json", {"kind": "generate", "drawn": len(rows)})
    return 0


def drawn(question: dict, thought: dict | None, temperature: float, index: int, job: dict) -> dict:
    answer = question["reference_answer"]
    own = f"I think\x00 at {temperature}"
    return {
        "question": question["id"],
        "index": index,
        "seed": job["seed"] * 1000 + index,
        "conditioned_on": thought and thought["id"],
        "sampling": {"temperature": temperature, "top_p": 1.0, "max_new_tokens": 512},
        "prompt": question["question"] + "\n" + (thought["thought"] if thought else ""),
        "text": f"{own}\n#### {answer}",
        "thought": thought["thought"] if thought else own,
        "answer": answer,
        "token_ids": [5, 6, 7],
        "logprobs": [-0.5, -0.25, -0.25],
        "finish_reason": "stop",
    }


def evaluate(job: dict, folder: Path) -> int:
    """One greedy answer and one sample a question; every other one is right."""
    asked = questions(folder)
    with (folder / "items.jsonl").open("w") as file:
        for number, question in enumerate(asked):
            for index in (0, 1):
                row = {
                    "question": question["id"],
                    "index": index,
                    "thought": "8 + 1 = 9",
                    "answer": "9",
                    "correct": (number + index) % 2 == 0,
                    "valid_steps": 1.0,
                    "token_count": 7,
                    "finish_reason": "stop",
                }
                file.write(json.dumps(row) + "\n")
    summary = {"accuracy": 0.5, "accuracy_low": 0.1, "accuracy_high": 0.9}
    write(folder / "result.json", {"kind": "evaluate", "summary": summary})
    return 0


def questions(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "dataset.jsonl").read_text().splitlines()]


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
