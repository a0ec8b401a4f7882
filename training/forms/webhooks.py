"""The forms of webhooks and of e-mails: an address, and what it is told of."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError

from curation.models import Project
from training.models import Subscription, Webhook
from training.models.webhook import CHOICES


class WebhookForm(forms.ModelForm):
    """An address outside, and what it is told of."""

    told_of = forms.MultipleChoiceField(
        label="Tell it when",
        choices=CHOICES,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose what it is told of."},
    )

    class Meta:
        model = Webhook
        fields = ("url", "told_of")
        labels = {"url": "Address"}
        help_texts = {
            "url": "https://… of the receiver. It has to be a public address, unless the "
            "operator allows private ones."
        }
        widgets = {"url": forms.URLInput(attrs={"placeholder": "https://"})}

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.project = project

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise ValidationError("That is no address.") from error
        if parts.username or parts.password:
            raise ValidationError("Leave name and password out; the signature proves who sends.")
        if parts.fragment:
            raise ValidationError("Leave out what stands behind the #; it is never sent.")
        twins = Webhook.objects.filter(project=self.instance.project, url=url)
        if twins.exclude(pk=self.instance.pk).exists():
            raise ValidationError("This project has a webhook with that address already.")
        return url


class SubscriptionForm(forms.ModelForm):
    """What a member wants an e-mail about; nothing is a choice too."""

    told_of = forms.MultipleChoiceField(
        label="Send me an e-mail when",
        choices=CHOICES,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    class Meta:
        model = Subscription
        fields = ("told_of",)
