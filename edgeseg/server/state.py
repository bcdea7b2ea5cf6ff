"""What the page shows beside the pictures, as JSON-ready values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edgeseg.health import rss_bytes
from edgeseg.server.broadcast import Broadcast
from edgeseg.server.view import View, find_silence

#: What the page says of a picture that is no good, by the health's word for it.
CONDITIONS = {
    "frozen": "The picture is frozen",
    "black": "The picture is black",
    "overexposed": "The picture is overexposed",
    "covered": "The lens is covered",
    "blurred": "The picture is blurred",
}


def describe_page(broadcasts: Iterable[Broadcast], last_event: int) -> dict[str, Any]:
    """Returns the state of every camera and of the device; None where nothing is known yet."""
    cameras = [describe_camera(broadcast) for broadcast in broadcasts]
    temperatures = [camera.pop("temperature_c") for camera in cameras]
    return {
        "cameras": cameras,
        # What concerns the device concerns every camera, and is said once.
        "remarks": list(dict.fromkeys(remark for camera in cameras for remark in camera.pop("remarks"))),
        "temperature_c": max((value for value in temperatures if value is not None), default=None),
        "rss_bytes": rss_bytes(),
        "viewers": sum(camera["viewers"] for camera in cameras),
        "last_event": last_event,
    }


def describe_camera(broadcast: Broadcast) -> dict[str, Any]:
    """Returns the state of one camera."""
    view = broadcast.view
    newest = view.feed.newest
    summary = view.metrics.summary()
    shares = view.metrics.recent_shares()
    vitals = view.health.snapshot()
    silence = find_silence(view)
    condition = vitals["condition"]
    return {
        "name": view.name,
        "source": view.metrics.source,
        "state": vitals["state"],
        "connection": vitals["connection"],
        "live": silence is None,
        "silence": silence and {"kind": silence.kind, "text": silence.text, "reason": vitals["lost_reason"]},
        "condition": condition,
        "condition_text": None if condition == "ok" else CONDITIONS.get(condition, f"The picture is {condition}"),
        "reconnects": vitals["reconnects"],
        "picture_age_s": vitals["picture_age_s"],
        "fps": view.metrics.recent_fps(),
        "age_ms": newest and (newest.result.finished_ns - newest.result.captured_ns) / 1e6,
        "max_age_ms": newest and newest.result.max_age_ms,
        "stale": newest is not None and newest.stale,
        "age_percentiles_ms": summary.age_ms,
        "timings_ms": dict(newest.result.segmentation.timings) if newest else {},
        "frames": {"in": summary.frames_in, "segmented": summary.segmented, "dropped": summary.dropped},
        "viewers": broadcast.viewers,
        "pictures_encoded": broadcast.encoded_count,
        "opacity": round(view.opacity * 100),
        "classes": [
            {"name": item.name, "color": item.color_hex, "share": shares.get(item.name)} for item in view.classes
        ],
        "temperature_c": vitals["temperature_c"],
        "remarks": vitals["remarks"],
    }


def is_ready(views: Iterable[View]) -> bool:
    """Whether every camera gives live pictures now."""
    return all(find_silence(view) is None for view in views)


def is_well(views: Iterable[View]) -> bool:
    """Whether the program does its work, be it waiting for a camera that is lost."""
    return all(view.health.alive and view.health.state() != "stopped" for view in views)
