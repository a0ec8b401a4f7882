"""How different a question's samples are: in words, in meaning, in derivation."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from training.measures.steps import steps

_WORD = re.compile(r"\d+(?:\.\d+)?|\w+|[^\w\s]")


def distinct_n(texts: Sequence[str], n: int) -> float | None:
    """Unique n-grams over all n-grams of these texts together (Li et al., NAACL 2016).

    Words, numbers and signs are the grams. Texts are cut to the length of the shortest, since the
    measure falls with length. None where no text has n grams.
    """
    words = [_WORD.findall(text) for text in texts]
    shortest = min((len(each) for each in words), default=0)
    grams = [tuple(each[start : start + n]) for each in words for start in range(shortest - n + 1)]
    return len(set(grams)) / len(grams) if grams else None


def vendi(vectors: np.ndarray) -> float:
    """The Vendi score of unit vectors `[n, d]`: the effective number of different ones, 1 to n.

    exp of the entropy of the eigenvalues of K/n, with K the cosines (Friedman and Dieng, TMLR
    2023). Raises ValueError without a vector.
    """
    if len(vectors) == 0:
        raise ValueError("The Vendi score of no vectors is not defined.")
    kernel = vectors @ vectors.T / len(vectors)
    values = np.linalg.eigvalsh((kernel + kernel.T) / 2)
    known = values[values > 1e-12]
    known = known / known.sum()
    return float(np.exp(-(known * np.log(known)).sum()))


def derivation(thought: str) -> tuple[str, ...] | None:
    """A thought's equations in a normal form and order; None where a step fails or none is there.

    Two thoughts with the same equations are one derivation whatever the words between them. The
    operands of a sum or a product may be swapped; `7 + 7` and `2 * 7` are two derivations.
    """
    found = steps(thought)
    if not found or not all(step.holds for step in found):
        return None
    return tuple(step.form for step in found)


def distinct_derivations(thoughts: Sequence[str]) -> int:
    """How many different valid derivations are among these thoughts."""
    return len({found for thought in thoughts if (found := derivation(thought))})
