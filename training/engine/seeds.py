"""Everything random derives from the job's seed and the place where it is used."""

from __future__ import annotations

import hashlib
import json


def seed_for(*parts: str | int) -> int:
    """A 63-bit seed that depends on every part and on nothing else (no process, no time)."""
    digest = hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
