"""CameraReport and device_report: how a camera and the device do."""

from __future__ import annotations

import json
import time

import pytest

from edgeseg.board import BoardReading
from edgeseg.telemetry.report import CameraReport, device_report
from tests.edgeseg.telemetry.cameras import make_lane, show


def test_before_the_first_picture_nothing_is_made_up() -> None:
    state = CameraReport(make_lane()).take()
    assert json.loads(json.dumps(state)) == state
    assert (state["connection"], state["fps"], state["age_ms"], state["shares"]) == ("connecting", 0.0, None, {})


def test_shares_are_those_since_the_last_report() -> None:
    lane = make_lane()
    report = CameraReport(lane)
    show(lane, 0, 0, 1, 1, count=3)
    assert report.take()["shares"] == {"other": 0.5, "road": 0.5, "vehicle": 0.0, "person": 0.0}
    show(lane, 0, 1, 1, 1, count=2, age_ms=80.0)
    show(lane, 1, 1, 1, 2, count=2)
    state = report.take()
    assert state["shares"] == pytest.approx({"other": 0.125, "road": 0.75, "vehicle": 0.125, "person": 0.0})
    assert state["frames"] == {"in": 7, "segmented": 7, "dropped": 0}
    assert state["age_ms"] == pytest.approx(80.0, abs=0.1)
    # Nothing new: the last picture's, for a moment.
    assert report.take()["shares"]["road"] == pytest.approx(0.75)


def test_a_lost_camera_has_no_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = make_lane()
    show(lane, 0, 1, 1, 1, count=3)
    report = CameraReport(lane)
    lane.health.lost("no answer")
    later_ns = time.monotonic_ns() + 3_000_000_000
    monkeypatch.setattr(time, "monotonic_ns", lambda: later_ns)
    state = report.take()
    assert (state["connection"], state["lost_reason"]) == ("lost", "no answer")
    assert (state["shares"], state["fps"], state["age_ms"]) == ({}, 0.0, None)


def test_the_device_tells_what_the_board_says() -> None:
    state = device_report(time.monotonic() - 60, BoardReading(temperature_c=61.234, throttled=False))
    assert (state["temperature_c"], state["throttled"], state["under_voltage"]) == (61.2, False, None)
    assert 60 <= state["uptime_s"] < 120
    assert state["rss_bytes"] > 0
