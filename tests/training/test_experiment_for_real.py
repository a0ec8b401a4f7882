"""Small experiments with the real engine and the demo's checkpoints: a judge from its requests to
the composed rewards, and adapters from one iteration to the next."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from curation.models import LanguageModel, Queue, Rationale, Score
from tests.engine.test_endpoint_client import Reply, Server, said, server
from tests.training.test_experiments import rank_all
from training.demo.project import SOURCE, add_questions
from training.experiments import deeds
from training.experiments.advance import advance
from training.experiments.standing import turns
from training.models import Experiment, JudgeVerdict, Run, RunStatus
from training.runs.folders import plain
from training.runs.supervise import supervise

__all__ = ["server"]  # the fixture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
PLAN = {
    "source": SOURCE,
    "samples": 4,
    "max_new_tokens": 96,
    "dev_split": "test",
    "dev_samples": 2,
    "stop_when": "never",
    "diversity_drop": 0,
}
SETTINGS = {"learning_rate": 1e-3, "groups_per_step": 4, "epochs": 1}


@pytest.fixture
def begin(project, student, researcher):
    """A function that begins an experiment on eight questions of the demo."""
    add_questions(project, train=8, test=6)

    def start(**plan: Any) -> Experiment:
        settings = {**SETTINGS, **plan.pop("settings", {})}
        plan = {**PLAN, **plan, "settings": settings}
        return deeds.begin(project, "Loop", student, plan, by_itself=True, by=researcher)

    return start


def go(experiment: Experiment) -> Experiment:
    """Clock and worker take turns until nothing moves any more."""
    while True:
        moved = advance(experiment.pk)
        waiting = Run.objects.filter(status=RunStatus.QUEUED).first()
        if waiting:
            assert supervise(waiting.pk, "tester", poll=0.1, enqueue=False) == "done"
        elif not moved:
            experiment.refresh_from_db()
            return experiment


# --- A judge --------------------------------------------------------------------------------------


def by_whim(number: int, body: dict[str, Any]) -> Reply:
    """The last digit of the number of characters, plus one."""
    (shown,) = re.findall(r"<rationale[^>]*>\n(.*?)\n</rationale>", body["messages"][0]["content"],
                          re.DOTALL)  # fmt: skip
    return said(f"I have counted.\n#### {1 + len(shown) % 10}")


@pytest.fixture
def judge(project, server: Server) -> LanguageModel:
    server.reply = by_whim
    prices = {"prompt": 1.0, "completion": 4.0, "currency": "EUR"}
    return LanguageModel.objects.create(
        project=project, name="m", provider="openai", uri=server.url, prices=prices
    )


def test_a_judge_is_asked_held_against_people_and_part_of_the_reward(begin, judge, annotator):
    weights = {"verifier": 1, "judge": 2, "people": 3}
    plan = {"people_in": [1], "groups": 4, "anchors": 2, "weights": weights}
    experiment = go(begin(iterations=1, judge=judge.pk, **plan))
    iteration = experiment.iterations.get(number=1)
    assert (iteration.stage, iteration.status) == ("gate", "working")
    assert {row["by"] for row in iteration.routed} >= {"anchor"}
    samples = Rationale.objects.filter(role="student")
    rated = Score.objects.filter(scorer="judge_rating", model=judge)
    assert rated.count() == samples.count() == 32
    assert len(set(rated.values_list("value", flat=True))) > 1
    assert JudgeVerdict.objects.count() == 8

    ranked = rank_all(Queue.objects.get(), annotator)
    assert ranked
    assert go(experiment).status == "done", experiment.note
    iteration.refresh_from_db()
    people, rewards = iteration.figures["people"], iteration.figures["rewards"]
    assert people["ranked"] == ranked
    assert people["tau_verifier"]["value"] > 0.9
    assert -1 <= people["tau_judge"]["value"] <= 1
    assert {"verifier", "judge", "people"} <= rewards["by"].keys()
    for score in Score.objects.filter(scorer="composed").exclude(value=None):
        parts = score.detail
        total = sum(weights[name] * parts[name] for name in parts)
        assert score.value == pytest.approx(total / sum(weights[name] for name in parts), abs=1e-3)
        if "judge" in parts:
            rating = rated.get(rationale=score.rationale_id).value
            assert parts["judge"] == pytest.approx((rating - 1) / 9, abs=1e-4)
    assert Run.objects.get(kind="train").checkpoints.exists()
    spent = turns(experiment)[0].spent
    assert [str(cost) for cost in spent.costs] == [f"{32 * (20 + 4 * 9) / 1e6:,.4f} EUR"]


@pytest.mark.parametrize("mode", ["pairwise", "listwise"])
def test_a_judge_that_orders_says_nothing_it_did_not_say(begin, judge, server, mode):
    """Half of its replies have no verdict; the experiment goes on with what there is."""

    def now_and_then(number: int, body: dict[str, Any]) -> Reply:
        letters = "ABCDEFGH"[: body["messages"][0]["content"].count("</rationale>")]
        verdict = "A" if mode == "pairwise" else " > ".join(letters)
        return said(f"#### {verdict}" if number % 2 else "I would rather not say.")

    server.reply = now_and_then
    experiment = go(begin(iterations=1, judge=judge.pk, judge_mode=mode, questions=3))
    assert experiment.status == "done", experiment.note
    asked = Run.objects.get(kind="judge")
    assert 0 < asked.result["parsed"] < asked.result["replies"]
    rewards = experiment.iterations.get(number=1).figures["rewards"]
    assert rewards["rewarded"] + rewards["left_out"] == 12
    if mode == "pairwise":  # whoever is shown first wins, so no pair is consistent
        assert asked.result["pairs"]["consistent"] == 0
        assert "judge" not in rewards["by"]


# --- Adapters -------------------------------------------------------------------------------------


def weights(model: LanguageModel) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder_of(model) / "model.safetensors")


def folder_of(model: LanguageModel) -> Path:
    return Path(plain(model.uri))


def test_adapters_are_added_to_the_weights_that_the_next_iteration_begins_with(begin):
    """Held to the start, which is neither of the models without their adapters."""
    from transformers import AutoModelForCausalLM

    settings = {"lora_rank": 4, "lora_alpha": 8, "beta": 0.1}
    experiment = go(begin(iterations=2, reference="start", settings=settings))
    assert experiment.status == "done", experiment.note
    zero, one, two = (i.checkpoint for i in experiment.iterations.all())
    trained = {run.student: run for run in Run.objects.filter(kind="train")}
    assert set(trained) == {zero, one}, "the second begins with what the first made"
    for kind in ("generate", "evaluate"):
        drew = set(Run.objects.filter(kind=kind).values_list("student", flat=True))
        assert one.pk in drew, f"{kind} loads it"
    before, after = weights(one), weights(two)
    assert before.keys() == after.keys()
    for folder in (folder_of(one), folder_of(two)):
        assert (folder / "adapter" / "adapter_model.safetensors").exists()
    changed = [name for name in after if not (after[name] == before[name]).all()]
    assert changed
    # What the second iteration added is of the adapters' rank, and upon the first's sum.
    for name in changed:
        added = (after[name] - before[name]).double()
        assert added.svd().S[4:].max() < 1e-4 * added.svd().S[0], name
    loaded, info = AutoModelForCausalLM.from_pretrained(folder_of(two), output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not any("lora" in name for name in loaded.state_dict())
