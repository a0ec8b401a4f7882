"""What the review page tells beside each step: equations recomputed, numbers without a source.

The same arithmetic and the same idea of a source as in the scores `valid_steps` and
`grounded_steps`, so that a page and a score never disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from curation.text.stepping import Finding
from training.measures.arithmetic import compute
from training.measures.grounding import leaves, numbers_said, readings
from training.measures.steps import Step, steps

DIGITS = 6


def check(texts: Sequence[str], question: str) -> list[list[Finding]]:
    """Findings for each step, in the order of the steps."""
    known = {Fraction(1), *numbers_said(question)}
    found = []
    for text in texts:
        here: list[Finding] = []
        for step in steps(text):
            here.append(recomputed(step))
            strange = [number for number in leaves(step.tree) if abs(number) not in known]
            here += [Finding("nowhere", written(number)) for number in dict.fromkeys(strange)]
            known |= readings(abs(step.result), percent=step.right.endswith("%"))
        found.append(list(dict.fromkeys(here)))
    return found


def recomputed(step: Step) -> Finding:
    says = f"{step.left} = {step.right}"
    return Finding("holds", says) if step.holds else Finding("wrong", says, truth(step))


def truth(step: Step) -> str:
    value = compute(step.tree)
    return f"{written(value * 100)}%" if step.right.endswith("%") else written(value)


def written(number: Fraction) -> str:
    """As people write it: `11`, `0.75`, `≈ 0.333333`."""
    if number.denominator == 1:
        return str(number.numerator)
    rest = number.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    decimals = f"{float(number):.{DIGITS}f}".rstrip("0").rstrip(".")
    return decimals if rest == 1 and Fraction(decimals) == number else f"≈ {decimals}"
