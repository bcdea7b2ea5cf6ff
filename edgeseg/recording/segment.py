"""Segment: a minute of a recording as it lies on the disk, a video and its records."""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from edgeseg.recording.marks import Place, marked_number
from edgeseg.recording.name import FileName, SegmentName

logger = logging.getLogger(__name__)


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

    def rename(self, name: SegmentName) -> Segment:
        """Gives all its files another name, or none of them; returns what it is then. Raises OSError."""
        new = replace(self, name=name)
        renamed = []
        try:
            for suffix in self.sizes:
                # Deleted by hand since.
                with contextlib.suppress(FileNotFoundError):
                    self.path(suffix).rename(new.path(suffix))
                    renamed.append(suffix)
        except OSError:
            for suffix in renamed:
                with contextlib.suppress(OSError):
                    new.path(suffix).rename(self.path(suffix))
            raise
        return new


class File(NamedTuple):
    """A file of a segment: where it lies, what it is called and what that says."""

    folder: Path
    entry: os.DirEntry[str]
    name: FileName

    @property
    def path(self) -> str:
        return self.entry.path

    @property
    def place(self) -> Place:
        return self.folder, self.name.segment.number


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies in the folder of an archive and in those in it: files of segments, and marks."""

    files: list[File]
    marks: list[Place]

    @property
    def parts(self) -> list[File]:
        """The files that have no name yet."""
        return [file for file in self.files if file.name.part]

    def bring_home(self) -> bool:
        """Renames files that go by another name than their segment's; returns whether there were any.

        A kill between two renames leaves them: the video and the records have only the number in common then.
        """
        names: dict[Place, SegmentName] = {}
        found = False
        for file in self.files:
            if file.name.part or (name := names.setdefault(file.place, file.name.segment)) == file.name.segment:
                continue
            home = file.folder / str(FileName(name, file.name.suffix))
            try:
                if not home.exists():
                    Path(file.path).rename(home)
                    found = True
            except OSError as error:
                logger.warning("%s: cannot be called %s: %s", file.path, home.name, error)
        return found

    def gather(self) -> list[Segment]:
        """Returns the segments that are closed, oldest first. Raises OSError."""
        found: dict[tuple[int, Path], Segment] = {}
        for file in self.files:
            if file.name.part:
                continue
            # Deleted by hand at this moment.
            with contextlib.suppress(FileNotFoundError):
                size = file.entry.stat().st_size
                place = (file.name.segment.number, file.folder)
                if place not in found:
                    found[place] = Segment(file.folder, file.name.segment, {})
                found[place].sizes[file.name.suffix] = size
        return [found[place] for place in sorted(found)]


def list_archive(folder: Path) -> Listing:
    """Looks at what lies there, links to other folders aside. Raises OSError."""
    listing = Listing([], [])
    # Entries, not paths: a folder may hold the minutes of a month.
    for place, entries in _list_folders(folder):
        for entry in sorted(entries, key=lambda it: it.name):
            if (name := FileName.parse(entry.name)) is not None:
                listing.files.append(File(place, entry, name))
            elif (number := marked_number(entry.name)) is not None:
                listing.marks.append((place, number))
    return listing


def _list_folders(folder: Path) -> list[tuple[Path, list[os.DirEntry[str]]]]:
    with os.scandir(folder) as entries:
        outer = list(entries)
    found = [(folder, outer)]
    for name in sorted(it.name for it in outer if it.is_dir(follow_symlinks=False)):
        try:
            with os.scandir(folder / name) as entries:
                found.append((folder / name, list(entries)))
        except (PermissionError, FileNotFoundError) as error:
            # Not ours, as lost+found, which is on every disk of ext4; or deleted at this moment.
            logger.debug("%s: not looked into: %s", folder / name, error)
    return found
