"""What every source is."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from edgeseg.errors import SourceUnavailableError
from edgeseg.frame import Frame


class SourceSilentError(SourceUnavailableError):
    """A source is there and says nothing; it may go on at any moment."""


class SourceAbsentError(SourceUnavailableError):
    """Nobody is there who could answer: it is off, unplugged or out of reach."""


class SourceDeniedError(SourceUnavailableError):
    """A source refuses the user name or the password; asking often would make many a camera lock the user out."""


class Source(Protocol):
    """A place frames come from. One thread opens, reads and closes it; only `interrupt()` may come from another.

    `__enter__` opens it and raises InputNotFoundError, DataError or SourceUnavailableError when nothing can be read.
    """

    @property
    def name(self) -> str:
        """What the user calls it: a path, a device, an address without credentials."""
        ...

    @property
    def live(self) -> bool:
        """Whether its frames come at the pace of a clock and go stale (a camera, a file played live)."""
        ...

    @property
    def fps(self) -> float | None:
        """Frames a second it is meant to give, None when it has no rate. Known once it is open."""
        ...

    @property
    def frame_count(self) -> int | None:
        """How many frames it will give in all, None when that is unknown or has no end. Known once it is open."""
        ...

    def __enter__(self) -> Source: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def read(self) -> Frame | None:
        """Returns the next frame, None at the end or after `interrupt()`.

        Raises DataError when the input is damaged and SourceUnavailableError when it is lost.
        """
        ...

    def interrupt(self) -> None:
        """Makes a `read()` that waits return None soon; may come from any thread, and before the source is open."""
        ...


class Signal(Protocol):
    """Whoever wants to know how a source that reconnects is doing. Told by the thread that reads it; must not block."""

    def lost(self, reason: str) -> None:
        """The source gives no pictures, for `reason`: one line, without credentials. Again for every other reason."""
        ...

    def back(self) -> None:
        """The source gives pictures: the first one has just come, at the start or after a loss."""
        ...

    def trying(self) -> None:
        """The source is lost and being looked for. Comes about once a second, and not from one that hangs."""
        ...
