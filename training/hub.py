"""To a model hub, for who has one: a checkpoint or a dataset version with its card.

What is sent is first laid down as a folder, the very one that a download gives; then
`huggingface_hub` uploads it in one commit. Nothing is sent unless it is asked for by name.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from curation.models import DatasetVersion
from training.leaving import lay_down, parcel
from training.models import Checkpoint
from training.versions.exporting import export_version


class NotPushed(ValueError):
    """Why nothing was sent, in a sentence."""


def lay_out_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """The folder of a model repository. Raises `FileGone`."""
    lay_down(parcel(checkpoint), folder)


def lay_out_version(version: DatasetVersion, shape: str, folder: Path) -> None:
    """The folder of a dataset repository, in one of the export formats."""
    export_version(version, shape, {}, folder)


def push(folder: Path, repository: str, kind: str, *, private: bool, message: str) -> str:
    """Upload a folder in one commit; the address of the repository. Raises `NotPushed`."""
    check_repository(repository)
    refuse_offline()
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(token=token())
    try:
        url = api.create_repo(repository, repo_type=kind, private=private, exist_ok=True)
        api.upload_folder(
            folder_path=folder, repo_id=repository, repo_type=kind, commit_message=message
        )
    except (HfHubHTTPError, OSError, ValueError) as error:
        first = str(error).strip().split("\n")[0]
        raise NotPushed(f"The hub refused {repository}: {first}") from error
    return str(url)


def check_repository(repository: str) -> None:
    owner, mark, name = repository.partition("/")
    if not (owner and mark and name) or "/" in name:
        raise NotPushed(f"{repository!r} is no repository of a hub; name it OWNER/NAME.")


def refuse_offline() -> None:
    """Say clearly what is lacking before gigabytes are laid down."""
    if is_set("HF_HUB_OFFLINE") or is_set("TRANSFORMERS_OFFLINE"):
        raise NotPushed("HF_HUB_OFFLINE is set, so nothing leaves this host; unset it to push.")
    token()


def is_set(name: str) -> bool:
    return os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")


def token() -> str:
    """HF_TOKEN, or what `hf auth login` has kept."""
    from huggingface_hub import get_token

    found: Any = get_token()
    if not found:
        raise NotPushed("There is no token for the hub; set HF_TOKEN or run `hf auth login`.")
    return str(found)
