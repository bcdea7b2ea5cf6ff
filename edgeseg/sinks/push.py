"""PushSink: the overlay as a stream to a server."""

from __future__ import annotations

import time
from types import TracebackType

import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from edgeseg.backoff import Backoff
from edgeseg.errors import UsageError, explain
from edgeseg.events import Events
from edgeseg.push.address import PushAddress
from edgeseg.push.carrier import Picture
from edgeseg.push.link import SERVER_LIMIT_S, Link, LinkLostError
from edgeseg.push.srt import load_library
from edgeseg.sinks.h264 import H264Encoder, choose_encoder, even_size
from edgeseg.sinks.mp4 import TIME_BASE, ticks
from edgeseg.sinks.sink import PassedOver, Result

#: Whoever begins to watch waits for a picture that can be decoded by itself.
KEYFRAME_EVERY = int(1 / TIME_BASE)


class PushSink:
    """Encodes overlays as H.264 and pushes them to an address, newest first, with as little delay as there can be.

    A server that is away or too slow ends nothing: results are passed over (and counted as dropped), the server is
    tried again with growing pauses, and the events `push_live` and `push_lost` tell of it.
    """

    lossless = False

    def __init__(
        self,
        address: PushAddress,
        events: Events,
        *,
        camera: str | None = None,
        name: str | None = None,
        limit_s: float = SERVER_LIMIT_S,
        backoff: Backoff | None = None,
    ) -> None:
        """`name` takes the place of `address.shown` where two would have one name; it must hold no secret.

        `limit_s` is how long the server may take for anything. Raises UsageError for SRT where there is no libsrt.
        """
        self.name = name or address.shown
        self._address, self._events, self._camera = address, events, camera
        if address.scheme == "srt":
            try:
                load_library()
            except OSError as error:
                raise UsageError(f"push {self.name}: {error}") from error
        self._backoff, self._limit_s = backoff or Backoff(), limit_s
        self._next_try_s = 0.0
        self._link: Link | None = None
        self._live = False
        self._trouble = ""
        self._encoder: H264Encoder | None = None
        self._encoder_name: dict[tuple[int, int], str] = {}
        self._first_ns = 0
        self._pts = self._keyframe_pts = -1
        self._sent = 0
        self._moved_s = 0.0

    def __enter__(self) -> PushSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop_link()

    def write(self, result: Result) -> None:
        """Pushes the overlay. Raises PassedOver while the server does not take pictures."""
        try:
            self._push(result)
        except (LinkLostError, OSError, FFmpegError) as error:
            self._lost(explain(error) if isinstance(error, OSError) else str(error))
            raise PassedOver from error

    def _push(self, result: Result) -> None:
        if self._link is None:
            if time.monotonic() < self._next_try_s:
                raise PassedOver
            self._link = Link(self._address, limit_s=self._limit_s)
            self._begin(result)
        elif self._link.look() == "connecting" and self._sent:
            # One picture says what the server must know; the next ones would be old when it takes them.
            raise PassedOver
        elif self._link.crowded:
            if time.monotonic() - self._moved_s > self._limit_s:
                raise LinkLostError("it takes pictures too slowly")
            raise PassedOver
        elif self._sent and not self._live:
            self._told_live()
        self._moved_s = time.monotonic()
        self._send(result.overlay(), result.captured_ns)

    def _begin(self, result: Result) -> None:
        size = even_size(result.segmentation.frame.image)
        if size not in self._encoder_name:
            self._encoder_name = {size: choose_encoder(*size)}
        self._encoder = H264Encoder(self._encoder_name[size], *size)
        self._first_ns = result.captured_ns
        self._pts = self._keyframe_pts = -1
        self._sent = 0

    def _send(self, picture: NDArray[np.uint8], captured_ns: int) -> None:
        assert self._link is not None
        assert self._encoder is not None
        # A clock may stand still or step back (a looped file); a server refuses that.
        self._pts = max(ticks(captured_ns - self._first_ns), self._pts + 1)
        due = self._keyframe_pts < 0 or self._pts - self._keyframe_pts >= KEYFRAME_EVERY
        for packet in self._encoder.encode(picture, self._pts, keyframe=due):
            pts = self._pts if packet.pts is None else packet.pts
            if packet.is_keyframe:
                self._keyframe_pts = pts
            self._link.send(Picture(bytes(packet), pts, packet.is_keyframe))
            self._sent += 1

    def _told_live(self) -> None:
        self._live, self._trouble = True, ""
        # What was encoded while the server was still asked is old by now.
        self._keyframe_pts = -1
        self._events.add("push_live", f"pictures go to {self.name}", camera=self._camera, address=self.name)

    def _lost(self, reason: str) -> None:
        self._drop_link()
        self._next_try_s = time.monotonic() + self._backoff.next_s()
        if reason != self._trouble:
            self._trouble = reason
            text = f"no pictures go to {self.name}: {reason}"
            self._events.add("push_lost", text, camera=self._camera, level="warning", address=self.name, reason=reason)

    def _drop_link(self) -> None:
        link, self._link, self._live, self._encoder = self._link, None, False, None
        # Hardware may be what has failed; the next try finds out.
        self._encoder_name = {}
        if link is not None:
            link.close()
