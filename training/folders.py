"""Where a run's files lie: a folder that the engine works in, and its copy in the store.

Under a `file://` ARTIFACTS_URL both are one folder. Under any other (`s3://` and friends) the
engine works in a local folder, and what changed is copied to the store on the way and at the end,
so that another host can go on from there.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec

from curation.artifacts import artifact_uri, project_path
from training.models import Run

Stamp = tuple[int, int]  # size, time of change


@dataclass
class RunFolder:
    """`path` is local; `url` is what the database remembers."""

    path: Path
    url: str
    copied: dict[str, Stamp] = field(default_factory=dict)

    @property
    def is_remote(self) -> bool:
        return self.url != str(self.path)

    def pull(self) -> None:
        """Take over what an earlier attempt on another host left in the store."""
        if not self.is_remote:
            return
        filesystem, root = fsspec.core.url_to_fs(self.url)
        if filesystem.exists(root):
            filesystem.get(root.rstrip("/") + "/", f"{self.path}/", recursive=True)
        self.copied = {name: stamp(self.path / name) for name in self.names()}

    def push(self) -> None:
        """Copy what is new or has changed; a checkpoint goes with its manifest last."""
        if not self.is_remote:
            return
        filesystem, root = fsspec.core.url_to_fs(self.url)
        for name in self.names():
            now = stamp(self.path / name)
            if self.copied.get(name) != now:
                filesystem.put_file(str(self.path / name), f"{root}/{name}")
                self.copied[name] = now

    def names(self) -> list[str]:
        """Every file but the half-written ones; manifests behind what they vouch for."""
        found = [p for p in self.path.rglob("*") if p.is_file() and ".tmp" not in str(p.name)]
        names = [str(p.relative_to(self.path)) for p in found]
        kept = [name for name in names if not name.startswith(("fetched/", "checkpoints/."))]
        return sorted(kept, key=lambda name: (name.endswith("manifest.json"), name))


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
    return Path(os.environ.get("STILLROOM_VAR") or tempfile.gettempdir()) / "work"


def read_end(run: Run, name: str, limit: int = 20_000) -> str:
    """The last `limit` bytes of one of the run's files, as text; "" if it is not there."""
    if not run.folder:
        return ""
    filesystem, path = fsspec.core.url_to_fs(f"{run.folder}/{name}")
    try:
        size = filesystem.size(path)
        raw: bytes = filesystem.cat_file(path, start=max(0, size - limit), end=size)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    text = overwritten(raw.decode("utf-8", "replace"))
    return text if size <= limit else text.partition("\n")[2]


def overwritten(text: str) -> str:
    """What a terminal would still show: a carriage return writes over its line."""
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


def read_rows(run: Run, name: str, limit: int = 400_000) -> list[dict[str, Any]]:
    """The last whole lines of one of the run's files of rows."""
    import json

    text = read_end(run, name, limit)
    whole = text[: text.rfind("\n") + 1]
    return [json.loads(line) for line in whole.split("\n") if line.strip()]
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


