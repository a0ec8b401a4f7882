"""`python -m training.engine FOLDER/run.json`: one job, no Django.

With `--rehearse` nothing is trained: what the run would read, learn from, take and cost is printed
and written to `rehearsal.json`; with `--tokens-only` besides, the tokenizer alone is loaded.

Exit code 0: finished; 75: stopped after saving, run it again to go on; 2: the job itself is
wrong; 1: anything else. The last line on standard error says why in one sentence.
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

# Threads that spin while they wait would starve the other processes of a shared machine.
# It has to be said before torch is loaded, so before anything of the engine is.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from training.engine.dataset import alone, release
from training.engine.files import write_json
from training.engine.job import BadJob, Endpoint, Job, read_job
from training.engine.processes import (
    end_as,
    failure_file,
    is_first,
    is_one_of_several,
    run_in_processes,
)
from training.engine.stop import RESUMABLE, Stop, Stopped

FLAGS = ("--rehearse", "--tokens-only")
USAGE = "Usage: python -m training.engine FOLDER/run.json [--rehearse [--tokens-only]]"


def main(arguments: list[str]) -> int:
    """Run the job of one `run.json` and return the exit code."""
    paths = [argument for argument in arguments if argument not in FLAGS]
    flags = {argument for argument in arguments if argument in FLAGS}
    if len(paths) != 1 or (flags and "--rehearse" not in flags):
        return told(USAGE, 2)
    path = Path(paths[0]).resolve()
    if flags:
        return rehearsed(path, measure="--tokens-only" not in flags)
    stop = Stop()
    stop.listen()
    try:
        job = read_job(path)
        if job.processes > 1 and not is_one_of_several():
            return run_in_processes(job.processes, path, stop)
        with alone(path.parent, stop) if is_first() else nullcontext():
            result = perform(job, path.parent, stop)
            if is_first():
                write_json(path.parent / "result.json", result)
    except Stopped as stopped:
        return told(str(stopped), RESUMABLE)
    except BadJob as error:
        release(path.parent)
        return failed(path.parent, str(error), 2)
    except Exception as error:  # the edge: whatever it was, the files must say that it failed
        failed(path.parent, one_sentence(error), 1)
        raise
    return 0


def rehearsed(path: Path, measure: bool) -> int:
    """Rehearse the job of one `run.json` and return the exit code."""
    try:
        job = read_job(path)
        limit_threads(job)
        from training.engine.rehearsal import rehearse
        from training.engine.rehearsal_table import table

        found = rehearse(job, path.parent, measure)
    except BadJob as error:
        return failed(path.parent, str(error), 2, "rehearsal.json")
    write_json(path.parent / "rehearsal.json", found)
    print(table(found))
    return 0


def limit_threads(job: Job) -> None:
    """Load torch with the job's number of threads."""
    os.environ["OMP_NUM_THREADS"] = str(job.threads)
    import torch

    torch.set_num_threads(job.threads)


def perform(job: Job, folder: Path, stop: Stop) -> dict[str, Any]:
    """Do the job and return what `result.json` is to say. Loads torch only where it is needed."""
    if isinstance(job.model, Endpoint) and job.kind == "generate":
        from training.engine.endpoint import generate_remotely

        return generate_remotely(job, folder, stop)
    if not isinstance(job.model, Endpoint):
        limit_threads(job)
    if job.kind == "judge":
        from training.engine.judge import judge

        return judge(job, folder, stop)
    if job.kind == "train":
        from training.engine.train import train

        return train(job, folder, stop)
    if job.kind == "generate":
        from training.engine.generate import generate

        return generate(job, folder, stop)
    if job.kind == "score":
        from training.engine.score import score

        return score(job, folder, stop)
    from training.engine.evaluate import evaluate

    return evaluate(job, folder, stop)


def told(sentence: str, code: int) -> int:
    """Say it on standard error."""
    print(sentence, file=sys.stderr)
    return code


def failed(folder: Path, sentence: str, code: int, file: str = "result.json") -> int:
    """Say it, and leave it in the file."""
    if folder.is_dir():
        write_json(folder / (file if is_first() else failure_file()), {"error": sentence})
    return told(sentence, code)


def one_sentence(error: Exception) -> str:
    """What went wrong, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]


if __name__ == "__main__":
    end_as(main(sys.argv[1:]))
