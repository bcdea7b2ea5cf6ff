"""Archive: the segments that lie on the disk, of all cameras, in the order in which they were recorded."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import shutil
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from edgeseg.errors import SinkUnavailableError
from edgeseg.events import Event, Events
from edgeseg.recording.clock import Calendar, Clock, SystemClock
from edgeseg.recording.config import KeepConfig
from edgeseg.recording.marks import Marks, Place
from edgeseg.recording.name import SegmentName, Start
from edgeseg.recording.repair import WHOLE_DISK, repair_files
from edgeseg.recording.retention import Candidate, Reason, choose_surplus
from edgeseg.recording.segment import Segment, gather_segments, list_files
from edgeseg.sinks.files import say_why

logger = logging.getLogger(__name__)

LOCK = ".edgeseg.lock"
_SAYS = {"age": "too old", "size": "over the size", "free": "for free space", "room": "for room"}
#: How many segments an event names; a new limit may delete thousands at once.
_NAMED = 20


class Archive:
    """A folder of segments, one folder in it for each camera; nobody else writes there while it is open.

    Numbers are given across all cameras, so that their order is that of recording whatever the calendar said. Any
    thread may call anything. What is no segment is never touched.
    """

    def __init__(
        self,
        folder: Path,
        limits: KeepConfig | None = None,
        *,
        events: Events | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.folder = folder
        self.limits = limits or KeepConfig()
        self.clock: Clock = clock or SystemClock()
        self.calendar = Calendar(self.clock)
        self.deleted: Counter[str] = Counter()
        self.deleted_bytes = 0
        self.repaired = 0
        self._events = events or Events()
        self._lock = threading.RLock()
        self._held: BinaryIO | None = None
        self._users = 0
        self._segments: list[Segment] = []
        self._marks = Marks()
        self._stuck: set[Place] = set()
        self._open: dict[int, int] = {}
        self._number = 0

    def open(self) -> None:
        """Opens the archive for one more recorder; the first finds out what lies there and repairs what was cut off.

        Raises OSError, and SinkUnavailableError when another run records there.
        """
        with self._lock:
            if not self._users:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._hold()
                try:
                    self.calendar.refresh()
                    self.repair()
                    self._fill_in_names()
                except OSError:
                    self._release()
                    raise
            self._users += 1

    def close(self) -> None:
        """Undoes one `open()`."""
        with self._lock:
            self._users -= 1
            if not self._users:
                self._release()

    def begin(self, boot_ns: int) -> SegmentName:
        """Returns the name of a new segment that begins at this moment since the start of the device."""
        with self._lock:
            self._number += 1
            self._open[self._number] = 0
            return SegmentName(self._number, self.start_of(boot_ns))

    def start_of(self, boot_ns: int) -> Start:
        """Returns what a name says of this moment since the start of the device."""
        wall_s = self.calendar.wall_s(boot_ns)
        return Start(wall_s) if wall_s is not None else Start(None, self.clock.boot_id, boot_ns / 1e9)

    def grow(self, number: int, size: int) -> None:
        """Notes how many bytes an open segment has."""
        with self._lock:
            self._open[number] = size

    def end(self, number: int, segment: Segment | None = None) -> None:
        """Notes that an open segment is closed now, or given up."""
        with self._lock:
            self._open.pop(number, None)
            if segment is not None:
                self._segments.append(segment)
                self._segments.sort(key=lambda it: it.name.number)

    def mark(self, folder: Path, number: int, event: Event) -> None:
        """Keeps a segment, open or closed, and its neighbours, because of an event.

        Raises OSError when that cannot be noted on the disk; until the end of the run it holds all the same.
        """
        with self._lock:
            self._marks.add((folder, number), event)

    def tidy(self) -> bool:
        """Looks at the clock, puts it into names that lack it, and deletes what is over the limits.

        Returns False when less is free than should be and no segment is left to delete. Raises OSError when the disk
        takes no change.
        """
        with self._lock:
            self.calendar.refresh()
            self._fill_in_names()
            if self._surplus():
                # Somebody else may have deleted or moved segments: it is the disk that counts.
                self._scan()
                self._delete(self._surplus())
            return bool(self._deletable()) or self.free_bytes() >= self.limits.free

    def make_room(self) -> bool:
        """Deletes the oldest segment, one that an event keeps only if there is no other; False when there is none."""
        with self._lock:
            self._scan()
            kept = self._kept()
            oldest = sorted(self._deletable(), key=lambda it: it.place in kept)[:1]
            self._delete([(it, "room") for it in oldest])
            return bool(oldest)

    def repair(self) -> None:
        """Makes segments of what nobody writes any more and that has no name yet. Raises OSError."""
        with self._lock:
            self._repair()
            self._scan()

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.folder).free

    def segments(self) -> list[Segment]:
        """Returns the closed segments, oldest first."""
        with self._lock:
            return list(self._segments)

    def _hold(self) -> None:
        self._held = (self.folder / LOCK).open("ab")
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._release()
            raise SinkUnavailableError(
                f"{self.folder}: another run records there; end it or choose another folder"
            ) from error
        except OSError as error:
            # Some network file systems know no locks.
            if error.errno not in (errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK):
                self._release()
                raise

    def _release(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    def _scan(self) -> None:
        """Finds out what lies there."""
        begun = {it.place: it.begun_boot_ns for it in self._segments}
        files = list_files(self.folder)
        for path, name in files:
            self._marks.find(path)
            if name is not None:
                self._number = max(self._number, name.segment.number)
        self._segments = [
            replace(it, begun_boot_ns=begun.get(it.place))
            for it in gather_segments(files)
            if it.name.number not in self._open
        ]

    def _repair(self) -> None:
        orphans = [
            path
            for path, name in list_files(self.folder)
            if name is not None and name.part and name.segment.number not in self._open
        ]
        repairs = repair_files(orphans)
        if not repairs:
            return
        paths = [it.path for it in repairs if it.path is not None]
        kept_s, dropped = sum(it.seconds for it in repairs), sum(it.dropped for it in repairs)
        self.repaired += len(paths)
        self._events.add(
            "recording_repaired",
            f"a recording was cut off: {kept_s:.1f} s of its last segments are kept, "
            f"{dropped} bytes that were not whole are dropped",
            level="warning",
            files=[str(path.relative_to(self.folder)) for path in paths],
            kept_s=round(kept_s, 3),
            dropped_bytes=dropped,
        )

    def _fill_in_names(self) -> None:
        """Renames segments of this start that got their names before the time was known."""
        if not self.calendar.known:
            return
        named = 0
        for index, it in enumerate(self._segments):
            start = it.name.start
            if start.wall_s is not None or start.boot_id != self.clock.boot_id:
                continue
            since_ns = round(start.since_boot_s * 1e9) if it.begun_boot_ns is None else it.begun_boot_ns
            new = replace(it, name=SegmentName(it.name.number, self.start_of(since_ns)))
            for old_path, path in zip(it.paths(), new.paths(), strict=True):
                # Deleted by hand since.
                with contextlib.suppress(FileNotFoundError):
                    old_path.rename(path)
            self._segments[index] = new
            named += 1
        if named:
            self._events.add("segments_named", f"the time is known: {_count(named)} got it into their names")

    def _kept(self) -> set[Place]:
        return self._marks.choose_kept(it.place for it in self._segments)

    def _deletable(self) -> list[Segment]:
        return [it for it in self._segments if it.place not in self._stuck]

    def _surplus(self) -> list[tuple[Segment, Reason]]:
        kept = self._kept()
        segments = self._deletable()
        surplus = choose_surplus(
            [Candidate(it.size, self._age_s(it), it.place in kept) for it in segments],
            self.limits,
            other_bytes=sum(self._open.values()) + sum(it.size for it in self._segments if it.place in self._stuck),
            free_bytes=self.free_bytes(),
        )
        return [(segments[index], reason) for index, reason in surplus]

    def _age_s(self, segment: Segment) -> float | None:
        start = segment.name.start
        if segment.begun_boot_ns is not None:
            return (self.clock.boot_ns() - segment.begun_boot_ns) / 1e9
        if start.wall_s is not None:
            return self.calendar.age_s(start.wall_s)
        return self.clock.boot_ns() / 1e9 - start.since_boot_s if start.boot_id == self.clock.boot_id else None

    def _delete(self, doomed: list[tuple[Segment, Reason]]) -> None:
        gone: list[tuple[Segment, Reason]] = []
        try:
            for it, reason in doomed:
                try:
                    for path in it.paths():
                        path.unlink(missing_ok=True)
                    self._marks.drop(it.place)
                except OSError as error:
                    if error.errno in WHOLE_DISK:
                        raise
                    self._stuck.add(it.place)
                    logger.warning("%s: segment %s cannot be deleted: %s", it.folder, it.name, say_why(error))
                    continue
                self._segments.remove(it)
                gone.append((it, reason))
        finally:
            self._tell_deleted(gone)

    def _tell_deleted(self, gone: list[tuple[Segment, Reason]]) -> None:
        if not gone:
            return
        reasons = Counter(reason for _, reason in gone)
        freed = sum(it.size for it, _ in gone)
        self.deleted += reasons
        self.deleted_bytes += freed
        why = ", ".join(f"{count} {_SAYS[reason]}" for reason, count in reasons.items())
        self._events.add(
            "segment_deleted",
            f"{_count(len(gone))} deleted ({why}), {freed / 1e6:.1f} MB",
            count=len(gone),
            bytes=freed,
            reasons=dict(reasons),
            segments=[str(it.name) for it, _ in gone[:_NAMED]],
        )


def _count(number: int) -> str:
    return "1 segment" if number == 1 else f"{number} segments"
