"""Lanes that no pipeline runs, for what tells of cameras; a test says what they have seen."""

from __future__ import annotations

import time

import numpy as np

from edgeseg.frame import Frame, Segmentation
from edgeseg.health import Health
from edgeseg.lane import Lane
from edgeseg.overlay import draw_overlay
from tests.fakes import FakeSource


def make_lane(name: str = "front", *, live: bool = True) -> Lane:
    return Lane(
        FakeSource(live=live, name=name),
        draw=lambda it: draw_overlay(it.frame.image, it),
        name=name,
        health=Health(camera=name),
    )


def show(lane: Lane, *classes: int, count: int = 1, age_ms: float = 50.0, every_ms: float = 40.0) -> None:
    """Gives a lane `count` results, captured `age_ms` ago the last, whose pictures are of these classes, in columns."""
    lane.health.back()
    ids = np.repeat(np.array([classes], np.uint8), 4, axis=0)
    now_ns = time.monotonic_ns()
    for index in range(count):
        finished_ns = now_ns - round((count - 1 - index) * every_ms * 1e6)
        frame = Frame(np.zeros((4, 4, 3), np.uint8), index, finished_ns - round(age_ms * 1e6), lane.name)
        segmentation = Segmentation(frame, ids, np.full_like(ids, 200), {"inference": 20.0})
        lane.metrics.count_captured(0, 30.0)
        lane.metrics.count_segmented(segmentation, finished_ns)
        lane.health.progressed(frame.captured_ns)
