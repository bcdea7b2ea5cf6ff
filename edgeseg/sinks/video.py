"""VideoSink: the overlay as an H.264 mp4 that any browser opens."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import av
import av.error
import cv2
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from edgeseg.errors import SinkUnavailableError
from edgeseg.sinks.files import say_why
from edgeseg.sinks.growing import GrowingFile
from edgeseg.sinks.mp4 import GROWING, TIME_BASE, index_at_front, ticks
from edgeseg.sinks.sink import Result

#: H.264 level 5.2, the largest picture that browsers and boards decode; larger ones are reduced to fit (width, height).
LARGEST_WH = (4096, 2304)

#: Measured at 720p, CPU per frame as a multiple of `ultrafast` at the same CRF: superfast 2.0, veryfast 3.8; size in
#: kB a frame 37, 25 and 20. On two cores that also run the model the time is worth more than the bytes.
PRESET = "ultrafast"
CRF = 23

#: Threads share a picture instead of each having one of its own, and none is held back: the same CPU and bytes at this
#: preset, 4 MB less memory at 720p on two cores (more on four), and a picture is written when it comes.
TUNE = "zerolatency"

#: ITU-T H.273 code of BT.601, the matrix that cv2 converts with. Untagged, players take BT.709 for HD: wrong colours.
BT601 = 6
LIMITED_RANGE = 1


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
            self._stream = self._begin(*_even_size(picture))
            self._first_ns = result.captured_ns
        pts = ticks(result.captured_ns - self._first_ns)
        # A clock may stand still or step back (a looped file); a decoder refuses that.
        pts = max(pts, self._pts + 1)
        if self._pts >= 0:
            self._step = pts - self._pts
        self._pts = pts
        image = av.VideoFrame.from_ndarray(_to_i420(picture, self._stream.width, self._stream.height), format="yuv420p")
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
    stream = container.add_stream("libx264", options={"preset": PRESET, "tune": TUNE, "crf": str(CRF)})
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.time_base = TIME_BASE
    codec = stream.codec_context
    codec.time_base = TIME_BASE
    # Steers the rate control only; the pictures' own times make the pace.
    codec.framerate = Fraction(25)
    codec.gop_size = 50
    codec.colorspace = codec.color_primaries = codec.color_trc = BT601
    codec.color_range = LIMITED_RANGE
    return stream


def _even_size(picture: NDArray[np.uint8]) -> tuple[int, int]:
    """Returns the (width, height) that a picture (H, W, 3) is encoded at."""
    height, width = picture.shape[:2]
    scale = min(1.0, LARGEST_WH[0] / width, LARGEST_WH[1] / height)
    if scale < 1.0:
        width, height = max(1, int(width * scale)), max(1, int(height * scale))
    return width + width % 2, height + height % 2


def _to_i420(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Returns BGR (H, W, 3) as planar 4:2:0 (height * 3 / 2, width); cv2 takes an eighth of swscale's time for it."""
    rows, columns = picture.shape[:2]
    if (columns + columns % 2, rows + rows % 2) != (width, height):
        picture = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    elif (columns, rows) != (width, height):
        border = (0, height - rows, 0, width - columns)
        picture = np.asarray(cv2.copyMakeBorder(picture, *border, cv2.BORDER_REPLICATE), dtype=np.uint8)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420), dtype=np.uint8)
