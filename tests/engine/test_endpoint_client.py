"""Asking a server that refuses, stumbles and stalls: every draw is stored once or counted."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from training.engine.__main__ import main
from training.engine.files import read_rows

Reply = tuple[int, dict[str, str], Any]  # status, headers, body


class Server:
    """An OpenAI-compatible server whose replies the test decides."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.open, self.most_open = 0, 0
        self.lock = threading.Lock()
        self.reply: Callable[[int, dict[str, Any]], Reply] = lambda number, body: said()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/v1"

    def start(self) -> None:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server.lock:
                    server.asked.append({**body, "key": self.headers["Authorization"]})
                    number = len(server.asked)
                    server.open += 1
                    server.most_open = max(server.most_open, server.open)
                status, headers, content = server.reply(number, body)
                with server.lock:
                    server.open -= 1
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


def said(text: str = "8 + 3 = 11\n#### 11", **message: Any) -> Reply:
    choice = {"index": 0, "finish_reason": "stop"}
    choice |= {"message": {"role": "assistant", "content": text, **message}}
    usage = {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29}
    whole = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
    return 200, {}, {**whole, "choices": [choice], "usage": usage}


def refused(status: int, **headers: str) -> Reply:
    return status, headers, {"error": {"message": f"no, {status}"}}


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def run(server, tmp_path) -> Callable[..., tuple[int, list[dict[str, Any]], dict[str, Any]]]:
    """Run the job in the folder: its exit code, its samples, its result."""
    questions = [
        {"id": str(n), "question": f"What is 8 + {n}?", "reference_answer": str(8 + n),
         "completions": [{"id": f"t{n}", "thought": f"8 + {n} = {8 + n}", "answer": str(8 + n)}]}
        for n in range(3)
    ]  # fmt: skip
    rows = "".join(json.dumps(row) + "\n" for row in questions)
    (tmp_path / "dataset.jsonl").write_text(rows)

    def go(key: str | None = None, **config: Any):
        config = {"temperatures": [0.5], "samples_per_temperature": 2, "retries": 2, **config}
        model = {"base_url": server.url, "name": "m", "api_key_env": key}
        job = {"kind": "generate", "config": config, "model": model}
        (tmp_path / "run.json").write_text(json.dumps(job))
        code = main([str(tmp_path / "run.json")])
        samples = list(read_rows(tmp_path / "samples.jsonl"))
        return code, samples, json.loads((tmp_path / "result.json").read_text())

    return go


def test_every_draw_is_stored_with_what_was_asked(run, server):
    code, samples, result = run()
    assert code == 0
    assert {(row["question"], row["index"]) for row in samples} == {
        (str(n), index) for n in range(3) for index in range(2)
    }
    row = samples[0]
    assert (row["thought"], row["answer"]) == ("8 + 3 = 11", "11")
    assert json.loads(row["prompt"])[0]["content"].startswith("What is 8 +")
    assert row["sampling"] == {"temperature": 0.5, "top_p": 1.0, "max_new_tokens": 512}
    assert (row["token_count"], row["finish_reason"]) == (9, "stop")
    assert result["usage"] == {"prompt": 120, "completion": 54}
    assert len({body["seed"] for body in server.asked}) == 6


def test_a_busy_or_stumbling_server_is_asked_again(run, server):
    def moody(number: int, body: Any) -> Reply:
        if number == 1:
            return refused(429, **{"Retry-After": "0"})
        return refused(500) if number == 3 else said()

    server.reply = moody
    code, samples, result = run(concurrency=1)
    assert (code, len(samples), result["skipped"]) == (0, 6, {})
    assert len(server.asked) == 8


def test_what_fails_for_good_is_counted_and_asked_again_by_the_next_run(run, server):
    server.reply = lambda number, body: (
        refused(400) if "8 + 1" in body["messages"][0]["content"] else said()
    )
    code, samples, result = run()
    assert (code, len(samples)) == (0, 4)
    assert sum(result["skipped"].values()) == 2
    assert "no, 400" in next(iter(result["skipped"]))
    server.reply = lambda number, body: said()
    before = len(server.asked)
    code, samples, _ = run()
    assert (code, len(samples), len(server.asked) - before) == (0, 6, 2)


def test_malformed_answers_are_counted_not_stored(run, server):
    server.reply = lambda number, body: (200, {}, {"choices": []}) if number == 1 else said()
    code, samples, result = run(concurrency=1)
    assert (code, len(samples), sum(result["skipped"].values())) == (0, 5, 1)


@pytest.mark.parametrize(
    "reply",
    [
        (200, {"Content-Type": "text/html"}, b"<html>Log in first</html>"),
        (200, {}, [1, 2, 3]),
        (200, {}, {"choices": []}),
        (200, {}, {"choices": None}),
        (200, {}, {"choices": [{"message": {"content": 11}}]}),
    ],
    ids=["page", "list", "no choice", "null", "number"],
)
def test_what_is_no_chat_completion_is_said_in_words(run, server, reply):
    server.reply = lambda number, body: reply
    code, _, result = run(retries=0)
    assert code == 2
    assert "answered, but with no chat completion; see that its base URL" in result["error"]


def test_nonsense_in_the_usage_costs_no_answer(run, server):
    odd = {"prompt_tokens": "many", "completion_tokens": -5}
    server.reply = lambda number, body: (200, {}, {**said()[2], "usage": odd})
    code, samples, result = run()
    assert (code, len(samples), sum(result["usage"].values())) == (0, 6, 0)


def test_a_refused_key_stops_the_job_with_one_sentence(run, server, monkeypatch, capsys):
    monkeypatch.setenv("STILLROOM_KEY_T", "sesame")
    server.reply = lambda number, body: refused(401)
    code, samples, result = run(key="STILLROOM_KEY_T", concurrency=1)
    assert (code, samples) == (2, [])
    assert result["error"] == "The endpoint refused the key: AuthenticationError: no, 401"
    assert server.asked[0]["key"] == "Bearer sesame"
    assert len(server.asked) == 1
    assert "sesame" not in capsys.readouterr().err


def test_a_key_that_is_not_set_is_named(run, monkeypatch):
    monkeypatch.delenv("STILLROOM_KEY_T", raising=False)
    code, _, result = run(key="STILLROOM_KEY_T")
    assert code == 2
    assert "STILLROOM_KEY_T is not set" in result["error"]


def test_a_model_that_the_server_does_not_have_is_named(run, server):
    server.reply = lambda number, body: refused(404)
    code, _, result = run(concurrency=1)
    assert code == 2
    assert "has no model 'm'" in result["error"]


def test_a_server_that_never_answers_fails_the_job(run, server):
    server.reply = lambda number, body: refused(503)
    code, samples, result = run(retries=0)
    assert (code, samples) == (2, [])
    assert result["error"].startswith("No request was answered. InternalServerError")


def test_requests_run_side_by_side_up_to_the_limit(run, server):
    together = threading.Barrier(3, timeout=20)

    def meet(number: int, body: Any) -> Reply:
        together.wait()
        return said()

    server.reply = meet
    code, samples, _ = run(concurrency=3)
    assert (code, len(samples), server.most_open) == (0, 6, 3)


def test_reasoning_returned_apart_becomes_the_thought(run, server):
    server.reply = lambda number, body: said("#### 11", reasoning_content="8 and 3 make 11")
    _, samples, _ = run()
    assert {(row["thought"], row["answer"]) for row in samples} == {("8 and 3 make 11", "11")}


def test_answers_are_asked_for_after_each_thought(run, server):
    _, samples, _ = run(what="answer_given_thought", samples_per_temperature=1)
    assert {row["conditioned_on"] for row in samples} == {"t0", "t1", "t2"}
    assert all("Thought:\n8 +" in body["messages"][0]["content"] for body in server.asked)


def test_the_pace_spreads_starts_over_the_minute(monkeypatch):
    from training.engine import endpoint

    slept: list[float] = []
    monkeypatch.setattr(endpoint.time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(endpoint.time, "sleep", slept.append)
    pace = endpoint.Pace(per_minute=30)
    for _ in range(4):
        pace.wait()
    assert slept == [0.0, 2.0, 4.0, 6.0]


def test_an_endpoint_job_loads_no_torch(tmp_path: Path):
    import subprocess
    import sys

    code = "import sys, training.engine.endpoint; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
