"""Pace: frames come when they are due, stamped with that moment, and a source that was late does not rush."""

from __future__ import annotations

import threading
import time

from edgeseg.sources.pace import LATEST_NS, Pace

MS = 1_000_000


def test_offline_the_place_is_the_time_and_nothing_waits() -> None:
    pace = Pace(live=False)
    assert [pace.wait_until(place) for place in (0, 3600 * 1000 * MS)] == [0, 3600 * 1000 * MS]


def test_live_a_frame_is_stamped_with_the_moment_it_was_due() -> None:
    pace = Pace(live=True)
    stamps = [pace.wait_until(place * MS) for place in (100, 110, 130)]
    assert all(stamps)
    first = stamps[0] or 0
    assert [(stamp or 0) - first for stamp in stamps] == [0, 10 * MS, 30 * MS]
    assert (stamps[-1] or 0) <= time.monotonic_ns()


def test_a_frame_that_is_a_little_late_keeps_its_due_time() -> None:
    pace = Pace(live=True)
    first = pace.wait_until(0) or 0
    time.sleep(0.05)
    assert pace.wait_until(10 * MS) == first + 10 * MS


def test_a_source_that_stood_still_goes_on_from_now() -> None:
    pace = Pace(live=True)
    first = pace.wait_until(0) or 0
    time.sleep(LATEST_NS / 1e9 + 0.05)
    late = pace.wait_until(10 * MS) or 0
    assert late - first > LATEST_NS
    assert (pace.wait_until(20 * MS) or 0) - late == 10 * MS


def test_interrupting_ends_the_wait_and_every_later_one() -> None:
    pace = Pace(live=True)
    pace.wait_until(0)
    threading.Timer(0.02, pace.interrupt).start()
    assert pace.wait_until(60_000 * MS) is None
    assert pace.interrupted
    assert pace.wait_until(0) is None
