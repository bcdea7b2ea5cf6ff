"""Board: what the machine says of its own heat and power: temperature, throttling, under-voltage.

Read from sysfs, and on a Raspberry Pi whose kernel does not tell, from vcgencmd. What cannot be read is None: a board
that says nothing is not a cool one.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Zones whose sensor sits in the chip that does the work: Raspberry Pi cpu-thermal, Jetson CPU-therm, GPU-therm and
# tj-thermal, Rockchip soc and core clusters, Intel x86_pkg_temp. Not the rest: Jetson's PMIC-Die always reads 100 °C,
# acpitz often a constant, a battery or a radio says nothing of the processor.
_CHIP_ZONE = re.compile(r"(cpu|gpu|soc|tj|bigcore|littlecore|package|x86_pkg)", re.IGNORECASE)
#: Beyond these a sensor is broken or switched off (Jetson: -256 °C).
SENSIBLE_C = (-40.0, 130.0)

# Bits of the Raspberry Pi firmware's answer to "get throttled".
UNDER_VOLTAGE = 1 << 0
FREQUENCY_CAPPED = 1 << 1
THROTTLED = 1 << 2
SOFT_TEMPERATURE_LIMIT = 1 << 3
#: The same four, if they were true at any time since power-on.
SINCE_BOOT = 16

VCGENCMD_LIMIT_S = 1.0


@dataclass(frozen=True, slots=True)
class BoardReading:
    """One look at the board. None: this machine does not tell.

    temperature_c: of the hottest sensor in the chip, whose name is `zone`. throttled: the clock is held down now, for
    heat or for want of power. The `_since_boot` ones remember.
    """

    temperature_c: float | None = None
    zone: str | None = None
    throttled: bool | None = None
    under_voltage: bool | None = None
    throttled_since_boot: bool | None = None
    under_voltage_since_boot: bool | None = None


class Board:
    """Reads the board, again and again; keeps what a count was the last time."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._vcgencmd: Path | None = root / "usr/bin/vcgencmd"
        self._over_currents: int | None = None

    def read(self) -> BoardReading:
        """Returns what the board says now. Takes about a millisecond, some more where vcgencmd is needed."""
        hottest = max(read_zones(self._root), default=None)
        flags = self._firmware_flags()
        throttled = _any_of(
            None if flags is None else bool(flags & (FREQUENCY_CAPPED | THROTTLED | SOFT_TEMPERATURE_LIMIT)),
            _cooling_at_work(self._root),
            self._over_current_since_last_time(),
        )
        return BoardReading(
            temperature_c=hottest[0] if hottest else None,
            zone=hottest[1] if hottest else None,
            throttled=throttled,
            under_voltage=_any_of(None if flags is None else bool(flags & UNDER_VOLTAGE), _voltage_alarm(self._root)),
            throttled_since_boot=None if flags is None else bool(flags >> SINCE_BOOT & (FREQUENCY_CAPPED | THROTTLED)),
            under_voltage_since_boot=None if flags is None else bool(flags >> SINCE_BOOT & UNDER_VOLTAGE),
        )

    def _firmware_flags(self) -> int | None:
        # soc/soc:firmware up to the Pi 4, soc@107c000000/soc@107c000000:firmware on the Pi 5.
        for path in self._root.glob("sys/devices/platform/*/*firmware/get_throttled"):
            if (flags := _parse_hex(_text(path))) is not None:
                return flags
        if self._vcgencmd is None:
            return None
        flags = _ask_firmware(self._vcgencmd)
        if flags is None:
            # No such program, or one that may not or cannot: it will not be otherwise a second later.
            self._vcgencmd = None
        return flags

    def _over_current_since_last_time(self) -> bool | None:
        """Whether a Jetson cut its clock for too much current since the last reading; its counters never fall."""
        counts = [_number(path) for path in self._root.glob("sys/class/hwmon/hwmon*/oc*_event_cnt")]
        known = [count for count in counts if count is not None]
        if not known:
            return None
        last, self._over_currents = self._over_currents, sum(known)
        return last is not None and self._over_currents > last


def board_name(root: Path = Path("/")) -> str | None:
    """Returns what the board calls itself ("Raspberry Pi 4 Model B Rev 1.4"), None when it has no name."""
    for path in ("sys/firmware/devicetree/base/model", "sys/class/dmi/id/product_name"):
        if name := (_text(root / path) or "").strip("\0\n "):
            return name
    return None


def read_zones(root: Path = Path("/")) -> Iterator[tuple[float, str]]:
    """Yields temperature in °C and name of every sensor in the chip that gives a sensible one."""
    for zone in sorted(root.glob("sys/class/thermal/thermal_zone*")):
        name, millidegrees = (_text(zone / "type") or "").strip(), _number(zone / "temp")
        if millidegrees is None or not _CHIP_ZONE.match(name):
            continue
        if SENSIBLE_C[0] < millidegrees / 1000 < SENSIBLE_C[1]:
            yield millidegrees / 1000, name


def _cooling_at_work(root: Path) -> bool | None:
    """Whether the kernel holds the processor's clock down for heat; None where it has no means to."""
    states = []
    for device in root.glob("sys/class/thermal/cooling_device*"):
        kind = (_text(device / "type") or "").strip()
        # thermal-cpufreq-0 or cpufreq-cpu0 by the kernel's age; Jetson: cpu-throttle-alert, gpu-throttle-alert.
        if ("cpufreq" in kind or kind.endswith("throttle-alert")) and (
            now := _number(device / "cur_state")
        ) is not None:
            states.append(now > 0)
    return any(states) if states else None


def _voltage_alarm(root: Path) -> bool | None:
    """What the kernel's own watch over a Raspberry Pi's supply says (raspberrypi-hwmon)."""
    for device in root.glob("sys/class/hwmon/hwmon*"):
        if (_text(device / "name") or "").strip() == "rpi_volt":
            alarm = _number(device / "in0_lcrit_alarm")
            return None if alarm is None else alarm > 0
    return None


def _ask_firmware(vcgencmd: Path) -> int | None:
    try:
        answer = subprocess.run(
            [vcgencmd, "get_throttled"], capture_output=True, text=True, timeout=VCGENCMD_LIMIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return _parse_hex(answer.stdout.strip().removeprefix("throttled="))


def _any_of(*answers: bool | None) -> bool | None:
    """True when one says so, False when one denies it and none says so, None when nobody knows."""
    known = [answer for answer in answers if answer is not None]
    return any(known) if known else None


def _parse_hex(text: str | None) -> int | None:
    try:
        return int(text or "", 16)
    except ValueError:
        return None


def _number(path: Path) -> int | None:
    # A sensor that is switched off gives an error instead of a number.
    with contextlib.suppress(ValueError):
        return int(_text(path) or "")
    return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
