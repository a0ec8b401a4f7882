"""A gate before a service: TCP in, the service's socket or port behind it. Closed, it is as if the
service had gone: connections break and new ones are refused."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from urllib.parse import parse_qs, urlsplit


class Gate:
    """`url` is filled in by whoever knows what is behind it."""

    def __init__(self, behind: str | tuple[str, int], host: str = "127.0.0.1") -> None:
        self.behind, self.host, self.port = behind, host, 0
        self.writers: set[asyncio.StreamWriter] = set()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.open()

    def open(self) -> None:
        self._wait(self._open())

    def close(self) -> None:
        self._wait(self._close())

    def end(self) -> None:
        self.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    def _wait(self, deed) -> None:
        asyncio.run_coroutine_threadsafe(deed, self.loop).result(20)

    async def _open(self) -> None:
        self.server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self.server.close()
        for writer in list(self.writers):
            writer.transport.abort()

    async def _serve(self, reader, writer) -> None:
        try:
            if isinstance(self.behind, str):
                theirs = await asyncio.open_unix_connection(self.behind)
            else:
                theirs = await asyncio.open_connection(*self.behind)
        except OSError:
            writer.transport.abort()
            return
        self.writers |= {writer, theirs[1]}
        await asyncio.gather(self._pass(reader, theirs[1]), self._pass(theirs[0], writer))
        self.writers -= {writer, theirs[1]}

    async def _pass(self, reader, writer) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError, RuntimeError):
            writer.close()


def before_database(url: str, host: str = "127.0.0.1") -> tuple[Gate, str]:
    """A gate before the PostgreSQL of a URL, and the URL that leads through it."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    folder = query.get("host", [""])[0]
    if folder:
        gate = Gate(f"{folder}/.s.PGSQL.{query.get('port', ['5432'])[0]}", host)
    else:
        gate = Gate((parts.hostname or "127.0.0.1", parts.port or 5432), host)
    login = f"{parts.username or 'postgres'}:{parts.password or ''}"
    return gate, f"postgres://{login}@{host}:{gate.port}{parts.path}"
