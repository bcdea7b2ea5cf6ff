"""Recorder: the sink that records in segments, of which a kill or a power cut costs a second at most."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeseg.events import Event, Events
from edgeseg.recording.archive import Archive
from edgeseg.recording.config import RecordingConfig
from edgeseg.recording.fragments import read_access_unit
from edgeseg.recording.recovery import RECOVERY_S
from edgeseg.recording.take import Coded, Take
from edgeseg.recording.writer import Writer
from edgeseg.sinks.h264 import SOFTWARE, H264Encoder, choose_encoder, even_size
from edgeseg.sinks.jsonl import encode_record, make_record, say_utc
from edgeseg.sinks.mp4 import TIME_BASE, ticks
from edgeseg.sinks.sink import PassedOver, Result

logger = logging.getLogger(__name__)

#: From a picture that can be decoded by itself to the next: how exactly a player can seek, whatever the rate is.
KEYFRAME_S = 2.0
#: A capture time that lies so far before the last one is that of another source.
STEP_BACK_NS = 1_000_000_000
#: A file of FAT ends before 4 GiB.
MOST_BYTES = 3 * 2**30
#: How long the disk may take to complete the last segment.
CLOSE_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class RecorderStatus:
    """How a recorder is doing. Counts are since the start; those of deleted and repaired count all its archive's.

    lost: pictures that are in no segment, because the recording was paused or the disk refused them. recovery_s: for
    how long what was flushed had been at risk at most, the second that is promised. flush_s: the longest flush.
    """

    state: Literal["recording", "paused"]
    reason: str | None
    encoder: str | None
    segments: int
    pictures: int
    bytes: int
    lost: int
    deleted: int
    deleted_bytes: int
    repaired: int
    recovery_s: float
    flush_s: float


class Recorder:
    """Records every result into segments of so many seconds, a video and its records each.

    A segment grows under a name that ends in .part; within a second of its capture a picture is on the disk for good.
    Pictures keep the times of their capture. Another size begins another segment. Passing troubles, a full disk above
    all, pause the recording and never end the run.
    """

    lossless = True

    def __init__(
        self, config: RecordingConfig, archive: Archive, *, camera: str | None = None, events: Events | None = None
    ) -> None:
        """Several recorders share one archive, and each has a folder in it by the name of its camera."""
        self.folder = archive.folder / camera if camera else archive.folder
        self.name = str(self.folder)
        self._config, self._archive, self._camera = config, archive, camera
        self._events = events or Events()
        self._writer = Writer(archive, self.folder, config, camera=camera, events=self._events)
        self._unsubscribe: Callable[[], None] | None = None
        self._encoders: dict[tuple[int, int], str] = {}
        self._encoder: H264Encoder | None = None
        self._encoder_name: str | None = None
        self._take: Take | None = None
        self._lines: dict[int, tuple[bytes, int]] = {}
        self._pts = self._keyframe_pts = 0

    def __enter__(self) -> Recorder:
        """Raises SinkUnavailableError when the folder can never be written to, or another run records there."""
        self._writer.start()
        self._unsubscribe = self._events.subscribe(self._listen)
        logger.info(
            "recording to %s in segments of %.0f s; a kill or a power cut costs the last %.0f s at most",
            self.name,
            self._config.segment,
            RECOVERY_S,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
        self._end_take()
        self._writer.stop(CLOSE_LIMIT_S)

    def write(self, result: Result) -> None:
        """Encodes the picture and hands it to the writer. Raises PassedOver while the recording is paused."""
        self._writer.check()
        if self._writer.paused is not None:
            self._end_take()
            self._writer.lose(1)
            raise PassedOver
        picture = result.overlay() if self._config.picture == "overlay" else result.segmentation.frame.image
        size_wh = even_size(picture)
        if self._take is None or not self._belongs(result, size_wh):
            self._end_take()
            self._begin_take(result, size_wh)
        self._encode(result, picture)

    def keep(self, event: Event) -> None:
        """Keeps the minute of an event, the one before and the one after; may come from any thread, returns at once.

        Such segments go only when they take all the room there is: age does not count for them.
        """
        self._writer.keep(event)

    def status(self) -> RecorderStatus:
        """Says how it is doing; may come from any thread."""
        writer, archive = self._writer, self._archive
        paused = writer.paused
        return RecorderStatus(
            state="recording" if paused is None else "paused",
            reason=paused,
            encoder=self._encoder_name,
            segments=writer.segments,
            pictures=writer.pictures,
            bytes=writer.bytes,
            lost=writer.lost,
            deleted=archive.deleted.total(),
            deleted_bytes=archive.deleted_bytes,
            repaired=archive.repaired,
            recovery_s=writer.recovery.worst_s,
            flush_s=writer.recovery.flush_s,
        )

    def _listen(self, event: Event) -> None:
        if event.kind in self._config.keep.events and event.camera in (None, self._camera):
            self.keep(event)

    def _belongs(self, result: Result, size_wh: tuple[int, int]) -> bool:
        """Whether a result goes into the segment that is open."""
        assert self._take is not None
        since_ns = result.captured_ns - self._take.first_ns
        return (
            not self._take.ended
            and size_wh == self._take.size_wh
            and since_ns < self._config.segment * 1e9
            and self._take.bytes < MOST_BYTES
            and ticks(since_ns) > self._pts - ticks(STEP_BACK_NS)
        )

    def _begin_take(self, result: Result, size_wh: tuple[int, int]) -> None:
        name = self._encoders.get(size_wh) or self._choose_encoder(size_wh)
        try:
            self._encoder = H264Encoder(name, *size_wh)
        except (OSError, ValueError) as error:
            if name == SOFTWARE:
                raise
            self._replace_hardware(error)
            self._encoder = H264Encoder(SOFTWARE, *size_wh)
        self._encoder_name = self._encoder.name
        self._take = Take(size_wh, result.captured_ns)
        self._pts = -1
        self._writer.begin(self._take)

    def _choose_encoder(self, size_wh: tuple[int, int]) -> str:
        name = choose_encoder(*size_wh)
        self._encoders[size_wh] = name
        logger.info("%s: pictures of %dx%d are encoded by %s", self.name, *size_wh, name)
        return name

    def _replace_hardware(self, error: Exception) -> None:
        """Does without an encoder of hardware that has failed, for the rest of the run."""
        text = f"the hardware encoder failed ({error}); {SOFTWARE} goes on"
        self._events.add("encoder_failed", text, camera=self._camera, level="warning")
        self._encoders = dict.fromkeys(self._encoders, SOFTWARE)

    def _encode(self, result: Result, picture: NDArray[np.uint8]) -> None:
        assert self._take is not None
        assert self._encoder is not None
        # A clock may stand still or step back a little; a decoder refuses that.
        pts = max(ticks(result.captured_ns - self._take.first_ns), self._pts + 1)
        keyframe = self._pts < 0 or (pts - self._keyframe_pts) * TIME_BASE >= KEYFRAME_S
        self._pts = pts
        if keyframe:
            self._keyframe_pts = pts
        self._lines[pts] = (self._record(result, pts), result.captured_ns)
        try:
            packets = self._encoder.encode(picture, pts, keyframe=keyframe)
        except OSError as error:
            if self._encoder.name == SOFTWARE:
                raise
            self._replace_hardware(error)
            self._encoder = None
            self._end_take()
            raise PassedOver from error
        self._hand_on([(bytes(packet), packet.pts or 0) for packet in packets])

    def _record(self, result: Result, pts: int) -> bytes:
        if not self._config.records:
            return b""
        clock = self._archive.clock
        since_boot_ns = result.captured_ns + clock.boot_ns() - clock.monotonic_ns()
        wall_s = self._archive.calendar.wall_s(since_boot_ns)
        when: dict[str, object] = {"time_s": round(float(pts * TIME_BASE), 6)}
        if wall_s is not None:
            when["captured"] = say_utc(wall_s)
        when["since_boot_s"] = round(since_boot_ns / 1e9, 6)
        when["age_ms"] = round(result.age_ms(), 3)
        return encode_record(make_record(result, when))

    def _hand_on(self, packets: list[tuple[bytes, int]]) -> None:
        assert self._take is not None
        for data, coded_pts in packets:
            sample, sets = read_access_unit(data, coded_pts)
            self._take.sets = self._take.sets or sets
            if sample is None:
                continue
            # Hardware counts in microseconds and may be a tick off; what it left out has an earlier time.
            pts = min(self._lines, key=lambda it: abs(it - coded_pts))
            line, captured_ns = self._lines.pop(pts)
            for earlier in [it for it in self._lines if it < pts]:
                del self._lines[earlier]
                self._writer.lose(1)
            coded = Coded(replace(sample, pts=pts), line, captured_ns, time.monotonic())
            # Nothing can be shown before a decoder knows the parameters.
            if self._take.sets is None or not self._take.put(coded):
                self._writer.lose(1)

    def _end_take(self) -> None:
        """Ends the open segment, with what the encoder still had."""
        if self._take is None:
            return
        if self._encoder is not None:
            try:
                self._hand_on([(bytes(packet), packet.pts or 0) for packet in self._encoder.finish()])
            except OSError as error:
                self._replace_hardware(error)
        # Hardware may have room for one encoder only; the next segment has its own.
        self._encoder = None
        self._writer.lose(len(self._lines))
        self._lines.clear()
        self._take.end()
        self._take = None
