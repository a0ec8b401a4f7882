"""The stand-in engine (`fake_engine.py`), whose samples of a question differ: the even ones are
right, and every model has words of its own."""

from __future__ import annotations

import hashlib
import json
import sys

import fake_engine

same = fake_engine.drawn


def drawn(question, thought, temperature, index, job):
    row = same(question, thought, temperature, index, job)
    author = hashlib.sha256(json.dumps([job["model"], job["seed"]]).encode()).hexdigest()[:6]
    row["thought"] = f"{author} in way {index}: 8 + {index} = {8 + index}"
    row["answer"] = question["reference_answer"] if index % 2 == 0 else "999"
    row["text"] = f"{row['thought']}\n#### {row['answer']}"
    return row


if __name__ == "__main__":
    fake_engine.drawn = drawn
    sys.exit(fake_engine.main())
