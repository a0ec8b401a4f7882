"""A project with a bit of everything, long texts and failures among it, for looking at pages."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from math import exp
from pathlib import Path

from django.utils import timezone

from curation.models import Job, LanguageModel, Project, Question, Queue, User
from curation.queues.contents import fill
from curation.queues.leases import claim
from curation.review.judging import submit
from tests.make import make_model, make_question, make_rationale
from tests.training.grove import evaluated, trained
from training.demo.problems import demo_problems, write_rationale
from training.experiments.plan import ExperimentPlan
from training.models import (
    Delivery,
    Evaluation,
    EvaluationItem,
    Experiment,
    Iteration,
    Metric,
    Run,
    Webhook,
    Worker,
)
from training.reports.group_table import store_rounds
from training.reports.probes import store_probes
from training.runs.evaluate_runs import hash_of_ids
from training.runs.launch import launch
from training.runs.presets import save_preset
from training.runs.rehearsing import ask_for_rehearsal
from training.runs.scoring import score
from training.versions.exporting import ask_for_export, perform
from training.versions.freezing import freeze
from training.versions.recipe import Recipe

LONG = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in "
    "May. How many clips did Natalia sell altogether in April and May?"
)
WORKED = (
    "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\n"
    "Natalia sold 48+24 = <<48+24=72>>72 clips altogether in April and May.\n\n"
    "In other words $x + \\frac{x}{2} = \\frac{3x}{2}$ with $x = 48$."
)


def make_world(project: Project, owner: User, annotator: User, folder: Path) -> None:
    project.description = "Number stories, a teacher of care and a student of mixed habits."
    project.guidelines = "Prefer the **shorter** of two right ways.\n\n* No step may be missing."
    project.save()
    make_rationales(project)
    queue = make_work(project, annotator)
    for selection in ("correct", "accepted"):
        freeze(project, Recipe(selection=selection), owner, f"{selection} rationales")
    version = project.dataset_versions.get(number=1)
    export = ask_for_export(version, "sft", {}, False, owner)
    if export.claim():
        perform(export)
    make_jobs(project, owner)
    make_runs(project, owner, folder)
    make_grown(project, owner)
    make_webhook(project)
    make_experiment(project, owner)
    assert queue.items.exists()


def make_rationales(project: Project) -> None:
    rng = random.Random(7)
    teacher = make_model(
        project, "DeepSeek-R1-Distill-Qwen-14B", revision="main", licence="mit", provider="openai",
        uri="http://teacher.example:8000/v1",
    )  # fmt: skip
    student = make_model(project, "student", provider="local", uri="training/demo/student")
    made = []
    for number, problem in enumerate(demo_problems(40)):
        question = make_question(
            project, problem.question, reference_answer=str(problem.answer), source="stories",
            split="test" if number < 10 else "train",
        )  # fmt: skip
        for index, habit in enumerate(("careful", "careful", "misread", "slip")):
            written = write_rationale(problem, habit, rng)
            role, author = ("teacher", teacher) if index < 2 else ("student", student)
            made.append(
                make_rationale(
                    question,
                    written.thought,
                    answer=str(written.answer),
                    role=role,
                    author_model=author,
                    seed=number * 10 + index,
                    index=index,
                    prompt_sent=problem.question,
                    sampling={"temperature": 0.7, "top_p": 1.0},
                )
            )
    asked = make_question(project, LONG, reference_answer="72", source="gsm8k")
    made.append(make_rationale(asked, WORKED, answer="72", author_model=teacher))
    made.append(
        make_rationale(asked, WORKED * 8, answer="72", role="student", author_model=student)
    )
    score(rationale.pk for rationale in made)


def make_work(project: Project, annotator: User) -> Queue:
    queue = Queue.objects.create(
        project=project, name="First look at the stories of the spring", overlap=2,
        guidelines="Ties are welcome.", filter={"split": "train"}, created_by=annotator,
    )  # fmt: skip
    fill(queue)
    for _ in range(6):
        held = claim(queue, annotator)
        assert held is not None
        order = held.shown_order
        submit(
            held,
            {pk: rank for rank, pk in enumerate(order, 1)},
            {order[0]: "accept", order[-1]: "reject"},
        )
    Queue.objects.create(project=project, name="Closed one", is_open=False, created_by=annotator)
    return queue


def make_jobs(project: Project, owner: User) -> None:
    left_out = [{"line": 7, "field": "question", "reason": "is missing or empty"}]
    report = {
        "rows": 7473, "questions_added": 7472, "questions_known": 0, "rationales_added": 7472,
        "rationales_known": 0, "left_out_total": 1, "left_out": left_out, "notes": [],
        "shape": "GSM8K as published", "split": "train", "source": "gsm8k_train",
    }  # fmt: skip
    now = timezone.now()
    times = {"started_at": now - timedelta(seconds=3), "finished_at": now, "created_by": owner}
    name = {"file": "file:///tmp/gsm8k_train.jsonl", "name": "gsm8k_train.jsonl"}
    Job.objects.create(
        project=project, kind="import", status="done", params=name, report=report, done=7473,
        total=7473, **times,
    )  # fmt: skip
    Job.objects.create(
        project=project, kind="import", status="failed", params=name | {"name": "notes.docx"},
        error="The file is a ZIP archive or a spreadsheet. Unpack it, or save it as CSV.", **times,
    )  # fmt: skip
    Job.objects.create(
        project=project, kind="import", status="running", params=name, done=3000, total=7473,
        started_at=now, heartbeat_at=now, created_by=owner,
    )  # fmt: skip


def make_runs(project: Project, owner: User, folder: Path) -> None:
    student = LanguageModel.objects.get(project=project, name="student")
    version = project.dataset_versions.get(number=1)
    frame = {"student": student, "by": owner, "enqueue": False}
    done = launch(project, "train", method="grpo", dataset=version, name="First try", **frame)
    rng = random.Random(3)
    Metric.objects.bulk_create(
        Metric(run=done, step=step, name=name, value=value)
        for step in range(1, 121)
        for name, value in {
            "loss": exp(-step / 60) + rng.gauss(0, 0.05),
            "reward_mean": 0.8 - 0.4 * exp(-step / 40) + rng.gauss(0, 0.03),
            "learning_rate": 1e-5,
            "grad_norm": 1 + rng.random(),
        }.items()
    )
    (folder / "log.txt").write_text("step 119: loss 0.14\nstep 120: loss 0.13\nFinished.\n")
    sample = {"round": 3, "index": 0, "question": "1", "text": "8 + 3 = 11\n#### 11", "reward": 1.0}
    rows = [sample | {"index": n, "token_ids": [0] * 20, "finish_reason": "stop"} for n in range(4)]
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    now = timezone.now()
    Run.objects.filter(pk=done.pk).update(
        status="done", folder=str(folder), attempt=1, started_at=now - timedelta(minutes=7),
        finished_at=now, progress={"done": 120, "total": 120, "unit": "steps"},
    )  # fmt: skip
    watched(done, folder)
    rehearsed(done, owner)
    going = launch(project, "train", method="cotd_po", dataset=version, **frame)
    going.claim("bench:gpu/1/x")
    Run.objects.filter(pk=going.pk).update(
        progress={"done": 30, "total": 200, "unit": "steps", "from": 0, "doing": "training",
                  "since": (now - timedelta(minutes=2)).isoformat()},
    )  # fmt: skip
    failed = launch(project, "train", method="sft", dataset=version, **frame)
    Run.objects.filter(pk=failed.pk).update(
        status="failed", attempt=3, started_at=now, finished_at=now,
        error="The engine was killed by SIGKILL in attempt 3 of 3. "
        "Often that means that memory ran out.",
    )  # fmt: skip
    launch(project, "generate", name="Teacher's rationales", **frame)
    for number, accuracy in enumerate((0.61, 0.74)):
        make_evaluation(project, student, owner, accuracy, number)
    Worker.objects.create(
        name="bench:gpu", host_class="gpu", device="NVIDIA H200", memory_bytes=150 * 1024**3,
        heartbeat_at=now, running=going,
    )  # fmt: skip


def make_evaluation(
    project: Project, student: LanguageModel, owner: User, accuracy: float, number: int
) -> None:
    model = student if not number else make_model(
        project, "First try · run 1", revision="step 120", provider="local", uri="/models/120"
    )  # fmt: skip
    run = launch(project, "evaluate", student=model, by=owner, enqueue=False)
    now = timezone.now()
    Run.objects.filter(pk=run.pk).update(status="done", started_at=now, finished_at=now)
    asked = list(project.questions.filter(split="test"))
    evaluation = Evaluation.objects.create(
        run=run, model=model, split="test", questions=len(asked),
        questions_sha256=hash_of_ids([question.pk for question in asked]),
        summary={
            "accuracy": accuracy, "accuracy_low": accuracy - 0.06, "accuracy_high": accuracy + 0.06,
            "sampled_accuracy": accuracy - 0.2, "sampled_accuracy_low": accuracy - 0.25,
            "sampled_accuracy_high": accuracy - 0.15, "valid_chain_share": 0.9,
            "valid_chain_share_low": 0.85, "valid_chain_share_high": 0.95, "length_ratio": 1.1,
            "similarity": 0.8, "similarity_shuffled": 0.4, "distinct_derivations": 1.7,
            "vendi": 2.2, "distinct_2": 0.5, "parsed_share": 0.99, "truncated_share": 0.01,
            "completion_tokens": 44.0,
        },
    )  # fmt: skip
    EvaluationItem.objects.bulk_create(
        EvaluationItem(
            evaluation=evaluation, question=question, index=index, thought="8 + 3 = 11",
            answer=question.reference_answer if index < 2 else "9", correct=index < 2,
            valid_steps=1.0, token_count=20, finish_reason="stop",
        )
        for question in asked
        for index in range(4)
    )  # fmt: skip


def make_grown(project: Project, owner: User) -> None:
    """Two checkpoints, one trained upon the other, whose answers to a question flipped."""
    asked = project.questions.get(source="gsm8k")
    student = LanguageModel.objects.get(project=project, name="student")
    evaluated(student, {asked: False})
    for version in project.dataset_versions.order_by("number"):
        checkpoint = trained(version, student, owner, step=60 * version.number)
        evaluated(checkpoint.model, {asked: True})
        student = checkpoint.model


def make_webhook(project: Project) -> None:
    """One that heard of everything, though not always at once."""
    webhook = Webhook.objects.create(
        project=project, url="https://chat.example/hooks/stillroom", told_of=["run.failed"]
    )
    now = timezone.now()
    told = {"name": "sft 3", "path": f"/p/{project.slug}/runs/"}
    outcomes = (
        {"delivered_at": now, "status_code": 200, "answer": "ok", "attempts": 1},
        {"given_up_at": now, "status_code": 503, "error": "It answered 503.", "attempts": 9},
        {"attempts": 2, "error": "TimeoutError: timed out"},
    )
    for outcome in outcomes:
        Delivery.objects.create(webhook=webhook, event="run.failed", payload=told, **outcome)


def watched(run: Run, folder: Path) -> None:
    """Rounds, probes and alarms of a run, as the engine would have told them."""
    asked = list(run.project.questions.filter(split="train").order_by("pk")[:6])
    told: list[dict] = []
    text = b""
    for number in range(3):
        contents = []
        for place, question in enumerate(asked):
            line = json.dumps(group_row(number, place, question)).encode() + b"\n"
            short = {"question": str(question.pk), "first_step": 40 * number + place + 1,
                     "completions": 8, "reward_mean": 0.4, "truncated": place % 2,
                     "reward_spread": float(place % 3 > 0)}  # fmt: skip
            contents.append({**short, "at": len(text), "bytes": len(line)})
            text += line
        last = json.dumps({"contents": contents}).encode() + b"\n"
        told.append({"round": number, "source": "policy", "groups": len(asked), "at": len(text),
                     "first_step": 40 * number + 1, "last_step": 40 * number + 40,
                     "bytes": len(last)})  # fmt: skip
        text += last
    (folder / "groups.jsonl").write_bytes(text)
    (folder / "host.json").write_text(
        json.dumps({"host": "bench", "device": "NVIDIA H200", "memory_bytes": 150 * 1024**3})
    )
    store_rounds(run, told)
    for step in (0, 40, 80, 120):
        store_probes(run, [probe_row(step, n, question) for n, question in enumerate(asked)])
    Metric.objects.bulk_create(
        Metric(run=run, step=step, name="truncated_share", value=0.1 + step / 200)
        for step in range(1, 121)
    )


def group_row(number: int, place: int, question: Question) -> dict:
    completions = [
        {"index": n, "text": f"8 + {n} = {8 + n}\nso there are {8 + n} of them.\n#### {8 + n}",
         "tokens": 30 + n, "present": n != 5, "anchor": n == 7, "truncated": n == 6,
         "reward": n % 2 - 0.1 * n, "rewards": {"answer_correct": n % 2, "length": -0.1 * n},
         "weight": None if n == 5 else n / 8 - 0.4, "side": ""}
        for n in range(8)
    ]  # fmt: skip
    return {"round": number, "group": place, "question": str(question.pk),
            "steps": [40 * number + place + 1], "prompt": f"{question.text}\n",
            "completions": completions}  # fmt: skip


def probe_row(step: int, place: int, question: Question) -> dict:
    right = place * 20 < step
    said = question.reference_answer if right else "0"
    return {"step": step, "question": str(question.pk), "answer": said, "correct": right,
            "text": f"One step after the other, {step} of them.\n#### {said}",
            "finish_reason": "stop"}  # fmt: skip


def rehearsed(run: Run, owner: User) -> None:
    """A rehearsal that is done, and a preset."""
    config = {"epochs": 3, "learning_rate": 0.001}
    asked = ask_for_rehearsal(
        run.project, method="sft", config=config, dataset=run.dataset, student=run.student,
        measured=True, by=owner, enqueue=False,
    )  # fmt: skip

    def tokens(text: str, weight: float) -> dict:
        words = [f"{word} " for word in text.split(" ")]
        return {
            "text": text,
            "tokens": [
                {"id": n, "text": word, "in_loss": weight != 0, "weight": weight}
                for n, word in enumerate(words)
            ],
        }

    completion = {"reward": None, "present": True, **tokens("48 / 2 = 24 #### 72 <eos>", 0.004)}
    spread = {"count": 60, "min": 12, "median": 31, "p95": 58, "max": 64}
    asked.found = {
        "skipped": {"completion longer than max_completion_tokens": 2},
        "lengths": {"prompts": spread, "completions": spread, "altered_texts": 0},
        "plan": {"rounds": 1, "groups": 60, "epochs": 3, "steps": 24, "completions_to_draw": 0},
        "memory": {"weights": 2_400_000, "gradients": 2_400_000, "optimizer": 4_800_000,
                   "activations": 31_000_000, "logits": 900_000, "total": 41_500_000,
                   "rehearsal": {"estimated": 40_000_000, "measured": 44_000_000}},
        "time": {"total_seconds": 95.0, "training_seconds": 95.0, "tokens_to_draw": 0,
                 "trained_tokens_per_second": 2400.0},
        "rows": [{"question": "7", "prompt": tokens(LONG, 0), "of_completions": 2,
                  "completions": [completion, completion]}],
    }  # fmt: skip
    asked.status = "done"
    asked.save()
    save_preset(run.project, "three epochs", "train", "sft", run.config | config, owner)


def make_experiment(project: Project, owner: User) -> None:
    """Two iterations that are done and one that waits for people, with their figures."""
    student = LanguageModel.objects.get(project=project, name="student")
    plan = ExperimentPlan(iterations=3, people_in=[3], groups=12)
    experiment = Experiment.objects.create(
        project=project, name="Round and round the stories", start=student, created_by=owner,
        plan=plan.model_dump(mode="json"),
    )  # fmt: skip
    for number in range(4):
        share = 0.6 + 0.08 * number
        around = {"value": 0.55, "low": 0.48, "high": 0.62, "n": 120}
        waits = number == 3
        told = {"evaluate": "60.0 % right, greedy.", "decide": "Goes on."}
        if number:
            told |= {"sample": "384 samples of 48 questions.", "score": "384 samples, 52 % right.",
                     "compose": "380 rewards in 48 groups; v3.", "train": "24 steps."}  # fmt: skip
        figures = {
            "evaluation": {
                "accuracy": share, "accuracy_low": share - 0.06, "accuracy_high": share + 0.05,
                "valid_chain_share": 0.9, "valid_chain_share_low": 0.85,
                "valid_chain_share_high": 0.95, "length_ratio": 1.1 - number / 20,
                "vendi": 2.2 - number / 5,
            },
            "against_last": around if number else None,
            "against_start": around if number else None,
        }  # fmt: skip
        judged = {"tau_judge": {"value": 0.6, "low": 0.3, "high": 0.8, "n": 4}}
        if number:
            figures["samples"] = {"n": 384, "right": 0.52, "questions": 48}
            figures["rewards"] = {"groups": 48, "told_apart": 31, "left_out": 4,
                                  "by": {"verifier": 48, "people": 12}}  # fmt: skip
            figures["people"] = {"ranked": 12, "total": 12, **judged}
        Iteration.objects.create(
            experiment=experiment, number=number, stage="gate" if waits else "decide",
            status="working" if waits else "done", told=told, checkpoint=student,
            figures={} if waits else figures,
            routed=[{"question": 1, "by": "anchor", "value": None}] * 4 if waits else [],
        )  # fmt: skip
