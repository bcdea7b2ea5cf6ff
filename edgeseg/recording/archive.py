"""Archive: the segments that lie on the disk, of all cameras, in the order in which they were recorded."""

from __future__ import annotations

import contextlib
import errno
import logging
import shutil
import threading
import time
from collections import Counter
from pathlib import Path

from edgeseg.events import Event, Events
from edgeseg.fields import format_bytes
from edgeseg.recording.clock import Calendar, Clock, SystemClock
from edgeseg.recording.config import KeepConfig
from edgeseg.recording.keeper import Keeper
from edgeseg.recording.lock import FolderLock
from edgeseg.recording.marks import Marks, Place
from edgeseg.recording.name import SegmentName, Start
from edgeseg.recording.news import tell_deleted, tell_named, tell_repaired
from edgeseg.recording.repair import WHOLE_DISK, repair_files
from edgeseg.recording.retention import Candidate, Reason, choose_surplus
from edgeseg.recording.segment import Segment, list_archive
from edgeseg.recording.shelf import Shelf, View
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
        # The disk is changed by one at a time; what is known of it changes at once.
        self._disk = threading.RLock()
        self._lock = threading.Lock()
        self._shelf = Shelf()
        self._marks = Marks()
        self._stuck: set[Place] = set()
        self._unnamed: set[Place] = set()
        self._device: int | None = None
        self._looked_s = self._gone_through_s = 0.0

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
        return SegmentName(self._shelf.begin(), self.start_of(boot_ns))

    def start_of(self, boot_ns: int) -> Start:
        """Returns what a name says of this moment since the start of the device."""
        wall_s = self.calendar.wall_s(boot_ns)
        return Start(wall_s) if wall_s is not None else Start(None, self.clock.boot_id, boot_ns / 1e9)

    def grow(self, number: int, size: int) -> None:
        """Notes how many bytes an open segment has."""
        self._shelf.grow(number, size)

    def end(self, number: int, segment: Segment | None = None) -> None:
        """Notes that an open segment is closed now, or given up."""
        self._shelf.end(number, segment)
        self._keeper.wake()

    def segments(self) -> list[Segment]:
        """Returns the closed segments, oldest first."""
        return self._shelf.closed()

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
                self._check_device()
                self._note_marks()
                if self._has_work() and not self.tidy():
                    free = format_bytes(self.limits.free)
                    trouble = f"less than {free} are free on the disk, and no segment is left to delete"
            except OSError as error:
                trouble = error
                self._shelf.changed = True
            self.trouble = trouble
            return trouble

    def tidy(self) -> bool:
        """Notes marks, puts the time into names that lack it, and deletes what is over the limits.

        Returns False when less is free than should be and no segment is left to delete. Raises OSError when the disk
        takes no change.
        """
        with self._disk:
            self._shelf.changed = False
            self._gone_through_s = time.monotonic()
            self._note_marks()
            self.calendar.refresh()
            self._fill_in_names()
            if surplus := self._surplus():
                if time.monotonic() - self._looked_s > LOOK_AGAIN_S:
                    self._take_in(self._look())
                    surplus = self._surplus()
                self._delete(surplus[:BATCH])
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
            view = self._look()
            self._take_in(self._look() if self._repair(view) else view)

    def restore(self) -> None:
        """Makes the folder again when somebody has deleted it, unless its disk is gone with it. Raises OSError."""
        with self._disk:
            if not self.folder.exists() and self.folder.parent.stat().st_dev == self._device:
                self.folder.mkdir()
            elif self._held.is_there():
                # A disk that was away is often another device when it is back.
                self._device = self.folder.stat().st_dev
            self._check_device()
            if not self._held.is_held():
                self._held.release()
                self._held.hold()

    def _check_device(self) -> None:
        """Raises OSError when the disk is gone, and the folder is that on which it was mounted."""
        if self.folder.stat().st_dev != self._device:
            raise OSError(errno.ENODEV, "its disk is not there", str(self.folder))

    def _has_work(self) -> bool:
        """Whether to go through all segments. Raises OSError when the disk is gone."""
        return (
            self.calendar.refresh()
            or self._shelf.changed
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

    def _look(self) -> View:
        """Finds out what lies there."""
        before, ours = self._shelf.before_looking(alone=not self._users)
        listing = list_archive(self.folder)
        if listing.bring_home():
            listing = list_archive(self.folder)
        self._looked_s = time.monotonic()
        return View(listing, before, ours)

    def _take_in(self, view: View) -> None:
        there = {file.place for file in view.listing.files}
        lone = [it for it in view.listing.marks if it not in there and not view.is_ours(it[1])]
        self._marks.take_over(set(view.listing.marks) - set(lone))
        for place in lone:
            # Somebody has deleted the recording of an event: its neighbours are not kept for it any more.
            with contextlib.suppress(OSError):
                self._marks.drop(place)
        self._shelf.take_in(view, view.listing.gather())

    def _repair(self, view: View) -> bool:
        """Repairs what was cut off; returns whether there was anything."""
        # One that was begun after we looked may be there as well, and may be closed by now.
        parts = [file for file in view.listing.parts if not view.is_ours(file.name.segment.number)]
        repairs = repair_files(Path(file.path) for file in parts)
        if repairs:
            self.repaired += sum(it.path is not None for it in repairs)
            tell_repaired(self._events, self.folder, repairs)
        return bool(repairs)

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
            self._shelf.replace(it, new)
            named += 1
        if named:
            tell_named(self._events, named)

    def _kept(self) -> set[Place]:
        return self._marks.choose_kept(it.place for it in self.segments())

    def _deletable(self) -> list[Segment]:
        return [it for it in self.segments() if it.place not in self._stuck]

    def _surplus(self) -> list[tuple[Segment, Reason]]:
        kept = self._kept()
        segments = self._deletable()
        others = self._shelf.open_bytes() + sum(it.size for it in self.segments() if it.place in self._stuck)
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
                self._shelf.remove(it)
                gone.append((it, reason))
        finally:
            if gone:
                self.deleted.update(reason for _, reason in gone)
                self.deleted_bytes += sum(it.size for it, _ in gone)
                tell_deleted(self._events, gone)
