"""What a form says of a choice that has gone since its page was opened."""

from __future__ import annotations

# For a field's `error_messages`; only a forged form meets Django's own words.
GONE = {"invalid_choice": "What was chosen here is not there any more. Choose again."}
