"""Clocks: the one that always advances, and the calendar, which a board without a battery learns only later."""

from __future__ import annotations

import ctypes
import logging
import secrets
import time
from pathlib import Path
from typing import Protocol

logger = logging.getLogger(__name__)

#: What adjtimex(2) returns while nobody keeps the clock right.
_TIME_ERROR = 5
#: More than any system's `struct timex`.
_TIMEX_BYTES = 512


class Clock(Protocol):
    """What the recorder asks of the system."""

    @property
    def boot_id(self) -> str:
        """Eight hexadecimal digits that no other start of this device has."""
        ...

    def monotonic_ns(self) -> int:
        """The clock of the frames; stands still while the device sleeps."""
        ...

    def boot_ns(self) -> int:
        """Nanoseconds since the device was started, sleep included."""
        ...

    def wall_ns(self) -> int:
        """What the calendar says, right or wrong: nanoseconds since 1970, UTC."""
        ...

    def synchronised(self) -> bool:
        """Whether the calendar can be taken from `wall_ns()` at this moment."""
        ...


class SystemClock:
    """The clocks of this device.

    The kernel knows whether somebody keeps its clock right: it forgets that when the clock is set by hand. A service
    with ProtectClock= may not ask it, and it no longer says so hours after the network went; both times the file that
    systemd-timesyncd touches at every synchronisation tells of the next one.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        """`root` is where the system's files are looked for."""
        try:
            boot_id = (root / "proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        except OSError:
            # Hidden by ProcSubset=pid. Then each run counts as a start of its own: its names stay apart all the same.
            boot_id = secrets.token_hex(4)
        self.boot_id = boot_id.replace("-", "")[:8]
        self._mark = root / "run/systemd/timesync/synchronized"
        self._marked_ns: int | None = None

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def boot_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def wall_ns(self) -> int:
        return time.time_ns()

    def synchronised(self) -> bool:
        try:
            marked_ns = self._mark.stat().st_mtime_ns
        except OSError:
            marked_ns = None
        # Just synchronised, or before we came. Later the clock may have been set by hand since.
        fresh = marked_ns is not None and marked_ns != self._marked_ns
        self._marked_ns = marked_ns
        return fresh or self._kernel_synchronised()

    def _kernel_synchronised(self) -> bool:
        # A request that changes nothing: all zero.
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
        return 0 <= int(state) < _TIME_ERROR


class Calendar:
    """Says when something was, from the moment that can be known, whatever is done to the clock afterwards.

    Once the clock is synchronised, the distance between it and the time since the start is kept: an unsynchronised
    clock that jumps later moves nothing.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_ns: int | None = None
        self._least_offset_ns = 0

    @property
    def known(self) -> bool:
        return self._offset_ns is not None

    def refresh(self) -> bool:
        """Looks at the clock; returns whether the time is known now that was not before."""
        if not self._clock.synchronised():
            return False
        offset_ns = self._clock.wall_ns() - self._clock.boot_ns()
        new = self._offset_ns is None
        if new:
            self._least_offset_ns = offset_ns
        elif abs(offset_ns - (self._offset_ns or 0)) > 1_000_000_000:
            logger.warning("the clock was moved by %.1f s", (offset_ns - (self._offset_ns or 0)) / 1e9)
        self._offset_ns = offset_ns
        self._least_offset_ns = min(self._least_offset_ns, offset_ns)
        return new

    def wall_s(self, boot_ns: int) -> float | None:
        """Returns the seconds since 1970 (UTC) of a moment of this start, None while that is not known."""
        return None if self._offset_ns is None else (boot_ns + self._offset_ns) / 1e9

    def age_s(self, wall_s: float) -> float | None:
        """Returns how long ago, at least, a moment of any start was, None while that is not known.

        Of all that a synchronised clock has said since we came, the earliest counts: what is deleted by its age is not
        deleted because a time server was wrong.
        """
        if self._offset_ns is None:
            return None
        return (self._clock.boot_ns() + self._least_offset_ns) / 1e9 - wall_s
