"""A thought is cut into the same steps for ever, and each step is rechecked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from curation.text.reading import FIRST, part
from curation.text.stepping import LONGEST, Finding, StepsSaid, cut, findings
from training.stepping import check

QUESTION = "Natalia sold clips to 48 friends in April, and half as many in May."


def texts(thought: str) -> list[str]:
    return [step.text for step in cut(thought)]


def test_a_line_is_a_step():
    assert texts("8 + 3 = 11\n\n  So 11.  \n") == ["8 + 3 = 11", "So 11."]


def test_the_rail_reads_arabic_indic_digits_in_question_and_step():
    right, wrong = check(["٨ + ٣ = ١١", "١١ + ٩ = ٢١"], "كان لديها ٨ تفاحات و ٣ برتقالات")
    assert right == [Finding("holds", "8 + 3 = 11")]
    assert wrong == [Finding("wrong", "11 + 9 = 21", "20"), Finding("nowhere", "9")]


def test_a_paragraph_is_cut_by_its_sentences():
    thought = "First, e.g. 3.5 + 1 = 4.5. Then she, i.e. Ann, pays $4.50 is left! Is it? Yes."
    assert texts(thought) == [
        "First, e.g. 3.5 + 1 = 4.5.",
        "Then she, i.e. Ann, pays $4.50 is left!",
        "Is it?",
        "Yes.",
    ]
    assert texts("So $x = 3. Y$ holds. Done.") == ["So $x = 3. Y$ holds.", "Done."]
    assert texts("答えは三です。次に四。") == ["答えは三です。", "次に四。"]
    assert texts("1. a point of a list") == ["1. a point of a list"]


def test_formulas_code_and_tables_stay_whole():
    thought = "So\n\\[\nx = 3\n\n+ 4\n\\]\n```\na\n\nb\n```\n| a | b |\n|---|---|\n| 1 | 2 |\nDone"
    assert texts(thought) == [
        "So",
        "\\[\nx = 3\n\n+ 4\n\\]",
        "```\na\n\nb\n```",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "Done",
    ]


def test_what_is_never_closed_swallows_nothing():
    assert len(texts("\\[ x\nb\nc")) == 3
    assert len(texts("```\n" + "a line\n" * 1000)) == 1001


@given(st.text(alphabet="ab.1 $\n\\[]`|\u0661\u3002", max_size=300))
def test_steps_lie_in_the_thought_in_order_and_lose_no_word(thought):
    steps, end = cut(thought), 0
    for number, step in enumerate(steps, 1):
        assert step.number == number
        assert end <= step.start < step.end <= len(thought)
        assert step.text == thought[step.start : step.end] == step.text.strip()
        assert not thought[end : step.start].strip()
        end = step.end
    assert not thought[end:].strip()


@given(st.integers(1, 6), st.dictionaries(st.integers(1, 6), st.sampled_from(["good", "bad"])))
def test_labels_are_said_shortly_and_mean_the_same(count, labels):
    labels = {step: label for step, label in labels.items() if step <= count}
    assert StepsSaid.gathered(labels, count).spread(count) == labels


def test_the_first_wrong_step_says_that_those_before_it_are_good():
    assert StepsSaid(3, {5: "neutral"}).spread(6) == {1: "good", 2: "good", 3: "bad", 5: "neutral"}
    assert StepsSaid(0).spread(2) == {1: "good", 2: "good"}
    assert StepsSaid().spread(2) == {}


def test_no_step_is_endless():
    assert max(len(text) for text in texts("word " * 20_000)) <= LONGEST
    assert max(len(text) for text in texts("x" * 20_000)) <= LONGEST


def test_arithmetic_is_recomputed():
    first, second = check(["8 + 3 = 12, alas", "12 / 2 = <<12/2=6>>6"], "8 and 3, by 2")
    assert first == [Finding("wrong", "8 + 3 = 12", "11")]
    assert second == [Finding("holds", "12/2 = 6")]


def test_a_truth_is_written_as_people_write_it():
    found = check(["1 / 3 = 0.5", "3 / 4 = 0.9", "1 / 4 = 30%"], "1 3 4")
    assert [step[0].truth for step in found] == ["≈ 0.333333", "0.75", "25%"]


def test_a_number_from_nowhere_is_named_and_a_result_is_a_source():
    one, two = check(["48/2 = 24", "48 + 24 + 7 = 79"], QUESTION)
    assert [finding.kind for finding in one] == ["holds"]
    assert Finding("nowhere", "7") in two
    assert Finding("nowhere", "24") not in two


def test_what_training_finds_reaches_curation():
    assert findings(cut("8 + 3 = 12"), "8 and 3")[0][0].truth == "11"


def test_hints_can_be_kept_from_sight():
    assert part("8 + 3 = 12").steps[0].remarks
    assert not part("8 + 3 = 12", hints=False).steps[0].remarks


def test_a_long_rationale_is_folded_and_read_part_by_part():
    thought = "\n".join(f"Step {n}: {n} + 1 = {n + 1}." for n in range(9000))
    assert len(thought) > 200_000
    shown = part(thought)
    assert sum(len(step.html) for step in shown.steps) < 2 * FIRST
    assert shown.count == 9000
    seen = len(shown.steps)
    while shown.goes_on:
        shown = part(thought, after=shown.goes_on, room=60_000, hints=False)
        seen += len(shown.steps)
    assert seen == 9000


def test_a_short_rest_is_not_folded_away():
    thought = "\n".join(["word " * 10] * 130)
    assert FIRST < len(thought) < FIRST * 1.25
    assert part(thought).goes_on == 0
