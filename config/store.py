"""ARTIFACTS_URL in full: where the files lie, and how the store is reached.

One URL is all that a host needs, so an S3 store's key, secret and endpoint may stand in it:

    s3://KEY:SECRET@BUCKET/FOLDER?endpoint_url=https://s3.example.org

They are taken out here and kept by fsspec for this process; what the database remembers of a file
is `s3://BUCKET/FOLDER/…` alone. Without them the usual AWS_… variables and profiles count.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import fsspec
from django.core.exceptions import ImproperlyConfigured

KNOWN = ("endpoint_url", "region_name")
# Of botocore: an answer that does not begin within seconds is asked for once more, then given up.
HASTE = {"connect_timeout": 1.5, "read_timeout": 3}
ONCE_MORE = {"mode": "standard", "total_max_attempts": 2}


def configured(url: str) -> str:
    """The URL without its secrets and options. Raises `ImproperlyConfigured`."""
    parts = urlsplit(url)
    if parts.scheme not in ("s3", "s3a"):
        return url
    login, at, bucket = parts.netloc.rpartition("@")
    if not bucket:
        raise ImproperlyConfigured("ARTIFACTS_URL names no bucket: s3://BUCKET/FOLDER.")
    options: dict[str, Any] = {"use_listings_cache": False}  # others write there too
    if at:
        options |= keys(login)
    options |= {"client_kwargs": given} if (given := named(parts.query)) else {}
    fsspec.config.conf.setdefault(parts.scheme, {}).update(options)
    return f"{parts.scheme}://{bucket}{parts.path}".rstrip("/")


def in_haste(url: str) -> None:
    """For a process that answers people, who are told within seconds that the store is away; a
    worker waits as long as the client's own settings say, and asks again.

    What the installation says itself, in fsspec's configuration or `AWS_MAX_ATTEMPTS`, stays.
    """
    scheme = urlsplit(url).scheme
    if scheme not in ("s3", "s3a"):
        return
    tries = {} if "AWS_MAX_ATTEMPTS" in os.environ else {"retries": ONCE_MORE}
    options = fsspec.config.conf.setdefault(scheme, {})
    options["config_kwargs"] = {**HASTE, **tries, **options.get("config_kwargs", {})}
    fsspec.get_filesystem_class(scheme).retries = 1  # s3fs repeats what botocore has repeated


def keys(login: str) -> dict[str, str]:
    """KEY:SECRET, each quoted as URLs are where it has signs like / or +."""
    key, mark, secret = login.partition(":")
    if not (key and mark and secret):
        raise ImproperlyConfigured("ARTIFACTS_URL takes KEY:SECRET before the @, both of them.")
    return {"key": unquote(key), "secret": unquote(secret)}


def named(query: str) -> dict[str, str]:
    """The options behind the question mark."""
    given = dict(parse_qsl(query))
    if unknown := sorted(given.keys() - set(KNOWN)):
        known = " and ".join(KNOWN)
        raise ImproperlyConfigured(f"ARTIFACTS_URL knows {known}, not {unknown[0]!r}.")
    return given
