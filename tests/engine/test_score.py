"""Scoring stored rationales: the figures of a plain forward, whatever the batches and the stops."""

from __future__ import annotations

import json
from math import exp
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.shapes import FAMILIES, make_model
from training.decoding.prompts import Renderer
from training.decoding.record import Completion, Question
from training.decoding.scoring_plan import ScoringPlan
from training.demo.problems import demo_problems
from training.engine import score as engine_score
from training.engine.__main__ import main
from training.engine.files import read_rows
from training.engine.job import read_job
from training.engine.model import load_model
from training.engine.score import answer_span, halves, read, spans_of
from training.engine.stop import Stop, Stopped
from training.methods.base import Group

STUDENT = str(Path(__file__).resolve().parents[2] / "training" / "demo" / "student")


def dataset() -> list[dict[str, Any]]:
    """Six questions, each with its derivations, the first one's also with a wrong answer."""
    rows = []
    for number, problem in enumerate(demo_problems(6)):
        completions = [
            {"id": f"{number}-{n}", "thought": derivation, "answer": str(problem.answer)}
            for n, derivation in enumerate(problem.derivations[:3])
        ]
        rows.append(
            {
                "id": str(number),
                "question": problem.question,
                "reference_answer": str(problem.answer),
                "completions": completions,
            }
        )
    rows[0]["completions"].append({"id": "0-wrong", "thought": "1 + 1 = 2", "answer": "2"})
    rows[1]["completions"].append({"id": "1-silent", "thought": "", "answer": "2"})
    return rows


def prepare(folder: Path, rows: list[dict[str, Any]] | None = None, **config: Any) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    lines = [json.dumps(row) + "\n" for row in rows or dataset()]
    (folder / "dataset.jsonl").write_text("".join(lines))
    job = {"kind": "score", "config": config, "model": STUDENT}
    (folder / "run.json").write_text(json.dumps(job))
    return folder


def run(folder: Path, code: int = 0) -> dict[str, dict[str, Any]]:
    assert main([str(folder / "run.json")]) == code
    return {row["completion"]: row for row in read_rows(folder / "scores.jsonl")}


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> dict[str, dict[str, Any]]:
    return run(prepare(tmp_path_factory.mktemp("scored"), rouge_l=True))


@pytest.fixture(scope="module")
def student() -> tuple[Any, Renderer]:
    model, tokenizer = load_model(STUDENT, Path("."), 0)
    return model, Renderer(tokenizer)


def plainly(model: Any, before: list[int], after: list[int]) -> list[float]:
    """Log-probabilities of `after` behind `before`, by one forward without cache or padding."""
    ids = torch.tensor([before + after])
    with torch.no_grad():
        logprobs = model(ids).logits[0].log_softmax(-1)
    start = len(before)
    found = logprobs[start - 1 : -1].gather(-1, ids[0, start:, None])[:, 0]
    return found.tolist()


def test_difficulty_is_that_of_a_plain_forward(scored, student):
    model, text = student
    question, one = dataset()[2], dataset()[2]["completions"][1]
    answer = one["answer"]
    shown = f"{one['thought'].rpartition(answer)[0]}?{one['thought'].rpartition(answer)[2]}"
    prompt = text.prompt(question["question"])
    tokens = text.tokenizer(answer, add_special_tokens=False)["input_ids"]
    behind = text.tokenizer(f"{shown}\n#### ", add_special_tokens=False)["input_ids"]
    alone = text.tokenizer("#### ", add_special_tokens=False)["input_ids"]
    assert text.completion(shown, answer) == [*behind, *tokens, text.end], "as in training"
    given, bare = (plainly(model, [*prompt, *before], tokens) for before in (behind, alone))
    row = scored[one["id"]]
    ratio = exp(sum(bare) / len(bare) - sum(given) / len(given))
    assert row["scores"]["rationale_difficulty"] == pytest.approx(ratio, rel=1e-4)
    assert row["scores"]["answer_probability"] == pytest.approx(exp(sum(given)), rel=1e-4)
    assert row["detail"]["answer_tokens"] == len(tokens)
    assert row["detail"]["hidden"]


def test_the_log_probability_of_the_whole_is_minus_the_loss_of_sft(scored, student):
    model, text = student
    question = dataset()[3]
    one = question["completions"][0]
    ids = text.completion(one["thought"], one["answer"])
    plain = plainly(model, text.prompt(question["question"]), ids)
    found = scored[one["id"]]
    expected = sum(plain) / len(plain)
    assert found["scores"]["rationale_logprob"] == pytest.approx(expected, abs=1e-5)
    assert found["detail"]["tokens"] == len(ids)


def test_a_right_thought_helps_and_a_wrong_one_does_not(scored):
    right = [row["scores"]["rationale_difficulty"] for key, row in scored.items() if "-0" in key]
    assert sum(ratio < 1 for ratio in right) >= 5
    assert scored["0-wrong"]["scores"]["rationale_difficulty"] > min(right)


def test_the_wrong_rationale_is_asked_for_the_reference(scored):
    assert scored["0-wrong"]["detail"]["answer"] == dataset()[0]["reference_answer"]


def test_what_has_no_thought_has_no_row(scored):
    assert "1-silent" not in scored
    assert set(scored) == {c["id"] for row in dataset() for c in row["completions"] if c["thought"]}


def test_the_students_own_answer_is_compared_with_each_rationale(scored):
    found = [row["scores"]["rationale_rouge_l"] for row in scored.values()]
    assert all(0 <= value <= 1 for value in found)
    assert max(found) > 0.5


def assert_same(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert left.keys() == right.keys()
    for key, row in left.items():
        for name, value in row["scores"].items():
            assert value == pytest.approx(right[key]["scores"][name], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("tokens", [1, 300])
def test_no_split_into_forwards_changes_a_score(scored, tmp_path, tokens):
    assert_same(run(prepare(tmp_path, rouge_l=True, tokens_per_batch=tokens)), scored)


def test_neither_order_nor_company_changes_a_score(scored, tmp_path):
    rows = [{**row, "completions": row["completions"][::-1][:2]} for row in reversed(dataset())]
    found = run(prepare(tmp_path, rows, rouge_l=True))
    assert_same(found, {key: scored[key] for key in found})


def test_a_job_cut_off_reads_the_rest_alone(scored, tmp_path, monkeypatch):
    folder = prepare(tmp_path, rouge_l=True)
    run(folder)
    file = folder / "scores.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:5]) + lines[5][:40])
    seen = []
    plain = engine_score.facts

    def noted(sheet, one, plan):
        seen.append(one.id)
        return plain(sheet, one, plan)

    monkeypatch.setattr(engine_score, "facts", noted)
    assert_same(run(folder), scored)
    assert len(seen) == len(lines) - 5
    assert len(file.read_bytes().splitlines()) == len(lines), "nothing is stored twice"


class AfterTwoForwards(Stop):
    """Asked to stop when two forwards are done."""

    asked = 0

    def requested(self) -> bool:
        self.asked += 1
        return self.asked > 3  # once before the student's own answers are drawn


def test_a_job_asked_to_stop_keeps_what_it_has_and_goes_on(scored, tmp_path):
    folder = prepare(tmp_path, rouge_l=True, tokens_per_batch=200)
    job = read_job(folder / "run.json")
    with pytest.raises(Stopped, match="run again to go on"):
        engine_score.score(job, folder, AfterTwoForwards())
    begun = list(read_rows(folder / "scores.jsonl"))
    assert 0 < len(begun) < len(scored)
    assert_same(run(folder), scored)
    assert list(read_rows(folder / "scores.jsonl"))[: len(begun)] == begun


def test_leakage_decides_what_the_student_sees(tmp_path):
    found = {
        how: run(prepare(tmp_path / how, dataset()[:2], leakage=how))
        for how in ("mask", "drop_last_step", "none")
    }
    key = "0-0"
    ratios = {how: rows[key]["scores"]["rationale_difficulty"] for how, rows in found.items()}
    assert len(set(ratios.values())) == 3
    assert ratios["none"] == min(ratios.values()), "copying is easiest"
    assert found["none"][key]["detail"]["hidden"] is False


def test_what_cannot_be_scored_says_why(tmp_path):
    rows = dataset()[:2]
    rows[0]["completions"][0]["thought"] = "so it goes on " * 30
    rows[1] |= {"reference_answer": ""}
    rows[1]["completions"] = [{"id": "open", "thought": "Who knows?", "answer": ""}]
    folder = prepare(tmp_path, rows, max_completion_tokens=60)
    found = run(folder)
    assert found["0-0"]["scores"]["rationale_logprob"] is None
    assert found["0-0"]["detail"]["why"] == "completion longer than max_completion_tokens"
    assert found["open"]["detail"]["why"] == "no answer to ask for"
    assert found["open"]["scores"]["rationale_logprob"] < 0, "it can still be read"
    result = json.loads((folder / "result.json").read_text())
    assert sum(result["skipped"].values()) == 2
    assert result["scored"] == len(found) - 2


def test_a_dataset_without_thoughts_is_refused(tmp_path, capsys):
    rows = [{**row, "completions": []} for row in dataset()]
    run(prepare(tmp_path, rows), code=2)
    assert "has a rationale with a thought to score" in capsys.readouterr().err


def test_the_weights_are_named_by_their_hash(scored):
    from training.engine.files import sha256

    assert {row["weights"] for row in scored.values()} == {
        sha256(Path(STUDENT) / "model.safetensors")
    }


def test_the_answers_tokens_are_neither_mark_nor_end(student):
    _, text = student
    span = answer_span(text, "8 + 3 = 11", "11")
    assert text.text(list(span.ids[span.start : span.end])).strip() == "11"
    bare = answer_span(text, "", "11")
    assert bare.ids[bare.start : bare.end] == span.ids[span.start : span.end]


def test_equal_completions_are_read_once(student):
    _, text = student
    question = Question(id="1", question="?", reference_answer="11")
    one = Completion(id="a", thought="8 + 3 = 11", answer="11")
    spans = spans_of(text, question, one, ScoringPlan(leakage="none"))
    assert spans["whole"].ids == spans["given"].ids


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_read_as_row_by_row(family):
    model = make_model(family)
    prompts = {"a": [1, 5, 9, 4], "b": [1, 6]}
    sheets = {name: engine_score.Sheet(Question(id=name, question="?"), prompts[name])
              for name in prompts}  # fmt: skip
    groups = [
        Group("a", prompts["a"], [[4, 5, 2], [6, 2]], [True] * 2),
        Group("b", prompts["b"], [[7, 8, 9, 2]], [True]),
    ]
    read(model, groups, sheets)
    for name, sheet in sheets.items():
        for ids, values in sheet.read.items():
            assert values == pytest.approx(plainly(model, prompts[name], list(ids)), abs=1e-5)
    assert [len(sheet.read) for sheet in sheets.values()] == [2, 1]


def test_where_memory_runs_out_the_part_is_halved(monkeypatch):
    model = make_model("llama")
    group = Group("q", [1, 5], [[4, 5], [6], [7, 8, 9]], [True] * 3)
    sheet = engine_score.Sheet(Question(id="q", question="?"), [1, 5])
    whole = engine_score.group_logprobs
    sizes = []

    def narrow(model, batch):
        sizes.append(len(batch.row_ids))
        if len(batch.row_ids) > 1:
            raise torch.OutOfMemoryError
        return whole(model, batch)

    read(model, [group], {"q": sheet})
    expected, sheet.read = sheet.read, {}
    monkeypatch.setattr(engine_score, "group_logprobs", narrow)
    read(model, [group], {"q": sheet})
    assert sizes == [3, 1, 2, 1, 1]
    for ids, values in expected.items():
        assert sheet.read[ids] == pytest.approx(values, abs=1e-5)
    assert halves([Group("q", [1], [[2]], [True])]) == []


def test_one_long_question_cuts_nobody_elses_answer(tmp_path):
    rows = dataset()
    usual = run(prepare(tmp_path / "usual", rows, rouge_l=True))
    rows[1]["question"] = (rows[1]["question"] * 10)[:370]  # of the student's 384 positions
    beside = run(prepare(tmp_path / "beside", rows, rouge_l=True))
    found = [rows["2-0"]["scores"]["rationale_rouge_l"] for rows in (usual, beside)]
    assert found[0] == found[1] > 0.5


def test_weights_in_several_files_are_named_by_all_of_them(tmp_path):
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = {"weight_map": dict(zip("ab", names, strict=True))}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    for name in names:
        (tmp_path / name).write_bytes(b"1")
    first = engine_score.hash_of_weights(str(tmp_path))
    (tmp_path / names[1]).write_bytes(b"2")
    assert len(first) == 64
    assert engine_score.hash_of_weights(str(tmp_path)) != first
