"""Ladder: does less when the device is hot or late, and more again when it is neither.

Rungs, from the top: lower rates, half the threads (again and again down to one), the smaller model. What presses says
which of them help:

    warm  (above warm_celsius)                        the rates only: nothing that a picture shows gets worse
    late  (results older than max_age)                rates and the smaller model; fewer threads would make it later
    hot   (above hot_celsius, or the board throttles) all of them

Rungs are taken one at a time, each only after the pressure has lasted `dwell`, and given back in reverse, each only
after what it was taken for has been gone for `climb`: for heat, `hysteresis_celsius` below the limit; for age, below
RELIEVED_AGE of it. A rung that has to be taken again soon after it was given back doubles the wait before the next
climb, so that a device that is just too slow does not swing for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from edgeseg.heat_config import HeatConfig

Cause = Literal["warm", "late", "hot"]

#: The share of max_age below which results count as in time again.
RELIEVED_AGE = 0.7
#: The wait before a climb is doubled at most this often: from a minute to a good half hour.
MAX_DOUBLINGS = 5

_ALWAYS: frozenset[Cause] = frozenset(("warm", "late", "hot"))


@dataclass(frozen=True, slots=True)
class Step:
    """What the device is to do now. Equal steps ask for the same; `update` returns one object until something changes.

    rate_limit_fps: frames a second of each live camera at most, None for no limit. threads: of the interpreter.
    model: 0 for the configured one, 1 for the smaller one. rung: how many rungs down this is, of `rungs`. reason: why
    the last change was made, empty before the first one.
    """

    rate_limit_fps: float | None
    threads: int
    model: int
    rung: int
    rungs: int
    reason: str = ""

    def describe(self) -> str:
        """Returns one line for the log, the page and systemd's status."""
        if self.rung == 0:
            doing = "full rate, full size"
        else:
            rate = "full rate" if self.rate_limit_fps is None else f"at most {self.rate_limit_fps:g} frames a second"
            threads = f"{self.threads} thread" + ("" if self.threads == 1 else "s")
            doing = ", ".join((rate, threads, "small model" if self.model else "full size"))
        return f"rung {self.rung} of {self.rungs}: {doing}" + (f" ({self.reason})" if self.reason else "")


@dataclass(frozen=True, slots=True)
class _Rung:
    """One way to do less, and against which causes it helps."""

    helps: frozenset[Cause]
    rate_limit_fps: float | None = None
    threads: int | None = None
    small: bool = False


@dataclass(frozen=True, slots=True)
class _Taken:
    rung: _Rung
    cause: Cause


class Ladder:
    """Decides by what it is told, and knows no clock, sensor or model of its own. Not for two threads at once."""

    def __init__(self, config: HeatConfig, *, threads: int = 1, small_model: bool = False) -> None:
        """`threads` is what the configured segmenter has, `small_model` whether there is a smaller one to go to."""
        self._config = config
        self._rungs = tuple(_rungs(config, threads, small_model)) if config.enabled else ()
        self._taken: list[_Taken] = []
        self._top = Step(None, threads, 0, 0, len(self._rungs))
        self._step = self._top
        self._pressed_since: dict[Cause, float] = {}
        self._relieved_since: float | None = None
        self._changed_s: float | None = None
        self._given_back: tuple[_Rung, float] | None = None
        self._doublings = 0

    @property
    def step(self) -> Step:
        """What the last update decided."""
        return self._step

    def update(
        self,
        now_s: float,
        temperature_c: float | None,
        age_ms: float | None,
        throttled: bool | None = None,
        *,
        fps: float | None = None,
    ) -> Step:
        """Returns what to do, by what is known at `now_s` (monotonic seconds); to be called about once a second.

        temperature_c: of the chip. age_ms: of the last second's results when they were finished (a median or p95), None
        when there were none. throttled: whether the board holds itself down. fps: frames a second now; a rate that is
        not below it would change nothing and is passed over. None stands for unknown everywhere: it neither presses
        nor relieves.
        """
        if not self._rungs:
            return self._step
        pressing = self._pressing(temperature_c, age_ms, throttled)
        for cause in _ALWAYS:
            if cause in pressing:
                self._pressed_since.setdefault(cause, now_s)
            else:
                self._pressed_since.pop(cause, None)
        if not self._go_down(now_s, pressing, fps):
            self._climb(now_s, pressing, temperature_c, age_ms, throttled)
        return self._step

    def _pressing(self, temperature_c: float | None, age_ms: float | None, throttled: bool | None) -> dict[Cause, str]:
        """Returns what presses, with the reason in words, what presses hardest first."""
        config, found = self._config, dict[Cause, str]()
        if temperature_c is not None and temperature_c >= config.hot_celsius:
            found["hot"] = f"{temperature_c:.0f} °C, the limit is {config.hot_celsius:g}"
        elif throttled:
            found["hot"] = "the board throttles itself"
        if age_ms is not None and age_ms > config.max_age * 1e3:
            found["late"] = f"results {age_ms:.0f} ms old, the limit is {config.max_age * 1e3:g}"
        if temperature_c is not None and temperature_c >= config.warm_celsius:
            found["warm"] = f"{temperature_c:.0f} °C, the limit is {config.warm_celsius:g}"
        return found

    def _go_down(self, now_s: float, pressing: dict[Cause, str], fps: float | None) -> bool:
        if self._changed_s is not None and now_s - self._changed_s < self._config.dwell:
            return False
        for cause, reason in pressing.items():
            if now_s - self._pressed_since[cause] < self._config.dwell:
                continue
            rung = self._next_rung(cause, fps)
            if rung is None:
                continue
            if self._given_back is not None and rung == self._given_back[0]:
                # Given back too early, if it was a short while ago.
                soon = now_s - self._given_back[1] < self._climb_wait_s()
                self._doublings = min(self._doublings + 1, MAX_DOUBLINGS) if soon else 0
            self._taken.append(_Taken(rung, cause))
            self._change(now_s, reason)
            return True
        return False

    def _next_rung(self, cause: Cause, fps: float | None) -> _Rung | None:
        taken = [item.rung for item in self._taken]
        limits = [limit for limit in (fps, self._step.rate_limit_fps) if limit is not None]
        for rung in self._rungs:
            useless = rung.rate_limit_fps is not None and any(rung.rate_limit_fps >= limit for limit in limits)
            if rung not in taken and cause in rung.helps and not useless:
                return rung
        return None

    def _climb(
        self,
        now_s: float,
        pressing: dict[Cause, str],
        temperature_c: float | None,
        age_ms: float | None,
        throttled: bool | None,
    ) -> None:
        reason = None
        if self._taken and not any(cause in self._taken[-1].rung.helps for cause in pressing):
            reason = self._relief(self._taken[-1], temperature_c, age_ms, throttled)
        if reason is None or self._changed_s is None:
            self._relieved_since = None
            return
        if self._relieved_since is None:
            self._relieved_since = now_s
        if now_s - max(self._relieved_since, self._changed_s) >= self._climb_wait_s():
            self._given_back = (self._taken.pop().rung, now_s)
            self._change(now_s, reason)

    def _relief(
        self, taken: _Taken, temperature_c: float | None, age_ms: float | None, throttled: bool | None
    ) -> str | None:
        """Returns why a rung is not needed any more, None while it is or may be."""
        config = self._config
        if taken.cause == "late":
            in_time = age_ms is not None and age_ms <= config.max_age * 1e3 * RELIEVED_AGE
            return f"results {age_ms:.0f} ms old again" if in_time else None
        if throttled:
            return None
        if temperature_c is None:
            # The board has no sensor: then it was its throttling that pressed.
            return "the board throttles itself no more" if throttled is False else None
        # A rate that was taken for being hot would be taken again for being warm.
        limit = config.warm_celsius if "warm" in taken.rung.helps else config.hot_celsius
        return f"cooled down to {temperature_c:.0f} °C" if temperature_c <= limit - config.hysteresis_celsius else None

    def _climb_wait_s(self) -> float:
        return self._config.climb * float(2**self._doublings)

    def _change(self, now_s: float, reason: str) -> None:
        step = replace(self._top, rung=len(self._taken), reason=reason)
        for item in self._taken:
            rung = item.rung
            step = replace(
                step,
                rate_limit_fps=rung.rate_limit_fps or step.rate_limit_fps,
                threads=rung.threads or step.threads,
                model=1 if rung.small else step.model,
            )
        self._step = step
        self._changed_s, self._relieved_since = now_s, None


def _rungs(config: HeatConfig, threads: int, small_model: bool) -> list[_Rung]:
    rungs = [_Rung(_ALWAYS, rate_limit_fps=rate) for rate in config.rates]
    while threads > 1:
        threads //= 2
        rungs.append(_Rung(frozenset(("hot",)), threads=threads))
    if small_model:
        rungs.append(_Rung(frozenset(("late", "hot")), small=True))
    return rungs
