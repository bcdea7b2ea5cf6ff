"""VideoSink: the overlay as an H.264 mp4 that any browser opens."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import av
import av.error
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from edgeseg.errors import SinkUnavailableError
from edgeseg.sinks.files import say_why
from edgeseg.sinks.growing import GrowingFile
from edgeseg.sinks.h264 import SOFTWARE, configure, even_size, to_i420
from edgeseg.sinks.mp4 import GROWING, TIME_BASE, index_at_front, ticks
from edgeseg.sinks.sink import Result


class VideoSink:
    """Records the overlay of every result; the pictures keep the distances in time at which they were captured.

    The file grows as `NAME.mp4.part`, in fragments of one second that stay playable if the process is killed, and gets
    its name when it is closed; a short one is rewritten then with its index in front. One of that name that is there
    already stays until then. Its size is that of the first picture, made even as H.264's 4:2:0 asks (an odd side is
    extended by repeating its last pixels); a later picture of another size is scaled to it.
    """

    lossless = True

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._growing = GrowingFile(path)
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._first_ns = 0
        self._pts = -1
        self._frames = 0
        self._given_up = False
        self._step = int(1 / TIME_BASE / 25)

    def __enter__(self) -> VideoSink:
        try:
            self._growing.prepare()
        except OSError as error:
            raise SinkUnavailableError(f"{self.name}: cannot be written: {say_why(error)}") from error
        return self

    def write(self, result: Result) -> None:
        """Encodes the overlay. Raises SinkUnavailableError when the disk is full; what was written stays playable."""
        picture = result.overlay()
        if self._stream is None:
            self._stream = self._begin(*even_size(picture))
            self._first_ns = result.captured_ns
        pts = ticks(result.captured_ns - self._first_ns)
        # A clock may stand still or step back (a looped file); a decoder refuses that.
        pts = max(pts, self._pts + 1)
        if self._pts >= 0:
            self._step = pts - self._pts
        self._pts = pts
        image = av.VideoFrame.from_ndarray(to_i420(picture, self._stream.width, self._stream.height), format="yuv420p")
        image.pts, image.time_base = pts, TIME_BASE
        self._frames += 1
        try:
            self._mux(self._stream.encode(image))
        except OSError as error:
            self._give_up(error)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._given_up:
            return
        if self._stream is None:
            self._growing.drop()
            return
        assert self._container is not None
        try:
            self._mux(self._stream.encode(None))
            self._container.close()
            self._container = None
            index_at_front(self._growing.part, self._frames)
            self._growing.complete()
        except OSError as failure:
            self._give_up(failure)

    def _begin(self, width: int, height: int) -> VideoStream:
        try:
            self._growing.begin()
            self._container = av.open(str(self._growing.part), "w", format="mp4", options=GROWING)
        except OSError as error:
            self._give_up(error)
        return _add_stream(self._container, width, height)

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        assert self._container is not None
        for packet in packets:
            # Only the last picture's is used: the muxer knows the others from the next picture's time.
            packet.duration = self._step
            self._container.mux(packet)

    def _give_up(self, error: OSError) -> NoReturn:
        """Keeps the fragments that reached the disk, then says why there are no more."""
        self._given_up = True
        if self._container is not None:
            # The disk that refused a picture refuses the index too; the fragments do without it.
            with contextlib.suppress(OSError):
                self._container.close()
            self._container = None
        kept = self._growing.keep()
        what = "nothing of it could be kept" if kept is None else f"what was written before stays in {kept}"
        raise SinkUnavailableError(f"{self.name}: writing stopped: {say_why(error)}; {what}") from error


def _add_stream(container: OutputContainer, width: int, height: int) -> VideoStream:
    stream = container.add_stream(SOFTWARE)
    stream.time_base = TIME_BASE
    configure(stream.codec_context, SOFTWARE, width, height)
    return stream
