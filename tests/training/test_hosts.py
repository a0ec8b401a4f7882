"""What a host keeps of the store, what the store keeps of a run, and how a store is named."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from datetime import timedelta
from pathlib import Path
from threading import Event

import fsspec
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db.models import F
from django.db.models.functions import Now

from config.store import configured, in_haste
from curation.store_away import StoreAway, is_away
from training.models import Worker
from training.runs.fetching import Cache, digest_of
from training.runs.folders import RunFolder
from training.runs.storing import FileGone, GivenUp, patiently


@pytest.fixture
def store(monkeypatch):
    """A store in memory, empty."""
    fs = fsspec.filesystem("memory")
    monkeypatch.setattr(type(fs), "store", {})
    monkeypatch.setattr(type(fs), "pseudo_dirs", [""])
    return fs


def put_checkpoint(store, name: str, size: int) -> str:
    """A checkpoint with its manifest; its URL."""
    content = name.encode() * size
    manifest = {"step": 1, "files": {"w": hashlib.sha256(content).hexdigest()}}
    store.pipe_file(f"/{name}/w", content)
    store.pipe_file(f"/{name}/manifest.json", json.dumps(manifest).encode())
    return f"memory://{name}"


def at_once(deed):
    return deed()


def test_a_url_says_it_all_and_what_is_remembered_tells_no_secret(monkeypatch):
    monkeypatch.setattr(fsspec.config, "conf", {})
    url = "s3://KEY:a%2Fb@cellar/ours/?endpoint_url=http://10.0.0.1:9000&region_name=eu-1"
    assert configured(url) == "s3://cellar/ours"
    known = fsspec.config.conf["s3"]
    assert (known["key"], known["secret"]) == ("KEY", "a/b")
    assert known["client_kwargs"] == {
        "endpoint_url": "http://10.0.0.1:9000",
        "region_name": "eu-1",
    }
    assert configured("file:///srv/stillroom") == "file:///srv/stillroom"


@pytest.mark.parametrize("url", ["s3://", "s3://KEY@cellar", "s3://cellar?endpoint=http://x"])
def test_a_url_without_sense_is_refused(url):
    with pytest.raises(ImproperlyConfigured):
        configured(url)


@pytest.fixture
def s3_class(monkeypatch):
    """s3fs as it comes, with nothing configured."""
    found = fsspec.get_filesystem_class("s3")
    monkeypatch.setattr(fsspec.config, "conf", {})
    monkeypatch.setattr(found, "retries", found.retries)
    monkeypatch.delenv("AWS_MAX_ATTEMPTS", raising=False)
    return found


def client_config(s3_class, url: str):
    """What botocore goes by, of the file system that `url` is opened with."""
    fs, _ = fsspec.core.url_to_fs(url)
    fs.connect(refresh=True)
    return fs.s3.meta.config


def test_the_web_asks_twice_and_for_seconds_where_a_worker_has_patience(s3_class):
    url = configured("s3://u:p@cellar/ours?endpoint_url=http://127.0.0.1:9&region_name=eu-1")
    of_worker, tries = client_config(s3_class, url), s3_class.retries
    in_haste(url)
    of_web = client_config(s3_class, url)
    assert of_web.connect_timeout + of_web.read_timeout < 5 < of_worker.read_timeout
    assert of_web.retries["total_max_attempts"] == 2
    assert s3_class.retries == 1 < tries


def test_what_an_installation_says_of_its_store_goes_before_haste(s3_class, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "7")
    fsspec.config.conf["s3"] = {"config_kwargs": {"read_timeout": 40}}
    url = configured("s3://u:p@cellar/ours?endpoint_url=http://127.0.0.1:9&region_name=eu-1")
    in_haste(url)
    found = client_config(s3_class, url)
    assert (found.connect_timeout, found.read_timeout) == (1.5, 40)
    assert found.retries["total_max_attempts"] == 7


def test_a_folder_needs_no_haste(monkeypatch):
    monkeypatch.setattr(fsspec.config, "conf", {})
    in_haste(configured("file:///srv/stillroom"))
    assert fsspec.config.conf == {}


def test_a_model_is_fetched_once_and_the_least_used_goes_first(store, tmp_path):
    cache = Cache(tmp_path / "cache", limit=2500)
    urls = [put_checkpoint(store, name, 1000) for name in ("a", "b", "c")]
    for number, url in enumerate(urls):
        cache.link(url, tmp_path / f"run-{number}", digest_of(url), at_once)
        time.sleep(0.02)
    assert {path.name for path in cache.entries()} == {digest_of(url) for url in urls[1:]}
    assert (tmp_path / "run-0" / "w").read_bytes() == b"a" * 1000, "a link outlives the eviction"
    store.rm_file("/c/w")
    cache.link(urls[2], tmp_path / "again", digest_of(urls[2]), at_once)
    assert (tmp_path / "again" / "w").read_bytes() == b"c" * 1000, "it came from the cache"


def test_a_damaged_model_is_refused_and_not_kept(store, tmp_path):
    url = put_checkpoint(store, "a", 10)
    store.pipe_file("/a/w", b"something else")
    cache = Cache(tmp_path / "cache", limit=10_000)
    with pytest.raises(FileGone, match="damaged"):
        cache.link(url, tmp_path / "run", digest_of(url), at_once)
    assert list(cache.root.iterdir()) == []
    with pytest.raises(FileGone, match="gone from the artifact store"):
        digest_of("memory://nowhere")


def run_folder(path: Path) -> RunFolder:
    (path / "checkpoints" / "step-000005").mkdir(parents=True)
    (path / "run.json").write_text("{}")
    (path / "metrics.jsonl").write_text('{"step": 5}\n')
    (path / "checkpoints" / "step-000005" / "w").write_text("weights")
    (path / "checkpoints" / "step-000005" / "manifest.json").write_text("{}")
    (path / "checkpoints" / ".step-000010.tmp").mkdir()
    (path / "checkpoints" / ".step-000010.tmp" / "w").write_text("half")
    return RunFolder(path, "memory://runs/7")


def test_a_copy_ends_with_the_manifest_and_leaves_out_halves(tmp_path):
    names = run_folder(tmp_path / "run").names()
    sealed = "checkpoints/step-000005"
    assert names == [f"{sealed}/w", "run.json", "metrics.jsonl", f"{sealed}/manifest.json"]


def test_a_checkpoint_that_is_gone_here_goes_from_the_store_too(store, tmp_path):
    folder = run_folder(tmp_path / "run")
    folder.push()
    for name in ("manifest.json", "w"):
        (folder.path / "checkpoints" / "step-000005" / name).unlink()
    folder.push()
    assert {name.removeprefix("/runs/7/") for name in store.find("/runs/7")} == {
        "run.json",
        "metrics.jsonl",
    }


def test_another_host_begins_with_what_the_store_has_and_nothing_else(store, tmp_path):
    folder = run_folder(tmp_path / "one" / "run")
    folder.pull()  # the first attempt: nothing is there, and this place is noted
    run_folder(tmp_path / "one" / "run2")
    (tmp_path / "one" / "run").rename(tmp_path / "one" / "old")
    (tmp_path / "one" / "run2").rename(tmp_path / "one" / "run")
    folder.push()
    stale = tmp_path / "two" / "run"
    stale.mkdir(parents=True)
    (stale / "left-behind.jsonl").write_text("of an attempt long ago\n")
    other = RunFolder(stale, folder.url)
    other.pull()
    assert other.names() == folder.names()
    (stale / "metrics.jsonl").write_text('{"step": 5}\n{"step": 6}\n')
    other.pull()
    assert (stale / "metrics.jsonl").read_text().count("\n") == 2, "it was the last to work"


def test_patience_has_an_end_and_what_waiting_cannot_mend_is_told_at_once():
    tries = []

    def away():
        tries.append(1)
        raise ConnectionRefusedError("nobody listens")

    def gone():
        raise FileGone("v1 is gone from the artifact store.")

    with pytest.raises(StoreAway, match="nobody listens"):
        patiently(away, patience=1.2)
    assert len(tries) == 2
    given_up = Event()
    given_up.set()
    with pytest.raises(GivenUp):
        patiently(away, given_up)
    with pytest.raises(FileGone):
        patiently(gone)
    assert not is_away(PermissionError("wrong key"))
    assert not is_away(TypeError("no such argument"))
    assert not is_away(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


@pytest.mark.django_db
def test_alive_goes_by_the_databases_clock():
    Worker.objects.create(name="here:gpu", host_class="gpu", heartbeat_at=Now())
    assert Worker.objects.get().is_alive
    Worker.objects.update(heartbeat_at=F("heartbeat_at") - timedelta(seconds=61), clock_ahead=300)
    assert not Worker.objects.get().is_alive
    assert Worker.objects.get().clock_is_off
