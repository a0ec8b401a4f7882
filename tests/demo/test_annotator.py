"""The simulated annotator ranks as a careful person would, with a mistake now and then."""

from training.demo.annotator import grade, judge

QUESTION = "Mia has 3 bags of 4 nuts. She finds 5. How many nuts now?"
RIGHT = "3 * 4 = 12\n12 + 5 = 17\n#### 17"
ALSO_RIGHT = "4 * 3 = 12\n5 + 12 = 17\n#### 17"
LUCKY = "3 * 4 = 13\n12 + 5 = 17\n#### 17"
MISREAD = "3 * 4 = 12\n12 - 5 = 7\n#### 7"
SLIP = "3 * 4 = 12\n12 + 5 = 18\n#### 18"
SHOWN = [SLIP, RIGHT, MISREAD, ALSO_RIGHT, LUCKY]


def test_grades_put_the_answer_before_the_steps():
    assert [grade("17", text) for text in SHOWN] == [0, 3, 1, 3, 2]


def test_a_text_without_answer_or_steps_has_the_lowest_grade():
    assert grade("17", "who knows") == grade("17", "") == 0


def test_equals_share_a_rank_and_only_the_best_are_accepted():
    judgement = judge(QUESTION, "17", SHOWN, seed=0, noise=0.0)
    assert judgement.ranks == [4, 1, 3, 1, 2]
    assert judgement.accepted == [False, True, False, True, False]


def test_the_order_of_the_texts_does_not_matter():
    forth = judge(QUESTION, "17", SHOWN, seed=3, noise=0.5)
    back = judge(QUESTION, "17", SHOWN[::-1], seed=3, noise=0.5)
    assert forth.ranks == back.ranks[::-1]


def test_noise_makes_about_that_many_mistakes():
    shown = [MISREAD, RIGHT]
    accepted = [judge(QUESTION, "17", shown, seed, 0.2).accepted[1] for seed in range(1000)]
    # Half of the mistakes about the best grade go up, where there is nothing.
    assert 0.87 < sum(accepted) / 1000 < 0.93
