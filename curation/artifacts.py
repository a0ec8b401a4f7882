"""Files that outlive a request: uploads, exports, dataset versions, runs, checkpoints.

All lie under settings.ARTIFACTS_URL, which is any fsspec URL (a folder, s3://…), so a worker on
another host reaches them without a shared disk. Paths in here are relative to it
("projects/7/imports/…"); what is stored in the database is the full URI that `store` returns.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import fsspec
from django.conf import settings
from fsspec.implementations.local import LocalFileSystem

from curation.models import Project
from curation.store_away import Told

COPY_BYTES = 1024 * 1024


def artifact_uri(path: str) -> str:
    """The URI of a path under ARTIFACTS_URL. A path that would leave it raises ValueError."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise ValueError(f"{path!r} is not a path under ARTIFACTS_URL.")
    return f"{settings.ARTIFACTS_URL.rstrip('/')}/{PurePosixPath(*parts)}"


def project_path(project: Project, *parts: str) -> str:
    """Where a project's files lie: "projects/7/exports/…"."""
    return "/".join(["projects", str(project.pk), *parts])


def filesystem(uri: str) -> tuple[Any, str]:
    """The fsspec filesystem of a URI, and the path in it. One elsewhere raises `StoreAway`
    where it does not answer."""
    fs, path = fsspec.core.url_to_fs(uri)
    return (fs if isinstance(fs, LocalFileSystem) else Told(fs)), path


def open_artifact(uri: str, mode: str = "rb") -> IO[Any]:
    """Open a file by its URI. To write, prefer `store` or `writing`: they leave no half files."""
    fs, path = filesystem(uri)
    if "r" not in mode:
        fs.makedirs(fs._parent(path), exist_ok=True)
    encoding = {} if "b" in mode else {"encoding": "utf-8"}
    return cast("IO[Any]", fs.open(path, mode, **encoding))


def store(path: str, content: IO[bytes]) -> str:
    """Write a file whole or not at all, and return its URI."""
    with writing(path) as out:
        shutil.copyfileobj(content, out, COPY_BYTES)
    return artifact_uri(path)


@contextmanager
def writing(path: str) -> Iterator[IO[bytes]]:
    """A file to write under ARTIFACTS_URL, which takes its name only if the block ends well."""
    fs, target = filesystem(artifact_uri(path))
    fs.makedirs(fs._parent(target), exist_ok=True)
    aside = f"{target}.{uuid.uuid4().hex[:8]}.part" if isinstance(fs, LocalFileSystem) else target
    try:
        # A transaction keeps an object store from showing a half-written object.
        with fs.transaction if aside == target else nullcontext(), fs.open(aside, "wb") as out:
            yield out
        if aside != target:
            Path(aside).replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            fs.rm(aside)
        raise


@contextmanager
def local_path(uri: str) -> Iterator[Path]:
    """The file or folder as a local path: itself where it is local, else a copy for this block."""
    fs, path = filesystem(uri)
    if isinstance(fs, LocalFileSystem):
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="stillroom-") as folder:
        copy = Path(folder) / PurePosixPath(path).name
        fs.get(path, str(copy), recursive=fs.isdir(path))
        yield copy


def exists(uri: str) -> bool:
    fs, path = filesystem(uri)
    return bool(fs.exists(path))


def size(uri: str) -> int:
    """Bytes of a file."""
    fs, path = filesystem(uri)
    return int(fs.size(path))


def remove(uri: str) -> None:
    """Delete a file or a folder; one that is gone already is no error."""
    fs, path = filesystem(uri)
    with suppress(FileNotFoundError):
        fs.rm(path, recursive=True)


def files_under(path: str) -> Iterator[tuple[str, float]]:
    """The URI of every file below a path under ARTIFACTS_URL, and when it was written (in seconds
    since 1970; 0 where the store does not tell)."""
    fs, root = filesystem(artifact_uri(path))
    if not fs.exists(root):
        return
    for found, facts in fs.find(root, detail=True).items():
        written = facts.get("mtime") or facts.get("LastModified") or facts.get("created") or 0
        stamp = written.timestamp() if isinstance(written, datetime) else float(written)
        yield artifact_uri(f"{path}/{found[len(root) :].lstrip('/')}"), stamp
