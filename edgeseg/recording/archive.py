"""Archive: the segments that lie on the disk, of all cameras, in the order in which they were recorded."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import re
import shutil
import threading
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from edgeseg.errors import SinkUnavailableError
from edgeseg.events import Event, Events
from edgeseg.recording.clock import Calendar, Clock, SystemClock
from edgeseg.recording.config import KeepConfig
from edgeseg.recording.name import PART, FileName, SegmentName, Start
from edgeseg.recording.repair import repair_file
from edgeseg.recording.retention import Candidate, Reason, choose_surplus
from edgeseg.sinks.files import flush_folder, flush_to_disk

logger = logging.getLogger(__name__)

LOCK = ".edgeseg.lock"
_KEEP = re.compile(r"(\d{8})\.keep")
#: Events that are noted beside one segment; more keep it no better.
_NOTED_EVENTS = 100
_SAYS = {"age": "too old", "size": "over the size", "free": "for free space", "room": "for room"}


@dataclass(frozen=True, slots=True)
class Segment:
    """A closed segment. sizes: bytes by suffix. begun_boot_ns: on the clock of this start, where it was in this one."""

    folder: Path
    name: SegmentName
    sizes: dict[str, int]
    begun_boot_ns: int | None = None

    @property
    def size(self) -> int:
        return sum(self.sizes.values())

    def paths(self) -> list[Path]:
        return [self.folder / str(FileName(self.name, suffix)) for suffix in self.sizes]


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
        self._marked: set[tuple[Path, int]] = set()
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
                    self._scan()
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
        wall_s = self.calendar.wall_s(boot_ns)
        return Start(wall_s) if wall_s is not None else Start(None, self.clock.boot_id, boot_ns / 1e9)

    def grow(self, number: int, size: int) -> None:
        """Notes how many bytes an open segment has."""
        with self._lock:
            self._open[number] = size

    def end(self, number: int, segment: Segment | None = None) -> None:
        """Notes that an open segment is closed now; None when there is nothing of it."""
        with self._lock:
            self._open.pop(number, None)
            if segment is not None:
                self._segments.append(segment)
                self._segments.sort(key=lambda it: it.name.number)

    def mark(self, folder: Path, number: int, event: Event) -> None:
        """Keeps a segment, open or closed, and its neighbours, because of an event; a restart changes nothing in that.

        Raises OSError when that cannot be noted on the disk; until the end of the run it holds all the same.
        """
        with self._lock:
            self._marked.add((folder, number))
            path = folder / f"{number:08}.keep"
            noted = []
            with contextlib.suppress(OSError, ValueError):
                noted = json.loads(path.read_text(encoding="utf-8"))
            if len(noted) >= _NOTED_EVENTS:
                return
            text = json.dumps([*noted, event.record()], ensure_ascii=False, indent=1)
            draft = path.with_name(path.name + PART)
            draft.write_text(text + "\n", encoding="utf-8")
            flush_to_disk(draft)
            draft.replace(path)
            flush_folder(folder)

    def tidy(self) -> bool:
        """Looks at the clock, puts it into names that lack it, and deletes what is over the limits.

        Returns False when less is free than should be and no segment is left to delete. Raises OSError when something
        cannot be renamed or deleted.
        """
        with self._lock:
            self.calendar.refresh()
            self._fill_in_names()
            if self._surplus():
                # Somebody else may have deleted or moved segments: it is the disk that counts.
                self._scan()
                surplus = self._surplus()
                self._delete([(self._segments[index], reason) for index, reason in surplus])
            return bool(self._segments) or self.free_bytes() >= self.limits.free

    def make_room(self) -> bool:
        """Deletes the oldest segment, one that an event keeps only if there is no other; False when there is none."""
        with self._lock:
            self._scan()
            kept = self._kept()
            rest = sorted(self._segments, key=lambda it: (it.folder, it.name.number) in kept)
            self._delete([(it, "room") for it in rest[:1]])
            return bool(rest)

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
                raise

    def _release(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    def _folders(self) -> list[Path]:
        return [self.folder, *sorted(path for path in self.folder.iterdir() if path.is_dir() and not path.is_symlink())]

    def _scan(self) -> None:
        """Finds out what lies there."""
        begun = {(it.folder, it.name.number): it.begun_boot_ns for it in self._segments}
        found: dict[tuple[int, Path], tuple[SegmentName, dict[str, int]]] = {}
        marked = set()
        for folder in self._folders():
            for path in folder.iterdir():
                if match := _KEEP.fullmatch(path.name):
                    marked.add((folder, int(match[1])))
                name = FileName.parse(path.name)
                if name is None:
                    continue
                self._number = max(self._number, name.segment.number)
                if name.part or name.segment.number in self._open:
                    continue
                with contextlib.suppress(FileNotFoundError):
                    size = path.stat().st_size
                    place = (name.segment.number, folder)
                    found.setdefault(place, (name.segment, {}))[1][name.suffix] = size
        self._marked |= marked
        self._segments = [
            Segment(folder, name, sizes, begun.get((folder, number)))
            for (number, folder), (name, sizes) in sorted(found.items())
        ]

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
            name = SegmentName(it.name.number, self.start_of(since_ns))
            for suffix, path in zip(it.sizes, it.paths(), strict=True):
                path.rename(it.folder / str(FileName(name, suffix)))
            self._segments[index] = replace(it, name=name)
            named += 1
        if named:
            self._events.add("segments_named", f"the time is known: {_count(named)} got it into their names")

    def repair(self) -> None:
        """Makes segments of what nobody writes any more and that has no name yet. Raises OSError."""
        with self._lock:
            self._repair()

    def _repair(self) -> None:
        lost_bytes, seconds, files = 0, 0.0, []
        for folder in self._folders():
            for path in sorted(folder.iterdir()):
                name = FileName.parse(path.name)
                if name is None or not name.part or name.segment.number in self._open:
                    continue
                repair = repair_file(path)
                lost_bytes += repair.dropped
                seconds += repair.seconds
                if repair.path is not None:
                    files.append(str(repair.path.relative_to(self.folder)))
        if files or lost_bytes:
            self.repaired += len(files)
            self._events.add(
                "recording_repaired",
                f"a recording was cut off: {seconds:.1f} s of its last segments are kept, "
                f"{lost_bytes} bytes that were not whole are dropped",
                level="warning",
                files=files,
                kept_s=round(seconds, 3),
                dropped_bytes=lost_bytes,
            )

    def _kept(self) -> set[tuple[Path, int]]:
        """Returns those that an event keeps: its segment, the one before and the one after, of one camera."""
        kept = set()
        by_folder: dict[Path, list[int]] = {}
        for it in self._segments:
            by_folder.setdefault(it.folder, []).append(it.name.number)
        for folder, numbers in by_folder.items():
            # The marked one may be open still.
            everyone = sorted({*numbers, *(number for place, number in self._marked if place == folder)})
            for index, number in enumerate(everyone):
                if any((folder, near) in self._marked for near in everyone[max(0, index - 1) : index + 2]):
                    kept.add((folder, number))
        return kept

    def _surplus(self) -> list[tuple[int, Reason]]:
        kept = self._kept()
        candidates = [Candidate(it.size, self._age_s(it), (it.folder, it.name.number) in kept) for it in self._segments]
        return choose_surplus(
            candidates, self.limits, open_bytes=sum(self._open.values()), free_bytes=self.free_bytes()
        )

    def _age_s(self, segment: Segment) -> float | None:
        start = segment.name.start
        if segment.begun_boot_ns is not None:
            return (self.clock.boot_ns() - segment.begun_boot_ns) / 1e9
        if start.wall_s is not None:
            return self.calendar.age_s(start.wall_s)
        return self.clock.boot_ns() / 1e9 - start.since_boot_s if start.boot_id == self.clock.boot_id else None

    def _delete(self, doomed: list[tuple[Segment, str]]) -> None:
        if not doomed:
            return
        reasons: Counter[str] = Counter()
        freed = 0
        try:
            for it, reason in doomed:
                for path in (*it.paths(), it.folder / f"{it.name.number:08}.keep"):
                    path.unlink(missing_ok=True)
                self._marked.discard((it.folder, it.name.number))
                self._segments.remove(it)
                reasons[reason] += 1
                freed += it.size
        finally:
            self.deleted += reasons
            self.deleted_bytes += freed
            if reasons:
                why = ", ".join(f"{count} {_SAYS[reason]}" for reason, count in reasons.items())
                self._events.add(
                    "segment_deleted",
                    f"{_count(reasons.total())} deleted ({why}), {freed / 1e6:.1f} MB",
                    count=reasons.total(),
                    bytes=freed,
                    reasons=dict(reasons),
                    oldest=str(doomed[0][0].name),
                )


def _count(number: int) -> str:
    return "1 segment" if number == 1 else f"{number} segments"
