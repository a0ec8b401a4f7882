"""What changed between two rationales: steps first, then words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from curation.text.diffing import LONGEST, compare

BEFORE = "First 8 + 3 = 12.\nThen we go on.\nSo 12 * 2 = 24.\nDone."
AFTER = "First 8 + 3 = 11.\nThen we go on.\nMind the gap.\nSo 11 * 2 = 22.\nDone."


def signs(before: str, after: str) -> list[str]:
    return [row.sign for row in compare(before, after).rows]


def test_steps_are_aligned_and_words_marked():
    found = compare(BEFORE, AFTER)
    assert [row.sign for row in found.rows] == ["changed", "same", "right", "changed", "same"]
    first = found.rows[0]
    assert first.left_html == "First 8 + 3 = <del>12</del>."
    assert first.right_html == "First 8 + 3 = <ins>11</ins>."
    assert [(row.left, row.right) for row in found.rows][2:4] == [(None, 3), (3, 4)]


def test_the_sentence_says_it_without_colours():
    expected = "Of 5 steps: 2 the same, 2 changed, 1 only in the second."
    assert compare(BEFORE, AFTER).sentence == expected
    assert compare("8 + 3 = 12", "8 + 3 = 11").sentence == "Of 1 step: 0 the same, 1 changed."
    assert compare(BEFORE, BEFORE).sentence == "Both say the same, step for step."


def test_spaces_and_calculator_marks_make_no_difference():
    assert signs("48/2 = <<48/2=24>>24\n\nDone", "48/2  = 24\nDone") == ["same", "same"]


def test_steps_that_share_no_words_are_not_paired():
    assert signs("Apples are red.\nEnd.", "Wholly other words here.\nEnd.") == [
        "left",
        "right",
        "same",
    ]


def test_what_models_write_is_escaped():
    row = compare("a <script>alert(1)</script>", "a <b onclick=x>b</b>").rows[0]
    assert "<script" not in row.left_html
    assert "<b" not in row.right_html


def test_a_step_on_one_side_alone_is_shown_as_it_is_read_elsewhere():
    first, second = compare("Apples are red.", r"So <i>\(\frac{1}{2}\)</i>.").rows
    assert first.left_html == '<del class="whole"><p>Apples are red.</p></del>'
    assert second.right_html == (
        '<ins class="whole"><p>So &lt;i&gt;<span class="math">\\frac{1}{2}</span>&lt;/i&gt;.</p>'
        "</ins>"
    )


def test_two_steps_of_endless_words_are_shown_whole_with_their_formulas():
    row = compare(r"\(a\) " + "word and " * 400, r"\(b\) " + "word and " * 400).rows[0]
    assert row.left_html.startswith('<del class="whole"><p><span class="math">a</span>')
    assert row.right_html.startswith('<ins class="whole"><p><span class="math">b</span>')


def test_a_formula_in_a_step_that_changed_in_some_words_is_set_and_changes_as_a_whole():
    left = r"So we take $\frac{1}{2}$ of \(6 + 4\) and get \boxed{5}."
    (row,) = compare(left, left.replace("4", "2").replace("5", "4")).rows
    assert row.left_html == (
        r'So we take <span class="math">\frac{1}{2}</span> of '
        r'<del><span class="math">6 + 4</span></del> and get '
        r'<del><span class="math">\boxed{5}</span></del>.'
    )
    assert row.right_html.count("<ins>") == 2


def test_prices_and_escaped_marks_are_no_formulas():
    left = r"It costs $5 and $10, or \$3 and \$4_a, in all a lot."
    (row,) = compare(left, left.replace("10", "12")).rows
    assert "math" not in row.left_html + row.right_html
    assert "<del>10</del>" in row.left_html


def test_a_number_and_a_command_are_one_word():
    row = compare("It is 1,200 or \\frac here", "It is 1,300 or \\dfrac here").rows[0]
    assert "<del>1,200</del>" in row.left_html
    assert "<ins>\\dfrac</ins>" in row.right_html


@given(st.text("ab c.\n1", max_size=200), st.text("ab c.\n1", max_size=200))
def test_every_step_appears_once_on_its_side(left, right):
    rows = compare(left, right).rows
    for side in ("left", "right"):
        numbers = [getattr(row, side) for row in rows if getattr(row, side)]
        assert numbers == list(range(1, len(numbers) + 1))


def test_endless_texts_are_compared_as_far_as_it_makes_sense():
    found = compare("word and word " * 10_000, "word or word " * 10_000)
    assert found.left_out == 270_000 - 2 * LONGEST
    assert found.rows
