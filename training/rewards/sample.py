"""What a reward sees of one completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from training.decoding.prompts import completion_text
from training.decoding.record import Completion, Question


@dataclass(frozen=True)
class Sample:
    """One completion, drawn or stored, read apart into thought and answer.

    `text` is what was written: after a given thought, the answer line alone. Of a stored
    completion only the parts were kept, so its text is what the renderer makes of them.
    """

    thought: str = ""
    answer: str = ""
    text: str = ""
    tokens: int | None = None  # None: nobody counted
    limit: int | None = None  # the most tokens that it might have had
    finish_reason: str = "stop"  # or "length": cut off
    given_thought: bool = False  # the thought is the teacher's; the answer alone was drawn
    scores: Mapping[str, float | None] = field(default_factory=dict)  # stored ones, by scorer

    @property
    def truncated(self) -> bool:
        """Whether the length limit ended it."""
        return self.finish_reason == "length"


def stored(question: Question, completion: Completion) -> Sample:
    """A completion of the dataset as a sample. An answer drawn after the line's thought has it."""
    given = completion.conditioned_on is not None
    ids = completion.token_ids
    limit = (completion.sampling or {}).get("max_new_tokens")
    return Sample(
        thought=(question.thought or completion.thought) if given else completion.thought,
        answer=completion.answer,
        text=completion_text("" if given else completion.thought, completion.answer),
        tokens=len(ids) if ids else None,
        limit=limit if isinstance(limit, int) else None,
        given_thought=given,
        scores=completion.scores,
    )
