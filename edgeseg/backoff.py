"""Backoff: how long to wait before the next try."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

#: What held for so long was no failed try, and the count begins anew.
STEADY_S = 30.0
#: Devices that lost one broker at one time do not all come back at one time.
JITTER = 0.2


class Backoff:
    """Waits that double from one try to the next, and begin anew after something has held for `STEADY_S`."""

    def __init__(
        self, first_s: float = 1.0, longest_s: float = 30.0, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._clock = clock
        self._wait_s = first_s
        self._until_s = -float("inf")

    def next_s(self) -> float:
        """Returns the seconds to wait from now, after a try has failed or what came of it has ended."""
        now_s = self._clock()
        if now_s - self._until_s >= STEADY_S:
            self._wait_s = self._first_s
        wait_s = self._wait_s * random.uniform(1 - JITTER, 1 + JITTER)
        self._wait_s = min(2 * self._wait_s, self._longest_s)
        self._until_s = now_s + wait_s
        return wait_s
