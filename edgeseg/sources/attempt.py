"""Attempt: one try at a live source, in a thread of its own that waits its turn, opens, reads and closes it."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from edgeseg.frame import Frame
from edgeseg.sources.source import Source


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited for what, in seconds.

    A try follows the one before after `first_s`, then after twice as long each time, up to `longest_s`; each wait is
    shortened by up to a quarter at random, so that cameras which were lost together do not come back together. Once
    pictures have come for `steady_s` it begins with `first_s` again. Every `look_s` of a wait somebody looks whether
    what was gone is there again, and then it is tried at once. `denied_s` is the wait after a refused password.

    A source that has not given its first picture within `open_s`, or the next one within `stall_s`, is lost.
    """

    first_s: float = 0.5
    longest_s: float = 10.0
    denied_s: float = 30.0
    look_s: float = 1.0
    steady_s: float = 2.0
    open_s: float = 15.0
    stall_s: float = 3.0

    def wait_s(self, tries: int) -> float:
        """Returns the wait before the next try after `tries` in vain (1 or more)."""
        return min(self.longest_s, self.first_s * 2.0 ** min(tries - 1, 30)) * random.uniform(0.75, 1.0)


class Attempt:
    """Reads a source in its own thread and keeps its newest picture alone, for whoever waits for it.

    So the source is emptied as fast as it gives, a slow reader gets no old pictures, and a read that never returns
    holds up nobody: its thread is left behind.

    `changed` is shared with the waiting side and guards everything here; it is notified of every picture and of the
    end. `due` is the monotonic second by which the thread must have moved on, else it hangs.
    """

    def __init__(
        self,
        make: Callable[[], Source],
        is_there: Callable[[], bool],
        changed: threading.Condition,
        patience: Patience,
        *,
        wait_s: float = 0.0,
        eager: bool = False,
    ) -> None:
        """`eager` ends the wait as soon as the source is there, for it was away or silent when it was tried last.

        Without it, because it has answered and refused, the wait goes on unless the source is seen to go and come back.
        """
        self.due = math.inf
        self.newest: Frame | None = None
        self.ended = False
        self.error: BaseException | None = None
        self.reappeared = False
        self.fps: float | None = None
        self.given_up = threading.Event()
        self._make = make
        self._is_there = is_there
        self._changed = changed
        self._patience = patience
        self._wait_s = wait_s
        self._eager = eager
        self._source: Source | None = None
        self._thread = threading.Thread(target=self._work, name="camera", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def give_up(self) -> None:
        """Makes the thread end as soon as it can; what it gives from here on is of no interest."""
        self.given_up.set()
        with self._changed:
            source = self._source
        if source is not None:
            source.interrupt()

    def join(self, limit_s: float) -> None:
        """Waits for the thread to have closed the source."""
        self._thread.join(limit_s)

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            self._wait_for_turn()
            if not self.given_up.is_set():
                self._move_on(self._patience.open_s)
                self._read(self._make())
        except BaseException as failure:  # noqa: BLE001 - it travels to the reading thread, which judges it
            # Its traceback would keep the pictures of this thread for as long as the error lives.
            error = failure.with_traceback(None)
        with self._changed:
            self._source, self.error, self.ended, self.due = None, error, True, math.inf
            self._changed.notify_all()

    def _wait_for_turn(self) -> None:
        patience, gone = self._patience, self._eager
        until = time.monotonic() + self._wait_s
        step_s = min(patience.first_s, self._wait_s)
        while step_s > 0 and not self.given_up.wait(step_s):
            # A look may take as long as opening does, when the name server is away too.
            self._move_on(patience.open_s)
            there = self._is_there()
            self._move_on(math.inf)
            if there and gone:
                self.reappeared = True
                return
            gone = gone or not there
            step_s = min(patience.look_s, until - time.monotonic())

    def _read(self, source: Source) -> None:
        with self._changed:
            self._source = source
        with source:
            with self._changed:
                self.fps = source.fps
            while not self.given_up.is_set():
                frame = source.read()
                if frame is None:
                    return
                with self._changed:
                    self.newest = frame
                    self.due = time.monotonic() + self._patience.stall_s
                    self._changed.notify_all()
                del frame

    def _move_on(self, limit_s: float) -> None:
        with self._changed:
            self.due = time.monotonic() + limit_s
