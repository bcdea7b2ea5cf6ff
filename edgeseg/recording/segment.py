"""Segment: a minute of a recording as it lies on the disk, a video and its records."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgeseg.recording.marks import Place
from edgeseg.recording.name import FileName, SegmentName


@dataclass(frozen=True, slots=True)
class Segment:
    """A closed segment. sizes: bytes by suffix. begun_boot_ns: on the clock of this start, where it was in this one."""

    folder: Path
    name: SegmentName
    sizes: dict[str, int]
    begun_boot_ns: int | None = None

    @property
    def place(self) -> Place:
        return self.folder, self.name.number

    @property
    def size(self) -> int:
        return sum(self.sizes.values())

    def path(self, suffix: str) -> Path:
        return self.folder / str(FileName(self.name, suffix))

    def paths(self) -> list[Path]:
        return [self.path(suffix) for suffix in self.sizes]


def list_files(folder: Path) -> list[tuple[Path, FileName | None]]:
    """Returns all that lies in the folder of an archive and in those in it, with what the names say. Raises OSError."""
    inner = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    paths = [path for place in (folder, *inner) for path in sorted(place.iterdir())]
    return [(path, FileName.parse(path.name)) for path in paths]


def gather_segments(files: Iterable[tuple[Path, FileName | None]]) -> list[Segment]:
    """Returns the segments that are closed, oldest first. Raises OSError."""
    found: dict[tuple[int, Path], Segment] = {}
    for path, name in files:
        if name is None or name.part:
            continue
        segment = Segment(path.parent, name.segment, {})
        # Deleted by hand at this moment.
        with contextlib.suppress(FileNotFoundError):
            size = path.stat().st_size
            found.setdefault((name.segment.number, path.parent), segment).sizes[name.suffix] = size
    return [found[place] for place in sorted(found)]
