"""A judge job: asks each thing once, in both orders or shuffled, and keeps what it cannot read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.test_endpoint_client import Reply, Server, refused, said, server
from training.engine.__main__ import main
from training.engine.files import read_rows

__all__ = ["server"]  # the fixture

Folder = Any


def rationale(pk: str, thought: str, answer: str = "11") -> dict[str, Any]:
    return {"id": pk, "role": "student", "thought": thought, "answer": answer}


QUESTIONS = [
    {
        "id": "1",
        "question": "What is 8 + 3?",
        "reference_answer": "11",
        "completions": [
            rationale("10", "good"),
            rationale("11", "fair"),
            rationale("12", "bad"),
        ],
    },
    {
        "id": "2",
        "question": "What is 9 + 2?",
        "reference_answer": "11",
        "completions": [rationale("20", "bad"), rationale("21", "good")],
    },
]
WORTH = {"good": 9, "fair": 5, "bad": 2}


@pytest.fixture
def judge(server: Server, tmp_path) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Run the job in the folder: its exit code and its result."""
    rows = "".join(json.dumps(row) + "\n" for row in QUESTIONS)
    (tmp_path / "dataset.jsonl").write_text(rows)

    def go(**config: Any) -> tuple[int, dict[str, Any]]:
        model = {"base_url": server.url, "name": "m"}
        job = {"kind": "judge", "config": {"retries": 1, **config}, "model": model, "seed": 3}
        (tmp_path / "run.json").write_text(json.dumps(job))
        code = main([str(tmp_path / "run.json")])
        return code, json.loads((tmp_path / "result.json").read_text())

    return go


def lines(folder: Folder, name: str = "verdicts.jsonl") -> dict[str, dict[str, Any]]:
    return {row["question"]: row for row in read_rows(folder / name)}


def shown(body: dict[str, Any]) -> list[str]:
    """The thoughts that a request shows, in their order."""
    text = body["messages"][0]["content"]
    return re.findall(r"<rationale[^>]*>\n(\w+)\n", text)


def by_worth(number: int, body: dict[str, Any]) -> Reply:
    """A judge that knows what each is worth, whatever the order."""
    worths = [WORTH[one] for one in shown(body)]
    text = body["messages"][0]["content"]
    if len(worths) == 1:
        return said(f"I think so.\n#### {worths[0]}")
    if "A, B or tie" in text:
        return said(f"#### {'A' if worths[0] > worths[1] else 'B'}")
    letters = "ABC"[: len(worths)]
    best_first = sorted(letters, key=lambda letter: -worths[letters.index(letter)])
    return said(f"#### {' > '.join(best_first)}")


def test_every_rationale_is_rated_once(judge, server, tmp_path):
    server.reply = by_worth
    code, result = judge()
    assert code == 0
    ratings = {
        pk: one["rating"]
        for line in lines(tmp_path).values()
        for pk, one in line["ratings"].items()
    }
    assert ratings == {"10": 9, "11": 5, "12": 2, "20": 2, "21": 9}
    assert (result["rated"], result["asked"], len(server.asked)) == (5, 5, 5)
    assert result["usage"] == {"prompt": 100, "completion": 45}
    assert result["version"] == f"rating {result['prompt_version']}"
    assert (tmp_path / "prompt.txt").read_text() == result["prompt"]
    said = lines(tmp_path)["1"]["ratings"]["10"]
    assert said["said"] == [{"text": "I think so.\n#### 9", "verdict": 9, "fault": None}]
    assert "What is 8 + 3?" in said["prompt"]


def test_several_samples_are_averaged_over_those_that_can_be_read(judge, server, tmp_path):
    replies = iter(["#### 4", "seven", "#### 8"] * 5)
    server.reply = lambda number, body: said(next(replies))
    code, result = judge(samples=3, temperature=1.0, concurrency=1)
    assert code == 0
    assert {one["rating"] for one in lines(tmp_path)["1"]["ratings"].values()} == {6}
    assert (result["parsed"], result["faults"]) == (10, {"no verdict on the last line": 5})
    assert len({body["seed"] for body in server.asked}) == 15


def test_what_is_no_verdict_is_dropped_counted_and_kept(judge, server, tmp_path):
    server.reply = lambda number, body: (
        said("Excellent! 10 of 10") if shown(body) == ["fair"] else by_worth(number, body)
    )
    code, result = judge()
    line = lines(tmp_path)["1"]
    assert (code, line["asked"], line["parsed"]) == (0, 3, 2)
    assert line["ratings"]["11"]["rating"] is None
    assert line["ratings"]["11"]["said"][0]["text"] == "Excellent! 10 of 10"
    assert result["faults"] == {"no verdict on the last line": 1}
    assert result["rated"] == 4


def test_pairs_are_asked_in_both_orders(judge, server, tmp_path):
    server.reply = by_worth
    code, result = judge(mode="pairwise")
    assert code == 0
    assert len(server.asked) == 6 + 2
    assert sorted(shown(body) for body in server.asked if "8 + 3" in str(body)) == sorted(
        [one, other] for one in WORTH for other in WORTH if one != other
    )
    assert lines(tmp_path)["1"]["ranks"] == {"10": 1, "11": 2, "12": 3}
    assert lines(tmp_path)["2"]["ranks"] == {"21": 1, "20": 2}
    assert result["pairs"]["consistent"] == 4
    assert result["ranked"] == 2


def test_a_judge_that_likes_the_first_shown_ranks_nothing_and_is_found_out(judge, server, tmp_path):
    server.reply = lambda number, body: said("#### A")
    code, result = judge(mode="pairwise")
    assert code == 0
    assert {question: line["ranks"] for question, line in lines(tmp_path).items()} == {
        "1": {},
        "2": {},
    }
    assert (result["pairs"]["inconsistent"], result["pairs"]["first_won"]) == (4, 8)
    assert result["ranked"] == 0


def test_a_list_is_shuffled_and_its_letters_lead_back(judge, server, tmp_path):
    server.reply = by_worth
    code, result = judge(mode="listwise")
    assert (code, len(server.asked)) == (0, 2)
    line = lines(tmp_path)["1"]
    assert line["ranks"] == {"10": 1, "11": 2, "12": 3}
    names = {"10": "good", "11": "fair", "12": "bad"}
    sent = next(body for body in server.asked if "8 + 3" in str(body))
    assert [names[pk] for pk in line["shown"]] == shown(sent)
    assert result["ranked"] == 2


def test_copies_and_what_goes_beyond_the_most_are_left_out_and_counted(judge, server, tmp_path):
    rows = [
        {**QUESTIONS[0], "completions": [rationale(str(n), f"way{n % 5}") for n in range(6)]},
        {**QUESTIONS[1], "completions": [rationale("20", "bad")]},
    ]
    (tmp_path / "dataset.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    server.reply = lambda number, body: said("#### tie")
    code, result = judge(mode="pairwise", most_rationales=3)
    assert (code, len(server.asked)) == (0, 6)
    assert sorted(result["skipped"].values()) == [1, 1, 2]
    line = lines(tmp_path)["1"]
    assert len(line["shown"]) == 3
    assert line["rationales"] == [str(n) for n in range(6)]
    assert set(line["ranks"].values()) == {1}


def test_what_is_stored_is_never_asked_again(judge, server, tmp_path):
    server.reply = lambda number, body: refused(400) if number > 3 else by_worth(number, body)
    code, result = judge(concurrency=1, retries=0)
    assert (code, len(list(read_rows(tmp_path / "replies.jsonl")))) == (0, 3)
    assert sum(result["skipped"].values()) == 2
    server.reply = by_worth
    before = len(server.asked)
    (tmp_path / "verdicts.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in [lines(tmp_path)["1"]])
    )
    code, result = judge(concurrency=1, retries=0)
    assert (code, len(server.asked) - before) == (0, 2)
    found = list(read_rows(tmp_path / "verdicts.jsonl"))
    assert [row["question"] for row in found] == ["1", "2"]
    assert result["rated"] == 5


def test_a_stopped_judge_has_written_what_was_complete_and_goes_on(judge, server, tmp_path):
    import os
    import signal

    def stopping(number: int, body: dict[str, Any]) -> Reply:
        if number == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return by_worth(number, body)

    server.reply = stopping
    before = signal.getsignal(signal.SIGTERM)
    try:
        model = {"base_url": server.url, "name": "m"}
        job = {"kind": "judge", "config": {"concurrency": 1}, "model": model, "seed": 3}
        (tmp_path / "run.json").write_text(json.dumps(job))
        assert main([str(tmp_path / "run.json")]) == 75
    finally:
        signal.signal(signal.SIGTERM, before)
    assert list(lines(tmp_path)) == ["1"]
    asked = len(server.asked)
    server.reply = by_worth
    code, result = judge(concurrency=1)
    assert code == 2  # the settings differ: another job may not go on in this folder
    assert "has changed" in result["error"]
    job["config"] = {"concurrency": 1}
    (tmp_path / "run.json").write_text(json.dumps(job))
    assert main([str(tmp_path / "run.json")]) == 0
    assert list(lines(tmp_path)) == ["1", "2"]
    assert len(server.asked) - asked == 1


def test_nothing_to_judge_is_a_sentence(judge, server, tmp_path):
    rows = [{**QUESTIONS[1], "completions": [rationale("20", "bad")]}]
    (tmp_path / "dataset.jsonl").write_text(json.dumps(rows[0]) + "\n")
    code, result = judge(mode="listwise")
    assert code == 2
    assert result["error"].startswith("There is nothing to judge: 1 × a question with one")


def test_a_local_judge_reads_the_compact_prompt_and_resumes(tmp_path):
    from tests.engine.jobs import STUDENT

    rows = "".join(json.dumps(row) + "\n" for row in QUESTIONS)
    (tmp_path / "dataset.jsonl").write_text(rows)
    config = {"samples": 2, "temperature": 1.0, "max_new_tokens": 12, "rows_per_batch": 2}
    job = {"kind": "judge", "config": config, "model": str(STUDENT), "seed": 3}
    (tmp_path / "run.json").write_text(json.dumps(job))
    assert main([str(tmp_path / "run.json")]) == 0
    replies = list(read_rows(tmp_path / "replies.jsonl"))
    assert len(replies) == 10
    assert replies[0]["prompt"].startswith("What is 8 + 3?\nRationale:\ngood\n#### 11\nCheck")
    assert replies[0]["prompt_tokens"] == len(replies[0]["prompt"])
    file = tmp_path / "replies.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in replies[:4]))
    (tmp_path / "verdicts.jsonl").unlink()
    assert main([str(tmp_path / "run.json")]) == 0
    again = list(read_rows(tmp_path / "replies.jsonl"))
    assert [row["text"] for row in again] == [row["text"] for row in replies]
    assert list(lines(tmp_path)) == ["1", "2"]


def test_a_prompt_that_the_judge_cannot_hold_is_left_out(tmp_path):
    from tests.engine.jobs import STUDENT

    long = {**QUESTIONS[1], "completions": [rationale("20", "x" * 400), rationale("21", "good")]}
    (tmp_path / "dataset.jsonl").write_text(json.dumps(long) + "\n")
    config = {"max_new_tokens": 12}
    job = {"kind": "judge", "config": config, "model": str(STUDENT), "seed": 3}
    (tmp_path / "run.json").write_text(json.dumps(job))
    assert main([str(tmp_path / "run.json")]) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["skipped"] == {"a prompt that is longer than the judge can read": 1}
    assert list(lines(tmp_path)["2"]["ratings"]) == ["21"]


def test_an_endpoint_judge_loads_no_torch():
    import subprocess
    import sys

    code = "import sys, training.engine.judge; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_line_cut_off_by_a_crash_is_written_again(judge, server, tmp_path):
    server.reply = by_worth
    assert judge(concurrency=1)[0] == 0
    file = tmp_path / "verdicts.jsonl"
    first, second = file.read_text().splitlines()
    file.write_text(first + "\n" + second[:20])
    assert judge(concurrency=1)[0] == 0
    assert [row["question"] for row in read_rows(file)] == ["1", "2"]
