"""What every sink is given, and what every sink is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeseg.frame import Segmentation

Draw = Callable[[Segmentation], NDArray[np.uint8]]


class Result:
    """One segmented frame on its way to the sinks, with its overlay picture drawn at most once.

    Several sink threads share one Result; `overlay()` may be called from all of them at the same time.
    """

    __slots__ = ("_draw", "_lock", "_overlay", "finished_ns", "max_age_ms", "segmentation")

    def __init__(
        self,
        segmentation: Segmentation,
        draw: Draw,
        finished_ns: int | None = None,
        *,
        max_age_ms: float | None = None,
    ) -> None:
        """`draw` makes the overlay, BGR uint8 (H, W, 3); `finished_ns` is monotonic, now when it is left out.

        `max_age_ms` is the age from which on the result counts as stale; None for one that does not age (a file's).
        """
        self.max_age_ms = max_age_ms
        self.segmentation = segmentation
        self.finished_ns = time.monotonic_ns() if finished_ns is None else finished_ns
        self._draw = draw
        self._lock = threading.Lock()
        self._overlay: NDArray[np.uint8] | None = None

    @property
    def captured_ns(self) -> int:
        """When the picture was taken, on the monotonic clock."""
        return self.segmentation.frame.captured_ns

    def age_ms(self, now_ns: int | None = None) -> float:
        """Milliseconds from capture until `now_ns` (monotonic; now when it is left out)."""
        now_ns = time.monotonic_ns() if now_ns is None else now_ns
        return (now_ns - self.captured_ns) / 1e6

    @property
    def stale(self) -> bool:
        """Whether it is older now than a result may be."""
        return self.max_age_ms is not None and self.age_ms() > self.max_age_ms

    def overlay(self) -> NDArray[np.uint8]:
        """The overlay picture, BGR uint8 (H, W, 3), read-only: the first caller draws it, the others wait for it."""
        with self._lock:
            if self._overlay is None:
                picture = self._draw(self.segmentation)
                # Shared between threads from here on: nobody may draw into it.
                picture.flags.writeable = False
                self._overlay = picture
            return self._overlay


class PassedOver(Exception):
    """A sink has not taken a result, for a reason that passes (a server that is away); it is counted as dropped."""


class Sink(Protocol):
    """A place results go to. One thread opens it, writes to it and closes it.

    `__enter__` opens it and raises SinkUnavailableError when it cannot be written to; `__exit__` closes it so that what
    was written is complete and readable, whatever ended the run, within about a second.
    """

    @property
    def name(self) -> str:
        """What the user calls it: a path or an address."""
        ...

    @property
    def lossless(self) -> bool:
        """Whether every result matters (a recording) or only the newest one (a window, the live page)."""
        ...

    def __enter__(self) -> Sink: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, result: Result) -> None:
        """Takes one result; may be slow, for it has a thread of its own.

        Raises PassedOver when it does without this one, SinkUnavailableError when it cannot go on.
        """
        ...
