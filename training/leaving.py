"""A checkpoint as it leaves: the folder that a download, a push and `from_pretrained` share.

It holds what transformers and vLLM read (config.json, generation_config.json, safetensors, the
tokenizer's files), the model card, and for LoRA the adapter alone in `adapter/`: the weights beside
it are merged, so that a reader who knows nothing of adapters has the trained model. What only a
resume needs, the optimizer, stays.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from curation.artifacts import COPY_BYTES, filesystem
from training.cards import model_card
from training.models import Checkpoint
from training.runs.storing import FileGone

STAYS = ("optimizer.safetensors", "manifest.json")
ADAPTER = "adapter/"


@dataclass(frozen=True)
class File:
    """A file of the parcel: its name there, its bytes, and how to read them in pieces."""

    name: str
    size: int
    read: Callable[[], Iterator[bytes]]


def folder_name(checkpoint: Checkpoint) -> str:
    run = checkpoint.run
    name = re.sub(r"[^a-z0-9]+", "-", f"{run.project.slug}-{run.name or run.method}".lower())
    return f"{name.strip('-')}-run-{run.pk}-step-{checkpoint.step}"


def parcel(checkpoint: Checkpoint) -> list[File]:
    """Every file of the folder. Raises `FileGone` if the checkpoint is not in the store."""
    fs, root = filesystem(checkpoint.uri)
    root = fs._strip_protocol(root).rstrip("/")
    found = fs.find(root, detail=True)
    if f"{root}/manifest.json" not in found:
        raise FileGone(
            f"The files of {checkpoint} are gone from the artifact store. Bring them back, or "
            "take another checkpoint."
        )
    files = [
        File(path[len(root) + 1 :], facts["size"], reader(fs, path))
        for path, facts in sorted(found.items())
        if path[len(root) + 1 :] not in STAYS
    ]
    lora = any(file.name.startswith(ADAPTER) for file in files)
    card = (model_card(checkpoint) + (merged_note() if lora else "")).encode()
    return [File("README.md", len(card), lambda: iter([card])), *files]


def merged_note() -> str:
    return (
        "\n## Adapter\n\nTrained with LoRA. The weights of this folder are **merged**: load it as "
        "any model. The adapter alone, for the model that the run began with, is in `adapter/`.\n"
    )


def reader(fs: Any, path: str) -> Callable[[], Iterator[bytes]]:
    def read() -> Iterator[bytes]:
        with fs.open(path, "rb") as file:
            while piece := file.read(COPY_BYTES):
                yield piece

    return read


def lay_down(files: Iterable[File], folder: Path) -> None:
    """The parcel as a folder on this disk."""
    for file in files:
        target = folder / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            for piece in file.read():
                out.write(piece)


class Sink:
    """Where a zip is written that is sent while it is made."""

    def __init__(self) -> None:
        self.held: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.held.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back."""

    def taken(self) -> bytes:
        held, self.held = b"".join(self.held), []
        return held


def in_a_zip(name: str, files: Iterable[File]) -> Iterator[bytes]:
    """A zip of stored files (weights do not compress), piece by piece."""
    sink = Sink()
    with zipfile.ZipFile(cast("IO[bytes]", sink), "w") as archive:
        for file in files:
            entry = zipfile.ZipInfo(f"{name}/{file.name}")
            entry.external_attr = 0o644 << 16
            with archive.open(entry, "w", force_zip64=True) as target:
                for piece in file.read():
                    target.write(piece)
                    yield sink.taken()
    yield sink.taken()
