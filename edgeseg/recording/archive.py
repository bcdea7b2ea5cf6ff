"""Archive: the segments that lie on the disk, of all cameras, in the order in which they were recorded."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from edgeseg.events import Event, Events
from edgeseg.fields import format_bytes
from edgeseg.recording.clock import Calendar, Clock, SystemClock
from edgeseg.recording.config import KeepConfig
from edgeseg.recording.keeper import Keeper
from edgeseg.recording.lock import FolderLock
from edgeseg.recording.marks import Marks, Place
from edgeseg.recording.name import SegmentName, Start
from edgeseg.recording.repair import WHOLE_DISK, repair_files
from edgeseg.recording.retention import Candidate, Reason, choose_surplus
from edgeseg.recording.segment import Listing, Segment, list_archive
from edgeseg.sinks.files import FULL, say_why

logger = logging.getLogger(__name__)

#: So many segments are deleted at a time: a new limit may concern thousands, and the disk has to write meanwhile.
BATCH = 50
#: What others delete by hand is noticed after so many seconds: looking at the files of a month takes a while.
LOOK_AGAIN_S = 600.0
#: All segments are gone through when one is closed, and at least this often: for the files of a month a board needs a
#: second, in which it does nothing else.
GO_THROUGH_S = 60.0
#: How long a disk may hang before the run ends without what it does.
CLOSE_LIMIT_S = 5.0

_SAYS = {"age": "too old", "size": "over the size", "free": "for free space", "room": "for room"}
#: How many segments an event names.
_NAMED = 20


class _Seen(NamedTuple):
    """What lay there, the last number that was given before somebody looked, and what was open then."""

    listing: Listing
    before: int
    ours: set[int]

    def is_ours(self, number: int) -> bool:
        """Whether that segment was open then or is newer: it may have been closed since."""
        return number > self.before or number in self.ours


class Archive:
    """A folder of segments, one folder in it for each camera; nobody else writes there while it is open.

    Numbers are given across all cameras, so that their order is that of recording whatever the calendar said. Any
    thread may call anything; `begin`, `grow`, `end`, `mark`, `start_of` and `segments` never wait for the disk, and a
    thread of its own looks after the rest while it is open. What is no segment is never touched.

    trouble: what keeps the disk from taking more, as far as that thread knows: an error of the system, or words.
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
        self.trouble: OSError | str | None = None
        self._events = events or Events()
        self._held = FolderLock(folder)
        self._keeper = Keeper(self.tend)
        self._users = 0
        # The disk is changed by one at a time; what is known of it changes at once. Never the first within the second.
        self._disk = threading.RLock()
        self._lock = threading.Lock()
        self._segments: list[Segment] = []
        self._open: dict[int, int] = {}
        self._number = 0
        self._marks = Marks()
        self._stuck: set[Place] = set()
        self._unnamed: set[Place] = set()
        self._device: int | None = None
        self._looked_s = self._gone_through_s = 0.0
        self._changed = True

    def open(self) -> None:
        """Opens the archive for one more recorder; the first finds out what lies there and repairs what was cut off.

        Raises OSError, and SinkUnavailableError when another run records there.
        """
        with self._disk:
            if not self._users:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._device = self.folder.stat().st_dev
                self._held.hold()
                try:
                    self.calendar.refresh()
                    self.repair()
                    self._fill_in_names()
                except OSError:
                    self._held.release()
                    raise
                self._keeper = Keeper(self.tend)
                self._keeper.start()
            with self._lock:
                self._users += 1

    def close(self) -> None:
        """Undoes one `open()`."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
        self._keeper.stop(CLOSE_LIMIT_S)
        # Whoever still waits for a disk that hangs goes on when that does: the folder stays his until the program ends.
        if not self._disk.acquire(blocking=False):
            logger.error("%s: the disk has not answered for %.0f s; it is left as it is", self.folder, CLOSE_LIMIT_S)
            return
        try:
            self._note_marks()
        except OSError as error:
            logger.warning("%s: not all events are noted beside the recordings: %s", self.folder, say_why(error))
        finally:
            self._held.release()
            self._disk.release()

    def check(self) -> None:
        """Raises what ended the archive's thread, which would be our bug."""
        self._keeper.check()

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
            self._changed = True
            if segment is not None:
                self._segments.append(segment)
                self._segments.sort(key=lambda it: it.name.number)
        self._keeper.wake()

    def segments(self) -> list[Segment]:
        """Returns the closed segments, oldest first."""
        with self._lock:
            return list(self._segments)

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.folder).free

    def mark(self, place: Place, event: Event) -> None:
        """Has a segment, open or closed, and its neighbours kept because of an event; returns at once."""
        self._marks.want(place, event)
        self._keeper.wake()

    def tend(self) -> OSError | str | None:
        """Does what there is to be done; returns what is now the trouble."""
        # What was found out before somebody else looked is not told after him.
        with self._disk:
            trouble: OSError | str | None = None
            try:
                self._note_marks()
                if self._has_work() and not self.tidy():
                    free = format_bytes(self.limits.free)
                    trouble = f"less than {free} are free on the disk, and no segment is left to delete"
            except OSError as error:
                trouble = error
                with self._lock:
                    self._changed = True
            self.trouble = trouble
            return trouble

    def tidy(self) -> bool:
        """Notes marks, puts the time into names that lack it, and deletes what is over the limits.

        Returns False when less is free than should be and no segment is left to delete. Raises OSError when the disk
        takes no change.
        """
        with self._disk:
            with self._lock:
                self._changed = False
            self._gone_through_s = time.monotonic()
            self._note_marks()
            self.calendar.refresh()
            self._fill_in_names()
            if surplus := self._surplus():
                if time.monotonic() - self._looked_s > LOOK_AGAIN_S:
                    self._take_in(self._look())
                    surplus = self._surplus()
                self._delete(surplus[:BATCH])
                with self._lock:
                    self._changed = True
            return bool(self._deletable()) or self.free_bytes() >= self.limits.free

    def make_room(self) -> bool:
        """Deletes the oldest segment, one that an event keeps only if there is no other; False when there is none."""
        with self._disk:
            deletable, kept = self._deletable(), self._kept()
            oldest = next((it for it in deletable if it.place not in kept), next(iter(deletable), None))
            if oldest is not None:
                self._delete([(oldest, "room")])
            return oldest is not None

    def repair(self) -> None:
        """Makes segments of what nobody writes any more and that has no name yet. Raises OSError."""
        with self._disk:
            # What refused on a disk that was away may not on one that is back.
            self._stuck.clear()
            self._unnamed.clear()
            seen = self._look()
            self._take_in(self._look() if self._repair(seen) else seen)

    def restore(self) -> None:
        """Makes the folder again when somebody has deleted it, unless its disk is gone with it. Raises OSError."""
        with self._disk:
            if not self.folder.exists() and self.folder.parent.stat().st_dev == self._device:
                self.folder.mkdir()
                self._held.release()
                self._held.hold()

    def _has_work(self) -> bool:
        """Whether to go through all segments. Raises OSError when the disk is gone."""
        return (
            self.calendar.refresh()
            or self._changed
            or time.monotonic() - self._gone_through_s >= GO_THROUGH_S
            or self.free_bytes() < self.limits.free
        )

    def _note_marks(self) -> None:
        while True:
            try:
                return self._marks.note()
            except OSError as error:
                if error.errno in FULL and self.make_room():
                    continue
                logger.warning("%s: an event is not noted beside its recording: %s", self.folder, say_why(error))
                self._marks.skip()

    def _look(self) -> _Seen:
        """Finds out what lies there."""
        with self._lock:
            # Before the first one opens it nothing can be anybody's.
            before, ours = self._number if self._users else sys.maxsize, set(self._open)
        listing = list_archive(self.folder)
        if listing.bring_home():
            listing = list_archive(self.folder)
        self._looked_s = time.monotonic()
        return _Seen(listing, before, ours)

    def _take_in(self, seen: _Seen) -> None:
        found = seen.listing.gather()
        there = {file.place for file in seen.listing.files}
        lone = [it for it in seen.listing.marks if it not in there and not seen.is_ours(it[1])]
        self._marks.take_over(set(seen.listing.marks) - set(lone))
        for place in lone:
            # Somebody has deleted the recording of an event: its neighbours are not kept for it any more.
            with contextlib.suppress(OSError):
                self._marks.drop(place)
        with self._lock:
            begun = {it.place: it.begun_boot_ns for it in self._segments}
            # What was closed meanwhile may have been seen and may not.
            fresh = [it for it in self._segments if seen.is_ours(it.name.number)]
            self._number = max(self._number, *(file.name.segment.number for file in seen.listing.files), 0)
            known = {it.name.number for it in fresh} | set(self._open)
            self._segments = [
                replace(it, begun_boot_ns=begun.get(it.place)) for it in found if it.name.number not in known
            ] + fresh

    def _repair(self, seen: _Seen) -> bool:
        """Repairs what was cut off; returns whether there was anything."""
        # One that was begun after we looked may be there as well, and may be closed by now.
        parts = [file for file in seen.listing.parts if not seen.is_ours(file.name.segment.number)]
        repairs = repair_files(Path(file.path) for file in parts)
        if not repairs:
            return False
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
        return True

    def _fill_in_names(self) -> None:
        """Renames segments of this start that got their names before the time was known."""
        if not self.calendar.known:
            return
        named = 0
        for it in self.segments():
            if it.name.start.boot_id != self.clock.boot_id or it.place in self._unnamed:
                continue
            since_ns = it.begun_boot_ns or round(it.name.start.since_boot_s * 1e9)
            try:
                new = it.rename(SegmentName(it.name.number, self.start_of(since_ns)))
            except OSError as error:
                if error.errno in WHOLE_DISK:
                    raise
                self._unnamed.add(it.place)
                logger.warning("%s: segment %s stays without the time: %s", it.folder, it.name, say_why(error))
                continue
            with self._lock:
                self._segments[self._segments.index(it)] = new
            named += 1
        if named:
            self._events.add("segments_named", f"the time is known: {_count(named)} got it into their names")

    def _kept(self) -> set[Place]:
        return self._marks.choose_kept(it.place for it in self.segments())

    def _deletable(self) -> list[Segment]:
        return [it for it in self.segments() if it.place not in self._stuck]

    def _surplus(self) -> list[tuple[Segment, Reason]]:
        kept = self._kept()
        segments = self._deletable()
        with self._lock:
            others = sum(self._open.values()) + sum(it.size for it in self._segments if it.place in self._stuck)
        candidates = [Candidate(it.size, self._age_s(it), it.place in kept) for it in segments]
        surplus = choose_surplus(candidates, self.limits, other_bytes=others, free_bytes=self.free_bytes())
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
                with self._lock:
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
