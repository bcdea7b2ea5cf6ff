"""View: one camera as the live page knows it, and the sink that feeds it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple

from edgeseg.classes import CLASSES, SegmentClass
from edgeseg.health import Health
from edgeseg.metrics import Metrics
from edgeseg.overlay import DEFAULT_OPACITY
from edgeseg.server.feed import PictureFeed
from edgeseg.sinks.sink import Result


@dataclass(eq=False)
class View:
    """What the page shows of one camera.

    name: part of its addresses, unique among the views. opacity: of the overlay that the run itself draws, 0..1; may be
    set anew while it runs.
    """

    name: str
    feed: PictureFeed
    metrics: Metrics
    health: Health
    classes: tuple[SegmentClass, ...] = CLASSES
    opacity: float = DEFAULT_OPACITY


class Silence(NamedTuple):
    """Why there is no live picture: in a word for programs, in words that count up for people."""

    kind: str
    text: str


def find_silence(view: View) -> Silence | None:
    """Returns why what was published last is no live picture, None when it is one."""
    vitals = view.health.snapshot()
    age_s = vitals["picture_age_s"]
    if vitals["state"] == "stopped":
        return Silence("stopped", "The run has ended")
    if vitals["connection"] == "lost":
        return Silence("lost", f"No signal for {_say_seconds(vitals['lost_for_s'])}")
    if age_s is None:
        return Silence("waiting", "Waiting for the first picture")
    if vitals["state"] == "stalled":
        return Silence("stalled", f"No new picture for {_say_seconds(age_s)}")
    return None


def _say_seconds(seconds: float | None) -> str:
    whole = math.floor(seconds or 0.0)
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 7200 else f"{whole // 3600} h {whole // 60 % 60} min"


class PageSink:
    """Hands the results of one run to its view; quick, for it only swaps a reference."""

    lossless = False

    def __init__(self, view: View) -> None:
        self.name = "live page"
        self._view = view

    def __enter__(self) -> PageSink:
        return self

    def write(self, result: Result) -> None:
        self._view.feed.publish(result)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The page itself stays: it shows several cameras, and that a run has ended.
        pass
