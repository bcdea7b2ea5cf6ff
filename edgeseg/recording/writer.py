"""Writer: the thread that has to do with the disk, so that nobody else waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from edgeseg.errors import SinkUnavailableError
from edgeseg.events import Event, Events
from edgeseg.recording.archive import Archive
from edgeseg.recording.config import RecordingConfig
from edgeseg.recording.fragments import write_fragment, write_header
from edgeseg.recording.name import SegmentName
from edgeseg.recording.open_segment import OpenSegment
from edgeseg.recording.pause import Pause
from edgeseg.recording.recovery import Recovery
from edgeseg.recording.segment import Segment
from edgeseg.recording.take import Take
from edgeseg.sinks.files import FINAL, FULL, say_why

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: How long the beginning of a run waits for a disk to tell what lies there. One that takes longer, with the files of
#: years or while it spins up, holds up nobody: pictures wait in memory meanwhile.
OPEN_LIMIT_S = 2.0
#: How often what has come is written and flushed, in seconds. At the worst moment the power takes one period, the time
#: of a flush and the age of the newest picture: for RECOVERY_S that leaves the disk more than half a second.
PERIOD_S = 0.3
#: A segment whose camera gives nothing any more is closed so long after its time.
GRACE_S = 2.0
#: What waits for a disk that hangs, in bytes: some seconds. More would be the memory of the whole device.
MOST_WAITING = 16 * 2**20
#: Events that wait for the first segment: which of them it was made for nobody knows.
MOST_MARKS = 100
#: Written and deleted again, in bytes, to see whether a disk takes something: statvfs knows no quota.
PROBE_BYTES = 2**20


@dataclass(eq=False, slots=True)
class _Job:
    """A take and what has become of it."""

    take: Take
    begun_s: float
    file: OpenSegment | None = None
    fragments: int = 0


class Writer:
    """Writes takes into segments of an archive, in a thread of its own between `start()` and `stop()`.

    Nothing that a disk does ends it: a full one loses its oldest segments, one that takes nothing pauses the recording
    until it does.
    """

    def __init__(
        self, archive: Archive, folder: Path, config: RecordingConfig, *, camera: str | None, events: Events
    ) -> None:
        self.segments = self.pictures = self.bytes = self.lost = 0
        self.recovery = Recovery(events, camera)
        self._archive, self._folder, self._config = archive, folder, config
        self._camera, self._events = camera, events
        self._pause = Pause(events, camera, str(folder))
        self._lock = threading.Lock()
        self._jobs: list[_Job] = []
        self._marks: deque[Event] = deque(maxlen=MOST_MARKS)
        self._begun: deque[tuple[int, int]] = deque(maxlen=100)
        self._opened = False
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._awaited = True
        self._asked = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"recorder {camera or ''}".strip(), daemon=True)

    @property
    def paused(self) -> str | None:
        """Why nothing is recorded, None while something is."""
        return self._pause.reason

    def start(self) -> None:
        """Raises SinkUnavailableError when there can be no recording, whatever the disk does later."""
        self._thread.start()
        self._asked.wait(OPEN_LIMIT_S)
        with self._lock:
            self._awaited = False
        if self._failure is not None:
            raise self._failure

    def stop(self, limit_s: float) -> None:
        """Completes what is open and ends the thread; what a disk does not take within `limit_s` is repaired later."""
        self._stop.set()
        self._thread.join(limit_s)
        if self._thread.is_alive():
            logger.error("%s: could not be completed within %.0f s; the next run will do it", self._folder, limit_s)
        elif self._opened:
            self._archive.close()
        if self._failure is not None:
            raise self._failure

    def begin(self, take: Take) -> None:
        """Takes over a take; what is put into it from now on gets written."""
        with self._lock:
            self._jobs.append(_Job(take, time.monotonic()))

    def keep(self, event: Event) -> None:
        """Has the segment of an event kept, with the one before and the one after; does not wait for the disk."""
        self._marks.append(event)

    def lose(self, pictures: int) -> None:
        """Counts pictures that will be in no segment."""
        with self._lock:
            self.lost += pictures

    def check(self) -> None:
        """Pauses when more waits for the disk than may. Raises what ended the thread, which would be our bug."""
        if self._failure is not None:
            raise self._failure
        with self._lock:
            waiting = sum(job.take.waiting_bytes for job in self._jobs)
        if waiting > MOST_WAITING:
            self._pause.begin(f"the disk is too slow, {waiting / 1e6:.0f} MB wait for it")

    def _run(self) -> None:
        try:
            self._begin()
            while not self._stop.wait(PERIOD_S):
                self._turn()
            self._turn()
        except Exception as error:  # noqa: BLE001 - it travels to the sink's thread, which raises it
            self._failure = error
            for job in self._jobs:
                if job.file is not None:
                    job.file.close()
        finally:
            self._asked.set()

    def _begin(self) -> None:
        """Opens the archive. Raises SinkUnavailableError as long as somebody waits for that."""
        try:
            self._open()
        except OSError as error:
            with self._lock:
                if self._awaited and error.errno in FINAL:
                    raise SinkUnavailableError(f"{self._folder}: cannot be written: {say_why(error)}") from error
            self._pause.begin(error)
        except SinkUnavailableError as error:
            with self._lock:
                if self._awaited:
                    raise
            self._pause.begin(str(error).removeprefix(f"{self._archive.folder}: "))
        self._asked.set()

    def _turn(self) -> None:
        """Writes and flushes what has come, closes what is complete, and now and then looks after the rest."""
        with self._lock:
            jobs = list(self._jobs)
        if not self._opened:
            # What came while it was being opened has no place to go.
            for job in jobs:
                self.lose(job.take.discard())
                self._drop(job)
            jobs = []
        for job in jobs:
            if time.monotonic() > job.begun_s + self._config.segment + GRACE_S or self._pause.reason is not None:
                job.take.end()
        # First what is open, then what is complete: closing takes time, and what comes meanwhile is at risk.
        complete = [job for job in jobs if job.take.ended]
        for job in jobs:
            self._attempt(job, self._write)
        for job in complete:
            self._attempt(job, self._close)
        self._mark()
        if self._pause.reason is not None:
            self._try_again()
        elif self._opened:
            self._archive.check()
            if (trouble := self._archive.trouble) is not None:
                self._pause.begin(trouble, full=isinstance(trouble, str))

    def _attempt(self, job: _Job, action: Callable[[_Job], None]) -> None:
        """Does something with a job unless the disk refuses; then what is whole of it is saved and the rest lost."""
        if job not in self._jobs:
            return
        try:
            action(job)
        except OSError as error:
            self._give_up(job, error)

    def _write(self, job: _Job) -> None:
        """Writes what waits in a take and flushes it, so that it survives a power cut."""
        batches = job.take.take_out(time.monotonic())
        if not batches:
            return
        waiting = sum(len(batch.pictures) for batch in batches)
        try:
            if job.file is None:
                job.file = self._with_room(lambda: self._create(job))
            for batch in batches:
                job.fragments += 1
                fragment = write_fragment(job.fragments, [it.sample for it in batch.pictures], batch.end)
                self._with_room(partial(job.file.append, fragment, b"".join(it.line for it in batch.pictures)))
                waiting -= len(batch.pictures)
                self.pictures += len(batch.pictures)
        except OSError:
            self.lose(waiting)
            raise
        file = job.file
        self._archive.grow(file.name.number, file.size)
        began_s = time.monotonic()
        file.flush()
        now_s = time.monotonic()
        oldest = batches[0].pictures[0]
        exposed_s = (self._archive.clock.monotonic_ns() - oldest.captured_ns) / 1e9
        self.recovery.note(exposed_s, age_s=exposed_s - (now_s - oldest.arrived_s), flush_s=now_s - began_s)

    def _create(self, job: _Job) -> OpenSegment:
        take = job.take
        assert take.sets is not None
        header = write_header(*take.size_wh, take.sets, round(self._config.segment))
        self._make_folder()
        name = self._archive.begin(self._boot_ns(take))
        try:
            file = OpenSegment(self._folder, name, header, records=self._config.records)
        except OSError:
            self._archive.end(name.number)
            raise
        self._begun.append((take.first_ns, name.number))
        return file

    def _close(self, job: _Job) -> None:
        if job.file is not None:
            boot_ns = self._boot_ns(job.take)
            name = SegmentName(job.file.name.number, self._archive.start_of(boot_ns))
            sizes = job.file.complete(name)
            self._archive.end(name.number, Segment(self._folder, name, sizes, boot_ns))
            self.segments += 1
            self.bytes += sum(sizes.values())
        self._drop(job)

    def _give_up(self, job: _Job, error: OSError) -> None:
        self.lose(job.take.discard())
        self._pause.begin(error)
        try:
            self._close(job)
        except OSError as again:
            # Left as it is; `_try_again` repairs it.
            logger.debug("%s: %s", self._folder, again)
            if job.file is not None:
                job.file.close()
                self._archive.end(job.file.name.number)
            self._drop(job)

    def _drop(self, job: _Job) -> None:
        with self._lock:
            self._jobs.remove(job)

    def _boot_ns(self, take: Take) -> int:
        clock = self._archive.clock
        return take.first_ns + clock.boot_ns() - clock.monotonic_ns()

    def _with_room(self, action: Callable[[], T]) -> T:
        """Does what a full disk refuses again, with one old segment less each time."""
        while True:
            try:
                return action()
            except OSError as error:
                if error.errno not in FULL:
                    raise
                self._pause.tell_full(error)
                if not self._archive.make_room():
                    raise

    def _try_again(self) -> None:
        """Goes on recording if the disk takes something again."""
        if self._jobs or not self._pause.is_due():
            return
        archive = self._archive
        try:
            self._open()
            # First what is quickly seen, for this goes on as long as the disk is away: to list the files of a month
            # takes a board seconds.
            archive.restore()
            wanted = archive.limits.free
            # An eighth more, or it would pause again at once.
            if archive.free_bytes() < wanted + wanted // 8:
                return
            self._make_folder()
            probe = self._folder / ".edgeseg-room"
            try:
                self._with_room(partial(probe.write_bytes, bytes(PROBE_BYTES)))
            finally:
                probe.unlink(missing_ok=True)
            archive.repair()
            if archive.tend() is not None:
                return
        except (OSError, SinkUnavailableError) as error:
            logger.debug("%s: still paused: %s", self._folder, error)
            return
        self._pause.end()

    def _make_folder(self) -> None:
        """Makes the folder of the camera. Not that of the archive: where that is missing, its disk may be."""
        if self._folder != self._archive.folder:
            self._folder.mkdir(exist_ok=True)

    def _open(self) -> None:
        if not self._opened:
            self._archive.open()
            self._opened = True

    def _mark(self) -> None:
        while self._marks and self._begun:
            event = self._marks.popleft()
            earlier = [number for first_ns, number in self._begun if first_ns <= event.at_ns]
            self._archive.mark((self._folder, earlier[-1] if earlier else self._begun[0][1]), event)
