"""One person's browser, as far as the server can tell: cookies, forms, redirects, patience.

What the connection loses is sent again, as the page's own script does; each answer is timed from
the request to the last byte of its body.
"""

from __future__ import annotations

import http.client
import re
import time
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

AGAIN, PATIENCE = 0.5, 60.0  # seconds between two tries, and altogether
STALE = 1.0  # an idle connection may have been closed by the server


class Sample(NamedTuple):
    """How long one request took, when (seconds since 1970) and what came back."""

    what: str
    at: float
    seconds: float
    status: int


class Answer(NamedTuple):
    status: int
    body: str
    location: str


class Lost(Exception):
    """The server did not answer for as long as a person has patience."""


@dataclass
class Session:
    """`samples` holds every answer, `broken` the requests that the connection lost."""

    base: str
    samples: list[Sample] = field(default_factory=list)
    broken: list[float] = field(default_factory=list)
    cookies: dict[str, str] = field(default_factory=dict)
    _connection: http.client.HTTPConnection | None = None
    _used: float = 0.0

    def sign_in(self, name: str, password: str) -> None:
        """Through the form; waits where the server says that too many sign in just now."""
        form = {"login": name, "password": password}
        self.get("/accounts/login/", "sign-in page")
        while (answer := self.post("/accounts/login/", form, "sign in")).status == 429:
            time.sleep(5)
        if answer.status != 302:
            raise SystemExit(f"{name} could not sign in: the answer was {answer.status}.")

    def get(self, path: str, what: str) -> Answer:
        return self._patiently("GET", path, None, what)

    def post(self, path: str, form: dict[str, str], what: str, swap: bool = False) -> Answer:
        """`swap`: as htmx sends it, which is answered with a part of the page."""
        return self._patiently("POST", path, urlencode(form), what, swap)

    def _patiently(
        self, method: str, path: str, body: str | None, what: str, swap: bool = False
    ) -> Answer:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            began, at = time.perf_counter(), time.time()
            try:
                answer = self._once(method, path, body, swap)
            except (OSError, http.client.HTTPException):
                self.broken.append(at)
                self._close()
            else:
                self.samples.append(Sample(what, at, time.perf_counter() - began, answer.status))
                if answer.status < 500:
                    return answer
            time.sleep(AGAIN)
        raise Lost(f"{method} {path}")

    def _once(self, method: str, path: str, body: str | None, swap: bool) -> Answer:
        connection = self._ready()
        connection.request(method, path, body, self._headers(body, swap))
        response = connection.getresponse()
        text = response.read().decode()
        self._used = time.monotonic()
        for name, value in response.getheaders():
            if name.lower() == "set-cookie" and (found := re.match(r"([^=]+)=([^;]*)", value)):
                self.cookies[found[1]] = found[2]
        return Answer(response.status, text, response.headers.get("Location", ""))

    def _headers(self, body: str | None, swap: bool) -> dict[str, str]:
        headers = {"Cookie": "; ".join(f"{name}={one}" for name, one in self.cookies.items())}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["X-CSRFToken"] = self.cookies.get("csrftoken", "")
        return headers | ({"HX-Request": "true", "HX-Target": "work"} if swap else {})

    def _ready(self) -> http.client.HTTPConnection:
        if self._connection is not None and time.monotonic() - self._used > STALE:
            self._close()
        if self._connection is None:
            address = urlsplit(self.base)
            kind = (
                http.client.HTTPSConnection
                if address.scheme == "https"
                else http.client.HTTPConnection
            )
            self._connection = kind(address.hostname or "", address.port, timeout=PATIENCE)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
