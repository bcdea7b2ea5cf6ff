"""VideoFileSource: the pictures of a video file, upright, at their own times.

Read with PyAV and not with cv2.VideoCapture, which decodes as fast (both are libav) but cannot tell why a file has no
pictures (sound only, no video at all, cut off), reports a damaged file as an ordinary end, and guesses the times of
files with a variable rate. PyAV is there anyway, for it writes the videos.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import av.error
import av.logging
import cv2
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from edgeseg.errors import DataError, InputNotFoundError, explain
from edgeseg.frame import Frame
from edgeseg.sources.pace import Pace
from edgeseg.sources.picture_file import check_size

logger = logging.getLogger(__name__)

#: Used for a file that says neither how fast it is nor when its pictures are due.
FALLBACK_FPS = 25.0

TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


class VideoFileSource:
    """Plays one video file, once or in a loop; live at its own pace, otherwise as fast as it is read.

    Every picture has the size of the first one, with the rotation that the file asks for applied. Opening raises
    InputNotFoundError or DataError; `read()` raises DataError at the end of a file that is cut off, after its last
    picture has been given.
    """

    def __init__(self, path: Path, *, live: bool, loop: bool = False) -> None:
        self.name = str(path)
        self.live = live
        self.fps: float | None = None
        self.frame_count: int | None = None
        self._path = path
        self._loop = loop
        self._pace = Pace(live=live)
        self._container: InputContainer | None = None
        self._frames: Iterator[tuple[NDArray[np.uint8], int]] = iter(())
        self._index = 0

    def __enter__(self) -> VideoFileSource:
        check_file(self._path)
        # libav writes to stderr by itself; what went wrong comes back as an error anyway.
        av.logging.set_level(None)
        container, stream = self._open()
        self.fps = float(stream.average_rate or stream.guessed_rate or FALLBACK_FPS)
        self.frame_count = None if self._loop else _count_frames(container, stream, self.fps)
        self._frames = self._play(container, stream)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._frames = iter(())
        if self._container is not None:
            self._container.close()
            self._container = None

    def read(self) -> Frame | None:
        if self._pace.interrupted:
            return None
        following = next(self._frames, None)
        if following is None:
            return None
        image, place_ns = following
        captured_ns = self._pace.wait_until(place_ns)
        if captured_ns is None:
            return None
        self._index += 1
        return Frame(image, self._index - 1, captured_ns, self.name)

    def interrupt(self) -> None:
        self._pace.interrupt()

    def _open(self) -> tuple[InputContainer, VideoStream]:
        try:
            # "file:" keeps libav from taking a colon in the name for a protocol.
            self._container = av.open(f"file:{self._path}")
        except (av.error.FFmpegError, UnicodeError) as error:
            raise DataError(
                f"{self.name}: cannot be read as a video; it is none, or it was cut off before its index was written"
            ) from error
        stream = self._video_stream(self._container)
        check_size(self.name, stream.width, stream.height)
        # One core keeps up with 720p on any board; every further thread holds pictures of its own.
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = 1 if self.live and stream.width * stream.height <= 1280 * 720 else 0
        return self._container, stream

    def _video_stream(self, container: InputContainer) -> VideoStream:
        for stream in container.streams.video:
            # The cover of a music file is a video stream of one picture.
            if not stream.disposition & Disposition.attached_pic and stream.codec_context is not None:
                return stream
        kinds = sorted({stream.type for stream in container.streams} - {"video"})
        what = f"only {' and '.join(kinds)}" if kinds else "nothing that can be decoded"
        raise DataError(f"{self.name}: holds no video, {what}; give a file with pictures in it")

    def _play(self, container: InputContainer, stream: VideoStream) -> Iterator[tuple[NDArray[np.uint8], int]]:
        """Yields each picture and its place in nanoseconds, the first one's is 0."""
        base_ns, size_wh = 0, None
        step_ns = round(1e9 / (self.fps or FALLBACK_FPS))
        while True:
            first_ns: int | None = None
            place_ns = base_ns - step_ns
            end = End()
            for frame in _decode(container, stream, end):
                image = _upright(frame)
                if size_wh is None:
                    size_wh = (image.shape[1], image.shape[0])
                elif (image.shape[1], image.shape[0]) != size_wh:
                    image = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
                if frame.pts is None or frame.time_base is None:
                    place_ns += step_ns
                else:
                    time_ns = round(frame.pts * frame.time_base * 1_000_000_000)
                    first_ns = time_ns if first_ns is None else first_ns
                    # A file whose times step back is still played in the order it is stored.
                    place_ns = max(place_ns + 1, base_ns + time_ns - first_ns)
                yield image, place_ns
                del frame, image
            if place_ns < base_ns:
                raise DataError(f"{self.name}: not one picture of it can be decoded; the file is damaged")
            self._judge(container, stream, end)
            if not self._loop:
                return
            base_ns = place_ns + step_ns
            try:
                container.seek(0)
            except av.error.FFmpegError:
                # A stream without a container (raw H.264) has no places to seek to.
                container.close()
                container, stream = self._open()

    def _judge(self, container: InputContainer, stream: VideoStream, end: End) -> None:
        """Raises DataError when the file has ended before its own index says; else tells of what was damaged."""
        expected_s, tolerance_s = _duration(container, stream)
        start_s = float((stream.start_time or 0) * (stream.time_base or 0))
        got_s = max(0.0, float(end.time_s) - start_s)
        if expected_s is not None and (expected_s - got_s > tolerance_s or (end.cut and expected_s > got_s)):
            raise DataError(
                f"{self.name}: is cut off, it ends at {got_s:.1f} s of {expected_s:.1f} s; "
                "the frames up to there were used, copy the file again to get the rest"
            )
        # Not of a file that was cut off: the piece at the cut is damaged by the cut.
        if end.damaged:
            logger.warning("%s: %d damaged pieces were passed over", self.name, end.damaged)


class End:
    """What reading a file to its end has shown."""

    def __init__(self) -> None:
        self.time_s = Fraction(0)
        self.cut = False
        self.damaged = 0


def check_file(path: Path) -> None:
    """Raises InputNotFoundError when there is no such file or it may not be read, DataError when it is empty."""
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError as error:
        raise InputNotFoundError(f"{path}: no such file; check the path") from error
    except OSError as error:
        raise InputNotFoundError(f"{path}: cannot be read: {explain(error)}") from error
    if empty:
        raise DataError(f"{path}: is empty (0 bytes); copy or record it again")


def _decode(container: InputContainer, stream: VideoStream, end: End) -> Iterator[VideoFrame]:
    """Yields every picture that can be decoded; what cannot is noted in `end`, and so is where the file ends."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            end.cut = True
            packet = None
        if packet is None:
            return
        if packet.size:
            end.cut = packet.is_corrupt
            if packet.pts is not None:
                end.time_s = max(end.time_s, (packet.pts + (packet.duration or 0)) * packet.time_base)
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            end.damaged += 1
            continue
        yield from frames


def _upright(frame: VideoFrame) -> NDArray[np.uint8]:
    """Returns a picture as BGR uint8 (H, W, 3), turned the way the file asks for."""
    image = np.asarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8)
    turn = TURNS.get(frame.rotation % 360)
    return image if turn is None else np.asarray(cv2.rotate(image, turn), dtype=np.uint8)


def _duration(container: InputContainer, stream: VideoStream) -> tuple[float | None, float]:
    """Returns how long the pictures should last and by how much that may be off, in seconds."""
    close_s = max(0.2, 2 / float(stream.average_rate or FALLBACK_FPS))
    if tag := re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", "")):
        # Matroska's own figure for each stream; libav gives every stream the length of the longest.
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3]), close_s
    own_s = None if stream.duration is None else float(stream.duration * (stream.time_base or 0))
    whole_s = None if container.duration is None else container.duration / 1e6
    if own_s is not None and (len(container.streams) == 1 or whole_s is None or abs(own_s - whole_s) > 0.1):
        return own_s, close_s
    # Possibly the length of the sound.
    return whole_s, max(2.0, 0.05 * (whole_s or 0.0))


def _count_frames(container: InputContainer, stream: VideoStream, fps: float) -> int | None:
    if stream.frames:
        return stream.frames
    duration_s, _ = _duration(container, stream)
    return None if duration_s is None else max(1, round(duration_s * fps))
