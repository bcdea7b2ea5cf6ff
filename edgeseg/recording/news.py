"""What an archive says of itself, as events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from edgeseg.events import Events
from edgeseg.recording.repair import Repair
from edgeseg.recording.retention import Reason
from edgeseg.recording.segment import Segment

_SAYS = {"age": "too old", "size": "over the size", "free": "for free space", "room": "for room"}
#: How many segments an event names.
_NAMED = 20


def tell_repaired(events: Events, folder: Path, repairs: Sequence[Repair]) -> None:
    """Tells what was cut off below `folder`, and how much of it is kept."""
    kept_s, dropped = sum(it.seconds for it in repairs), sum(it.dropped for it in repairs)
    events.add(
        "recording_repaired",
        f"a recording was cut off: {kept_s:.1f} s of its last segments are kept, "
        f"{dropped} bytes that were not whole are dropped",
        level="warning",
        files=[str(it.path.relative_to(folder)) for it in repairs if it.path is not None],
        kept_s=round(kept_s, 3),
        dropped_bytes=dropped,
    )


def tell_named(events: Events, count: int) -> None:
    """Tells that so many segments got the time into their names."""
    events.add("segments_named", f"the time is known: {_segments(count)} got it into their names")


def tell_deleted(events: Events, gone: Sequence[tuple[Segment, Reason]]) -> None:
    """Tells which segments were deleted, and why each."""
    reasons = Counter(reason for _, reason in gone)
    freed = sum(it.size for it, _ in gone)
    why = ", ".join(f"{count} {_SAYS[reason]}" for reason, count in reasons.items())
    events.add(
        "segment_deleted",
        f"{_segments(len(gone))} deleted ({why}), {freed / 1e6:.1f} MB",
        count=len(gone),
        bytes=freed,
        reasons=dict(reasons),
        segments=[str(it.name) for it, _ in gone[:_NAMED]],
    )


def _segments(number: int) -> str:
    return "1 segment" if number == 1 else f"{number} segments"
