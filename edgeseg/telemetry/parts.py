"""The parts of a run that tell others, as its configuration asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgeseg.board import BoardReading
from edgeseg.events import Events
from edgeseg.exposition import Family
from edgeseg.lane import Lane

if TYPE_CHECKING:
    from edgeseg.config import Config


class TelemetryPart(AbstractContextManager[Any], Protocol):
    """What tells somebody while its context lasts, and Prometheus how it does."""

    def families(self) -> Iterator[Family]: ...


def make_telemetry(
    config: Config,
    *,
    lanes: Mapping[str, Lane],
    classes: Iterable[str],
    events: Events,
    board: Callable[[], BoardReading],
    person_in_path: Callable[[str], bool],
) -> list[TelemetryPart]:
    """Returns the parts that are asked for, none of them running; to be entered in this order, so that the log on the
    disk hears what the others tell of themselves.

    Raises UsageError and ConfigError. Imports only what is asked for.
    """
    parts: list[TelemetryPart] = []
    if (path := event_log_path(config)) is not None:
        from edgeseg.telemetry.event_log import EventLog

        parts.append(EventLog(path, config.event_log.size, events))
    if config.webhook.url is not None:
        from edgeseg.telemetry.webhook import Webhook

        parts.append(Webhook(config.webhook, events, device=config.mqtt.client_id))
    if config.mqtt.broker is not None:
        from edgeseg.telemetry.mqtt import Mqtt

        parts.append(
            Mqtt(config.mqtt, lanes=lanes, classes=classes, events=events, board=board, person_in_path=person_in_path)
        )
    return parts


def event_log_path(config: Config) -> Path | None:
    """Returns where events are written: where that is said, or beside the recordings; None for nowhere."""
    if config.event_log.path is None and config.recording.folder is not None:
        return config.recording.folder / "events.jsonl"
    return config.event_log.path
