"""The form of a model: an endpoint, a folder, or only a name that imported texts carry."""

from __future__ import annotations

from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings

from curation.models import LanguageModel, Project, Provider

STORES = ("file", "s3", "gs", "gcs", "az", "abfs", "hdfs")


class LanguageModelForm(forms.ModelForm):
    """Prices are three plain fields; a key is never asked for, only the variable that holds it."""

    prompt_price = forms.DecimalField(
        required=False, min_value=Decimal(0), max_digits=12, decimal_places=6,
        label="Price of a million prompt tokens",
    )  # fmt: skip
    completion_price = forms.DecimalField(
        required=False, min_value=Decimal(0), max_digits=12, decimal_places=6,
        label="Price of a million completion tokens",
    )  # fmt: skip
    currency = forms.RegexField(
        r"^[A-Z]{3}$",
        required=False,
        initial="USD",
        error_messages={"invalid": "Write three capital letters, as in USD."},
    )

    class Meta:
        model = LanguageModel
        fields = ("provider", "name", "uri", "revision", "api_key_variable", "licence")
        labels = {
            "provider": "Kind",
            "uri": "Base URL or folder",
            "api_key_variable": "Key variable",
        }
        help_texts = {
            "name": "For an endpoint: the name it serves the model under.",
            "uri": "Endpoint: http://host:8000/v1. Local: a folder on the worker, or s3://…",
            "revision": "Optional; tells two states of one model apart.",
            "api_key_variable": "The worker’s environment variable that holds the key; "
            "it begins with STILLROOM_KEY_. Empty: no key is sent.",
            "licence": "As published, such as apache-2.0. It goes into dataset cards.",
        }

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.project = project
        prices = self.instance.prices
        self.initial.setdefault("prompt_price", prices.get("prompt"))
        self.initial.setdefault("completion_price", prices.get("completion"))
        self.initial.setdefault("currency", prices.get("currency", "USD"))

    def clean_uri(self) -> str:
        return self.cleaned_data["uri"].strip().rstrip("/")

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        provider, uri = given.get("provider"), given.get("uri", "")
        problem = (
            PROBLEMS[provider](uri) if provider in PROBLEMS and "uri" not in self.errors else ""
        )
        if problem:
            self.add_error("uri", problem)
        if given.get("api_key_variable") and provider != Provider.OPENAI:
            self.add_error("api_key_variable", "Only an endpoint takes a key. Leave this empty.")
        if given.get("name") and self._twins(given).exists():
            self.add_error(
                "name", "This project has a model of that name and revision. Edit that one."
            )
        return given

    def _twins(self, given: dict[str, Any]) -> Any:
        same = LanguageModel.objects.filter(
            project=self.instance.project, name=given["name"], revision=given.get("revision", "")
        )
        return same.exclude(pk=self.instance.pk)

    def save(self, commit: bool = True) -> LanguageModel:
        given = self.cleaned_data
        prices = {"prompt": given["prompt_price"], "completion": given["completion_price"]}
        named = {name: float(price) for name, price in prices.items() if price is not None}
        currency = given["currency"] or "USD"
        self.instance.prices = {**named, "currency": currency} if named else {}
        return super().save(commit)


def _is_malformed(uri: str) -> bool:
    """Whether no client could ask there: a blank in it, half a bracket, no such port."""
    try:
        _ = urlsplit(uri).port
    except ValueError:
        return True
    return any(sign.isspace() for sign in uri)


def _endpoint_problem(uri: str) -> str:
    if _is_malformed(uri):
        return "That is no address. Give the base URL of the endpoint, such as http://host:8000/v1."
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "Give the base URL of the endpoint, such as http://host:8000/v1."
    if parts.username or parts.password:
        return "Do not put a key or a password into the URL; name its variable below."
    if parts.query or parts.fragment or parts.path.endswith(("/completions", "/chat")):
        return "Give the base URL only, up to /v1; the rest is added."
    return ""


def _folder_problem(uri: str) -> str:
    scheme = uri.partition("://")[0] if "://" in uri else ""
    if not uri:
        return "Name the folder that holds the model’s config.json and safetensors."
    if scheme and scheme not in STORES:
        return (
            f"A model cannot be read from {scheme}://. Use a folder, or one of s3://, gs://, az://."
        )
    ours = (settings.BASE_DIR / uri / "config.json").is_file()  # the demo's checkpoints
    if not scheme and not ours and not PurePosixPath(uri).is_absolute():
        return "Give the whole path of the folder, from / on, as the worker sees it."
    return ""


def _imported_problem(uri: str) -> str:
    return "A model that only names imported texts has no address. Leave this empty." if uri else ""


PROBLEMS = {
    Provider.OPENAI: _endpoint_problem,
    Provider.LOCAL: _folder_problem,
    Provider.IMPORTED: _imported_problem,
}
