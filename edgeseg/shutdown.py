"""Ctrl-C, SIGTERM, a terminal that goes away: at any moment of a command, however often, they end it and nothing else.

Light on purpose: this is imported, and the handlers are set, before anything that takes time.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

#: SIGHUP comes when the terminal goes, an ssh connection say; where a configuration is reloaded it means that instead.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_S = 1.0


class Stopped(BaseException):
    """A signal came while nobody was there to end the work in good order; nothing needed to be."""


class StopSignals:
    """Takes the signals that ask a program to end.

    While a command works it passes them on (`calling`), and the work ends itself. Before that, while modules are
    imported and models read, one raises Stopped, which unwinds what there is. Those that follow within a second do
    nothing; a later one raises Stopped again, for a library may have swallowed the first.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.unfinished_is_failure = False
        self._raised_s = -math.inf
        self._on_stop: Callable[[], None] | None = None

    @property
    def exit_code(self) -> int:
        """0, or, for a command that is worth nothing half done, what a shell gives for one that a signal ended."""
        return 128 + self.number if self.number is not None and self.unfinished_is_failure else 0

    @property
    def unwinding(self) -> bool:
        """Whether Stopped was raised: an error that came after it may be what a library made of it."""
        return self._raised_s > -math.inf

    def install(self) -> None:
        """Sets the handlers; only the main thread may."""
        for number in SIGNALS:
            # Whoever started it with nohup wants it to go on.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._handle)

    def ignore(self) -> None:
        """Ignores the signals from here on: the command is over, its exit code decided."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    @contextmanager
    def calling(self, on_stop: Callable[[], None]) -> Iterator[None]:
        """Calls `on_stop` on every signal while the block runs; it must be safe inside a signal handler."""
        self._on_stop = on_stop
        try:
            if self.number is not None:
                on_stop()
            yield
        finally:
            self._on_stop = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
        if self._on_stop is not None:
            self._on_stop()
        elif time.monotonic() - self._raised_s > PATIENCE_S:
            self._raised_s = time.monotonic()
            raise Stopped
