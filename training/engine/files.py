"""The files of a job: whole or absent, appended once, hashed.

A crash may come between any two system calls. So a file that is replaced is written aside, synced
and renamed; a folder likewise; and a file that is appended to is cut back on resume to what the
last checkpoint knew.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"


def write_json(path: Path, value: Any) -> None:
    """Replace `path` whole."""
    aside = path.with_name(path.name + ".tmp")
    with aside.open("w") as file:
        json.dump(finite(value), file, indent=1, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def finite(value: Any) -> Any:
    """The value with every NaN and infinity as null: JSON has no word for them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return value


def append_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Append one object a line, in one write, and sync it."""
    text = "".join(json.dumps(finite(row), allow_nan=False) + "\n" for row in rows)
    with path.open("a") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a file of rows; a last line cut off by a crash is left out."""
    if not path.exists():
        return
    with path.open() as file:
        for line in file:
            if line.endswith("\n") and line.strip():
                yield json.loads(line)


def keep_rows(path: Path, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Cut the file back to its whole, wanted rows and return them.

    The file is replaced only if that changes it, so a reader that tails it by offset is not
    disturbed by a resume that drops nothing.
    """
    rows = [row for row in read_rows(path) if wanted(row)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.exists() and path.read_text() != text:
        aside = path.with_name(path.name + ".tmp")
        aside.write_text(text)
        sync(aside)
        aside.replace(path)
    return rows


def sha256(path: Path) -> str:
    """The hash of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Make a file or a folder's list of names survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def seal(aside: Path, final: Path, facts: dict[str, Any]) -> None:
    """Hash and sync all that is in `aside`, add the manifest, and rename the folder to `final`."""
    found = sorted(aside.rglob("*"))
    for path in found:
        sync(path)
    files = [path for path in found if path.is_file()]
    hashes = {str(path.relative_to(aside)): sha256(path) for path in files}
    write_json(aside / MANIFEST, {**facts, "files": hashes})
    sync(aside)
    if final.exists():
        shutil.rmtree(final)
    aside.rename(final)
    for named in (final.parent, final.parent.parent):
        sync(named)


def damage(folder: Path) -> str | None:
    """What is wrong with a folder that has a manifest; none if nothing is, or it has none."""
    if not (folder / MANIFEST).exists():
        return None
    try:
        hashes = json.loads((folder / MANIFEST).read_text())["files"]
    except (ValueError, KeyError, TypeError):
        return f"{MANIFEST} cannot be read"
    for name, digest in hashes.items():
        if not (folder / name).is_file():
            return f"{name} is missing"
        if sha256(folder / name) != digest:
            return f"{name} does not have the hash that {MANIFEST} gives it"
    return None


def manifest_if_whole(folder: Path) -> dict[str, Any] | None:
    """The manifest, if every file is there with its hash; otherwise none."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        whole = all(sha256(folder / name) == digest for name, digest in manifest["files"].items())
    except (OSError, ValueError, KeyError):
        return None
    return manifest if whole else None


def fetch(url: str, folder: Path) -> Path:
    """A local path for `url`: itself, or a copy of an fsspec URL made below `folder` once."""
    if "://" not in url:
        path = Path(url)
        return path if path.is_absolute() else folder / path
    import fsspec

    target = folder / "fetched" / hashlib.sha256(url.encode()).hexdigest()[:16]
    if not target.exists():
        aside = target.with_name(target.name + ".tmp")
        shutil.rmtree(aside, ignore_errors=True)
        aside.parent.mkdir(parents=True, exist_ok=True)
        filesystem, path = fsspec.core.url_to_fs(url)
        filesystem.get(path, str(aside), recursive=filesystem.isdir(path))
        aside.rename(target)
    return target
