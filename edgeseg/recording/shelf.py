"""Shelf: what is known of the segments of an archive, for all threads at once and without the disk."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace

from edgeseg.recording.segment import Listing, Segment


@dataclass(frozen=True, slots=True)
class View:
    """What lay on the disk, the last number that was given before somebody looked, and what was open then."""

    listing: Listing
    before: int
    ours: frozenset[int]

    def is_ours(self, number: int) -> bool:
        """Whether that segment was open then or is newer: it may have been closed since."""
        return number > self.before or number in self.ours


class Shelf:
    """The closed segments, oldest first, and those that are open; never waits. `changed`: since somebody reset it."""

    def __init__(self) -> None:
        self.changed = True
        self._lock = threading.Lock()
        self._closed: list[Segment] = []
        self._open: dict[int, int] = {}
        self._number = 0

    def begin(self) -> int:
        """Returns the number of a new segment."""
        with self._lock:
            self._number += 1
            self._open[self._number] = 0
            return self._number

    def grow(self, number: int, size: int) -> None:
        """Notes how many bytes an open segment has."""
        with self._lock:
            self._open[number] = size

    def end(self, number: int, segment: Segment | None) -> None:
        """Notes that an open segment is closed now, or given up."""
        with self._lock:
            self._open.pop(number, None)
            self.changed = True
            if segment is not None:
                self._closed.append(segment)
                self._closed.sort(key=lambda it: it.name.number)

    def closed(self) -> list[Segment]:
        """Returns the closed segments, oldest first."""
        with self._lock:
            return list(self._closed)

    def open_bytes(self) -> int:
        """Returns how many bytes the open segments have together."""
        with self._lock:
            return sum(self._open.values())

    def replace(self, old: Segment, new: Segment) -> None:
        with self._lock:
            self._closed[self._closed.index(old)] = new

    def remove(self, segment: Segment) -> None:
        with self._lock:
            self._closed.remove(segment)
            self.changed = True

    def before_looking(self, *, alone: bool) -> tuple[int, frozenset[int]]:
        """Returns the `before` and the `ours` of a `View` that begins now; `alone` where nobody records yet."""
        with self._lock:
            return sys.maxsize if alone else self._number, frozenset(self._open)

    def take_in(self, view: View, found: Iterable[Segment]) -> None:
        """Takes over what was found on the disk, and keeps what was closed meanwhile: it may have been seen or not."""
        with self._lock:
            begun = {it.place: it.begun_boot_ns for it in self._closed}
            fresh = [it for it in self._closed if view.is_ours(it.name.number)]
            self._number = max(self._number, *(file.name.segment.number for file in view.listing.files), 0)
            known = {it.name.number for it in fresh} | set(self._open)
            self._closed = [
                replace(it, begun_boot_ns=begun.get(it.place)) for it in found if it.name.number not in known
            ] + fresh
