"""The sources of `edgeseg process`: a video from some frame on, and a list of pictures some of which may be broken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.frame import Frame
from edgeseg.sources.pictures import PictureSource
from edgeseg.sources.video import VideoFileSource


class RestOfVideo:
    """A video file from the nanosecond `begin_ns` of it on.

    The frames before are decoded and dropped: that is exact with every codec and rate, where seeking is not, and it
    takes a small part of the time that segmenting them took.
    """

    live = False

    def __init__(self, path: Path, begin_ns: int, opened: Callable[[int | None], None]) -> None:
        """`opened` is called with the number of frames that the whole file says to have, once that is known."""
        self._source = VideoFileSource(path, live=False)
        self.name = self._source.name
        self._begin_ns = begin_ns
        self._opened = opened

    @property
    def fps(self) -> float | None:
        return self._source.fps

    @property
    def frame_count(self) -> int | None:
        return self._source.frame_count

    def __enter__(self) -> RestOfVideo:
        self._source.__enter__()
        self._opened(self._source.frame_count)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.__exit__(kind, error, trace)

    def read(self) -> Frame | None:
        while True:
            frame = self._source.read()
            if frame is None or frame.captured_ns >= self._begin_ns:
                return frame

    def interrupt(self) -> None:
        self._source.interrupt()


class PictureList:
    """Pictures from number `first` on; one that is broken is told to `broken` and left out, its number stays unused.

    A frame's source is the path of its picture; its time is always 0, for pictures have none.
    """

    live = False
    fps: float | None = None

    def __init__(
        self,
        name: str,
        paths: Sequence[Path],
        first: int,
        broken: Callable[[DataError | InputNotFoundError], None],
        opened: Callable[[int | None], None],
    ) -> None:
        self.name = name
        self.frame_count: int | None = len(paths)
        self._paths = paths
        self._next = first
        self._broken = broken
        self._opened = opened
        self._interrupted = False

    def __enter__(self) -> PictureList:
        self._opened(len(self._paths))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open between two pictures."""

    def read(self) -> Frame | None:
        while self._next < len(self._paths) and not self._interrupted:
            index, path = self._next, self._paths[self._next]
            self._next += 1
            try:
                with PictureSource(path, live=False) as one:
                    frame = one.read()
            except (DataError, InputNotFoundError) as error:
                self._broken(error)
                continue
            if frame is not None:
                return Frame(frame.image, index, 0, frame.source)
        return None

    def interrupt(self) -> None:
        self._interrupted = True
