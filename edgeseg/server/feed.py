"""PictureFeed: the newest picture for any number of viewers, encoded once, and only while there are some."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.sinks.sink import Result

JPEG_QUALITY = 80
#: Wider pictures are reduced for the page: no phone shows more, and JPEG costs grow with the area.
LARGEST_WIDTH = 1280


class PictureFeed:
    """Hands JPEG pictures from the thread that makes results to viewers on an event loop.

    `publish()` only swaps a reference, so a viewer can never hold up the run. One task encodes the newest picture while
    anybody watches; every viewer then takes the newest one it has not had, so that a slow one gets fewer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: Result | None = None
        self._number = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._published = asyncio.Event()
        self._encoded = asyncio.Condition()
        self._jpeg = b""
        self._jpeg_number = 0
        self._viewers = 0
        self._closed = False
        self.encoded_count = 0

    @property
    def viewers(self) -> int:
        """How many watch now."""
        return self._viewers

    @property
    def newest(self) -> Result | None:
        """The last result that was published."""
        with self._lock:
            return self._newest

    def publish(self, result: Result) -> None:
        """Makes `result` the newest; from any thread."""
        with self._lock:
            self._newest = result
            self._number += 1
            # Inside the lock, for a loop that has ended takes no calls.
            if self._loop is not None and self._viewers:
                self._loop.call_soon_threadsafe(self._published.set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Encodes for viewers until the block is left; then their pictures end."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="page-jpeg") as executor:
            encoder = asyncio.create_task(self._encode(executor))
            try:
                yield
            finally:
                with self._lock:
                    self._loop = None
                await self.close()
                encoder.cancel()
                await asyncio.gather(encoder, return_exceptions=True)

    async def close(self) -> None:
        """Ends every viewer's pictures."""
        async with self._encoded:
            self._closed = True
            self._encoded.notify_all()

    async def pictures(self) -> AsyncGenerator[bytes, None]:
        """Yields JPEG pictures, each time the newest that this viewer has not had, until the feed is closed."""
        # What an earlier viewer left behind may be minutes old.
        seen = self._jpeg_number if self._jpeg_number < self._number else 0
        self._viewers += 1
        self._published.set()
        try:
            while True:
                async with self._encoded:
                    while not self._closed and self._jpeg_number <= seen:
                        await self._encoded.wait()
                    if self._closed:
                        return
                    seen, jpeg = self._jpeg_number, self._jpeg
                yield jpeg
        finally:
            self._viewers -= 1

    async def _encode(self, executor: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._published.wait()
            self._published.clear()
            with self._lock:
                number, result = self._number, self._newest
            if result is None or number == self._jpeg_number or not self._viewers:
                continue
            jpeg = await loop.run_in_executor(executor, _draw_jpeg, result)
            self.encoded_count += 1
            async with self._encoded:
                self._jpeg, self._jpeg_number = jpeg, number
                self._encoded.notify_all()


def encode_jpeg(picture: NDArray[np.uint8], largest_width: int | None = None) -> bytes:
    """Returns a BGR picture (H, W, 3) as JPEG, reduced to `largest_width` pixels where it is wider."""
    height, width = picture.shape[:2]
    if largest_width is not None and width > largest_width:
        size = (largest_width, max(1, round(height * largest_width / width)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return jpeg.tobytes()


def _draw_jpeg(result: Result) -> bytes:
    return encode_jpeg(result.overlay(), LARGEST_WIDTH)
