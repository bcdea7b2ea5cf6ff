"""The `event_log:` part of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from edgeseg.fields import DataSize, Part


class EventLogConfig(Part):
    """Where events are written, a JSON record a line. size: of all its files together.

    Without a path it is events.jsonl in the recordings' folder, and nowhere where nothing is recorded.
    """

    path: Path | None = None
    size: Annotated[DataSize, Field(ge=100_000)] = 10_000_000
