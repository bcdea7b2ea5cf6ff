"""What the recorder can be told, and how long its segments are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edgeseg.event_kinds import EventKind
from edgeseg.fields import DataSize, Duration, Part


class KeepConfig(Part):
    """How long segments stay. What is over any limit goes, oldest first; without a limit it does not count.

    age: of a segment. size: of all segments of all cameras together. free: what the disk is to have left for others.
    events: the kinds of events whose minute is kept, with the one before and the one after.
    """

    age: Duration | None = None
    size: DataSize | None = None
    free: DataSize = 500_000_000
    events: tuple[EventKind, ...] = ("person_in_path",)


class RecordingConfig(Part):
    """Where and what is recorded; without a folder nothing is.

    segment: seconds of a file. picture: as the camera gave it, or with the overlay. records: whether a JSONL file goes
    with each video.
    """

    folder: Path | None = None
    picture: Literal["overlay", "raw"] = "overlay"
    segment: Annotated[Duration, Field(ge=1, le=3600)] = 60.0
    records: bool = True
    keep: KeepConfig = KeepConfig()
