"""Changes: which keys of the configuration change while it runs, and which of them did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from edgeseg.config import Config
from edgeseg.server.access_config import Access

#: Keys of the configuration that change while it runs, beside sources and the model; and those that cannot.
APPLIED_AT_ONCE = (
    "model",
    "heat",
    "overlay",
    "fusion",
    "picture_check",
    "privacy",
    "person_in_path",
    "max_age",
    "too_old",
    "log.level",
)
HTTP_AT_ONCE = tuple(f"http.{key}" for key in Access.model_fields)
AFTER_A_START = (
    "duration",
    "output",
    "push",
    "recording",
    "http.address",
    "http.webrtc",
    "event_log",
    "webhook",
    "mqtt",
    "state_folder",
    "log.interval",
)


@dataclass(slots=True)
class Changes:
    """What a new configuration changed: the keys that were applied, and those that wait for a start."""

    applied: list[str] = field(default_factory=list)
    later: list[str] = field(default_factory=list)

    def note(self, before: Config, after: Config, keys: Iterable[str], to: list[str]) -> None:
        """Adds those of `keys` in which two configurations differ to one of the lists."""
        to += [key for key in keys if _value_at(before, key) != _value_at(after, key)]


def _value_at(config: Config, key: str) -> object:
    value: object = config
    for step in key.split("."):
        value = getattr(value, step)
    return value
