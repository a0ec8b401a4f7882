"""A round is written down once, whole, and any of its groups is found by its bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.engine.plan import plan
from training.engine.round_log import MOST_STORED, RoundLog, Told
from training.methods.base import Group, Pair
from training.rewards.compose import Scored


class Letters:
    """Token ids as letters."""

    def text(self, ids: list[int]) -> str:
        return "".join(chr(96 + token) for token in ids)


def group(question: str = "7") -> Group:
    """Three completions: right, wrong and cut off; the last has no reward."""
    return Group(
        question=question,
        prompt=[1, 2],
        completions=[[3], [4, 5], [6, 7, 8]],
        present=[True, True, False],
        rewards=[1.0, 0.25, float("nan")],
        truncated=[False, False, True],
        scored=[Scored({"answer_correct": value}) for value in (1.0, 0.25, None)],
    )


def write(folder: Path, rounds: int = 2, size: int = 3) -> RoundLog:
    log = RoundLog(folder, plan([size] * rounds, epochs=2, groups_per_step=2, seed=0))
    for number in range(rounds):
        told = [Told(group(str(n))) for n in range(size)]
        for one in told:
            one.group.weights = [0.5, -0.5, 0.0]
        log.tell(number, "policy", told, Letters())  # type: ignore[arg-type]
    return log


def rows(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def found(folder: Path, number: int, place: int) -> dict:
    """By the bytes alone, as a page does it."""
    told = next(row for row in rows(folder / "rounds.jsonl") if row["round"] == number)
    text = (folder / "groups.jsonl").read_bytes()
    contents = json.loads(text[told["at"] : told["at"] + told["bytes"]])["contents"]
    entry = contents[place]
    return json.loads(text[entry["at"] : entry["at"] + entry["bytes"]])


def test_a_group_is_found_by_round_and_place(tmp_path):
    write(tmp_path)
    row = found(tmp_path, 1, 2)
    assert (row["round"], row["group"], row["question"], row["prompt"]) == (1, 2, "2", "ab")
    assert [one["text"] for one in row["completions"]] == ["c", "de", "fgh"]
    assert [one["weight"] for one in row["completions"]] == [0.5, -0.5, 0.0]
    assert [one["reward"] for one in row["completions"]] == [1.0, 0.25, None]
    assert [one["truncated"] for one in row["completions"]] == [False, False, True]


def test_every_group_names_the_steps_that_train_on_it(tmp_path):
    """Three groups by two a step, twice over: four steps a round, each group in two of them."""
    write(tmp_path)
    first, second = rows(tmp_path / "rounds.jsonl")
    assert (first["first_step"], first["last_step"]) == (1, 4)
    assert (second["first_step"], second["last_step"]) == (5, 8)
    steps = [step for place in range(3) for step in found(tmp_path, 1, place)["steps"]]
    assert sorted(set(steps)) == [5, 6, 7, 8]
    assert len(steps) == 6


def test_the_contents_say_in_short_what_a_list_shows(tmp_path):
    write(tmp_path, rounds=1, size=1)
    contents = rows(tmp_path / "groups.jsonl")[-1]["contents"]
    assert contents[0]["reward_mean"] == 0.625
    assert contents[0]["reward_spread"] == 0.75
    assert contents[0]["truncated"] == 1


def test_a_resume_writes_nothing_twice(tmp_path):
    write(tmp_path)
    before = [(tmp_path / name).read_bytes() for name in ("groups.jsonl", "rounds.jsonl")]
    write(tmp_path)
    assert [(tmp_path / n).read_bytes() for n in ("groups.jsonl", "rounds.jsonl")] == before


@pytest.mark.parametrize("lost", ["the line of the round", "the end of its groups"])
def test_what_a_crash_left_is_written_again_the_same(tmp_path, lost):
    write(tmp_path)
    groups, rounds = tmp_path / "groups.jsonl", tmp_path / "rounds.jsonl"
    before = (groups.read_bytes(), rounds.read_bytes())
    if lost == "the line of the round":
        rounds.write_bytes(before[1].splitlines(keepends=True)[0])
    else:
        groups.write_bytes(before[0][:-20])
    write(tmp_path)
    assert (groups.read_bytes(), rounds.read_bytes()) == before


def test_what_the_method_drops_is_told_without_a_weight(tmp_path):
    one = group()
    told = Told(one)
    one.weights, one.pairs = [0.0, 0.0, 0.0], [Pair(0, 1)]
    one.keep([0, 1])
    row = told.row(0, 0, Letters(), [1])  # type: ignore[arg-type]
    assert [c["weight"] for c in row["completions"]] == [0.0, 0.0, None]
    assert [c["side"] for c in row["completions"]] == ["better", "worse", ""]


def test_of_a_large_round_from_the_dataset_the_first_are_kept(tmp_path):
    size = MOST_STORED + 3
    log = RoundLog(tmp_path, plan([size], epochs=1, groups_per_step=8, seed=0))
    log.tell(0, "dataset", [Told(group()) for _ in range(size)], Letters())  # type: ignore[arg-type]
    assert rows(tmp_path / "rounds.jsonl")[0]["groups"] == size
    assert len(rows(tmp_path / "groups.jsonl")) == MOST_STORED + 1
