"""The answer is hidden where the thought ends with it, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.decoding.leakage import hidden, masked, mentions, without_last_step
from training.measures.rouge import common_subsequence, rouge_l


@pytest.mark.parametrize(
    ("thought", "answer", "shown"),
    [
        ("8 + 3 = 11", "11", "8 + 3 = ?"),
        ("11 apples, 3 eaten\n11 - 3 = 8\nso 8 are left, 8!", "8",
         "11 apples, 3 eaten\n11 - 3 = 8\nso ? are left, ?!"),
        ("8 + 3 = 11\nThat is it.", "11", "8 + 3 = ?\nThat is it."),
        ("It is 11. So 11 it is. Done.", "11", "It is 11. So ? it is. Done."),
        ("It costs 1,000 dollars", "1000", "It costs ? dollars"),
        ("110 and 1.11 and 11.5 and x11", "11", "110 and 1.11 and 11.5 and x11"),
        ("So it is (B).", "B", "So it is (?)."),
        ("A big box, so (A)", "A", "? big box, so (?)"),
        ("Hence Paris, PARIS!", "paris", "Hence ?, ?!"),
        ("nothing of it", "11", "nothing of it"),
        ("8 + 3 = 11", "", "8 + 3 = 11"),
    ],
)  # fmt: skip
def test_mentions_in_the_last_step_that_has_one_are_masked(thought, answer, shown):
    assert hidden(thought, answer, "mask") == shown


def test_the_last_step_is_a_line_or_the_last_sentence_of_one():
    assert without_last_step("8 + 3 = 11\n11 * 2 = 22\n") == "8 + 3 = 11"
    assert without_last_step("Eight. Three. So 11.") == "Eight. Three."
    assert hidden("8 + 3 = 11", "11", "drop_last_step") == ""


def test_none_hides_nothing():
    assert hidden("8 + 3 = 11", "11", "none") == "8 + 3 = 11"


@given(st.text(alphabet="a8. \n?1,", max_size=40), st.sampled_from(["8", "1", "18", "a"]))
def test_what_is_masked_is_never_mentioned_in_the_last_step_again(thought, answer):
    shown = masked(thought, answer)
    before, after = len(mentions(thought, answer)), len(mentions(shown, answer))
    assert after < before or (after == before == 0 and shown == thought)


def plain_lcs(left: list[str], right: list[str]) -> int:
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, a in enumerate(left, start=1):
        for j, b in enumerate(right, start=1):
            longer = max(table[i - 1][j], table[i][j - 1])
            table[i][j] = table[i - 1][j - 1] + 1 if a == b else longer
    return table[-1][-1]


@given(
    st.lists(st.sampled_from("abcd"), max_size=20), st.lists(st.sampled_from("abcd"), max_size=20)
)
def test_the_common_subsequence_is_that_of_the_table(left, right):
    assert common_subsequence(left, right) == plain_lcs(left, right)


def test_rouge_l_on_paper():
    # the cat sat / the cat was here: LCS 2 of 3 and 4 words
    assert rouge_l("The cat sat", "the cat was here") == pytest.approx(4 / 7)
    assert rouge_l("8 + 3 = 11", "8 + 3 = 11") == 1
    assert rouge_l("", "8") == 0
