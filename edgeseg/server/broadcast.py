"""Broadcast: the pictures of one camera for any number of viewers, each look drawn and encoded once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

from edgeseg.server.look import Look, color_table, draw_notice, encode_jpeg, reduce_width
from edgeseg.server.png import encode_indexed_png
from edgeseg.server.view import View, find_silence
from edgeseg.sinks.masks import enlarge_classes
from edgeseg.sinks.sink import Result

logger = logging.getLogger(__name__)

#: How many looks of one camera may be watched at a time; the run's own always finds a place among them.
MOST_LOOKS = 4
#: How often a viewer who gets no picture is told since when.
NOTICE_S = 1.0


class TooManyLooks(Exception):
    """One more look would have to be drawn than the machine is to spend time on."""


class Picture(NamedTuple):
    """A JPEG, and when what it shows was captured (monotonic ns; None for one that says that there is nothing)."""

    jpeg: bytes
    captured_ns: int | None


class Channel:
    """One look: who watches it and what they were given last."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.viewers = 0
        self.wanted = 0
        self.number = 0
        self.picture = Picture(b"", None)
        self.notice = ("", b"")
        self.fresh: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def put(self, number: int, picture: Picture) -> None:
        self.number, self.picture = number, picture
        self.wake()

    def wake(self) -> None:
        fresh, self.fresh = self.fresh, asyncio.get_running_loop().create_future()
        fresh.set_result(None)


class Watch:
    """One viewer of a channel: takes the newest picture that it has not had, so that a slow one gets fewer."""

    def __init__(self, broadcast: Broadcast, channel: Channel, *, notices: bool) -> None:
        self._broadcast, self._channel, self._notices = broadcast, channel, notices
        self._seen = 0
        self._told = ""

    async def next(self) -> Picture | None:
        """Waits for the next picture; None when the page closes.

        With `notices` it is the last picture in grey, once a second, while there is no live one.
        """
        channel = self._channel
        # Never what another viewer was given a while ago when something newer is there.
        wanted = max(self._broadcast.view.feed.number, self._seen + 1)
        self._broadcast.want(channel, wanted)
        while not self._broadcast.closed:
            if channel.number >= wanted:
                self._seen, self._told = channel.number, ""
                return channel.picture
            done, _ = await asyncio.wait({channel.fresh}, timeout=NOTICE_S)
            if not done and self._notices and (jpeg := await self._broadcast.notice(channel, self._told)):
                self._told = channel.notice[0]
                return Picture(jpeg, None)
        return None


class Broadcast:
    """Everything the viewers of one camera are given. Lives on one event loop; `executor` does what takes time.

    Only what somebody waits for is drawn: a picture whose viewers are all still busy with an older one is passed over.
    """

    def __init__(self, view: View, executor: Executor) -> None:
        self.view = view
        self.closed = False
        self.encoded_count = 0
        self._executor = executor
        self._channels: dict[Look, Channel] = {}
        self._work = asyncio.Event()
        self._stills: dict[tuple[str, Look], tuple[int, asyncio.Future[bytes]]] = {}

    @property
    def viewers(self) -> int:
        """How many watch now."""
        return sum(channel.viewers for channel in self._channels.values())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Encodes for viewers until the block is left; then their pictures end."""
        loop = asyncio.get_running_loop()
        encoder = asyncio.create_task(self._encode())
        encoder.add_done_callback(self._end)
        self.view.feed.listen(lambda: self._channels and loop.call_soon_threadsafe(self._work.set))
        try:
            yield
        finally:
            # The loop may end any time after this.
            self.view.feed.listen(None)
            self.close()
            encoder.cancel()
            await asyncio.gather(encoder, return_exceptions=True)

    def close(self) -> None:
        """Ends every viewer's pictures."""
        self.closed = True
        for channel in self._channels.values():
            channel.wake()

    @contextmanager
    def watching(self, look: Look, *, notices: bool = True) -> Iterator[Watch]:
        """A viewer's place at a look while the block runs. Raises TooManyLooks when others watch too many already."""
        channel = self._channels.get(look)
        if channel is None:
            others = len(self._channels.keys() - {Look()})
            if look != Look() and others >= MOST_LOOKS - 1:
                raise TooManyLooks
            channel = self._channels[look] = Channel(look)
        channel.viewers += 1
        try:
            yield Watch(self, channel, notices=notices)
        finally:
            channel.viewers -= 1
            if not channel.viewers:
                self._channels.pop(look, None)

    def want(self, channel: Channel, number: int) -> None:
        """Notes that somebody waits for the picture `number`, or a newer one."""
        channel.wanted = max(channel.wanted, number)
        self._work.set()

    async def notice(self, channel: Channel, told: str) -> bytes | None:
        """Returns the picture that says since when there is no live one, None when there is, or when it was told."""
        silence = find_silence(self.view)
        if silence is None or silence.text == told:
            return None
        if channel.notice[0] != silence.text:
            newest = self.view.feed.newest
            result = None if newest is None else newest.result
            jpeg = await self._run(lambda: _draw_notice(result, silence.text))
            channel.notice = (silence.text, jpeg)
        return channel.notice[1]

    async def snapshot(self, look: Look) -> bytes | None:
        """Returns the newest picture as JPEG at its full size, None before the first."""
        return await self._still("snapshot", look, lambda result: encode_jpeg(look.draw(result, self.view)))

    async def mask(self) -> bytes | None:
        """Returns the newest classes at the frame's size as PNG with a palette, None before the first."""
        colors = color_table(self.view.classes)
        return await self._still(
            "mask", Look(), lambda result: encode_indexed_png(enlarge_classes(result.segmentation), colors)
        )

    async def _still(self, kind: str, look: Look, make: Callable[[Result], bytes]) -> bytes | None:
        newest = self.view.feed.newest
        if newest is None:
            return None
        number, making = self._stills.get((kind, look), (0, None))
        if making is None or number != newest.number:
            making = asyncio.ensure_future(self._run(lambda: make(newest.result)))
            self._stills = {key: still for key, still in self._stills.items() if still[0] == newest.number}
            if len(self._stills) >= 2 * MOST_LOOKS:
                self._stills.pop(next(iter(self._stills)))
            self._stills[kind, look] = (newest.number, making)
        # Others may wait for it too when this viewer leaves.
        return await asyncio.shield(making)

    async def _encode(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            for channel in list(self._channels.values()):
                newest = self.view.feed.newest
                if newest is None or channel.wanted <= channel.number or newest.number < channel.wanted:
                    continue
                jpeg = await self._run(lambda: _draw_jpeg(channel.look, newest.result, self.view))  # noqa: B023
                self.encoded_count += 1
                channel.put(newest.number, Picture(jpeg, newest.result.captured_ns))

    async def _run(self, work: Callable[[], bytes]) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _end(self, encoder: asyncio.Task[None]) -> None:
        if not encoder.cancelled() and (error := encoder.exception()) is not None:
            logger.error("%s: the page shows no more pictures", self.view.name, exc_info=error)
            self.close()


def _draw_jpeg(look: Look, result: Result, view: View) -> bytes:
    return encode_jpeg(reduce_width(look.draw(result, view)))


def _draw_notice(result: Result | None, text: str) -> bytes:
    picture = None if result is None else result.segmentation.frame.image
    return encode_jpeg(draw_notice(picture, [text]))
