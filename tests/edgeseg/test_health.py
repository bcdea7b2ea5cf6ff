"""Health: it tells a loop that advances from one that hangs, by time."""

from __future__ import annotations

import time

import numpy as np
import pytest

from edgeseg.events import Events
from edgeseg.health import ALIVE_S, Health, rss_bytes

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


def test_a_loss_a_return_and_a_bad_picture_are_told() -> None:
    events = Events()
    health = Health(events=events, camera="front")
    assert health.snapshot()["connection"] == "connecting"
    health.back()
    assert events.recent() == []
    health.progressed(time.monotonic_ns() - 2_000_000_000)
    health.lost("unplugged")
    health.lost("still unplugged")
    lost = health.snapshot()
    assert (lost["connection"], lost["lost_reason"], lost["reconnects"]) == ("lost", "still unplugged", 0)
    # Since the last picture, not since somebody noticed.
    assert 2 <= lost["lost_for_s"] < 10
    health.back()
    back = health.snapshot()
    assert (back["connection"], back["lost_for_s"], back["lost_reason"], back["reconnects"]) == ("live", None, None, 1)
    for condition in ("ok", "black", "black", "frozen", "ok"):
        health.judged(condition)
    kinds = [event.kind for event in events.recent()]
    assert kinds == ["camera_lost", "camera_back", "picture_black", "picture_frozen", "picture_ok"]
    assert {event.camera for event in events.recent()} == {"front"}
    assert events.recent()[1].details["away_s"] >= 2


def test_looking_for_a_lost_camera_is_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    health = Health()
    assert health.alive
    later_ns = time.monotonic_ns() + int(1.5 * ALIVE_S * 1e9)
    monkeypatch.setattr(time, "monotonic_ns", lambda: later_ns)
    assert not health.alive
    health.trying()
    assert health.alive
