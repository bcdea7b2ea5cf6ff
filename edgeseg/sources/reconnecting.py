"""ReconnectingSource: a live source that is opened again, for ever, whenever it is lost."""

from __future__ import annotations

import dataclasses
import logging
import re
import threading
import time
from collections.abc import Callable
from types import TracebackType

from edgeseg.errors import DataError, InputNotFoundError, SourceUnavailableError
from edgeseg.frame import Frame
from edgeseg.sources.attempt import Attempt, Patience
from edgeseg.sources.source import Signal, Source, SourceAbsentError, SourceDeniedError, SourceSilentError

logger = logging.getLogger(__name__)

#: What may heal by itself. A UsageError never does, and anything else is a bug: both end the run.
PASSING = (SourceUnavailableError, DataError, InputNotFoundError)
#: So many threads may hang in a driver at once, each with what it holds; then one must return before the next try.
MOST_HANGING = 3
#: So many reasons of one loss are logged.
MOST_REASONS = 5
#: How long closing waits for the reading thread to close the camera or end its child.
CLOSE_S = 1.0
#: `read()` looks around at least this often.
LOOK_S = 1.0


class ReconnectingSource:
    """Wraps what opens a live source, and gives its pictures for as long as there are any, numbered on and on.

    `read()` returns the next picture however long it takes to come, or None after `interrupt()`; it raises only what
    does not heal by itself. Loss is judged by the clock, whatever the source itself says.

    A read that never returns (a driver that hangs) is left behind with its thread, and the source is opened again
    beside it. Three of them may hang so; from then on nothing is tried and `signal` hears no more `trying()`: what
    watches this process can see that it needs to be started anew.
    """

    live = True
    frame_count: int | None = None

    def __init__(
        self,
        make: Callable[[], Source],
        *,
        name: str,
        is_there: Callable[[], bool] = lambda: True,
        signal: Signal | None = None,
        wait_for_it: bool = False,
        patience: Patience | None = None,
    ) -> None:
        """`make` returns the source, new and not yet open; it is called for every try.

        `is_there` tells cheaply whether a try could work; it is asked while the source is away. With `wait_for_it` a
        source that gives no picture at the start is waited for too; without it opening raises why there is none.
        """
        self.name = name
        self.fps: float | None = None
        self._make = make
        self._is_there = is_there
        self._signal = signal
        self._wait_for_it = wait_for_it
        self._patience = patience or Patience()
        self._changed = threading.Condition()
        self._interrupted = threading.Event()
        self._attempt: Attempt | None = None
        self._hanging: list[Attempt] = []
        self._index = 0
        self._base = 0
        self._tries = 0
        self._flowing_since: float | None = None
        self._lost_at: float | None = None
        self._told: str | None = None
        self._logged: set[str] = set()

    def __enter__(self) -> ReconnectingSource:
        self._attempt = self._start()
        if not self._wait_for_it:
            try:
                self._await_first(self._attempt)
            except BaseException:
                self._close()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def read(self) -> Frame | None:
        while True:
            with self._changed:
                attempt = self._attempt
                if self._interrupted.is_set() or attempt is None:
                    return None
                if attempt.newest is None and not attempt.ended:
                    self._changed.wait(max(0.0, min(LOOK_S, attempt.due - time.monotonic())))
                if self._interrupted.is_set():
                    return None
                frame, attempt.newest = attempt.newest, None
                ended, error = attempt.ended, attempt.error
                hangs = time.monotonic() > attempt.due
                self.fps = attempt.fps or self.fps
            if frame is not None:
                return self._give(frame)
            if ended:
                self._begin_anew(attempt, self._explain(error))
            elif hangs:
                self._leave_behind(attempt)
            elif self._lost_at is not None and self._signal is not None:
                self._signal.trying()

    def interrupt(self) -> None:
        with self._changed:
            self._interrupted.set()
            attempt = self._attempt
            self._changed.notify_all()
        if attempt is not None:
            attempt.give_up()

    def _start(self, wait_s: float = 0.0, *, eager: bool = False) -> Attempt:
        return Attempt(self._make, self._is_there, self._changed, self._patience, wait_s=wait_s, eager=eager)

    def _await_first(self, attempt: Attempt) -> None:
        """Waits for the first picture; raises why there is none."""
        with self._changed:
            self._changed.wait_for(
                lambda: attempt.newest is not None or attempt.ended or self._interrupted.is_set(), self._patience.open_s
            )
            if attempt.newest is not None or self._interrupted.is_set():
                self.fps = attempt.fps
                return
            ended, error = attempt.ended, attempt.error
        if not ended:
            raise SourceSilentError(f"{self.name}: gives no picture; it hangs, switch it off and on")
        raise self._explain(error)

    def _give(self, frame: Frame) -> Frame:
        now = time.monotonic()
        if self._flowing_since is None:
            self._flowing_since, self._base = now, self._index - frame.index
            self._say_back(now)
        elif now - self._flowing_since > self._patience.steady_s:
            self._tries = 0
        index = self._base + frame.index
        self._index = index + 1
        return dataclasses.replace(frame, index=index)

    def _explain(self, error: BaseException | None) -> Exception:
        """Returns why the attempt has ended; raises what does not heal by itself."""
        if error is None:
            return SourceUnavailableError(f"{self.name}: the stream has ended")
        if isinstance(error, PASSING):
            return error
        raise error

    def _leave_behind(self, attempt: Attempt) -> None:
        """Gives up an attempt whose thread does not come back in time."""
        attempt.give_up()
        self._hanging = [other for other in self._hanging if other.running] + [attempt]
        what = "gives no more pictures" if self._flowing_since is not None else "gives no picture"
        reason = SourceSilentError(f"{self.name}: {what}; it has hung up or its connection has")
        self._lose(reason)
        while len(self._hanging) >= MOST_HANGING:
            with self._changed:
                self._changed.wait(LOOK_S)
                if self._interrupted.is_set():
                    return
            self._hanging = [other for other in self._hanging if other.running]
        self._begin_anew(attempt, reason)

    def _begin_anew(self, last: Attempt, reason: Exception) -> None:
        self._lose(reason)
        if last.reappeared:
            self._tries = 0
        self._tries += 1
        denied = isinstance(reason, SourceDeniedError)
        wait_s = self._patience.denied_s if denied else self._patience.wait_s(self._tries)
        attempt = self._start(wait_s, eager=isinstance(reason, (SourceAbsentError, SourceSilentError)))
        with self._changed:
            self._attempt = attempt
            interrupted = self._interrupted.is_set()
        if interrupted:
            attempt.give_up()

    def _lose(self, reason: Exception) -> None:
        """Tells of a loss, and of each other reason that it has later."""
        self._flowing_since = None
        text, first = str(reason), self._lost_at is None
        if first:
            self._lost_at = time.monotonic()
        if self._signal is not None and text != self._told:
            self._signal.lost(text)
        self._told = text
        # A program's last words hold times and numbers that differ each time.
        kind = re.sub(r"\d+", "", text)
        if kind not in self._logged and len(self._logged) < MOST_REASONS:
            self._logged.add(kind)
            # The signal has the first one from us and tells it further itself.
            if self._signal is None or not first:
                logger.warning("%s (trying until it is back)", text)

    def _say_back(self, now: float) -> None:
        away_s, self._lost_at = None if self._lost_at is None else now - self._lost_at, None
        self._told = None
        self._logged.clear()
        if self._signal is not None:
            self._signal.back()
        elif away_s is not None:
            logger.info("%s: pictures again after %.1f s", self.name, away_s)

    def _close(self) -> None:
        with self._changed:
            attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.give_up()
            attempt.join(CLOSE_S)
