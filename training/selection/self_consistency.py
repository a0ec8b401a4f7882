"""Self-consistency: keep the rationales whose answer is that of the majority.

    share(a) = votes for a / all votes        keep r if answer(r) = argmax share and share >= 0.6

Every rationale of a question votes with its answer in canonical form: the number's value, the
choice's letter, the text in lower case without punctuation. No reference answer is needed, so it
filters questions that have none (Wang et al., ICLR 2023, take the majority; a filter at a share of
0.6 is ours).

Traps: an answer that cannot be read is a class of its own, and it counts among the votes; a tie at
the top abstains, and so does a majority of the unreadable. Answers drawn after one and the same
thought are no independent votes, so they do not vote, but they are judged by the vote. The most
frequent answer is not the right one: look at `correct` beside it where there is a reference.
"""

from __future__ import annotations

from collections import Counter
from decimal import Context, Decimal
from fractions import Fraction

from pydantic import Field

from training.rewards.answer import choice, normalised, numbers
from training.selection import Verdict
from training.selection.record import Asked, Settings

TITLE = "Self-consistent"
HELP = "Rationales that agree with the majority of their question's answers."


class Config(Settings):
    """What counts as a majority."""

    share: float = Field(
        0.6,
        gt=0,
        le=1,
        title="Least share of the votes",
        description="Below it the question abstains: all of its rationales are left out.",
    )
    votes: int = Field(
        3,
        ge=1,
        le=10_000,
        title="Fewest votes",
        description="A question with fewer rationales abstains.",
    )


def select(question: Asked, config: Config) -> list[Verdict]:
    """Keep those that give the majority's answer."""
    answers = [canonical(one.answer, question) for one in question.candidates]
    voters = [
        answer
        for answer, one in zip(answers, question.candidates, strict=True)
        if one.conditioned_on is None
    ]
    winner, abstains = elected(voters, config)
    if abstains:
        return [abstains] * len(answers)
    return [None if answer == winner else disagreement(answer) for answer in answers]


def elected(votes: list[str | None], config: Config) -> tuple[str | None, str | None]:
    """The majority's answer; or none, and why the question abstains."""
    if len(votes) < config.votes:
        return None, f"Its question has fewer than {config.votes} votes"
    (winner, count), *others = Counter(votes).most_common()
    if others and others[0][1] == count:
        return None, "Two answers of its question have as many votes"
    if winner is None:
        return None, "Most answers of its question cannot be read"
    if count / len(votes) < config.share:
        return None, f"No answer of its question has {config.share:.3g} of the votes"
    return winner, None


def disagreement(answer: str | None) -> str:
    """Why one that did not vote with the majority is left out."""
    return "Its answer cannot be read" if answer is None else "The majority answers otherwise"


def canonical(answer: str, question: Asked) -> str | None:
    """The same text for equal answers; None where it cannot be read.

    Of numbers the last counts, unless the reference holds several (a time, a pair); a fraction is
    rounded to six digits, as it may have been before, and to no fewer than its whole part has.
    """
    if question.answer_kind == "choice":
        return choice(answer)
    if question.answer_kind != "number":
        return normalised(answer) if answer.strip() else None
    found = numbers(answer)
    if not found:
        return None
    several = len(numbers(question.reference_answer)) > 1
    return " ".join(map(_digits, found if several else found[-1:]))


def _digits(number: Fraction) -> str:
    if number.denominator == 1:
        return str(number.numerator)
    whole = len(str(abs(int(number))))
    context = Context(prec=max(6, whole + 1))
    found = context.divide(Decimal(number.numerator), Decimal(number.denominator))
    return str(found.normalize(context))
