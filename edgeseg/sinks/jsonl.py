"""JsonlSink: one JSON record a frame, a line each."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Literal, NoReturn

from edgeseg.errors import SinkUnavailableError
from edgeseg.sinks.files import say_why
from edgeseg.sinks.growing import GrowingFile
from edgeseg.sinks.sink import Result

Clock = Literal["wall", "file", "none"]


class JsonlSink:
    """Appends a record for every result to NAME.jsonl.part, each on its way to the disk at once.

    The file gets its name when it is closed; one of that name that is there already stays until then.

    Keys: `index` (of the frame in its source), `source`, `shares` (class name -> share of the picture, 0..1) and
    `timings_ms` (stage -> milliseconds). Between them, by what the capture times are: with the clock `wall` `time_s`
    (since the first frame), `captured` (UTC, ISO 8601) and `age_ms` (from capture until the record was written); with
    `file` `time_s`, the place in the file; with `none`, for pictures, nothing.
    """

    lossless = True

    def __init__(self, path: Path, *, clock: Clock = "wall") -> None:
        self.name = str(path)
        self._growing = GrowingFile(path)
        self._clock = clock
        self._file: io.FileIO | None = None
        self._first_ns: int | None = None
        self._given_up = False

    def __enter__(self) -> JsonlSink:
        try:
            self._growing.prepare()
        except OSError as error:
            raise SinkUnavailableError(f"{self.name}: cannot be written: {say_why(error)}") from error
        return self

    def write(self, result: Result) -> None:
        """Writes one record. Raises SinkUnavailableError when the disk is full; only whole records stay in the file."""
        line = encode_record(self._record(result))
        before = 0
        try:
            if self._file is None:
                self._growing.begin()
                # Unbuffered: a line is a single write, so that a reader of the growing file meets whole records.
                self._file = io.FileIO(self._growing.part, "w")
            before = self._file.tell()
            written = self._file.write(line)
            if written != len(line):
                # A disk with room for half a line takes half a line; the rest gives the reason.
                self._file.write(line[written:])
        except OSError as error:
            self._give_up(before, error)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._given_up:
            return
        if self._file is None:
            self._growing.drop()
            return
        self._file.close()
        try:
            self._growing.complete()
        except OSError as failure:
            raise SinkUnavailableError(
                f"{self.name}: cannot be given its name: {say_why(failure)}; it is {self._growing.part}"
            ) from failure

    def _give_up(self, size: int, error: OSError) -> NoReturn:
        """Keeps the whole records, `size` bytes, then says why there are no more."""
        self._given_up = True
        if self._file is not None:
            os.ftruncate(self._file.fileno(), size)
            self._file.close()
        kept = self._growing.keep()
        what = "nothing of it could be kept" if kept is None else f"the records before stay in {kept}"
        raise SinkUnavailableError(f"{self.name}: writing stopped: {say_why(error)}; {what}") from error

    def _record(self, result: Result) -> dict[str, object]:
        if self._first_ns is None:
            self._first_ns = result.captured_ns
        if self._clock == "file":
            return make_record(result, {"time_s": round(result.captured_ns / 1e9, 6)})
        if self._clock == "wall":
            age_ms = result.age_ms()
            when = {
                "time_s": round((result.captured_ns - self._first_ns) / 1e9, 6),
                "captured": say_utc(time.time() - age_ms / 1e3),
                "age_ms": round(age_ms, 3),
            }
            return make_record(result, when)
        return make_record(result, {})


def make_record(result: Result, when: Mapping[str, object]) -> dict[str, object]:
    """Returns what is said of a result, JSON-ready, with what is known of its time."""
    segmentation = result.segmentation
    frame = segmentation.frame
    return {
        "index": frame.index,
        "source": frame.source,
        **when,
        "shares": {name: round(share, 6) for name, share in segmentation.shares.items()},
        "timings_ms": {stage: round(spent, 3) for stage, spent in segmentation.timings.items()},
    }


def encode_record(record: Mapping[str, object]) -> bytes:
    """Returns a record as a line of UTF-8."""
    # A file name that is no UTF-8 holds surrogates, which JSON can only write escaped.
    return (json.dumps(record, ensure_ascii=False) + "\n").encode(errors="backslashreplace")


def say_utc(seconds: float) -> str:
    """Returns seconds since 1970 as a date and time, ISO 8601."""
    moment = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
