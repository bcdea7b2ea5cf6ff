"""Whether the clock is right: times in names of recordings and in records come from it."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path

from edgeseg.doctor.finding import Finding

#: Of adjtimex(2): the kernel does not hold the clock for right.
UNSYNCHRONISED = 0x40
#: When this was written. A board without a battery begins in the past.
EARLIEST = 1_767_225_600  # 2026-01-01

# struct timex is 208 bytes on 64-bit and 128 on 32-bit systems; `modes` 0 asks and changes nothing.
_TIMEX_BYTES = 256
# int status stands after modes, offset, freq, maxerror and esterror: an int, padded to a long, and four longs.
_STATUS_OFFSET = 5 * ctypes.sizeof(ctypes.c_long)


def kernel_clock_status() -> int:
    """Returns the status bits of the kernel's clock. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    answer = ctypes.create_string_buffer(_TIMEX_BYTES)
    if libc.adjtimex(answer) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int.from_bytes(answer.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], "little")


def check_clock(
    root: Path = Path("/"),
    *,
    status: Callable[[], int] = kernel_clock_status,
    now: Callable[[], float] = time.time,
) -> list[Finding]:
    """Asks the kernel whether somebody keeps its clock right, and looks whether the year can be."""
    date = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now()))
    if now() < EARLIEST:
        return [
            Finding(
                "clock",
                "problem",
                f"the clock says {date}: it is wrong",
                "connect to a network with a time server (timedatectl set-ntp true), or add a battery-backed clock",
            )
        ]
    try:
        synchronised = not status() & UNSYNCHRONISED
    except OSError:
        # A container may not ask.
        synchronised = (root / "run/systemd/timesync/synchronized").exists()
    details = {"synchronised": synchronised, "utc": date}
    if synchronised:
        return [Finding("clock", "ok", f"the clock is synchronised: {date}", details=details)]
    return [
        Finding(
            "clock",
            "warning",
            f"nobody keeps the clock right; it says {date}",
            "run: sudo timedatectl set-ntp true; until then recordings are named by the time since boot",
            details,
        )
    ]
