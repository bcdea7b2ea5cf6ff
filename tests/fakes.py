"""Stand-ins that implement the protocols of the loop, every step of which a test decides."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edgeseg.frame import Frame, Segmentation
from edgeseg.fusion import TemporalFusion
from edgeseg.sinks.sink import Result


def nothing(*_: object) -> None:
    """Does nothing."""


class FakeSource:
    """Gives `frames` small pictures (None: for ever); `before_read(index)` runs before each and may wait or raise."""

    def __init__(
        self,
        frames: int | None = 10,
        *,
        live: bool = False,
        before_read: Callable[[int], object] = nothing,
        on_open: Callable[[], object] = nothing,
        name: str = "fake",
        size_wh: tuple[int, int] = (64, 48),
    ) -> None:
        self.name = name
        self.live = live
        self.fps = 25.0
        self.frame_count = frames
        self.opened = 0
        self.closed = 0
        self.interrupted = threading.Event()
        self._before_read = before_read
        self._on_open = on_open
        self._size_wh = size_wh
        self._index = 0

    def __enter__(self) -> FakeSource:
        self._on_open()
        self.opened += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed += 1

    def read(self) -> Frame | None:
        if self.interrupted.is_set() or self._index == self.frame_count:
            return None
        self._before_read(self._index)
        width, height = self._size_wh
        image = np.full((height, width, 3), self._index % 256, np.uint8)
        self._index += 1
        return Frame(image, self._index - 1, time.monotonic_ns(), self.name)

    def interrupt(self) -> None:
        self.interrupted.set()


class FakeSegmenter:
    """Sees road in the lower half of every picture; `before(index)` runs before each frame and may wait or raise."""

    def __init__(self, *, before: Callable[[int], object] = nothing, on_open: Callable[[], object] = nothing) -> None:
        self.opened = 0
        self.closed = 0
        self.seen: list[int] = []
        self._before = before
        self._on_open = on_open

    def __enter__(self) -> FakeSegmenter:
        self._on_open()
        self.opened += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed += 1

    def segment(self, picture: Frame, fusion: TemporalFusion | None = None, /) -> Segmentation:
        self._before(picture.index)
        self.seen.append(picture.index)
        class_ids = np.zeros((12, 16), np.uint8)
        class_ids[6:] = 1
        return Segmentation(picture, class_ids, np.full_like(class_ids, 255), {"infer": 1.0})


class FakeSink:
    """Keeps the index of every result it is given; `before(index)` runs before each write and may wait or raise."""

    def __init__(
        self,
        name: str = "sink",
        *,
        lossless: bool = True,
        before: Callable[[int], object] = nothing,
        on_open: Callable[[], object] = nothing,
        on_close: Callable[[], object] = nothing,
        wants_overlay: bool = False,
    ) -> None:
        self.name = name
        self.lossless = lossless
        self.opened = 0
        self.closed = 0
        self.written: list[int] = []
        self.overlays: list[NDArray[np.uint8]] = []
        self._before = before
        self._on_open = on_open
        self._on_close = on_close
        self._wants_overlay = wants_overlay

    def __enter__(self) -> FakeSink:
        self._on_open()
        self.opened += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed += 1
        self._on_close()

    def write(self, result: Result) -> None:
        index = result.segmentation.frame.index
        self._before(index)
        if self._wants_overlay:
            self.overlays.append(result.overlay())
        self.written.append(index)
