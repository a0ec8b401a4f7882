"""BRIDGE's two rewards: first right, then in the format, then shorter than the teacher.

Both give -2 for a wrong answer and -1 for a right one in the wrong format. Above that, with words
W and steps S (lines) of the completion, and W_t, S_t of the teacher's rationale of the question:

`length_bridge` (stage 2, filling in masked steps), in [-2, 2.1]:

    1 + 0.3 min(max(S_t - S, 0), 3) + l(W),   B = 35 S_t
    l(W) = -min(0.01 (W - B), 1)   for W > B
           -0.002 (W - 0.8 B)      for 0.8 B < W <= B
           min(0.001 (0.8 B - W), 0.2)   otherwise

`length_bridge_rewrite` (stage 3, the teacher's solution written shorter), in [-2, 1.8], r = W/W_t:

    1 + c(r)
    c(r) = -0.5 min(r - 1, 1)              for r > 1
           0                               for 0.8 < r <= 1
           0.5 (0.8 - r) / 0.3             for 0.5 < r <= 0.8
           0.5 + 0.3 min((0.5 - r)/0.3, 1) otherwise

Source: the code of BRIDGE (2602.17686), GSM8K with Qwen2.5-3B. Departure: theirs reads the prompt
along with the completion, so a number in the question could pass for an answer; ours never does.
The released code leaves open whose steps set B; here they are the teacher's, so that it is the same
for the whole group.

Traps: B is 35 words a step; for terser rationales W never comes near it and l hardly varies.
None where the question has no teacher's rationale to compare with, or no reference answer.
"""

from __future__ import annotations

from training.decoding.record import Question
from training.rewards.answer import answer_correct
from training.rewards.format import format_kept
from training.rewards.sample import Sample

WORDS_PER_STEP = 35


def length_bridge(question: Question, sample: Sample) -> float | None:
    """Stage 2. Compares steps and words with what the teacher's steps allow."""
    base, teacher = hierarchy(question, sample), teacher_thought(question)
    if base is None or not teacher:
        return None
    if base < 1:
        return base
    saved = min(max(step_count(teacher) - step_count(sample.thought), 0), 3)
    budget = WORDS_PER_STEP * step_count(teacher)
    return 1 + 0.3 * saved + length_term(word_count(sample.thought), budget)


def length_bridge_rewrite(question: Question, sample: Sample) -> float | None:
    """Stage 3. Compares words with the teacher's words."""
    base, teacher = hierarchy(question, sample), teacher_thought(question)
    if base is None or not teacher:
        return None
    if base < 1:
        return base
    return 1 + compression_term(word_count(sample.thought) / word_count(teacher))


def hierarchy(question: Question, sample: Sample) -> float | None:
    """-2 for wrong, -1 for a bad format, else 1; None where nobody can tell."""
    correct = answer_correct(question, sample)
    if not correct:
        return None if correct is None else -2.0
    return 1.0 if format_kept(question, sample) else -1.0


def length_term(words: int, budget: float) -> float:
    """l(W) of stage 2, in [-1, 0.2]."""
    if words > budget:
        return -min(0.01 * (words - budget), 1.0)
    over = words - 0.8 * budget
    return -0.002 * over if over > 0 else min(-0.001 * over, 0.2)


def compression_term(ratio: float) -> float:
    """c(r) of stage 3, in [-0.5, 0.8]."""
    if ratio > 1:
        return -0.5 * min(ratio - 1, 1.0)
    if ratio > 0.8:
        return 0.0
    if ratio > 0.5:
        return 0.5 * (0.8 - ratio) / 0.3
    return 0.5 + 0.3 * min((0.5 - ratio) / 0.3, 1.0)


def teacher_thought(question: Question) -> str:
    """The thought that answers were drawn after, or the first rationale not by a student."""
    if question.thought and question.thought.strip():
        return question.thought
    thoughts = (c.thought for c in question.completions if c.role != "student")
    return next((thought for thought in thoughts if thought.strip()), "")


def step_count(thought: str) -> int:
    """Lines that say something: the renderer asks for one step a line."""
    return sum(bool(line.strip()) for line in thought.splitlines())


def word_count(thought: str) -> int:
    """Words between blanks."""
    return len(thought.split())


REWARDS = {"length_bridge": length_bridge, "length_bridge_rewrite": length_bridge_rewrite}
