"""Exports: what each format holds, why a rationale makes no row, and that readers read it."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import fsspec
import pytest
from django.core.management import CommandError, call_command

from curation.models import Job, JobStatus
from tests.training.orchard import make_version
from training.decoding.prompts import split_completion, user_text
from training.export import export_format, formats
from training.versions.exporting import ask_for_export, export_version, perform
from training.versions.freezing import freeze
from training.versions.recipe import Recipe

FORMATS = ["dpo", "grpo", "kto", "llamafactory", "openai", "rankings", "sft"]


@pytest.fixture
def version(project, annotator, second_annotator):
    return make_version(project, [annotator, second_annotator])


@pytest.fixture
def exported(version, tmp_path):
    """A function that exports the version and returns the rows of a split."""

    def export(name: str, split: str = "train", parquet: bool = False, **options: Any) -> list[Any]:
        folder = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
        export_version(version, name, options, folder, parquet)
        path = folder / "data" / f"{split}.jsonl"
        export.folder = folder
        return [] if parquet else [json.loads(line) for line in path.open()]

    export.folder_for = lambda name: tmp_path / name
    return export


def meta(folder: Path, split: str = "train") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "meta" / f"{split}.jsonl").open()]


def left_out(folder: Path) -> Counter[str]:
    return Counter(json.loads(line)["reason"] for line in (folder / "left_out.jsonl").open())


def test_the_folder_is_the_registry():
    assert list(formats()) == FORMATS


def test_an_unknown_format_is_told_with_those_there_are():
    with pytest.raises(KeyError, match="there are dpo, grpo"):
        export_format("csv")


def test_sft_has_a_conversation_for_each_rationale_worth_imitating(exported):
    rows = exported("sft")
    assert len(rows) == 12
    assert list(rows[0]) == ["messages"]
    user, assistant = rows[0]["messages"]
    assert user["role"] == "user"
    assert user["content"].startswith("Mia has 8 apples and picks 0 more.")
    assert assistant == {"role": "assistant", "content": "8 + 0 = 8\n#### 8"}
    assert left_out(exported.folder)["Written by a student"] == 9
    assert left_out(exported.folder)["It answers a given thought"] == 18


def test_rejected_rationales_are_not_imitated(exported):
    rows = exported("sft", roles=["teacher", "student"])
    assert left_out(exported.folder)["Reviewers rejected it"] == 9
    assert not [row for row in rows if row["messages"][1]["content"].endswith("#### 0")]


def test_the_thought_can_stand_between_think_tags_and_is_read_back(exported):
    content = exported("sft", think="tags")[0]["messages"][1]["content"]
    assert content == "<think>\n8 + 0 = 8\n</think>\n\n#### 8"
    assert split_completion(content) == ("8 + 0 = 8", "8")


def test_the_prompt_is_the_one_our_engine_trains_with_unless_asked_otherwise(exported):
    asked = exported("grpo")[0]["prompt"][0]["content"]
    bare = exported("grpo", instruction=False, system_prompt="Be brief.")[0]["prompt"]
    question = bare[1]["content"]
    assert bare[0] == {"role": "system", "content": "Be brief."}
    assert asked == user_text(question)


def test_dpo_pairs_come_from_rankings_and_a_tie_gives_none(exported):
    rows = exported("dpo")
    assert list(rows[0]) == ["prompt", "chosen", "rejected"]
    pairs = meta(exported.folder)
    # Question 0: two tied above a third; the others: one pair each of two ranked ones.
    assert Counter(pair["question"] for pair in pairs).most_common(1)[0][1] == 2
    assert len(rows) == len(pairs) == 2 + 5
    assert rows[2]["chosen"][0]["content"] == "8 + 1 = 9\n#### 9"
    assert rows[2]["rejected"][0]["content"] == "1 plus 8 is 9\n#### 9"
    reason = "No pair: nobody ranked two of its rationales"
    assert left_out(exported.folder)[reason] == 9  # the groups of answers to a given thought


def test_a_margin_drops_pairs_that_differ_little(exported, version, tmp_path):
    with pytest.raises(ValueError, match="no difference is above the margin"):
        exported("dpo", margin=100)


def test_dpo_pairs_come_from_reviews_and_answers_where_asked(exported):
    exported("dpo", pairs_from=["reviews"])
    assert {pair["source"] for pair in meta(exported.folder)} == {"reviews"}
    assert len(meta(exported.folder)) == 6
    exported("dpo", pairs_from=["rankings", "correct"])
    sources = Counter(pair["source"] for pair in meta(exported.folder))
    assert sources == {"rankings": 7, "correct": 10}


def test_best_and_worst_make_one_pair_a_question(exported):
    assert len(exported("dpo", pairs="best_worst", pairs_from=["correct"])) == 6


def test_answers_to_a_given_thought_are_never_paired_with_whole_rationales(exported):
    exported("dpo", pairs_from=["correct", "reviews", "rankings"])
    for pair in meta(exported.folder):
        assert pair["chosen"] != pair["rejected"]
    assert len(meta(exported.folder)) == 17


def test_a_group_of_answers_asks_with_the_thought(exported, version):
    from curation.models import Rationale, Score

    for one in Rationale.objects.exclude(conditioned_on=None):
        right = float(one.answer != "99")
        Score.objects.create(
            rationale=one, scorer="answer_correct", scorer_version="1", value=right
        )
    for conditioned in (False, True):
        again = freeze(version.project, Recipe(conditioned=conditioned), None)
        folder = exported.folder_for(f"apart-{conditioned}")
        export_version(again, "dpo", {"pairs_from": ["correct"]}, folder)
        rows = [json.loads(line) for line in (folder / "data" / "train.jsonl").open()]
        given = [row for row in rows if "Thought:" in row["prompt"][0]["content"]]
        assert len(given) == 6
        assert "8 + 0 = 8" in given[0]["prompt"][0]["content"]
        assert given[0]["chosen"][0]["content"] == "#### 8"
        assert given[0]["rejected"][0]["content"] == "#### 99"


def test_rankings_keep_ties_and_gaps(exported, annotator, second_annotator):
    first, second, *_ = exported("rankings")
    assert first["ranks"] == [[1, 1, 2]]
    assert first["n_annotators"] == 1
    assert first["utility"][0] == first["utility"][1] > first["utility"][2]
    assert second["judges"] == [f"person-{annotator.pk}", f"person-{second_annotator.pk}"]
    assert second["ranks"] == [[1, 2, None], [1, 2, None]]
    assert second["utility"][2] is None


def test_kto_labels_come_from_reviews_or_answers(exported):
    assert [row["label"] for row in exported("kto")[:2]] == [True, False]
    assert Counter(row["label"] for row in exported("kto", label_from="correct")) == {
        True: 12,
        False: 6,
    }


def test_llamafactory_has_single_messages_and_a_dataset_info(exported):
    row = exported("llamafactory")[0]
    assert [turn["role"] for turn in row["messages"]] == ["user"]
    assert row["chosen"]["role"] == row["rejected"]["role"] == "assistant"
    info = json.loads((exported.folder / "dataset_info.json").read_text())
    entry = info["stillroom_train"]
    assert (exported.folder / entry["file_name"]).exists()
    assert (entry["ranking"], entry["formatting"]) == (True, "sharegpt")


def test_openai_has_one_assistant_message_on_each_side(exported):
    row = exported("openai")[0]
    assert list(row) == ["input", "preferred_output", "non_preferred_output"]
    assert len(row["preferred_output"]) == len(row["non_preferred_output"]) == 1


@pytest.mark.parametrize("name", FORMATS)
def test_every_row_has_a_line_of_our_own_facts_and_splits_stay_apart(exported, version, name):
    from curation.models import Question

    rows = exported(name)
    splits = {str(pk): split for pk, split in Question.objects.values_list("pk", "split")}
    known = meta(exported.folder)
    assert [fact["row"] for fact in known] == list(range(len(rows)))
    for split in ("train", "validation", "test"):
        assert {splits[fact["question"]] for fact in meta(exported.folder, split)} == {split}


@pytest.mark.parametrize("parquet", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_datasets_reads_every_format(exported, name, parquet, tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    exported(name, parquet=parquet)
    read = datasets.load_dataset(str(exported.folder), cache_dir=str(tmp_path / "cache"))
    assert set(read) == {"train", "validation", "test"}
    assert read["train"].column_names == export_format(name).SCHEMA.names
    assert len(read["train"]) == len(meta(exported.folder))
    assert read["train"].features == read["test"].features
    alone = datasets.load_dataset(
        "parquet" if parquet else "json",
        data_files=str(next((exported.folder / "data").glob("train.*"))),
        cache_dir=str(tmp_path / "alone"),
    )
    assert alone["train"][0] == read["train"][0]


def test_jsonl_and_parquet_say_the_same(exported, tmp_path):
    import pyarrow.parquet as pq

    rows = exported("rankings")
    exported("rankings", parquet=True)
    assert pq.read_table(exported.folder / "data" / "train.parquet").to_pylist() == rows


def test_no_reader_sees_a_line_end_inside_a_text(exported):
    rows = exported("sft")
    text = (exported.folder / "data" / "train.jsonl").read_text()
    assert len(text.splitlines()) == len(rows)
    assert "\u2028" in rows[0]["messages"][0]["content"]


def test_the_card_tells_where_the_data_come_from(exported, version):
    exported("dpo", margin=0.1)
    card = (exported.folder / "README.md").read_text()
    front = card.split("---\n")[1]
    facts = dict(line.split(": ", 1) for line in front.splitlines())
    assert json.loads(facts["license"]) == "mit"
    assert [entry["split"] for entry in json.loads(facts["configs"])[0]["data_files"]] == [
        "train",
        "validation",
        "test",
    ]
    assert version.sha256 in card
    assert "| teacher | teacher | mit |" in card
    assert "rankings by 2 people and 0 judge models" in card
    assert "manage.py export orchard 1 --format dpo --out FOLDER --set margin=0.1" in card
    assert "orchard tales" in card
    assert "anna" not in card


def test_a_job_makes_a_zip_and_the_same_zip_when_run_again(version, researcher):
    job = ask_for_export(version, "sft", {}, False, researcher)
    assert job.claim()
    perform(job)
    job.refresh_from_db()
    assert (job.status, job.error) == (JobStatus.DONE, "")
    assert job.report["rows"] == {"train": 12, "validation": 4, "test": 2}
    assert job.report["left_out"]["Written by a student"] == 9
    first = fsspec.open(job.file, "rb").open().read()
    with fsspec.open(job.file, "rb") as file, zipfile.ZipFile(file) as archive:
        assert "orchard-v1-sft/README.md" in archive.namelist()
        assert "orchard-v1-sft/data/train.jsonl" in archive.namelist()
    Job.objects.filter(pk=job.pk).update(status=JobStatus.QUEUED)
    assert job.claim()
    perform(job)
    assert fsspec.open(job.file, "rb").open().read() == first


def test_a_job_delivered_twice_runs_once(version, researcher):
    from training.tasks import run_export

    job = ask_for_export(version, "sft", {}, False, researcher)
    run_export(job.pk)
    finished = Job.objects.get(pk=job.pk).finished_at
    run_export(job.pk)
    assert Job.objects.get(pk=job.pk).finished_at == finished
    assert Job.objects.get(pk=job.pk).attempt == 1


def test_a_job_without_a_row_fails_with_a_sentence(version, researcher):
    job = ask_for_export(version, "dpo", {"margin": 50}, False, researcher)
    job.claim()
    perform(job)
    job.refresh_from_db()
    assert job.status == JobStatus.FAILED
    assert "No row of v1 fits the format dpo" in job.error


def test_options_that_make_no_sense_are_refused_before_a_job_is_made(version):
    with pytest.raises(ValueError, match="options of dpo: margin"):
        ask_for_export(version, "dpo", {"margin": -1}, False, None)
    assert not Job.objects.exists()


def test_the_commands_make_a_version_and_an_export(version, project, tmp_path, capsys):
    call_command(
        "snapshot",
        "orchard",
        "--selection",
        "correct",
        "--name",
        "right ones",
        "--set",
        "valid_steps=0",
        "roles=teacher",
        "conditioned=true",
    )
    made = project.dataset_versions.get(number=2)
    assert made.name == "right ones"
    assert made.recipe["selection"] == "correct"
    assert made.recipe["roles"] == ["teacher"]
    assert made.recipe["conditioned"] is True
    out = tmp_path / "out"
    arguments = ["orchard", "2", "--format", "sft", "--out", str(out), "--parquet"]
    call_command("export", *arguments, "--set", "think=tags")
    assert (out / "data" / "train.parquet").exists()
    assert "12 rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["snapshot", "meadow"], "There is no project 'meadow'"),
        (["snapshot", "orchard", "--set", "colour=red"], "colour"),
        (["snapshot", "orchard", "--selection", "best"], "There is no selection 'best'"),
        (["export", "orchard", "9", "--format", "sft", "--out", "x"], "has no version 9"),
        (["export", "orchard", "1", "--format", "csv", "--out", "x"], "There is no format 'csv'"),
    ],
)
def test_commands_that_make_no_sense_end_with_a_sentence(version, arguments, sentence):
    with pytest.raises(CommandError, match=sentence):
        call_command(*arguments)
