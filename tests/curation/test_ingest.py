"""Import: every row is taken in once or left out with its reason."""

import io
import json
import uuid
from importlib import import_module

import pyarrow
import pyarrow.parquet
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.ingest import load, readers
from curation.ingest import report as notes
from curation.ingest.answers import kind_of, split_answer
from curation.ingest.load import Loader
from curation.ingest.mapping import checked, from_file, guessed
from curation.ingest.plan import Plan, begin
from curation.ingest.readers import Table
from curation.ingest.record import UnreadableFile
from curation.ingest.report import Report
from curation.models import LanguageModel, Question, Rationale
from curation.signals import rationales_stored
from tests.make import make_question


def rows_of(content: bytes, name: str = "rows.jsonl"):
    return list(Table(io.BytesIO(content), name))


def run_import(project, content, name="rows.jsonl", **plan):
    if not isinstance(content, bytes):
        content = b"\n".join(json.dumps(row).encode() for row in content)
    reading, rows = begin(Plan(file="", name=name, **plan), Table(io.BytesIO(content), name))
    return Loader(project, reading, uuid.uuid4()).load(rows, lambda report: None)


def parquet_of(rows) -> bytes:
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), out)
    return out.getvalue()


# Readers

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
some_rows = st.lists(
    st.fixed_dictionaries({"question": texts, "answer": texts}), min_size=1, max_size=8
)


@given(some_rows)
@settings(max_examples=60)
def test_every_json_row_comes_back_as_it_was(rows):
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    assert [row.fields for row in rows_of(lines)] == rows
    for whole in (rows, {"version": 1, "data": rows}):
        for indent in (None, 2):
            encoded = json.dumps(whole, indent=indent).encode()
            assert [row.fields for row in rows_of(encoded, "rows.json")] == rows


@given(some_rows)
@settings(max_examples=60)
def test_every_csv_row_comes_back_as_it_was(rows):
    csv = import_module("csv")
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, ["question", "answer"], quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    assert [row.fields for row in rows_of(out.getvalue().encode(), "rows.csv")] == rows


@given(some_rows)
@settings(max_examples=30)
def test_every_parquet_row_comes_back_as_it_was(rows):
    assert [row.fields for row in rows_of(parquet_of(rows), "rows.parquet")] == rows


def test_a_json_list_is_read_in_pieces_however_the_pieces_fall(monkeypatch):
    monkeypatch.setattr(readers, "CHUNK", 7)
    rows = [{"question": f'wörd {n} \\ " ] }}', "n": n} for n in range(50)]
    text = io.BytesIO(json.dumps(rows, ensure_ascii=False).encode())
    assert [row.fields for row in readers._json_items(readers._Text(text))] == rows


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        (b"", "a.jsonl", "The file is empty."),
        (b" \n\n", "a.json", "The file is empty."),
        (b"\xff\xfe{\x00", "a.json", "UTF-16"),
        (b"\x1f\x8b\x08", "a.jsonl.gz", "gzip"),
        (b"PK\x03\x04", "a.xlsx", "spreadsheet"),
        (b'{"one":\n{"deep": 1}}', "a.json", "without a list of rows"),
        (b'{"data', "a.json", "was cut short"),
        (b"question,question\n1,2\n", "a.csv", "two columns named question"),
        (b"PAR1 and nothing else", "a.parquet", "damaged"),
        (b"nonsense", "a.json", r"neither with \[ nor with {"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_one_sentence(content, name, sentence):
    with pytest.raises(UnreadableFile, match=sentence) as told:
        rows_of(content, name)
    assert "\n" not in str(told.value)


def test_a_json_file_that_was_cut_short_gives_its_whole_rows_and_says_so():
    first, last = rows_of(b'[{"question": "a"}, {"question": "b', "a.json")
    assert first.fields == {"question": "a"}
    assert "cut short" in last.problem


def test_json_that_goes_wrong_in_the_middle_keeps_what_came_before():
    *good, bad = rows_of(b'[{"q": 1}, {"q": 2} {"q": 3}]', "a.json")
    assert [row.fields["q"] for row in good] == [1, 2]
    assert "comma is missing" in bad.problem


def test_a_bad_line_is_named_with_its_reason_and_the_rest_is_read():
    content = b'\xef\xbb\xbf{"q": 1}\nnope\n[1]\n{"q": "\xff"}\n\n{"q": "\\ud800"}\n{"q": 2}'
    rows = rows_of(content)
    assert [(row.line, row.fields) for row in rows if not row.problem] == [
        (1, {"q": 1}),
        (7, {"q": 2}),
    ]
    told = {row.line: row.problem for row in rows if row.problem}
    assert "not JSON" in told[2]
    assert "a list, not an object" in told[3]
    assert "byte 0xff at position 8" in told[4]
    assert "surrogate" in told[6]


def test_csv_names_the_line_of_bytes_that_are_no_text_and_of_values_too_many():
    content = b'q;a\n"two\nlines";1\nx;\xe9\n1;2;3\ny;2\n'
    rows = rows_of(content, "a.csv")
    assert [row.fields for row in rows if not row.problem] == [
        {"q": "two\nlines", "a": "1"},
        {"q": "y", "a": "2"},
    ]
    assert [(row.line, row.problem) for row in rows if row.problem] == [
        (4, "byte 0xe9 is not UTF-8"),
        (5, "3 values for 2 columns"),
    ]


def test_a_line_without_end_is_passed_over(monkeypatch):
    monkeypatch.setattr(readers, "ROW_LIMIT_BYTES", 1000)
    rows = rows_of(b'{"q": 1}\n{"q": "' + b"x" * 9000 + b'"}\n{"q": 2}')
    assert [bool(row.problem) for row in rows] == [False, True, False]


def test_nul_is_taken_out_and_counted():
    content = b'{"q": "a\\u0000b", "m": {"k": ["\\u0000"]}}\n{"q": "raw\x00"}'
    first, second = rows_of(content)
    assert (first.fields, first.nuls) == ({"q": "ab", "m": {"k": [""]}}, 2)
    assert (second.fields, second.nuls) == ({"q": "raw"}, 1)


def test_a_json_file_with_an_object_a_line_is_read_as_lines():
    assert len(rows_of(b'{"question": "a"}\n{"question": "b"}\n', "a.json")) == 2


# Answers


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("48/2 = <<48/2=24>>24\n#### 72", "48/2 = <<48/2=24>>24", "72"),
        ("one\nA: -1.8 billion", "one", "-1.8 billion"),
        ("one\n\nFinal Answer: 7.5", "one", "7.5"),
        (r"\[ 144 / 4 = 36 \] Answer: 36", r"\[ 144 / 4 = 36 \]", "36"),
        ("so it goes\n**Answer:** 5", "so it goes", "5"),
        ("#### 5", "", "5"),
        ("Plan A: buy\nthen eat", "Plan A: buy\nthen eat", ""),
        ("cut off at Final Answer", "cut off at Final Answer", ""),
        ("first #### 1\n#### 2", "first #### 1", "2"),
    ],
)
def test_the_last_mark_divides_thought_from_answer(text, thought, answer):
    assert split_answer(text) == (thought, answer)


def test_the_kind_of_an_answer_is_what_it_looks_like():
    kinds = {"72": "number", "$1,234.50": "number", "-3/4": "number", "40 %": "number"}
    kinds |= {"B": "choice", "(c)": "choice", "Paris": "text", "": "open", "x\ny": "open"}
    assert {answer: kind_of(answer) for answer in kinds} == kinds


# Shapes


def test_gsm8k_gives_a_human_rationale_with_its_calculator_marks(project):
    rows = [{"question": "How many?", "answer": "48/2 = <<48/2=24>>24\n#### 24"}]
    report = run_import(project, rows, "gsm8k_test.jsonl")
    question = Question.objects.get()
    assert (question.split, question.reference_answer) == ("test", "24")
    assert (question.source, question.answer_kind) == ("gsm8k_test", "number")
    rationale = question.rationales.get()
    assert (rationale.role, rationale.author) == ("human", "GSM8K authors")
    assert (rationale.thought, rationale.answer) == ("48/2 = <<48/2=24>>24", "24")
    assert report.questions_added == report.rationales_added == 1


def test_the_ground_truth_is_the_human_solution_and_not_a_second_one(project):
    run_import(project, [{"question": "How many?", "answer": "2 + 2 = 4\n#### 4"}], split="test")
    row = {
        "question": "How  many?",
        "ground_truth": "2 + 2 = 4\nA: 4",
        "6b": {"is_correct": False, "solution": "2 + 2 = 5\nA: 5"},
        "175b": {"is_correct": True, "solution": "2 + 2 = 4\nA: 4"},
    }
    report = run_import(project, [row])
    assert (report.questions_known, report.rationales_known, report.rationales_added) == (1, 1, 2)
    found = Rationale.objects.values_list("role", "author_model__name", "answer")
    assert set(found) == {
        ("human", "GSM8K authors", "4"),
        ("teacher", "6b", "5"),
        ("teacher", "175b", "4"),
    }


def test_a_teacher_and_a_failed_student_come_without_furniture(project):
    row = {
        "question": "How many?",
        "gold_answer": "36",
        "token_count": 186,
        "response": "Step 1: 35\n\nFinal Answer: 35",
        "teacher_cot": "Thinking…\nFirst, count.\n\n144 / 4 = 36 **\n\nAnswer: 36",
    }
    run_import(project, [row], names={"student": "Tiny 1B"})
    teacher, student = Rationale.objects.order_by("-role")
    assert teacher.author == "DeepSeek-R1-Distill-Qwen-14B"
    assert (teacher.thought, teacher.answer) == ("First, count.\n\n144 / 4 = 36", "36")
    assert (student.author, student.role) == ("Tiny 1B", "student")
    assert (student.thought, student.answer, student.token_count) == ("Step 1: 35", "35", 186)


def test_a_response_that_was_cut_off_has_no_answer(project):
    row = {"question": "How many?", "gold_answer": "3", "teacher_cot": "3", "response": "I think 1"}
    report = run_import(project, [row])
    assert Rationale.objects.get(role="student").answer == ""
    assert any("1 rationale does not end with" in note for note in report.as_json()["notes"])


@pytest.mark.parametrize("note", notes.ONE)
def test_one_thing_is_told_of_as_one(note):
    report = Report(rows=9, questions_added=9)
    report.note(note, 4)
    assert report.as_json()["notes"] == [f"1 {notes.ONE[note]} In row 4."]
    report.note(note, 7)
    assert report.as_json()["notes"] == [f"2 {note} In row 4, 7."]


def test_an_import_writes_the_keys_that_the_model_would(project):
    run_import(project, [{"question": "2 + 2?", "answer": "4", "rationales": ["Two and two. 4"]}])
    stored = Rationale.objects.get()
    keys = stored.draw_key, stored.content_hash
    stored.fill_keys()
    assert (stored.draw_key, stored.content_hash) == keys


def test_plain_rows_take_one_rationale_or_several_with_or_without_names(project):
    rows = [
        {"id": 7, "problem": "a?", "answer": "1", "solution": "so", "level": 3, "split": "dev"},
        {"problem": "b?", "answer": "2", "rationales": ["one\n#### 2", "two"], "model": "m"},
        {
            "problem": "c?",
            "answer": "B",
            "rationales": [{"thought": "t", "answer": "B", "model": "x", "role": "student"}],
        },
        {"problem": "d?", "answer": ""},
    ]
    run_import(project, rows)
    first = Question.objects.get(external_id="7")
    assert (first.split, first.metadata) == ("validation", {"level": 3})
    assert first.rationales.get().answer == "1"
    several = Rationale.objects.filter(question__text="b?").order_by("id")
    assert [(r.role, r.author, r.answer) for r in several] == [
        ("teacher", "m", "2"),
        ("teacher", "m", ""),
    ]
    assert Rationale.objects.get(question__text="c?").author == "x"
    assert Question.objects.get(text="d?").answer_kind == "open"


def test_a_csv_cell_may_hold_a_list_of_rationales(project):
    run_import(project, b'question,answer,rationales\nq?,1,"[""one"", ""two""]"\n', "a.csv")
    assert Rationale.objects.count() == 2


def test_parquet_goes_in_as_json_does(project):
    rows = [{"question": "a?", "answer": "1", "rationales": [{"text": "so", "model": "m"}]}]
    run_import(project, parquet_of(rows), "a.parquet")
    assert Rationale.objects.get().author == "m"


# Mapping


def test_a_mapping_reads_what_no_shape_knows(project):
    fields = {"Frage": "question", "Lösung": "reference_answer", "a": "teacher_rationale"}
    fields |= {"b": "teacher_rationale", "x": "ignore", "y": "metadata"}
    rows = [{"Frage": "Wie viele?", "Lösung": "3", "a": "1 + 2\n#### 3", "b": "4", "x": 1, "y": 2}]
    with pytest.raises(UnreadableFile, match="shape of this file is not known"):
        run_import(project, rows)
    run_import(project, rows, mapping=fields)
    question = Question.objects.get()
    assert (question.reference_answer, question.metadata) == ("3", {"y": 2})
    assert {(r.author, r.thought, r.answer) for r in question.rationales.all()} == {
        ("a", "1 + 2", "3"),
        ("b", "4", ""),
    }


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"a": "reference_answer"}, "which field holds the question"),
        ({"a": "question", "b": "question"}, "Only one field can be “Question”, not a and b"),
        ({"a": "question", "b": "poem"}, "names 'poem', which no field can be"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused(fields, sentence):
    with pytest.raises(UnreadableFile, match=sentence):
        checked(fields)


def test_a_mapping_file_must_be_an_object_of_names():
    for text in ("[1]", '{"a": 1}', "nope"):
        with pytest.raises(UnreadableFile, match="mapping"):
            from_file(text)


def test_a_guess_gives_each_role_to_one_field():
    guess = guessed(["prompt", "gold", "response", "level"])
    assert guess == {
        "prompt": "question",
        "gold": "reference_answer",
        "response": "student_rationale",
        "level": "metadata",
    }


# Loading


def test_bad_rows_never_stop_the_rest_and_every_row_is_accounted_for(project):
    make_question(project, "Taken?", external_id="taken")
    content = b"\n".join(
        [
            b'{"question": "good?", "answer": "1"}',
            b"broken",
            b'{"question": "", "answer": "1"}',
            b'{"question": ["no"], "answer": "1"}',
            b'{"question": "split?", "answer": "1", "split": "holdout"}',
            b'{"question": "identifier?", "answer": "1", "id": "taken"}',
            b'{"question": "long?", "answer": "1", "id": "' + b"x" * 300 + b'"}',
            *[b'{"question": "fine %d?", "answer": "1"}' % n for n in range(30)],
        ]
    )
    report = run_import(project, content)
    told = {entry["line"]: (entry["field"], entry["reason"]) for entry in report.left_out}
    assert told[2][1].startswith("not JSON")
    assert told[3] == ("question", "is missing or empty")
    assert told[4] == ("question", "holds list, not text")
    assert told[5][0] == "split"
    assert told[6] == ("external_id", "'taken' already names another question")
    assert told[7][0] == "external_id"
    assert report.questions_added == 31
    assert report.rows == 37 == 31 + report.questions_known + report.left_out_total


def test_what_the_database_refuses_is_left_out_alone(project, monkeypatch):
    monkeypatch.setattr(load, "refuse_too_long", lambda draft: None)
    rows = [{"question": f"q{n}?", "answer": "1"} for n in range(20)]
    rows[13]["id"] = "x" * 300
    report = run_import(project, rows)
    assert report.questions_added == 19
    assert report.left_out[0]["line"] == 14
    assert "the database refused it" in report.left_out[0]["reason"]


def test_importing_twice_adds_nothing_and_says_so(project):
    rows = [{"question": f"q{n}?", "answer": f"{n}\n#### {n}"} for n in range(600)]
    assert run_import(project, rows).rationales_added == 600
    again = run_import(project, rows)
    assert (again.questions_added, again.rationales_added) == (0, 0)
    assert (again.questions_known, again.rationales_known) == (600, 600)
    assert again.as_json()["notes"][0].startswith("Nothing was added")
    assert Question.objects.count() == Rationale.objects.count() == 600


def test_one_text_twice_in_a_file_is_one_question(project):
    report = run_import(project, [{"question": "a?", "answer": "1"}] * 3)
    assert (report.questions_added, report.questions_known) == (1, 2)


def test_a_known_question_keeps_its_split_and_answer_and_the_report_says_so(project):
    known = make_question(project, "a?", split="test", reference_answer="1")
    blank = make_question(project, "b?", reference_answer="")
    rows = [{"question": "a?", "answer": "2"}, {"question": "b?", "answer": "3"}]
    notes = " ".join(run_import(project, rows).as_json()["notes"])
    known.refresh_from_db()
    blank.refresh_from_db()
    assert (known.split, known.reference_answer, blank.reference_answer) == ("test", "1", "3")
    assert "another split" in notes
    assert "another reference answer" in notes
    assert "In row 1." in notes


@pytest.mark.parametrize(
    ("given", "field", "name", "split"),
    [
        ("validation", "test", "train.jsonl", "validation"),
        ("", "test", "train.jsonl", "test"),
        ("", "", "my-dev-set.jsonl", "validation"),
        ("", "", "contest.jsonl", "train"),
    ],
)
def test_the_split_is_the_persons_then_the_rows_then_the_names(project, given, field, name, split):
    rows = [{"question": "a?", "answer": "1", "split": field}]
    run_import(project, rows, name, split=given)
    assert Question.objects.get().split == split


def test_an_author_that_is_here_already_is_not_made_again(project):
    model = LanguageModel.objects.create(project=project, name="m", provider="local", uri="/m")
    run_import(project, [{"question": "a?", "answer": "1", "rationale": "so", "model": "m"}])
    assert Rationale.objects.get().author_model == model


@pytest.mark.django_db(transaction=True)
def test_each_batch_is_announced_after_it_is_stored(project):
    heard = []

    def listen(project, rationale_ids, batch, **kwargs):
        heard.append((project, sorted(rationale_ids), batch))

    rationales_stored.connect(listen)
    try:
        run_import(project, [{"question": "a?", "answer": "1\n#### 1"}])
    finally:
        rationales_stored.disconnect(listen)
    rationale = Rationale.objects.get()
    assert heard == [(project, [rationale.pk], rationale.batch)]


def test_two_projects_hold_the_same_question_apart(project):
    from curation.models import Project

    other = Project.objects.create(slug="other", name="Other")
    for where in (project, other):
        assert run_import(where, [{"question": "a?", "answer": "1"}]).questions_added == 1


# The real files

COUNTS = {
    "gsm8k_train.jsonl": (7473, 7473),
    "gsm8k_test.jsonl": (1319, 1319),
    "gsm8k_model_solutions.jsonl": (1319, 1319 * 5),
    "gsm8k_r1_teacher_and_student_failures.json": (568, 568 * 2),
}


@pytest.mark.slow
@pytest.mark.parametrize("backwards", [False, True], ids=["as published", "backwards"])
def test_the_four_real_files_go_in_whole_in_any_order(project, shared_data, backwards):
    for name in sorted(COUNTS, reverse=backwards):
        report = run_import(project, (shared_data / name).read_bytes(), name)
        rows, rationales = COUNTS[name]
        assert report.questions_added + report.questions_known == rows
        assert report.rationales_added + report.rationales_known == rationales
        assert report.left_out_total == 0
    assert Question.objects.filter(split="train").count() == 7473
    assert Question.objects.filter(split="test").count() == 1319
    assert Rationale.objects.filter(role="human").count() == 7473 + 1319
    assert Rationale.objects.filter(role="student").count() == 568
    teachers = Rationale.objects.filter(role="teacher")
    assert teachers.filter(author_model__name="DeepSeek-R1-Distill-Qwen-14B").count() == 568
    assert teachers.filter(question__split="test").count() == 1319 * 4
    again = run_import(project, (shared_data / "gsm8k_test.jsonl").read_bytes(), "gsm8k_test.jsonl")
    assert (again.questions_added, again.rationales_added) == (0, 0)


# The command


def test_the_command_makes_the_project_and_prints_the_report(db, tmp_path, capsys):
    file = tmp_path / "rows_test.jsonl"
    file.write_text('{"question": "a?", "answer": "1"}\nbroken\n')
    left_out = tmp_path / "left-out.jsonl"
    out = io.StringIO()
    call_command(
        "import", "new-one", str(file), create=True, source="mine", left_out=left_out, stdout=out
    )
    question = Question.objects.get(project__slug="new-one")
    assert (question.split, question.source) == ("test", "mine")
    assert "row 2: not JSON" in out.getvalue()
    assert json.loads(left_out.read_text())["line"] == 2


def test_the_command_fails_only_if_nothing_could_be_read(project, tmp_path):
    for content, sentence in (
        ("", "The file is empty"),
        ('{"question": "", "answer": "1"}', "no row could be taken in"),
    ):
        file = tmp_path / "rows.jsonl"
        file.write_text(content)
        with pytest.raises(CommandError, match=sentence):
            call_command("import", project.slug, str(file), stdout=io.StringIO())
    with pytest.raises(CommandError, match="There is no project 'nowhere'"):
        call_command("import", "nowhere", str(file))
    with pytest.raises(CommandError, match="cannot be opened"):
        call_command("import", project.slug, str(tmp_path / "absent.jsonl"))


def test_the_command_takes_a_mapping_and_names(project, tmp_path):
    file, mapping = tmp_path / "rows.csv", tmp_path / "mapping.json"
    file.write_text("frage,weg\na?,so\n#### 3\n".replace("so\n#### 3", '"so\n#### 3"'))
    mapping.write_text('{"frage": "question", "weg": "teacher_rationale"}')
    call_command(
        "import", project.slug, str(file), mapping=mapping, set=["teacher=R1"], stdout=io.StringIO()
    )
    assert Rationale.objects.get().author == "R1"
