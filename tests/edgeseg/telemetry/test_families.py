"""What Prometheus is told of a run: the page of a real one, read by Prometheus's own parser."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edgeseg.assembly import Assembly
from edgeseg.board import BoardReading
from edgeseg.config import Config
from edgeseg.exposition import render
from edgeseg.ladder import Step
from edgeseg.telemetry.families import board_families, health_families, lane_families
from tests.broker import wait_until
from tests.edgeseg.telemetry.cameras import make_lane, show

CAMERAS = {"front": {"source": "synthetic:128x96@30"}, "rear": {"source": "synthetic:96x128@30"}}


def read(page: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Returns the samples' values by name and by the labels' values."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of a run of two cameras with an event log and an output."""
    folder = tmp_path_factory.mktemp("run")
    values: dict[str, Any] = {
        "cameras": CAMERAS,
        "output": {"save": [f"{folder}/{{camera}}.jsonl"]},
        "event_log": {"path": str(folder / "events.jsonl")},
    }
    with Assembly(Config.model_validate(values)) as assembly:
        thread = threading.Thread(target=assembly.run)
        thread.start()
        wait_until(lambda: all(lane.metrics.summary().segmented > 3 for lane in assembly.lanes.values()))
        assembly.events.add("heat_step", "rung 1 of 3")
        yield render(assembly.families())
        assembly.stop()
        thread.join(20)


def test_names_and_units_are_as_prometheus_wants_them(page: str) -> None:
    families = list(text_string_to_metric_families(page))
    assert len(families) > 20
    for family in families:
        assert re.fullmatch(r"edgeseg_[a-z0-9_]+", family.name)
        assert family.documentation.endswith(".")
        # The parser takes _total away from a counter, and only from one.
        assert not family.name.endswith("_total")
        assert all(sample.name.endswith("_total") for sample in family.samples if family.type == "counter")
        assert not re.search(r"_(ms|milliseconds|percent|kb|mb|count|total)$", family.name)
        if family.type == "histogram":
            assert family.name.endswith("_seconds")
    if promtool := shutil.which("promtool"):
        # Debian has it in the package prometheus, which brings a service that a test is not worth.
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_every_camera_is_counted(page: str) -> None:
    found = read(page)
    for name in CAMERAS:
        assert found["edgeseg_frames_segmented_total"][name,] > 3
        assert found["edgeseg_frames_dropped_total"][name, "newer_came"] >= 0
        assert found["edgeseg_result_age_seconds_count"][name,] > 3
        assert found["edgeseg_stage_duration_seconds_sum"][name, "inference"] > 0
        assert found["edgeseg_camera_connected"][name,] == 1
        assert found["edgeseg_camera_condition"][name, "ok"] == 1
        assert found["edgeseg_person_in_path"][name,] == 0
        shares = [value for labels, value in found["edgeseg_class_share_ratio"].items() if labels[0] == name]
        assert sum(shares) == pytest.approx(1.0)
        assert any(labels[1].endswith(f"{name}.jsonl") for labels in found["edgeseg_results_written_total"])
    assert found["edgeseg_events_total"]["heat_step",] == 1
    assert found["edgeseg_event_log_lost_total"][()] == 0
    assert found["edgeseg_process_open_fds"][()] > 3
    assert found["edgeseg_process_threads"][()] > 4
    assert found["edgeseg_process_resident_memory_bytes"][()] > 1e7
    assert found["edgeseg_heat_rung"][()] == 0


def test_a_camera_that_is_lost_has_no_shares_and_says_so() -> None:
    lane = make_lane()
    show(lane, 1, 1, 0, 0, count=3, age_ms=100.0)
    lane.health.judged("black")
    lane.health.lost("no answer")
    lane.metrics.count_dropped(7)
    lane.metrics.count_rate_limited(1.0)
    lanes = {"front": lane}
    found = read(render([*lane_families(lanes), *health_families(lanes)]))
    assert found["edgeseg_camera_connected"]["front",] == 0
    assert found["edgeseg_camera_connection"] == {
        ("front", "connecting"): 0,
        ("front", "live"): 0,
        ("front", "lost"): 1,
    }
    assert found["edgeseg_camera_condition"] == {("front", "ok"): 0, ("front", "black"): 1}
    assert found["edgeseg_frames_dropped_total"] == {
        ("front", "newer_came"): 7,
        ("front", "rate_limited"): 1,
        ("front", "too_old"): 0,
    }
    assert found["edgeseg_result_age_seconds_bucket"]["front", "0.05"] == 0
    assert found["edgeseg_result_age_seconds_bucket"]["front", "0.25"] == 3


def test_what_the_board_does_not_tell_is_left_out() -> None:
    step = Step(None, 2, 0, 0, 3)
    assert set(read(render(board_families(BoardReading(), step)))) == {"edgeseg_heat_rung", "edgeseg_heat_rungs"}
    reading = BoardReading(temperature_c=61.5, zone="cpu-thermal", throttled=True, under_voltage=False)
    found = read(render(board_families(reading, step)))
    assert found["edgeseg_temperature_celsius"] == {("cpu-thermal",): 61.5}
    assert (found["edgeseg_throttled"][()], found["edgeseg_under_voltage"][()]) == (1, 0)
