"""Segment: a minute of a recording as it lies on the disk, a video and its records."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from edgeseg.recording.marks import Place, marked_number
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


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies in the folder of an archive and in those in it: files of segments, and marks."""

    files: list[tuple[Path, FileName]]
    marks: list[Place]

    @property
    def parts(self) -> list[tuple[Path, FileName]]:
        """The files that have no name yet."""
        return [(folder, name) for folder, name in self.files if name.part]

    def gather(self) -> list[Segment]:
        """Returns the segments that are closed, oldest first. Raises OSError."""
        found: dict[tuple[int, Path], Segment] = {}
        for folder, name in self.files:
            if name.part:
                continue
            # Deleted by hand at this moment.
            with contextlib.suppress(FileNotFoundError):
                size = (folder / str(name)).stat().st_size
                place = (name.segment.number, folder)
                if place not in found:
                    found[place] = Segment(folder, name.segment, {})
                found[place].sizes[name.suffix] = size
        return [found[place] for place in sorted(found)]


def list_archive(folder: Path) -> Listing:
    """Looks at what lies there, links to other folders aside. Raises OSError."""
    listing = Listing([], [])
    # Names, not paths: a folder may hold the minutes of a month.
    for place, names in _list_folders(folder):
        for file in sorted(names):
            if (name := FileName.parse(file)) is not None:
                listing.files.append((place, name))
            elif (number := marked_number(file)) is not None:
                listing.marks.append((place, number))
    return listing


def _list_folders(folder: Path) -> list[tuple[Path, list[str]]]:
    with os.scandir(folder) as entries:
        outer = [(it.name, it.is_dir(follow_symlinks=False)) for it in entries]
    found = [(folder, [name for name, _ in outer])]
    for name in sorted(name for name, is_folder in outer if is_folder):
        with os.scandir(folder / name) as entries:
            found.append((folder / name, [it.name for it in entries]))
    return found
