"""The names of segments: in the order in which they were recorded, and with the time as far as it was known.

    00000042_20261120T140500Z.mp4          the clock was right
    00000043_boot-1a2b3c4d-000012345s.mp4  it was not yet: 12345 s after the start 1a2b3c4d of the device

The number alone makes the order: the calendar may be wrong, unknown or set back. Nothing in a name is special to FAT.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

#: The files of a segment, and what is behind their names while they grow.
VIDEO, RECORDS, PART = ".mp4", ".jsonl", ".part"

_NAME = re.compile(
    r"(?P<number>\d{8})_"
    r"(?:(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z|boot-(?P<boot>[0-9a-f]{8})-(?P<since>\d{9})s)"
    r"(?P<suffix>\.[a-z0-9]+)(?P<part>\.part)?",
    # Digits, and not all that Unicode takes for some.
    re.ASCII,
)
_WALL = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Start:
    """When a segment begins: `wall_s` seconds since 1970, or `since_boot_s` seconds after the start `boot_id`."""

    wall_s: float | None = None
    boot_id: str = ""
    since_boot_s: float = 0.0

    def __str__(self) -> str:
        if self.wall_s is None:
            return f"boot-{self.boot_id}-{int(self.since_boot_s):09}s"
        return datetime.fromtimestamp(int(self.wall_s), tz=timezone.utc).strftime(_WALL)


@dataclass(frozen=True, slots=True)
class SegmentName:
    """A number that grows with every segment, and when the segment begins."""

    number: int
    start: Start

    def __str__(self) -> str:
        return f"{self.number:08}_{self.start}"


@dataclass(frozen=True, slots=True)
class FileName:
    """One file of a segment; `part` while it grows."""

    segment: SegmentName
    suffix: str
    part: bool = False

    def __str__(self) -> str:
        return f"{self.segment}{self.suffix}{PART if self.part else ''}"

    @classmethod
    def parse(cls, name: str) -> FileName | None:
        """Returns what a file's name says, None for a file that is none of ours."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        if match["boot"]:
            start = Start(boot_id=match["boot"], since_boot_s=float(match["since"]))
        else:
            try:
                # Not strptime(): a folder may hold the minutes of a month.
                year, month, day, hour, minute, second = map(int, match.groups()[1:7])
                start = Start(datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc).timestamp())
            except ValueError:
                return None
        return cls(SegmentName(int(match["number"]), start), match["suffix"], match["part"] is not None)
