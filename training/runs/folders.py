"""Where a run's files lie: a folder that the engine works in, and its copy in the store.

Under a `file://` ARTIFACTS_URL both are one folder. Under any other (`s3://` and friends) the
engine works in a local folder, and what changed is copied to the store on the way and at the end,
so that another host can go on from there.

The copy is at any time one that an engine can go on from. An object appears in the store whole or
not at all; files of rows go after the files that count them, so that rows may be too many (the
engine cuts them back) but not too few; and the manifest, which makes a checkpoint count, goes
behind its files and is removed before them. `place.json` says which host worked last: that host
has everything, any other one begins with what the store holds.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from curation.artifacts import artifact_uri, filesystem, project_path
from training.models import Run
from training.runs.fetching import BROUGHT, MANIFEST, Cache, cache_limit, discard

Stamp = tuple[int, int]  # size, time of change
Ask = Callable[[Callable[[], Any]], Any]  # tries again while the store is away
UNDER_WAY = (-1, -1)
PLACE = "place.json"
OWN = (PLACE, "engine.pid")  # what says something of this host alone


def at_once(deed: Callable[[], Any]) -> Any:
    return deed()


@dataclass
class RunFolder:
    """`path` is local; `url` is what the database remembers."""

    path: Path
    url: str
    copied: dict[str, Stamp] = field(default_factory=dict)

    @property
    def is_remote(self) -> bool:
        return self.url != str(self.path)

    def pull(self, ask: Ask = at_once) -> None:
        """Take over what an earlier attempt left in the store, unless this host made it."""
        if not self.is_remote:
            return
        here = place(self.path)
        if ask(self._last_place) == here and (self.path / "run.json").exists():
            self._know_the_sealed(ask(self._stored))
            return
        discard(self.path)
        self.path.mkdir(parents=True)
        for name, size in ask(self._stored).items():
            if name not in OWN:
                self._pull_one(name, size, ask)
        fs, root = filesystem(self.url)
        ask(lambda: fs.pipe_file(f"{root}/{PLACE}", here.encode()))

    def _know_the_sealed(self, stored: dict[str, int]) -> None:
        """A checkpoint's files never change, so those that the store has need no second copy."""
        for name in self.names():
            local = self.path / name
            if name.startswith("checkpoints/") and stored.get(name) == local.stat().st_size:
                self.copied[name] = stamp(local)

    def _last_place(self) -> str:
        fs, root = filesystem(self.url)
        try:
            return str(fs.cat_file(f"{root}/{PLACE}").decode())
        except FileNotFoundError:
            return ""

    def _stored(self) -> dict[str, int]:
        """Names and sizes of what the store has of this run."""
        fs, root = filesystem(self.url)
        root = fs._strip_protocol(root)
        found = fs.find(root, detail=True)
        return {name[len(root) :].lstrip("/"): facts["size"] for name, facts in found.items()}

    def _pull_one(self, name: str, size: int, ask: Ask) -> None:
        fs, root = filesystem(self.url)
        target = self.path / name
        aside = target.with_name(f"{target.name}.tmp")
        target.parent.mkdir(parents=True, exist_ok=True)
        if size:
            ask(lambda: fs.get_file(f"{root}/{name}", str(aside)))
            aside.replace(target)
        else:
            target.touch()
        self.copied[name] = stamp(target)

    def push(self, ask: Ask = at_once) -> None:
        """Copy what is new or has changed, and take away the checkpoints that are gone here."""
        if not self.is_remote:
            return
        names = self.names()
        for name in names:
            self._push_one(name, ask)
        gone = [name for name in self.copied if name.startswith("checkpoints/")]
        for name in reversed(in_order(set(gone) - set(names))):
            self._remove_one(name, ask)

    def _push_one(self, name: str, ask: Ask) -> None:
        fs, root = filesystem(self.url)
        local = self.path / name
        try:
            now = stamp(local)
            if self.copied.get(name) != now:
                self.copied[name] = UNDER_WAY  # it may arrive, also if we never hear of it
                ask(lambda: fs.put_file(str(local), f"{root}/{name}"))
                self.copied[name] = now
        except FileNotFoundError:
            if local.exists():
                raise  # it is the store's: no such bucket, say
            # Otherwise the engine has removed it since it was listed: an old checkpoint.

    def _remove_one(self, name: str, ask: Ask) -> None:
        fs, root = filesystem(self.url)
        with contextlib.suppress(FileNotFoundError):  # an earlier try was heard after all
            ask(lambda: fs.rm_file(f"{root}/{name}"))
        del self.copied[name]

    def names(self) -> list[str]:
        """Every file but the half-written ones and this host's own, in the order to copy them."""
        found = {str(p.relative_to(self.path)) for p in self.path.rglob("*") if p.is_file()}
        kept = {name for name in found - set(OWN) if not name.startswith(f"{BROUGHT}/")}
        return in_order({name for name in kept if ".tmp" not in name})

    def forget(self) -> None:
        """The run is over and the store has it all: make room on this host."""
        if self.is_remote:
            discard(self.path)


def in_order(names: set[str]) -> list[str]:
    """Files, then rows, then the manifests that vouch for both."""
    return sorted(names, key=lambda n: (n.endswith(MANIFEST), n.endswith(".jsonl"), n))


def stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def open_folder(run: Run) -> RunFolder:
    """The run's folder, made if need be."""
    url = run.folder or plain(artifact_uri(project_path(run.project, "runs", str(run.pk))))
    path = Path(url) if "://" not in url else work_root() / f"run-{run.pk}"
    path.mkdir(parents=True, exist_ok=True)
    return RunFolder(path, url)


def plain(url: str) -> str:
    """A `file://` URL as a path; any other as it is."""
    return url.removeprefix("file://")


def work_root() -> Path:
    """Where this host keeps the folders that it works in."""
    return Path(os.environ.get("STILLROOM_VAR") or settings.BASE_DIR / "var") / "work"


def host_cache() -> Cache:
    return Cache(work_root() / "cache", cache_limit())


def place(path: Path) -> str:
    """This host and folder. Two containers may bear one name, so a host is what its disk says."""
    mark = path.parent / "host-id"
    if not mark.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(uuid.uuid4().hex)
    return json.dumps({"host": mark.read_text(), "folder": str(path)})


def read_end(run: Run, name: str, limit: int = 20_000) -> str:
    """The last `limit` bytes of one of the run's files, as text; "" if it is not there."""
    if not run.folder:
        return ""
    fs, path = filesystem(f"{run.folder}/{name}")
    try:
        size = fs.size(path)
        raw: bytes = fs.cat_file(path, start=max(0, size - limit), end=size)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    text = overwritten(raw.decode("utf-8", "replace"))
    return text if size <= limit else text.partition("\n")[2]


def read_piece(run: Run, name: str, start: int, size: int) -> bytes:
    """`size` bytes of one of the run's files; fewer, or none, if they are not there."""
    if not run.folder:
        return b""
    fs, path = filesystem(f"{run.folder}/{name}")
    try:
        raw: bytes = fs.cat_file(path, start=start, end=start + size)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    return raw


def read_facts(run: Run, name: str) -> dict[str, Any]:
    """One of the run's small JSON files; {} if it is not there."""
    text = read_end(run, name)
    return json.loads(text) if text.endswith("}") else {}


def overwritten(text: str) -> str:
    """What a terminal would still show: a carriage return writes over its line."""
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


def read_rows(run: Run, name: str, limit: int = 400_000) -> list[dict[str, Any]]:
    """The last whole lines of one of the run's files of rows."""
    text = read_end(run, name, limit)
    whole = text[: text.rfind("\n") + 1]
    return [json.loads(line) for line in whole.split("\n") if line.strip()]
