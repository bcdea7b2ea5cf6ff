"""The `webhook:` part of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PlainSerializer

from edgeseg.event_kinds import EventKind
from edgeseg.fields import Duration, Part


def check_url(text: str) -> str:
    """Returns an http or https address that can be called. Raises ValueError."""
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not text.isascii() or any(sign.isspace() or not sign.isprintable() for sign in text):
        raise ValueError("is not a web address; write for instance https://10.0.0.2:8123/api/events")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a password; put a token into EDGESEG_WEBHOOK_TOKEN or token_file instead")
    return text


def hide_path(url: str) -> str:
    """Returns a web address without its path and query, which are a secret with many services."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/***"


WebAddress = Annotated[
    str, AfterValidator(check_url), PlainSerializer(hide_path, return_type=str, when_used="json-unless-none")
]


class WebhookConfig(Part):
    """Where events are posted; nowhere without a URL. events: their kinds.

    The token, which is sent as `Authorization: Bearer`, comes from EDGESEG_WEBHOOK_TOKEN or from token_file.
    """

    url: WebAddress | None = None
    events: tuple[EventKind, ...] = (
        "person_in_path",
        "camera_lost",
        "camera_back",
    )
    timeout: Annotated[Duration, Field(le=60)] = 5.0
    token_file: Path | None = None
