"""Health: it tells a loop that advances from one that hangs, by time."""

from __future__ import annotations

import time

import numpy as np

from edgeseg.health import Health, rss_bytes

SECOND_NS = 1_000_000_000


def test_it_starts_runs_stalls_and_stops() -> None:
    health = Health(stall_after_s=2)
    now_ns = time.monotonic_ns()
    assert health.state(now_ns) == "starting"
    assert health.snapshot()["picture_age_s"] is None
    health.progressed(captured_ns=now_ns - SECOND_NS)
    now_ns = time.monotonic_ns()
    assert health.state(now_ns) == "running"
    assert health.snapshot()["picture_age_s"] >= 1
    assert health.state(now_ns + 3 * SECOND_NS) == "stalled"
    health.progressed(captured_ns=now_ns)
    assert health.state() == "running"
    health.stopped()
    assert health.state(now_ns + 60 * SECOND_NS) == "stopped"


def test_a_start_that_hangs_is_a_stall() -> None:
    health = Health(stall_after_s=2)
    assert health.state(time.monotonic_ns() + 3 * SECOND_NS) == "stalled"


def test_memory_is_the_resident_memory_of_this_process() -> None:
    before = rss_bytes()
    block = np.ones(64 * 2**20, np.uint8)
    assert rss_bytes() - before > 0.9 * block.nbytes
