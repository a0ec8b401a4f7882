"""What a run needs from the artifact store, brought to this host once: datasets and models.

A host keeps what it has fetched by the hash of its content, up to a size; the least recently used
goes first. The engine gets hard links in its run's folder, so that it needs no keys to the store,
and nothing it works on can be evicted under it.

`run.json` names the model by that hash too: an attempt on another host, with other paths, is the
same job.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.artifacts import filesystem
from training.models import Run, RunKind
from training.runs.storing import FileGone

GIGABYTE = 1024**3
HALF_DONE = 24 * 3600.0  # seconds after which a download that nobody finished is swept away
MANIFEST = "manifest.json"
BROUGHT = "fetched"  # in the run's folder; never pushed

Ask = Callable[[Callable[[], Any]], Any]  # tries again while the store is away


def is_remote(uri: str) -> bool:
    return "://" in uri and not uri.startswith("file://")


@dataclass(frozen=True)
class Wanted:
    """What a run needs that lies in the store; "" where it needs no such thing."""

    dataset: str
    dataset_sha256: str
    model: str

    @classmethod
    def by(cls, run: Run) -> Wanted:
        trains = run.kind == RunKind.TRAIN and run.dataset is not None
        file = run.dataset.file if trains and run.dataset else ""
        local = run.student is not None and run.student.provider == "local"
        uri = run.student.uri if local and run.student else ""
        return cls(
            dataset=file if is_remote(file) else "",
            dataset_sha256=run.dataset.sha256 if run.dataset else "",
            model=uri if is_remote(uri) else "",
        )


def bring(wanted: Wanted, folder: Path, cache: Cache, ask: Ask) -> str | None:
    """The dataset and the model beside `run.json`; how `run.json` names the model, none if it
    lies where it is. Raises `FileGone`."""
    dataset = folder / "dataset.jsonl"
    if wanted.dataset and not dataset.exists():
        cache.link(wanted.dataset, dataset, wanted.dataset_sha256, ask)
    return bring_model(wanted.model, folder, cache, ask)


def bring_model(uri: str, folder: Path, cache: Cache, ask: Ask) -> str | None:
    """A model of the store beside `run.json`; its name there, none if it lies where it is."""
    if not is_remote(uri):
        return None
    digest = ask(lambda: digest_of(uri))
    name = f"{BROUGHT}/{digest[:16]}"
    if not (folder / name).exists():
        cache.link(uri, folder / name, digest, ask)
    return name


@dataclass
class Cache:
    """Files and folders by content hash below `root`, `limit` bytes of them."""

    root: Path
    limit: int

    def link(self, url: str, target: Path, digest: str, ask: Ask) -> None:
        """Hard links to the content of `url` as `target`."""
        for _ in range(3):  # between the fetch and the links another worker may have evicted it
            entry = self.entry(url, digest, ask)
            aside = target.with_name(f"{target.name}.tmp")
            aside.parent.mkdir(parents=True, exist_ok=True)
            try:
                link_tree(entry, aside)
            except FileNotFoundError:
                continue
            aside.replace(target)
            return
        raise OSError(f"{url} was evicted as often as it was fetched; raise STILLROOM_CACHE_GB.")

    def entry(self, url: str, digest: str, ask: Ask) -> Path:
        """Where the content lies on this host, fetched if it is not here yet."""
        entry = self.root / digest
        if not entry.exists():
            self.root.mkdir(parents=True, exist_ok=True)
            aside = self.root / f".{digest}.{uuid.uuid4().hex[:8]}.part"
            try:
                ask(lambda: download(url, aside))
                check(url, aside, digest)
                if not entry.exists():  # two workers of a host may have had the same wish
                    aside.rename(entry)
            finally:
                discard(aside)
        os.utime(entry)
        self.shrink(entry)
        return entry

    def shrink(self, but: Path) -> None:
        """Evict what was not used for longest until the rest fits, and sweep old halves."""
        for half in self.root.glob(".*.part"):
            if time.time() - half.stat().st_mtime > HALF_DONE:
                discard(half)
        kept = sorted(self.entries(), key=lambda path: path.stat().st_mtime, reverse=True)
        room = self.limit - size_of(but)
        for path in kept:
            if path == but:
                continue
            room -= size_of(path)
            if room < 0:
                discard(path)

    def entries(self) -> Iterator[Path]:
        return (path for path in self.root.iterdir() if not path.name.startswith("."))


def cache_limit() -> int:
    """STILLROOM_CACHE_GB in bytes; 50 GB unless given."""
    return int(float(os.environ.get("STILLROOM_CACHE_GB") or 50) * GIGABYTE)


def digest_of(url: str) -> str:
    """What identifies the content: the manifest of a checkpoint, which has every file's hash; of
    any other folder or file, names, sizes and the store's own tags. Raises `FileGone`."""
    fs, root = filesystem(url)
    found = fs.find(root, detail=True)
    if not found:
        raise FileGone(f"{url} is gone from the artifact store. Bring it back, or choose another.")
    if f"{root}/{MANIFEST}" in found:
        return hashlib.sha256(fs.cat_file(f"{root}/{MANIFEST}")).hexdigest()
    facts = [
        [name[len(root) :], info["size"], str(info.get("ETag") or info.get("created") or "")]
        for name, info in sorted(found.items())
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def download(url: str, target: Path) -> None:
    """The file, or every file of the folder; what an earlier try left is replaced."""
    fs, root = filesystem(url)
    discard(target)
    found = fs.find(root)
    if not found:
        raise FileGone(f"{url} is gone from the artifact store. Bring it back, or choose another.")
    for name in found:
        inner = name[len(root) :].lstrip("/")
        path = target / inner if inner else target
        path.parent.mkdir(parents=True, exist_ok=True)
        fs.get_file(name, str(path))


def check(url: str, path: Path, digest: str) -> None:
    """Refuse content that is not what was asked for: by a file's own hash, or a manifest's."""
    if path.is_file():
        wrong = [] if sha256(path) == digest else [path.name]
    elif (path / MANIFEST).exists():
        hashes = json.loads((path / MANIFEST).read_text())["files"]
        wrong = [name for name, known in hashes.items() if not is_whole(path / name, known)]
    else:
        return
    if wrong:
        raise FileGone(f"{url} is damaged in the artifact store: {wrong[0] or 'it'} has changed.")


def is_whole(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path) == digest


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def link_tree(source: Path, target: Path) -> None:
    """Hard links to a file or to all files of a folder; copies where the disk is another one."""
    discard(target)
    if source.is_file():
        link(source, target)
        return
    for path in [path for path in source.rglob("*") if path.is_file()]:
        own = target / path.relative_to(source)
        own.parent.mkdir(parents=True, exist_ok=True)
        link(path, own)


def link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def discard(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def size_of(path: Path) -> int:
    files = [path] if path.is_file() else [inner for inner in path.rglob("*") if inner.is_file()]
    return sum(file.stat().st_size for file in files)
