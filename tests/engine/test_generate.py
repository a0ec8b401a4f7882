"""Drawing with a local model: each completion once, the same whatever happened on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.decoding.record import Question
from training.decoding.sampling import Sampling
from training.demo.problems import demo_problems
from training.engine.__main__ import main
from training.engine.drawing import asked_of, chunks, wanted
from training.engine.files import read_rows

STUDENT = str(Path(__file__).resolve().parents[2] / "training" / "demo" / "student")
PLAN = {
    "temperatures": [0.5, 1.0],
    "samples_per_temperature": 2,
    "max_new_tokens": 60,
    "rows_per_batch": 6,
}


def prepare(folder: Path, config: dict[str, Any], **job: Any) -> Path:
    """A folder with a job on the demo's student and five questions with a thought each."""
    folder.mkdir(exist_ok=True)
    rows = [
        {
            "id": str(number),
            "question": problem.question,
            "reference_answer": str(problem.answer),
            "completions": [{"id": f"t{number}", "thought": problem.derivations[0]}],
        }
        for number, problem in enumerate(demo_problems(5))
    ]
    (folder / "dataset.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = {"kind": "generate", "config": config, "model": STUDENT, **job}
    (folder / "run.json").write_text(json.dumps(job))
    return folder


def run(folder: Path) -> list[dict[str, Any]]:
    assert main([str(folder / "run.json")]) == 0
    return list(read_rows(folder / "samples.jsonl"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> list[dict[str, Any]]:
    return run(prepare(tmp_path_factory.mktemp("drawn"), PLAN))


def test_every_draw_is_there_once_with_all_that_made_it(drawn):
    asked = {(row["question"], row["sampling"]["temperature"], row["index"]) for row in drawn}
    assert asked == {
        (str(q), temperature, index)
        for q in range(5)
        for temperature, index in ((0.5, 0), (0.5, 1), (1.0, 2), (1.0, 3))
    }
    assert len(drawn) == len({row["seed"] for row in drawn}) == 20
    for row in drawn:
        assert row["prompt"].endswith("\n")
        assert len(row["token_ids"]) == len(row["logprobs"])
        assert row["finish_reason"] in {"stop", "length"}
    right = [row for row in drawn if "#### " + row["answer"] in row["text"] and row["answer"]]
    assert len(right) > 10


def test_a_job_cut_off_in_a_line_draws_the_rest_and_ends_with_the_same_file(drawn, tmp_path):
    folder = prepare(tmp_path, PLAN)
    run(folder)
    file = folder / "samples.jsonl"
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:7]) + lines[7][:30])
    (folder / "result.json").unlink()
    run(folder)
    assert file.read_bytes() == whole
    assert list(read_rows(file)) == drawn


def test_what_is_stored_is_not_drawn_again(tmp_path, monkeypatch):
    folder = prepare(tmp_path, PLAN)
    run(folder)

    def never(*args: Any) -> None:
        raise AssertionError("the sampler was asked")

    monkeypatch.setattr("training.engine.sampler.draw", never)
    assert len(run(folder)) == 20


def test_another_seed_draws_other_completions(drawn, tmp_path):
    other = run(prepare(tmp_path, PLAN, seed=1))
    texts = [row["text"] for row in drawn if row["sampling"]["temperature"] == 1.0]
    assert [r["text"] for r in other if r["sampling"]["temperature"] == 1.0] != texts


def test_what_a_database_calls_a_question_changes_no_draw(drawn, tmp_path):
    folder = prepare(tmp_path, PLAN)
    lines = (folder / "dataset.jsonl").read_text().splitlines()
    rows = [{**json.loads(line), "id": f"another-{n}"} for n, line in enumerate(lines)]
    (folder / "dataset.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [row["token_ids"] for row in run(folder)] == [row["token_ids"] for row in drawn]


def test_answers_are_drawn_after_each_stored_thought(tmp_path):
    config = {"what": "answer_given_thought", "temperatures": [0.0], "max_new_tokens": 12}
    rows = run(prepare(tmp_path, {**config, "samples_per_temperature": 1}))
    assert [row["conditioned_on"] for row in rows] == [f"t{n}" for n in range(5)]
    right = [
        row["answer"] == str(problem.answer)
        for row, problem in zip(rows, demo_problems(5), strict=True)
    ]
    assert sum(right) >= 4, "a careful thought leads to its answer"


def test_answers_without_any_thought_are_refused_in_a_sentence(tmp_path, capsys):
    folder = prepare(tmp_path, {"what": "answer_given_thought"})
    row = {"id": "1", "question": "What is 8 + 3?", "reference_answer": "11"}
    (folder / "dataset.jsonl").write_text(json.dumps(row) + "\n")
    assert main([str(folder / "run.json")]) == 2
    assert "no question of the dataset has a thought" in capsys.readouterr().err.lower()


def test_a_stop_leaves_whole_chunks_and_is_resumable(tmp_path, monkeypatch):
    from training.engine.stop import Stop

    folder = prepare(tmp_path, PLAN)
    asked: list[int] = []
    monkeypatch.setattr(Stop, "requested", lambda self: asked.append(1) or len(asked) > 2)
    assert main([str(folder / "run.json")]) == 75
    stored = len(list(read_rows(folder / "samples.jsonl")))
    assert 0 < stored < 20
    monkeypatch.undo()
    assert len(run(folder)) == 20


def test_a_line_separator_inside_a_text_is_no_end_of_line(tmp_path):
    folder = prepare(tmp_path, {**PLAN, "temperatures": [0.0], "samples_per_temperature": 1})
    row = {"id": "1", "question": "Ida has 3 eggs.\u2028How many?", "reference_answer": "3"}
    raw = json.dumps(row, ensure_ascii=False) + "\n"
    (folder / "dataset.jsonl").write_text(raw)
    (only,) = run(folder)
    assert only["question"] == "1"


def test_chunks_keep_the_draws_of_a_prompt_and_a_setting_together():
    asked = asked_of([Question(id=str(n), question="?") for n in range(3)], given_thoughts=False)
    settings = [(Sampling(temperature=0.5), 2), (Sampling(temperature=1.0), 1)]
    draws = wanted(asked, settings, seed=0)
    told = [[(d.asked.question.id, d.index) for d in chunk] for chunk in chunks(draws, 3)]
    assert told == [
        [("0", 0), ("0", 1), ("1", 0), ("1", 1)],
        [("2", 0), ("2", 1)],
        [("0", 2), ("1", 2), ("2", 2)],
    ]
    assert len({draw.key for draw in draws}) == len(draws)
