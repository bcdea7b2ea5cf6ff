"""OpenSegment: the files that are being written, and how they become a segment."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from edgeseg.recording.fragments import complete_file
from edgeseg.recording.name import RECORDS, VIDEO, FileName, SegmentName
from edgeseg.sinks.files import FULL, flush_folder


class OpenSegment:
    """A video and its records, both under names that end in .part. Every method raises OSError."""

    def __init__(self, folder: Path, name: SegmentName, header: bytes, *, records: bool) -> None:
        """Makes the files, with `header` in the video."""
        self.folder, self.name = folder, name
        self._files: dict[str, io.FileIO] = {}
        self._sizes: dict[str, int] = {}
        self._named = False
        try:
            for suffix in (VIDEO, RECORDS) if records else (VIDEO,):
                self._files[suffix] = io.FileIO(self._path(suffix, part=True), "x+")
                self._sizes[suffix] = 0
            self._append(VIDEO, header)
        except OSError:
            self.discard()
            raise

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(self._sizes.values())

    def append(self, fragment: bytes, lines: bytes) -> None:
        """Writes pictures and their records: all of them, or nothing."""
        before = dict(self._sizes)
        try:
            self._append(VIDEO, fragment)
            if RECORDS in self._files:
                self._append(RECORDS, lines)
        except OSError:
            for suffix, size in before.items():
                self._files[suffix].truncate(size)
                self._sizes[suffix] = size
            raise

    def flush(self) -> None:
        """Returns once a power cut would not cost what was appended."""
        for file in self._files.values():
            os.fdatasync(file.fileno())
        if not self._named:
            flush_folder(self.folder)
            self._named = True

    def complete(self, name: SegmentName) -> dict[str, int]:
        """Closes the files and gives them their name; returns their sizes by suffix."""
        try:
            # A disk without room for the index on one that writes nothing in place; the file plays without.
            complete_file(self._files[VIDEO])
        except OSError as error:
            if error.errno not in FULL:
                raise
        sizes = {suffix: file.seek(0, 2) for suffix, file in self._files.items()}
        for file in self._files.values():
            os.fdatasync(file.fileno())
        for suffix in self._files:
            self._path(suffix, part=True).rename(self.folder / str(FileName(name, suffix)))
        self.close()
        flush_folder(self.folder)
        return sizes

    def close(self) -> None:
        """Leaves the files as they are."""
        for file in self._files.values():
            file.close()

    def discard(self) -> None:
        """Removes files in which there is nothing yet."""
        for suffix, file in self._files.items():
            file.close()
            with contextlib.suppress(OSError):
                self._path(suffix, part=True).unlink()

    def _append(self, suffix: str, content: bytes) -> None:
        file, at = self._files[suffix], self._sizes[suffix]
        rest = memoryview(content)
        while rest:
            # A disk with room for half takes half; the rest gives the reason.
            written = os.pwrite(file.fileno(), rest, at)
            rest, at = rest[written:], at + written
        self._sizes[suffix] = at

    def _path(self, suffix: str, *, part: bool) -> Path:
        return self.folder / str(FileName(self.name, suffix, part))
