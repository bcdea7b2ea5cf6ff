"""Repair: what a run that was killed, or a power cut, left of a segment becomes a segment."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from edgeseg.recording.fragments import complete_file
from edgeseg.recording.name import PART, VIDEO, FileName
from edgeseg.sinks.files import flush_folder, flush_to_disk
from edgeseg.sinks.mp4 import TIME_BASE


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of one file. path: None when nothing of it was whole. dropped: bytes."""

    path: Path | None
    kept: int
    dropped: int
    seconds: float = 0.0


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
        return Repair(None, 0, before)
    flush_to_disk(part)
    path = part.with_name(part.name.removesuffix(PART))
    part.rename(path)
    flush_folder(part.parent)
    return Repair(path, kept, before - kept, seconds)


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
