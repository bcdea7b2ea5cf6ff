"""Parts: the pieces of an unfinished input's outputs, each complete in itself; work goes on after the last one."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import TracebackType

from edgeseg.corridor import Corridor, PathConfig, PersonInPath
from edgeseg.errors import EdgesegError, SinkUnavailableError
from edgeseg.frame import Frame
from edgeseg.offline.plan import read_record, write_record
from edgeseg.sinks.files import flush_to_disk, say_why
from edgeseg.sinks.growing import growing_path
from edgeseg.sinks.jsonl import Clock, JsonlSink
from edgeseg.sinks.mp4 import is_mp4, join_mp4
from edgeseg.sinks.sink import Result, Sink
from edgeseg.sinks.video import VideoSink

#: What is noted of a part.
NOTED = ("following", "at_ns", "last_ns", "frames", "sizes", "broken", "areas")

#: Frames in a part, so the most that a kill -9 costs: half a minute of a drive.
PART_FRAMES = 750


@dataclass(slots=True)
class Part:
    """One piece, of `frames` frames of which the last has number `following - 1`.

    at_ns, last_ns: the times of its first and its last frame. sizes: the bytes of its files, by name. broken: what was
    said of pictures that could not be read on the way. areas: each frame's time in nanoseconds and the share of the
    corridor that people cover, where there is a corridor.
    """

    stem: Path
    following: int
    at_ns: int
    last_ns: int
    frames: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    areas: list[tuple[int, float]] = field(default_factory=list)

    @property
    def video(self) -> Path:
        return self.stem.with_suffix(".mp4")

    @property
    def records(self) -> Path:
        return self.stem.with_suffix(".jsonl")

    @property
    def note(self) -> Path:
        """Written last: without it the part is not complete and is made again."""
        return self.stem.with_suffix(".json")


def find_parts(folder: Path, *, video: bool, records: bool) -> list[Part]:
    """Returns the complete parts in a folder, up to the first that is missing or damaged."""
    parts: list[Part] = []
    while True:
        stem = _stem(folder, len(parts))
        note = read_record(stem.with_suffix(".json"))
        if note is None:
            return parts
        part = Part(stem, **{key: note[key] for key in NOTED})
        files = ([part.video] if video else []) + ([part.records] if records else [])
        if not all(path.exists() and path.stat().st_size == part.sizes.get(path.name) for path in files):
            return parts
        if video and not is_mp4(part.video):
            return parts
        parts.append(part)


class PartRecorder:
    """The sink of `edgeseg process`: video and records in parts, and `others`, whose files are complete one by one.

    Frames before the first missing one are passed over: they were segmented only to remind the fusion of what came
    before. Whatever ends the run, the open part is completed and counts.
    """

    lossless = True

    def __init__(
        self,
        folder: Path,
        done: Sequence[Part],
        *,
        video: bool,
        clock: Clock | None,
        others: Sequence[Sink] = (),
        count: Callable[[int], None],
        corridor: Corridor | None = None,
    ) -> None:
        """`clock` is the records', None for none; `count` is called after each frame with how many are done."""
        self.name = str(folder)
        self.parts = list(done)
        self.following = done[-1].following if done else 0
        #: No frame that is missing is older.
        self.following_ns = done[-1].last_ns + 1 if done else 0
        self._folder = folder
        self._video, self._clock = video, clock
        self._others = others
        self._count = count
        self._corridor = corridor
        self._broken: list[str] = []
        self._open: Part | None = None
        self._of_part = contextlib.ExitStack()
        self._of_all = contextlib.ExitStack()
        self._sinks: list[Sink] = []

    @property
    def broken(self) -> list[str]:
        """What was said of each picture that could not be read, in this run and in earlier ones."""
        return list(dict.fromkeys([*chain.from_iterable(part.broken for part in self.parts), *self._broken]))

    def leave_out(self, error: EdgesegError) -> None:
        """Notes what was said of a picture that could not be read; from the thread that reads."""
        self._broken.append(str(error))

    def __enter__(self) -> PartRecorder:
        for sink in self._others:
            self._of_all.enter_context(sink)
        return self

    def write(self, result: Result) -> None:
        frame = result.segmentation.frame
        if frame.index < self.following:
            return
        part = self._open
        if part is None or part.frames == PART_FRAMES:
            self._close_part()
            part = self._open_part(frame)
        for sink in (*self._sinks, *self._others):
            sink.write(result)
        if self._corridor is not None:
            part.areas.append((frame.captured_ns, self._corridor.person_area(result.segmentation)))
        part.frames += 1
        part.following = self.following = frame.index + 1
        part.last_ns = frame.captured_ns
        self._count(self.following)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._of_all:
            if kind is None:
                self._close_part()
            else:
                # A part that could not be written to is not complete.
                self._of_part.close()

    def _open_part(self, frame: Frame) -> Part:
        part = Part(_stem(self._folder, len(self.parts)), frame.index, frame.captured_ns, frame.captured_ns)
        for note in self._folder.glob("part-*.json"):
            if note >= part.note:
                # Behind a part that was damaged: it need not begin where the new one ends.
                note.unlink()
        self._sinks = []
        for left in (part.video, part.records):
            # Of a run that was killed: the frames are made again, and a sink would keep it beside them.
            growing_path(left).unlink(missing_ok=True)
        if self._video:
            self._sinks.append(self._of_part.enter_context(VideoSink(part.video)))
        if self._clock is not None:
            self._sinks.append(self._of_part.enter_context(JsonlSink(part.records, clock=self._clock)))
        self._open = part
        return part

    def _close_part(self) -> None:
        part, self._open = self._open, None
        self._of_part.close()
        if part is None:
            return
        # Taken before it is written, for the reader goes on meanwhile; what it adds belongs to the next part.
        part.broken = self._broken[:]
        try:
            for path in (part.video, part.records):
                if path.exists():
                    # A power cut must not keep the note and lose what it tells of.
                    flush_to_disk(path)
                    part.sizes[path.name] = path.stat().st_size
            write_record(part.note, {key: getattr(part, key) for key in NOTED})
        except OSError as error:
            raise SinkUnavailableError(f"{part.note}: writing stopped: {say_why(error)}") from error
        self.parts.append(part)


def join_videos(parts: Sequence[Part], target: Path, stopped: Callable[[], bool]) -> bool:
    """Makes one video of the parts'; returns False when it was stopped. Raises OSError."""
    return join_mp4([(part.video, part.at_ns - parts[0].at_ns) for part in parts], target, stopped)


def join_records(parts: Sequence[Part], target: Path) -> None:
    """Makes one file of the parts' records. Raises OSError."""
    _write_whole(target, (part.records.read_bytes() for part in parts))


def write_events(parts: Sequence[Part], config: PathConfig, target: Path) -> None:
    """Writes a line for each begin and end of somebody being in the path. Raises OSError.

    Found in the parts as a whole, so that it makes no difference where the work was interrupted.
    """
    watch = PersonInPath(config)
    changes = [watch.update_area(at_ns, area) for part in parts for at_ns, area in part.areas]
    changes.append(watch.end("the video has ended"))
    records = ({"kind": "person_in_path", "text": it.text, "details": it.details()} for it in changes if it is not None)
    _write_whole(target, ((json.dumps(record, ensure_ascii=False) + "\n").encode() for record in records))


def _write_whole(target: Path, contents: Iterable[bytes]) -> None:
    growing = growing_path(target)
    try:
        with growing.open("wb") as file:
            for content in contents:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        growing.unlink(missing_ok=True)
        raise
    growing.replace(target)


def _stem(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05d}"
