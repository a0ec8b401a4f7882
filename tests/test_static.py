"""The front end comes whole from this host, its vendored part unchanged; its text can be read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STATIC, VENDOR, TEMPLATES = ROOT / "static", ROOT / "static" / "vendor", ROOT / "templates"
VERSIONS = json.loads((VENDOR / "VERSIONS.json").read_text())
OURS = [
    *(path for path in STATIC.rglob("*") if path.suffix in {".css", ".js"}),
    *TEMPLATES.rglob("*.html"),
]
OURS = [path for path in OURS if not path.is_relative_to(VENDOR)]
SHEETS = [path for path in OURS if path.suffix == ".css"]
PAGES = [path for path in OURS if path.suffix == ".html"]
TOKENS = (STATIC / "css" / "tokens.css").read_text()


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# ---- vendored ----


def test_every_vendored_file_is_listed_with_its_hash():
    listed = {
        f"{folder}/{file}": digest
        for folder, facts in VERSIONS.items()
        for file, digest in facts["files"].items()
    }
    here = {
        path.relative_to(VENDOR).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path != VENDOR / "VERSIONS.json"
    }
    assert here == listed


@pytest.mark.parametrize("folder", VERSIONS)
def test_every_vendored_package_names_its_version_and_brings_its_licence(folder):
    facts = VERSIONS[folder]
    assert facts["licence"] in {"MIT", "OFL-1.1"}
    assert "LICENSE" in facts["files"]
    scripts = [file for file in facts["files"] if file.endswith(".js")]
    for script in scripts:
        assert facts["version"] in (VENDOR / folder / script).read_text()


# ---- one host, no inline code ----


@pytest.mark.parametrize("path", OURS, ids=name)
def test_nothing_is_fetched_from_another_host(path):
    fetching = (
        r"""(?:src|href|action|url\(|@import|import|fetch\()\s*[=(]?\s*["'(]?(?:https?:)?//"""
    )
    assert not re.findall(fetching, path.read_text())


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_no_page_holds_inline_code(path):
    text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", path.read_text(), flags=re.S)
    assert not re.search(
        r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|hx-on|javascript:", text
    )


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_static_file_that_a_page_names_is_there(path):
    from django.contrib.staticfiles import finders

    named = re.findall(r'\{% static "([^"]+)" %\}', path.read_text())
    assert [file for file in named if finders.find(file) is None] == []


def test_every_address_in_a_style_sheet_leads_to_a_file():
    sheets = [*SHEETS, VENDOR / "katex" / "katex.min.css"]
    for sheet in sheets:
        for address in re.findall(r"""url\(["']?([^"')]+)["']?\)""", sheet.read_text()):
            assert address.startswith("data:") or (sheet.parent / address).is_file(), address


# ---- tokens ----


def colours() -> Iterator[tuple[str, str, str]]:
    """Each colour token: its name, its light and its dark value."""
    yield from re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", TOKENS)


def luminance(colour: str) -> float:
    """WCAG's relative luminance of `#rrggbb`."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """From 1 (the same) to 21 (black on white)."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


GROUNDS = ["page", "surface", "surface-hover", "surface-sunken"]
TEXTS = [
    *((ink, ground) for ink in ("text", "text-muted", "accent-text") for ground in GROUNDS),
    *((f"{meaning}-text", f"{meaning}-soft") for meaning in ("ok", "warn", "bad", "info")),
    *((f"{meaning}-text", "surface") for meaning in ("ok", "warn", "bad", "info")),
    ("accent-text", "accent-soft"),
    ("on-accent", "accent"),
    ("on-accent", "accent-hover"),
]
EDGES = [(edge, ground) for edge in ("line-strong", "accent") for ground in ("page", "surface")]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXTS)
def test_text_can_be_read_on_its_ground(ink, ground, scheme):
    value = {name: pair[scheme] for name, *pair in colours()}
    assert contrast(value[ink], value[ground]) >= 4.5


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("edge", "ground"), EDGES)
def test_controls_and_the_focus_ring_stand_out(edge, ground, scheme):
    value = {name: pair[scheme] for name, *pair in colours()}
    assert contrast(value[edge], value[ground]) >= 3


def test_black_on_white_is_twenty_one_to_one():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("sheet", SHEETS, ids=name)
def test_every_token_that_a_sheet_uses_exists(sheet):
    text = sheet.read_text()
    defined = set(re.findall(r"(--[\w-]+):", TOKENS + text))
    used = set(re.findall(r"var\((--[\w-]+)", text))
    assert used - defined == set()
