"""The keys of the review page: what can be done, and with which key each person does it.

A person's own keys are kept with their account, as action → key, so that they are the same on
every computer. The numbers belong to the cards. A key is named as browsers name it (`a`, `A`,
`Enter`, `ArrowLeft`); an empty one switches the action's key off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from curation.models import User

PREFERENCE = "review_keys"


@dataclass(frozen=True)
class Action:
    """Something that can be done on the page; `group` is its heading in the list of keys."""

    name: str
    key: str
    words: str
    group: str


ACTIONS = [
    Action("tie", "=", "Tie the next number with the one before", "Order"),
    Action("better", "ArrowUp", "Move the card up (with Alt from any of its controls)", "Order"),
    Action("worse", "ArrowDown", "Move the card down (with Alt from its controls)", "Order"),
    Action("out", "0", "Leave the card out: not placed is not last", "Order"),
    Action("swap", "x", "Swap the card with another: then its number", "Order"),
    Action("confirm", "c", "The order is right as shown", "Order"),
    Action("accept", "a", "Accept the card; once more takes it back", "Verdict"),
    Action("reject", "r", "Reject the card; once more takes it back", "Verdict"),
    Action("best", "A", "Accept the best", "Verdict"),
    Action("why", "y", "Reasons and a note", "Verdict"),
    Action("next_step", "j", "The next step of the card", "Steps"),
    Action("last_step", "k", "The step before", "Steps"),
    Action("first_wrong", "w", "This step is the first wrong one", "Steps"),
    Action("all_right", "W", "Every step is right", "Steps"),
    Action("good", "p", "This step is good", "Steps"),
    Action("neutral", "o", "This step is neutral", "Steps"),
    Action("bad", "n", "This step is bad", "Steps"),
    Action("left", "ArrowLeft", "The card before", "Reading"),
    Action("right", "ArrowRight", "The next card", "Reading"),
    Action("more", "f", "Unfold the rest of a long card", "Reading"),
    Action("diff", "d", "Compare the card with another: then its number", "Reading"),
    Action("edit", "e", "Correct the card", "Reading"),
    Action("layout", "l", "Side by side, or stacked", "Reading"),
    Action("guidelines", "g", "Show or hide the guidelines", "Reading"),
    Action("submit", "Enter", "Submit, and go to the next", "Going on"),
    Action("undo", "u", "Undo", "Going on"),
    Action("skip", "s", "Skip: then the number of a reason", "Going on"),
    Action("mine", "m", "My last twenty", "Going on"),
    Action("help", "?", "These keys", "Going on"),
]
NAMES = {action.name: action for action in ACTIONS}
SPOKEN = {
    "ArrowUp": "↑", "ArrowDown": "↓", "ArrowLeft": "←", "ArrowRight": "→", " ": "Space",
    "Backspace": "⌫", "Delete": "Del", "PageUp": "PgUp", "PageDown": "PgDn",
}  # fmt: skip
NAMED = {
    "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Enter", "Backspace", "Delete", "Insert",
    "Home", "End", "PageUp", "PageDown", *(f"F{n}" for n in range(1, 13)),
}  # fmt: skip
TYPED = {"Space": " ", "↑": "ArrowUp", "↓": "ArrowDown", "←": "ArrowLeft", "→": "ArrowRight"}


def keys_of(user: User) -> dict[str, str]:
    """Action → key, as this person has them."""
    own = user.preferences.get(PREFERENCE, {})
    return {action.name: own.get(action.name, action.key) for action in ACTIONS}


def spoken(keys: Mapping[str, str]) -> dict[str, str]:
    """Action → the key as it is printed on a control."""
    return {name: SPOKEN.get(key, key) for name, key in keys.items()}


def read(typed: str) -> str:
    """The key that somebody wrote down or pressed: `Space`, `→`, `Q`."""
    typed = typed if typed == " " else typed.strip()
    return TYPED.get(typed, typed)


def objection(key: str) -> str:
    """Why this can be no key of an action, in a sentence; "" where it can."""
    if not key or key in NAMED or (len(key) == 1 and key.isprintable() and not _is_card(key)):
        return ""
    if _is_card(key):
        return f"The number {key} belongs to a card. Choose another key."
    return f"“{key[:20]}” is no key that the page can hear. Type one letter or sign, or its name."


def conflicts(keys: Mapping[str, str]) -> list[str]:
    """One sentence for each key that two actions want."""
    wanted: dict[str, list[str]] = {}
    for name, key in keys.items():
        if key:
            wanted.setdefault(key, []).append(NAMES[name].words)
    return [
        f"“{SPOKEN.get(key, key)}” would do two things: {' — and '.join(words)}. "
        "Give one of them another key."
        for key, words in wanted.items()
        if len(words) > 1
    ]


def keep(user: User, keys: Mapping[str, str]) -> None:
    """Remember what differs from the keys that everybody begins with."""
    own = {name: key for name, key in keys.items() if key != NAMES[name].key}
    user.preferences |= {PREFERENCE: own}
    user.save(update_fields=["preferences"])


def _is_card(key: str) -> bool:
    return len(key) == 1 and key in "123456789"
