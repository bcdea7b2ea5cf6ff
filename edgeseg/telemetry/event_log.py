"""EventLog: every event as a line of JSON on the disk, in bounded space, each safe from a power cut at once."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from edgeseg.errors import SinkUnavailableError
from edgeseg.events import Event, Events
from edgeseg.exposition import Family
from edgeseg.recording.clock import Clock, SystemClock
from edgeseg.sinks.files import FINAL, flush_folder, make_folder, say_why
from edgeseg.telemetry.event_queue import EventQueue
from edgeseg.telemetry.subscriber import Subscriber

logger = logging.getLogger(__name__)

#: Events that may wait for a disk that pauses.
WAITING = 1000
#: NAME.jsonl and so many older ones, NAME.1.jsonl the latest of them.
OLDER_FILES = 3
#: How long the beginning of a run waits to hear whether the file can be written at all.
OPEN_LIMIT_S = 2.0
#: How long the end of a run waits for the disk to take the last events.
CLOSE_LIMIT_S = 2.0
#: What this part tells of itself: the disk that refuses an event refuses that one too.
LOST, BACK = "event_log_lost", "event_log_back"


class EventLog:
    """Appends events to PATH, from a thread of its own. When PATH holds a quarter of `size` bytes it becomes an older
    file, and the oldest goes.

    A line is an event's `record()` with `boot`, which start of the device it was, and `clock_synchronised`, whether its
    time of day can be believed; where it cannot, `at_s` (since that start) still orders events. A disk that takes no
    more, or is away, ends nothing: the events are counted, and the log goes on when it can.
    """

    def __init__(self, path: Path, size: int, events: Events, *, clock: Clock | None = None) -> None:
        self.path = path
        self._file_size = size // (1 + OLDER_FILES)
        self._events = events
        self._clock = clock or SystemClock()
        self._queue = EventQueue(WAITING)
        self._subscriber = Subscriber("event log", self._queue, self._run)
        self._file: io.FileIO | None = None
        self._made = False
        self._asked = threading.Event()
        self._refusal: OSError | None = None
        self._written = 0
        self._lost = 0
        self._lost_at_once = 0

    @property
    def written(self) -> int:
        """Events that are on the disk."""
        return self._written

    @property
    def lost(self) -> int:
        """Events that the disk did not take."""
        return self._lost + self._queue.dropped

    def families(self) -> Iterator[Family]:
        """Yields its numbers for Prometheus."""
        yield Family("edgeseg_event_log_written_total", "counter", "Events that are on the disk.").add(self.written)
        yield Family("edgeseg_event_log_lost_total", "counter", "Events that the disk did not take.").add(self.lost)

    def __enter__(self) -> EventLog:
        """Raises SinkUnavailableError when the file cannot be written for a reason that does not pass."""
        self._subscriber.start(self._events)
        # A disk that hangs, or spins up, holds up no run.
        self._asked.wait(OPEN_LIMIT_S)
        if self._refusal is not None:
            self._subscriber.stop(0)
            why = say_why(self._refusal)
            raise SinkUnavailableError(f"event_log {self.path}: cannot be written: {why}") from self._refusal
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._subscriber.stop(CLOSE_LIMIT_S)

    def _run(self) -> None:
        try:
            self._file = self._open()
        except OSError as error:
            if error.errno in FINAL:
                self._refusal = error
        self._asked.set()
        while (event := self._queue.take()) is not None:
            try:
                self._write(event)
            except OSError as error:
                self._fail(event, error)
        self._close()

    def _write(self, event: Event) -> None:
        content = {**event.record(), "boot": self._clock.boot_id, "clock_synchronised": self._clock.synchronised()}
        line = (json.dumps(content, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
        if self._file is not None and os.fstat(self._file.fileno()).st_nlink == 0:
            # Deleted by hand: nobody would read what is written there.
            self._close()
        if self._file is None:
            self._file = self._open()
        if self._file.tell() and self._file.tell() + len(line) > self._file_size:
            self._rotate()
        self._append(line)
        self._written += 1
        if self._lost_at_once and event.kind not in (LOST, BACK):
            lost, self._lost_at_once = self._lost_at_once, 0
            self._events.add(BACK, f"{self.path} is written again; {lost} events are not in it", lost=lost)

    def _append(self, line: bytes) -> None:
        assert self._file is not None
        before = self._file.tell()
        try:
            written = self._file.write(line)
            if written != len(line):
                # A disk with room for half a line takes half a line; the rest gives the reason.
                self._file.write(line[written:])
            os.fdatasync(self._file.fileno())
        except OSError:
            self._file.truncate(before)
            self._file.seek(before)
            raise

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            # What a disk that fails has to say at the end it has said before.
            with contextlib.suppress(OSError):
                file.close()

    def _open(self) -> io.FileIO:
        if not self._made:
            # Once: a folder that is missing later went with its disk, and is not to be made on another one.
            make_folder(self.path.parent)
            self._made = True
        new = not self.path.exists()
        file = io.FileIO(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640), "r+")
        end = file.seek(0, os.SEEK_END)
        whole = _whole_lines(file, end)
        if whole < end:
            logger.warning("%s: its last line was cut off and is left out", self.path)
            file.truncate(whole)
        file.seek(whole)
        if new:
            flush_folder(self.path.parent)
        return file

    def _rotate(self) -> None:
        self._close()
        names = [self.path, *(self.path.with_suffix(f".{age}{self.path.suffix}") for age in range(1, OLDER_FILES + 1))]
        for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
            if newer.exists():
                newer.replace(older)
        self._file = self._open()

    def _fail(self, event: Event, error: OSError) -> None:
        self._lost += 1
        # A disk that was away is another one when it is back.
        self._close()
        first = not self._lost_at_once
        self._lost_at_once += 1
        if first and event.kind not in (LOST, BACK):
            why = say_why(error)
            self._events.add(LOST, f"{self.path} takes no more events: {why}", level="warning", reason=why)


def _whole_lines(file: io.FileIO, end: int) -> int:
    """Returns how many bytes the whole lines of a file take: all, unless the power went in the middle of one."""
    size = 4096
    while end:
        start = max(0, end - size)
        file.seek(start)
        newline = (file.read(end - start) or b"").rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
