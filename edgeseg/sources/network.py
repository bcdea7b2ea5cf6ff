"""NetworkSource: a camera or a stream on the network, by RTSP, HTTP (MJPEG, MPEG-TS) or UDP.

Read with PyAV and not with cv2.VideoCapture, which is libav too: PyAV says why a stream cannot be read (refused, no
such stream, wrong password, silent), its timeouts hold to the millisecond where cv2 calls the first two silent reads
good, and at 25 pictures a second it is one picture nearer to the present (45 and 85 ms from drawing to decoding, x264
without look-ahead, on loopback).
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Iterator
from types import TracebackType

import av
import av.error
import av.logging
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from edgeseg.errors import SourceUnavailableError, UsageError
from edgeseg.frame import Frame
from edgeseg.sources.backlog import Backlog
from edgeseg.sources.source import SourceAbsentError, SourceDeniedError, SourceSilentError
from edgeseg.sources.stream_address import StreamAddress

logger = logging.getLogger(__name__)

#: How long connecting and being told what the stream is may take.
OPEN_S = 5.0
#: How long the next piece of the stream may take; a live one never pauses.
READ_S = 2.5
#: How long what is sent may make no picture: cameras send one that stands for itself every few seconds only.
PICTURE_S = 9.0

OPTIONS = {
    # Over UDP a lost packet is a damaged picture, and firewalls stop it. Sound is not even asked for.
    "rtsp": {"rtsp_transport": "tcp", "allowed_media_types": "video", "analyzeduration": "100000"},
    # libav looks at a stream for up to five seconds otherwise, and all that time its pictures grow old.
    "http": {"analyzeduration": "100000"},
    "udp": {"analyzeduration": "500000", "overrun_nonfatal": "1"},
}
#: libav hands a picture of these out when the next one begins, so it came when the one before was handed out.
HELD_BACK = {"h264", "hevc"}
UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}
#: Above this a stream's own word on its rate is the tick of its clock.
HIGHEST_FPS = 240.0


class NetworkSource:
    """The newest pictures of one stream, each with the moment it arrived.

    Raises SourceDeniedError for a refused password, SourceSilentError when it is there and says nothing, else
    SourceUnavailableError; UsageError for a recording, which is no live stream. Certificates of rtsps:// and https://
    are not checked: cameras sign their own.
    """

    live = True
    frame_count: int | None = None

    def __init__(self, address: StreamAddress, *, open_s: float = OPEN_S, read_s: float = READ_S) -> None:
        """`open_s` and `read_s` are how long it may say nothing while it is opened and after that."""
        self.name = address.name
        self.fps: float | None = None
        self._address = address
        self._open_s, self._read_s = open_s, read_s
        self._container: InputContainer | None = None
        self._frames: Iterator[Frame] = iter(())
        self._interrupted = threading.Event()

    def __enter__(self) -> NetworkSource:
        # libav writes addresses with their passwords to stderr.
        av.logging.set_level(None)
        begun = time.monotonic()
        options = OPTIONS[self._address.scheme.removesuffix("s")]
        try:
            self._container = av.open(self._address.url, options=options, timeout=(self._open_s, self._read_s))
            stream = self._choose_stream(self._container)
        except av.error.FFmpegError as error:
            self._close()
            # Not from it: its words hold the address with the password.
            raise self._explain_open(error, time.monotonic() - begun) from None
        except BaseException:
            self._close()
            raise
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        self.fps = rate if 0 < rate <= HIGHEST_FPS else None
        # Threads for whole pictures would each hold one back.
        stream.thread_type = "SLICE"
        stream.codec_context.thread_count = 1 if 0 < stream.width * stream.height <= 1280 * 720 else 0
        self._frames = self._play(self._container, stream)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def read(self) -> Frame | None:
        return next(self._frames, None)

    def interrupt(self) -> None:
        self._interrupted.set()

    def _close(self) -> None:
        self._frames = iter(())
        if self._container is not None:
            self._container.close()
            self._container = None

    def _choose_stream(self, container: InputContainer) -> VideoStream:
        if container.duration and self._address.scheme.startswith("http"):
            raise UsageError(
                f"{self.name}: is a recording of {container.duration / 1e6:.0f} s, no live stream; "
                "download it and give the file"
            )
        for stream in container.streams.video:
            if stream.codec_context is not None:
                return stream
        raise SourceUnavailableError(f"{self.name}: holds no video that can be decoded; check the address")

    def _play(self, container: InputContainer, stream: VideoStream) -> Iterator[Frame]:
        reformatter = VideoReformatter()
        held_back = stream.codec_context.name in HELD_BACK
        index = 0
        came = pictured = asked = time.monotonic()
        backlog = Backlog(asked)
        packets = container.demux(stream)
        while not self._interrupted.is_set():
            packet = self._next(packets)
            got = time.monotonic()
            if got - pictured > PICTURE_S:
                raise SourceUnavailableError(f"{self.name}: sends something, but no picture that can be decoded")
            if got - asked >= self._read_s:
                # When its time is up libav hands out what it has held back, as if it had just come.
                raise self._is_silent()
            came_ns = round((came if held_back else got) * 1e9)
            came = got
            skipped = backlog.skipped
            fate = backlog.judge(asked, got, is_key=packet.is_keyframe)
            if fate == "skip":
                if not skipped:
                    logger.warning(
                        "%s: is more than this machine can decode, pictures are left out; "
                        "take the camera's smaller stream",
                        self.name,
                    )
                pictured = got
            else:
                for picture in _decode(packet):
                    pictured = got
                    if fate == "show":
                        image = reformatter.reformat(picture, format="bgr24").to_ndarray()
                        yield Frame(np.asarray(image, dtype=np.uint8), index, came_ns, self.name)
                        index += 1
                        del image
                    del picture
            asked = time.monotonic()

    def _next(self, packets: Iterator[Packet[VideoStream]]) -> Packet[VideoStream]:
        try:
            packet = next(packets, None)
        except (av.error.ExitError, av.error.TimeoutError):
            raise self._is_silent() from None
        except av.error.FFmpegError as error:
            raise SourceUnavailableError(f"{self.name}: the connection broke: {_say(error)}") from None
        # libav ends every stream with an empty packet.
        if packet is None or not packet.size:
            raise SourceUnavailableError(f"{self.name}: the connection was closed by the other side")
        return packet

    def _is_silent(self) -> SourceSilentError:
        return SourceSilentError(f"{self.name}: has sent nothing for {self._read_s:g} s")

    def _explain_open(self, error: av.error.FFmpegError, took_s: float) -> SourceUnavailableError:
        name, port = self.name, self._address.port
        if isinstance(error, (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)):
            return SourceDeniedError(
                f"{name}: refuses the user name or password; give them as {self._address.scheme}://USER:PASSWORD@HOST/"
            )
        if isinstance(error, av.error.HTTPNotFoundError):
            return SourceUnavailableError(f"{name}: there is no such stream (404); check the path")
        if isinstance(error, av.error.ConnectionRefusedError):
            return SourceAbsentError(f"{name}: nothing listens on port {port}; is it on, is the port right?")
        # A silent peer shows as whatever libav was doing when its time was up.
        if isinstance(error, (av.error.ExitError, av.error.TimeoutError)) or took_s > self._open_s - 0.1:
            return SourceSilentError(f"{name}: has not answered for {self._open_s:g} s")
        if not self._address.is_known():
            return SourceAbsentError(f"{name}: nobody knows that host name; check it and the network")
        if error.errno in UNREACHABLE:
            return SourceAbsentError(f"{name}: cannot be reached: {_say(error)}; is it on, is the network right?")
        if isinstance(error, av.error.OSError) and self._address.scheme in ("rtsps", "https"):
            return SourceUnavailableError(f"{name}: no secure connection (TLS) can be made on port {port}")
        return SourceUnavailableError(f"{name}: cannot be read as a stream: {_say(error)}")


def _decode(packet: Packet[VideoStream]) -> list[VideoFrame]:
    """Returns the pictures that a packet completes: none when it is damaged or stands alone."""
    try:
        return [frame for frame in packet.decode() if isinstance(frame, VideoFrame)]
    except av.error.FFmpegError:
        return []


def _say(error: av.error.FFmpegError) -> str:
    """Returns what libav says, without the address."""
    return (error.strerror or type(error).__name__).lower()
