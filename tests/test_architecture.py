"""Imports run one way, every method has its page, and the front-end files are what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_the_import_contracts_hold():
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout


def method_names() -> list[str]:
    from training.methods import methods

    return sorted(methods())


@pytest.mark.parametrize("name", method_names())
def test_every_method_has_its_docs_page(name: str):
    assert (ROOT / "docs" / "methods" / f"{name}.md").is_file()


def test_the_changelog_names_the_version():
    import tomllib

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version in (ROOT / "CHANGELOG.md").read_text()


def test_no_model_file_could_run_code():
    """safetensors only: no pickle in the repository."""
    kinds = {".bin", ".pt", ".pth", ".pkl", ".ckpt"}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    assert [name for name in listed.stdout.split() if Path(name).suffix in kinds] == []
