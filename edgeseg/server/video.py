"""VideoFeed: one camera's overlay as compressed video, encoded once however many watch."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream
from numpy.typing import NDArray

from edgeseg.server.look import draw_notice, reduce_width
from edgeseg.server.view import View, find_silence
from edgeseg.sinks.h264 import BT601, LIMITED_RANGE, to_i420

logger = logging.getLogger(__name__)

Take = Callable[["Packet[VideoStream]"], None]

#: For who has little bandwidth: of the picture stream's 1280 pixels and every picture, this many.
WIDTH = 854
FPS = 15
BITS_PER_S = 1_000_000
#: Pictures from one that can be decoded by itself to the next: for so long a lost packet may be seen.
GROUP = 2 * FPS
CLOCK = 90_000

ENCODERS = {"h264": "libx264", "vp8": "libvpx"}
OPTIONS = {
    # Constrained to baseline, which every browser plays. At 854x480 and this bit rate, on the bundled drive: 3 ms a
    # picture at 39.7 dB; superfast takes twice the time for 40.3 dB.
    "h264": {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "level": "31"},
    # For browsers without H.264; takes several times as long.
    "vp8": {"deadline": "realtime", "cpu-used": "-6", "lag-in-frames": "0", "static-thresh": "1"},
}


class VideoFeed:
    """Encodes while somebody takes the packets. Lives on one event loop; `executor` does the work."""

    def __init__(self, view: View, codec: str, executor: Executor) -> None:
        """`codec` is "h264" or "vp8"."""
        self.view, self.codec = view, codec
        self.encoded_count = 0
        self._executor = executor
        self._takers: list[Take] = []
        self._encoder: VideoCodecContext | None = None
        self._keyframe = False
        self._task: asyncio.Task[None] | None = None
        self._seen = 0
        self._told = ""

    def add(self, take: Take) -> None:
        """Gives every packet to `take` from now on, the first a picture of its own."""
        self._takers.append(take)
        self._keyframe = True
        self._seen, self._told = 0, ""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def remove(self, take: Take) -> None:
        """Gives `take` no more packets."""
        if take in self._takers:
            self._takers.remove(take)

    async def close(self) -> None:
        """Ends the encoding."""
        self._takers.clear()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            while self._takers:
                for packet in await loop.run_in_executor(self._executor, self._encode_next):
                    for take in list(self._takers):
                        take(packet)
                due = max(due + 1 / FPS, loop.time())
                await asyncio.sleep(due - loop.time())
        except Exception:
            logger.exception("%s: the page shows no more video", self.view.name)
            raise
        finally:
            self._encoder = None

    def _encode_next(self) -> list[Packet[VideoStream]]:
        """Returns the packets of the next picture, none when there is nothing new."""
        picture = self._draw_next()
        if picture is None:
            return []
        height, width = picture.shape[:2]
        width, height = width + width % 2, height + height % 2
        if self._encoder is None or (self._encoder.width, self._encoder.height) != (width, height):
            self._encoder = _open(self.codec, width, height)
        frame = av.VideoFrame.from_ndarray(to_i420(picture, width, height), format="yuv420p")
        frame.pts, frame.time_base = time.monotonic_ns() * CLOCK // 10**9, Fraction(1, CLOCK)
        if self._keyframe:
            self._keyframe, frame.pict_type = False, PictureType.I
        self.encoded_count += 1
        return self._encoder.encode(frame)

    def _draw_next(self) -> NDArray[np.uint8] | None:
        newest, silence = self.view.feed.newest, find_silence(self.view)
        if silence is not None:
            # Said in the picture itself, once a second: whoever takes the video apart from the page must see it too.
            if silence.text == self._told:
                return None
            self._told = silence.text
            last = None if newest is None else newest.result.segmentation.frame.image
            return reduce_width(draw_notice(last, [silence.text]), WIDTH)
        self._told = ""
        if newest is None or newest.number == self._seen:
            return None
        self._seen = newest.number
        return reduce_width(newest.result.overlay(), WIDTH)


def _open(codec: str, width: int, height: int) -> VideoCodecContext:
    encoder = cast("VideoCodecContext", av.codec.CodecContext.create(ENCODERS[codec], "w"))
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, CLOCK), Fraction(FPS)
    encoder.bit_rate, encoder.gop_size = BITS_PER_S, GROUP
    encoder.colorspace = encoder.color_primaries = encoder.color_trc = BT601
    encoder.color_range = LIMITED_RANGE
    encoder.options = {**OPTIONS[codec], "maxrate": str(BITS_PER_S), "bufsize": str(BITS_PER_S // 2)}
    encoder.open()
    return encoder
