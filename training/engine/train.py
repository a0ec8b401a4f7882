"""A `train` job: the method's rounds, the model or its last checkpoint, the loop."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

from training.decoding.prompts import Renderer
from training.decoding.record import Question
from training.engine.adapters import start_of, with_adapters
from training.engine.checkpoint import Checkpoint, last_whole, newest
from training.engine.dataset import open_dataset
from training.engine.files import read_rows, sha256, write_json
from training.engine.host import facts
from training.engine.job import BadJob, Job, checked
from training.engine.loop import Loop
from training.engine.model import end_ids, load_model, positions_of, vocabulary_of
from training.engine.plan import Step, plan
from training.engine.probe import Probe
from training.engine.ranks import Ranks
from training.engine.rounds import Reference, Rounds
from training.engine.stop import Stop
from training.engine.supervision import check_end, check_tokens
from training.methods import method as find_method
from training.methods.base import MethodConfig, OnlineConfig, Round, beta_of
from training.rewards import known_of_stored_only, reward_functions
from training.rewards.compose import fault_counts
from training.rewards.from_dataset import ranked_in_parts
from training.rewards.reliability import weighed


def train(job: Job, folder: Path, stop: Stop) -> dict[str, Any]:
    """Run or resume the job. Returns what `result.json` is to say; raises `BadJob`, `Stopped`."""
    assert isinstance(job.model, str)
    method, config = method_of(job)
    ranks = Ranks()
    with ranks.first_alone():
        questions = open_dataset(job, folder)
        found = newest(folder / "checkpoints")
        model, tokenizer = policy_of(job, config, folder, found)
    check_end(tokenizer)
    text, ends = Renderer(tokenizer), end_ids(model, tokenizer)
    rounds = Rounds(folder, job.seed, method, config, text, learned(questions, config), ends, ranks)
    check_tokens(rounds, tokenizer, vocabulary_of(model), positions_of(model))
    rounds.reference = frozen(job, config, folder, method.rounds(config))  # held by them alone
    steps = rounds.steps = steps_of(rounds, config, job.seed)
    asking = text.for_task(getattr(method, "TASK", None))
    short = [q for q in questions if len(asking.prompt(q.question)) < positions_of(model)]
    probed = probe_questions(short, config.probe_questions)
    probe = Probe(folder, asking, probed, config.max_completion_tokens, ends)
    if ranks.is_first:
        write_json(folder / "host.json", facts(ranks.device, ranks.count))
    loop = Loop(
        folder, job.seed, method, config, model, tokenizer, rounds, probe, steps, stop, found, ranks
    )
    metrics = loop.run()
    return result(job, folder, config, rounds, len(steps), metrics)


def method_of(job: Job) -> tuple[ModuleType, MethodConfig]:
    """The job's method and its checked settings. Raises `BadJob`."""
    assert job.method is not None
    try:
        method = find_method(job.method)
    except KeyError as error:
        raise BadJob(str(error.args[0])) from error
    config = checked(method.Config, job.config)
    check_rewards(config, draws=any(kind.source == "policy" for kind in method.rounds(config)))
    return method, config


def learned(questions: list[Question], config: MethodConfig) -> list[Question]:
    """The questions that are trained on, their judges weighed if the settings say so."""
    found = [question for question in questions if question.split in (None, "train")]
    by_reliability = getattr(config, "judge_weights", "equal") == "reliability"
    return weighed(found) if by_reliability else found


def steps_of(rounds: Rounds, config: MethodConfig, seed: int) -> list[Step]:
    """The plan of the run. Raises `BadJob`, with the reasons, if there is nothing to train on."""
    steps = plan(rounds.sizes(), config.epochs, config.groups_per_step, seed)
    if not steps:
        reasons = "; ".join(f"{why}: {count}" for why, count in rounds.skipped.items())
        raise BadJob(f"The dataset holds nothing to train on ({reasons or 'no groups'}).")
    return steps[: config.max_steps] if config.max_steps else steps


def check_rewards(config: MethodConfig, draws: bool) -> None:
    """Refuse names that are no reward function, and what drawn completions cannot have, before
    anything is loaded."""
    known, named = reward_functions(), getattr(config, "rewards", {})
    for name in named:
        if name not in known:
            raise BadJob(f"There is no reward {name!r}; there are {', '.join(sorted(known))}.")
        if draws and name in known_of_stored_only():
            raise BadJob(
                f"The reward {name!r} is known of stored completions only, and this run draws its "
                "own; rate a round's samples first and train from the dataset."
            )
    if draws and not named:
        raise BadJob("No reward is named, so all completions would tie; name one in `rewards`.")


def policy_of(
    job: Job, config: MethodConfig, folder: Path, found: Checkpoint | None
) -> tuple[Any, Any]:
    """The model that is trained, as the last checkpoint left it, and its tokenizer."""
    if not config.lora_rank:
        return load_model(str(found.path) if found else str(job.model), folder, job.seed)
    model, tokenizer = load_model(str(job.model), folder, job.seed)
    return with_adapters(model, config, job.seed, found.path if found else None), tokenizer


def needs_start(config: MethodConfig, rounds: Sequence[Round]) -> bool:
    """Whether some round is compared with the model as the run began: where the settings hold the
    policy to it, and for stored completions, of which nothing else is known."""
    if not beta_of(config):
        return False
    by_start = not isinstance(config, OnlineConfig) or config.reference == "start"
    return by_start or any(kind.source == "dataset" for kind in rounds)


def frozen(
    job: Job, config: MethodConfig, folder: Path, rounds: Sequence[Round]
) -> Reference | None:
    """The model the job began with, or the reference it names, for KL terms; never trained,
    whatever the step. With adapters the first is the policy without them; none if each round is
    held to what drew it."""
    if not needs_start(config, rounds):
        return None
    if config.lora_rank and job.reference is None:
        return start_of
    model, _ = load_model(str(job.reference or job.model), folder, job.seed)
    model.requires_grad_(False)
    return lambda policy: nullcontext(model.to(next(policy.parameters()).device))


def probe_questions(questions: list[Question], count: int) -> list[Question]:
    """Held-out questions if the dataset brings any, otherwise its first."""
    held_out = [question for question in questions if question.split not in (None, "train")]
    return (held_out or questions)[:count]


def heard(config: MethodConfig, questions: list[Question]) -> dict[str, Any]:
    """How much each judge counted, and how many questions nobody ranked as a whole; nothing for a
    method that reads no rankings."""
    if not hasattr(config, "judge_weights"):
        return {}
    weights = {ranking.judge: ranking.weight for q in questions for ranking in q.rankings}
    return {"judges": weights, "ranked_in_parts": ranked_in_parts(questions)}


def result(
    job: Job,
    folder: Path,
    config: MethodConfig,
    rounds: Rounds,
    steps: int,
    metrics: dict[str, Any],
) -> dict[str, Any]:
    """The content of `result.json`."""
    found = last_whole(folder / "checkpoints")
    assert found is not None  # the last step always makes one
    return {
        "kind": "train",
        "method": job.method,
        "seed": job.seed,
        "config": config.model_dump(),
        "steps": steps,
        "rounds": len(rounds.kinds),
        "groups": sum(rounds.sizes()),
        "skipped": dict(rounds.skipped),
        "reward_faults": fault_counts(read_rows(folder / "samples.jsonl")),
        **heard(config, rounds.questions),
        "metrics": metrics,
        "checkpoint": str(found.path.relative_to(folder)),
        "sha256": sha256(found.path / "manifest.json"),
    }
