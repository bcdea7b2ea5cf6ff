"""The numbers that Prometheus is told of a run: names, units, meanings."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from edgeseg import __version__
from edgeseg.board import BoardReading
from edgeseg.exposition import Family
from edgeseg.health import rss_bytes
from edgeseg.ladder import Step
from edgeseg.lane import Lane
from edgeseg.recording.recorder import Recorder

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def lane_families(lanes: Mapping[str, Lane]) -> Iterator[Family]:
    """Yields what is counted for each camera, by its name."""
    captured = Family("edgeseg_frames_captured_total", "counter", "Frames that a camera gave.")
    segmented = Family("edgeseg_frames_segmented_total", "counter", "Frames that were segmented.")
    dropped = Family("edgeseg_frames_dropped_total", "counter", "Frames that were not segmented, by the reason.")
    age = Family(
        "edgeseg_result_age_seconds",
        "histogram",
        "Time from capture until a live frame was segmented; buckets +-2.5 %.",
    )
    stages = Family("edgeseg_stage_duration_seconds", "histogram", "Time that a step of the work on a frame took.")
    share = Family("edgeseg_class_share_ratio", "gauge", "Share of the last picture that a class covers.")
    written = Family("edgeseg_results_written_total", "counter", "Results that a sink has taken.")
    passed = Family("edgeseg_results_dropped_total", "counter", "Results that a sink was not given or did not take.")
    stale = Family("edgeseg_results_stale_total", "counter", "Results that were older than allowed before a sink.")
    written_age = Family(
        "edgeseg_written_result_age_seconds", "histogram", "Time from capture until a sink had written the result."
    )
    writing = Family("edgeseg_write_duration_seconds", "histogram", "Time that a sink took to write a result.")
    for name, lane in lanes.items():
        tally = lane.metrics.total()
        captured.add(tally.frames_in, camera=name)
        segmented.add(tally.segmented, camera=name)
        dropped.add(tally.dropped, camera=name, reason="newer_came")
        dropped.add(tally.rate_limited, camera=name, reason="rate_limited")
        dropped.add(tally.too_old, camera=name, reason="too_old")
        if lane.metrics.live:
            age.add(tally.segmented_age_ms, camera=name)
        for stage, spent in tally.stage_ms.items():
            stages.add(spent, camera=name, stage=stage.replace(" ", "_"))
        if lane.metrics.recent_fps() > 0:
            for class_name, ratio in lane.metrics.recent_shares().items():
                share.add(ratio, camera=name, **{"class": class_name})
        for sink, entry in tally.sinks.items():
            written.add(entry.written, camera=name, sink=sink)
            passed.add(entry.dropped, camera=name, sink=sink)
            stale.add(entry.stale, camera=name, sink=sink)
            writing.add(entry.write_ms, camera=name, sink=sink)
            if lane.metrics.live:
                written_age.add(entry.age_ms, camera=name, sink=sink)
    yield from (captured, segmented, dropped, age, stages, share, written, passed, stale, written_age, writing)


def health_families(lanes: Mapping[str, Lane]) -> Iterator[Family]:
    """Yields how each camera is."""
    up = Family("edgeseg_camera_connected", "gauge", "1 while the camera gives pictures.")
    state = Family("edgeseg_camera_connection", "gauge", "1 for what the connection is: connecting, live or lost.")
    condition = Family("edgeseg_camera_condition", "gauge", "1 for what the picture is: ok, or what is wrong with it.")
    reconnects = Family("edgeseg_camera_reconnects_total", "counter", "How often the camera came back.")
    picture_age = Family(
        "edgeseg_camera_picture_age_seconds", "gauge", "Time since the last segmented picture was taken."
    )
    for name, lane in lanes.items():
        vitals = lane.health.snapshot()
        up.add(vitals["connection"] == "live", camera=name)
        for word in ("connecting", "live", "lost"):
            state.add(vitals["connection"] == word, camera=name, state=word)
        for word in dict.fromkeys(("ok", vitals["condition"])):
            condition.add(vitals["condition"] == word, camera=name, condition=word)
        reconnects.add(vitals["reconnects"], camera=name)
        picture_age.add(vitals["picture_age_s"], camera=name)
    yield from (up, state, condition, reconnects, picture_age)


def board_families(reading: BoardReading, step: Step) -> Iterator[Family]:
    """Yields how the board is and what the heat ladder does about it; what it does not tell is left out."""
    temperature = Family("edgeseg_temperature_celsius", "gauge", "Temperature of the hottest sensor in the chip.")
    yield temperature.add(reading.temperature_c, zone=reading.zone or "")
    yield Family("edgeseg_throttled", "gauge", "1 while the board holds its clock down.").add(reading.throttled)
    yield Family("edgeseg_under_voltage", "gauge", "1 while the board gets too little voltage.").add(
        reading.under_voltage
    )
    yield Family("edgeseg_heat_rung", "gauge", "How many rungs down the heat ladder the run is.").add(step.rung)
    yield Family("edgeseg_heat_rungs", "gauge", "How many rungs the heat ladder has.").add(step.rungs)


def event_family(counts: Mapping[str, int]) -> Family:
    """Returns how many events of each kind there were."""
    family = Family("edgeseg_events_total", "counter", "Events by their kind.")
    for kind, count in counts.items():
        family.add(count, kind=kind)
    return family


def path_family(occupied: Mapping[str, bool]) -> Family:
    """Returns whether a person is in the path of each camera."""
    family = Family("edgeseg_person_in_path", "gauge", "1 while a person is in the path.")
    for name, somebody in occupied.items():
        family.add(somebody, camera=name)
    return family


def recorder_families(recorders: Mapping[str, Recorder]) -> Iterator[Family]:
    """Yields how the recording of each camera does; of deleted and repaired segments all cameras' together."""
    recording = Family("edgeseg_recording", "gauge", "1 while pictures are recorded, 0 while the recording is paused.")
    segments = Family("edgeseg_recording_segments_total", "counter", "Segments that were completed.")
    size = Family("edgeseg_recording_written_bytes_total", "counter", "Bytes that were recorded.")
    lost = Family("edgeseg_recording_frames_lost_total", "counter", "Pictures that are in no segment.")
    deleted = Family("edgeseg_recording_segments_deleted_total", "counter", "Segments that made room.")
    repaired = Family("edgeseg_recording_segments_repaired_total", "counter", "Segments that a killed run had left.")
    for name, recorder in recorders.items():
        status = recorder.status()
        recording.add(status.state == "recording", camera=name)
        segments.add(status.segments, camera=name)
        size.add(status.bytes, camera=name)
        lost.add(status.lost, camera=name)
    for status in [recorder.status() for recorder in recorders.values()][:1]:
        deleted.add(status.deleted)
        repaired.add(status.repaired)
    yield from (recording, segments, size, lost, deleted, repaired)


def process_families(root: Path = Path("/proc/self")) -> Iterator[Family]:
    """Yields what this process has of the system, and which build it is."""
    build = Family("edgeseg_build_info", "gauge", "1, with the versions as labels.")
    yield build.add(1, version=__version__, python=platform.python_version(), machine=platform.machine())
    # The second field, the program's name, is in brackets and may hold anything.
    fields = (root / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
    started_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(fields[19]) / _TICKS_PER_S
    yield Family("edgeseg_process_resident_memory_bytes", "gauge", "Resident memory.").add(rss_bytes())
    yield Family("edgeseg_process_open_fds", "gauge", "Open file descriptors.").add(len([*(root / "fd").iterdir()]))
    yield Family("edgeseg_process_threads", "gauge", "Threads.").add(int(fields[17]))
    yield Family("edgeseg_process_cpu_seconds_total", "counter", "Processor time in user and system mode.").add(cpu_s)
    yield Family("edgeseg_process_start_time_seconds", "gauge", "Start, in seconds since 1970.").add(
        round(started_s, 2)
    )
