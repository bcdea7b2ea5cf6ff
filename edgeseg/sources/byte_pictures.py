"""Pictures in a stream of bytes: MJPEG, H.264 or raw, cut out and decoded as the bytes come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import av
import av.error
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from edgeseg.errors import DataError
from edgeseg.sources.picture_file import LARGEST_PIXELS

#: So many bytes without the beginning of a picture are no MJPEG; so many after one are no picture of any camera.
LONGEST_JUNK = 1 << 20
LONGEST_JPEG = LARGEST_PIXELS

_START, _END = b"\xff\xd8\xff", b"\xff\xd9"
_SCAN = 0xDA


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How the pixels of a raw picture lie: rows of bytes for each row of pixels, channels, and what makes BGR of it."""

    rows: float
    channels: int
    to_bgr: int | None

    @property
    def pairs(self) -> bool:
        """Whether two pixels share their colour, so that a picture has even sides."""
        return self.rows > 1 or self.channels == 2


#: By the names that ffmpeg and GStreamer users know, in small letters.
PIXEL_FORMATS = {
    "bgr24": PixelFormat(1, 3, None),
    "rgb24": PixelFormat(1, 3, cv2.COLOR_RGB2BGR),
    "bgrx": PixelFormat(1, 4, cv2.COLOR_BGRA2BGR),
    "gray8": PixelFormat(1, 1, cv2.COLOR_GRAY2BGR),
    "yuyv": PixelFormat(1, 2, cv2.COLOR_YUV2BGR_YUYV),
    "uyvy": PixelFormat(1, 2, cv2.COLOR_YUV2BGR_UYVY),
    "nv12": PixelFormat(1.5, 1, cv2.COLOR_YUV2BGR_NV12),
    "i420": PixelFormat(1.5, 1, cv2.COLOR_YUV2BGR_I420),
}


class BytePictures(Protocol):
    """Takes bytes in pieces of any size, gives pictures.

    held_back: whether a picture is given only when the first bytes after it come.
    """

    held_back: bool

    def feed(self, data: bytes) -> NDArray[np.uint8] | None:
        """Returns the newest picture that `data` completes, BGR uint8 (H, W, 3), or None.

        Raises DataError when this cannot be what was said.
        """
        ...


class RawPictures:
    """Pictures of one size and format, one after the other with nothing between them."""

    held_back = False

    def __init__(self, size_wh: tuple[int, int], pixel_format: str) -> None:
        self._format = PIXEL_FORMATS[pixel_format]
        width, height = size_wh
        self._shape = (int(height * self._format.rows), width, self._format.channels)
        self._bytes = self._shape[0] * self._shape[1] * self._shape[2]
        self._buffer = bytearray()

    def feed(self, data: bytes) -> NDArray[np.uint8] | None:
        self._buffer += data
        whole = len(self._buffer) // self._bytes * self._bytes
        if not whole:
            return None
        pixels = np.frombuffer(bytes(memoryview(self._buffer)[whole - self._bytes : whole]), np.uint8)
        del self._buffer[:whole]
        picture = pixels.reshape(self._shape)
        if self._format.to_bgr is None:
            return picture
        return np.asarray(cv2.cvtColor(picture, self._format.to_bgr), dtype=np.uint8)


class JpegPictures:
    """JPEG pictures one after the other; what lies between them (text, multipart headers) is passed over."""

    held_back = False

    def __init__(self) -> None:
        self._buffer = bytearray()
        # Where the next marker of the picture at the buffer's start is to be read, or the end to be looked for.
        self._at = 0
        self._scanning = False

    def feed(self, data: bytes) -> NDArray[np.uint8] | None:
        self._buffer += data
        newest = None
        while (jpeg := self._cut()) is not None:
            newest = jpeg
        if newest is None:
            return None
        picture = cv2.imdecode(np.frombuffer(newest, np.uint8), cv2.IMREAD_COLOR)
        # One that was damaged on its way is no reason to end; the next one comes.
        return None if picture is None else np.asarray(picture, dtype=np.uint8)

    def _cut(self) -> bytes | None:
        """Takes the first whole picture out of the buffer."""
        if not self._at:
            start = self._buffer.find(_START)
            if start < 0:
                if len(self._buffer) > LONGEST_JUNK:
                    raise DataError("what it writes are no JPEG pictures")
                return None
            del self._buffer[:start]
            self._at, self._scanning = 2, False
        end = self._find_end()
        if end is None:
            if len(self._buffer) > LONGEST_JPEG:
                raise DataError("what it writes are no whole JPEG pictures")
            return None
        jpeg = bytes(memoryview(self._buffer)[:end])
        del self._buffer[:end]
        self._at = 0
        return jpeg

    def _find_end(self) -> int | None:
        buffer = self._buffer
        # Up to the picture data every piece tells its length; a piece may hold another picture, with an end of its own.
        while not self._scanning:
            if len(buffer) < self._at + 4:
                return None
            if buffer[self._at] != 0xFF:
                # Damaged: only the next end can help.
                self._scanning = True
                break
            self._scanning = buffer[self._at + 1] == _SCAN
            self._at += 2 + int.from_bytes(buffer[self._at + 2 : self._at + 4], "big")
        end = buffer.find(_END, self._at)
        if end < 0:
            # The end may be cut in two by the pieces the bytes come in.
            self._at = max(self._at, len(buffer) - 1)
            return None
        return end + len(_END)


class H264Pictures:
    """H.264 as a byte stream (Annex B). A picture is known to be whole when the next one begins."""

    held_back = True

    def __init__(self) -> None:
        codec = av.CodecContext.create("h264", "r")
        assert isinstance(codec, VideoCodecContext)
        # Threads for whole pictures would each hold one back.
        codec.thread_type = "SLICE"
        self._codec = codec
        self._fed = 0

    def feed(self, data: bytes) -> NDArray[np.uint8] | None:
        newest: VideoFrame | None = None
        for packet in self._codec.parse(data):
            try:
                for frame in self._codec.decode(packet):
                    newest = frame
            except av.error.FFmpegError:
                # Damaged, or it builds on a picture from before the beginning.
                continue
        if newest is not None:
            self._fed = 0
            return np.asarray(newest.to_ndarray(format="bgr24"), dtype=np.uint8)
        self._fed += len(data)
        if self._fed > LONGEST_JPEG:
            raise DataError("what it writes is no H.264")
        return None
