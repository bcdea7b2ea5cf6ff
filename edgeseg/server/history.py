"""ShareHistory: how much of the picture each class covered over the last minutes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

STEP_S = 2.0
STEPS = 150


class ShareHistory:
    """Means of the shares over steps of two seconds, for the last five minutes. Any thread may add, any may ask.

    A step in which no picture came is a gap: a lost camera must not look like an empty road.
    """

    def __init__(self, *, step_s: float = STEP_S, steps: int = STEPS) -> None:
        self.step_s = step_s
        self._lock = threading.Lock()
        self._past: deque[Mapping[str, float] | None] = deque(maxlen=steps)
        self._step: int | None = None
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, shares: Mapping[str, float], now_s: float) -> None:
        """Counts the shares, 0..1 by class, of one picture at `now_s` (monotonic seconds)."""
        with self._lock:
            self._advance(now_s)
            self._count += 1
            for name, share in shares.items():
                self._sums[name] = self._sums.get(name, 0.0) + share

    def snapshot(self, now_s: float) -> dict[str, Any]:
        """Returns the completed steps, oldest first, as JSON-ready values; None stands for a gap."""
        with self._lock:
            self._advance(now_s)
            names = dict.fromkeys(name for step in self._past if step for name in step)
            shares = {name: [step and round(step[name], 5) for step in self._past] for name in names}
            return {"step_s": self.step_s, "steps": self._past.maxlen, "shares": shares}

    def _advance(self, now_s: float) -> None:
        """Completes every step that has passed before `now_s`."""
        step = int(now_s / self.step_s)
        if self._step is None:
            self._step = step
        passed = step - self._step
        if passed <= 0:
            return
        self._past.append({name: total / self._count for name, total in self._sums.items()} if self._count else None)
        self._past.extend([None] * min(passed - 1, self._past.maxlen or 0))
        self._step, self._sums, self._count = step, {}, 0
