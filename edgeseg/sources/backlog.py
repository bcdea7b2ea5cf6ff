"""Backlog: tells pictures that have just come from those that were lying in a buffer."""

from __future__ import annotations

from typing import Literal

#: Who gets a packet sooner than this had it lying there.
WAITED_S = 0.002
#: Whoever has not had to wait for a packet in this time takes them out more slowly than they come in.
BEHIND_S = 0.5

Fate = Literal["show", "decode", "skip"]


class Backlog:
    """Decides what becomes of each packet of a live stream, so that no picture is shown late.

    What was buffered while the stream was opened is decoded, for later pictures build on it, and not shown. Where
    decoding is slower than the stream, packets are skipped until there are no more, and then up to a key picture: fewer
    pictures, and every one of the present. Times are in seconds on one clock.
    """

    def __init__(self, now: float) -> None:
        self.skipped = 0
        self._caught_up = False
        self._waited_at = now
        self._skipping = False

    def judge(self, asked: float, got: float, *, is_key: bool) -> Fate:
        """Returns what becomes of a packet that was asked for at `asked` and came at `got`."""
        if got - asked >= WAITED_S:
            self._caught_up, self._waited_at = True, got
            self._skipping = self._skipping and not is_key
        elif got - self._waited_at > BEHIND_S:
            self._caught_up, self._skipping = False, True
        if self._skipping:
            self.skipped += 1
            return "skip"
        return "show" if self._caught_up else "decode"
