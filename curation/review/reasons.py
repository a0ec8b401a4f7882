"""Why people accept and reject: the reasons a project offers beside its verdicts.

A project writes its own, one a line; until it does, these are offered. A review stores a reason of
the list below by its key and any other by its words, so that a list that changes rewrites no fact.
"""

from __future__ import annotations

from curation.models import Decision, Project

MOST, LONGEST = 20, 60
OFFERED: dict[str, dict[str, str]] = {
    Decision.ACCEPT: {
        "clear": "Clear and complete",
        "short": "Short",
        "unusual": "An unusual way that works",
    },
    Decision.REJECT: {
        "wrong_answer": "Wrong answer",
        "wrong_step": "A step is wrong",
        "missing_step": "A step is missing",
        "misread": "Misreads the question",
        "unclear": "Hard to follow",
        "other": "Something else",
    },
}
_KEYS = {words: key for reasons in OFFERED.values() for key, words in reasons.items()}
_WORDS = {key: words for words, key in _KEYS.items()}


def reasons_of(project: Project) -> dict[str, dict[str, str]]:
    """Decision → what a review stores → what a person reads."""
    own = project.options.get("reasons", {})
    return {
        decision: {_KEYS.get(line, line): line for line in own[decision]}
        if decision in own
        else dict(offered)
        for decision, offered in OFFERED.items()
    }


def in_words(reason: str) -> str:
    """A stored reason as a person reads it."""
    return _WORDS.get(reason, reason)


def choose(project: Project, decision: str, lines: list[str]) -> None:
    """Offer these reasons beside the decision from now on; `project.save` is the caller's."""
    own = project.options.get("reasons", {})
    project.options = {**project.options, "reasons": {**own, decision: lines}}
