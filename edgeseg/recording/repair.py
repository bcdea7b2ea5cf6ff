"""Repair: what a run that was killed, or a power cut, left of a segment becomes a segment."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgeseg.recording.fragments import complete_file
from edgeseg.recording.name import PART, VIDEO, FileName
from edgeseg.sinks.files import FULL, flush_folder, flush_to_disk, say_why
from edgeseg.sinks.mp4 import TIME_BASE

logger = logging.getLogger(__name__)

#: What a whole disk says; anything else is about one file, and the others can be had.
WHOLE_DISK = (errno.EROFS, *FULL)


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of one file. path: None when nothing of it was whole. dropped: bytes."""

    path: Path | None
    dropped: int
    seconds: float = 0.0


def repair_files(parts: Iterable[Path]) -> list[Repair]:
    """Repairs one after the other; one that the disk does not let is left for another time. Raises OSError."""
    repairs = []
    for part in parts:
        try:
            repairs.append(repair_file(part))
        except OSError as error:
            if error.errno in WHOLE_DISK:
                raise
            logger.warning("%s: cannot be repaired, stays as it is: %s", part, say_why(error))
    return repairs


def repair_file(part: Path) -> Repair:
    """Cuts NAME.part after the last whole fragment or line, gives it its name and returns what is in it.

    One that holds nothing whole is deleted. May be cut off itself and called again. Raises OSError.
    """
    name = FileName.parse(part.name)
    assert name is not None
    before = part.stat().st_size
    seconds = 0.0
    with part.open("r+b") as file:
        if name.suffix == VIDEO:
            whole = complete_file(file)
            kept, seconds = whole.size, float(whole.duration * TIME_BASE)
        else:
            kept = _whole_lines(file.read())
            file.truncate(kept)
    if not kept:
        part.unlink()
        return Repair(None, before)
    flush_to_disk(part)
    path = part.with_name(part.name.removesuffix(PART))
    part.rename(path)
    flush_folder(part.parent)
    return Repair(path, before - kept, seconds)


def _whole_lines(content: bytes) -> int:
    """Returns how many bytes of JSON lines are whole, up to the first that is not."""
    size = 0
    for line in content.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        try:
            json.loads(line)
        except ValueError:
            break
        size += len(line)
    return size
