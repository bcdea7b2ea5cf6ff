"""The loop: source -> segmenter -> fusion -> overlay -> sinks.

    capture  -- frames -->  segment  -- results -->  deliver (one thread for each sink)

Each stage is a thread that opens, uses and closes its own part. Nothing flows before every part is open, so that no
frame goes stale behind a sink that is still being opened. A stage that ends, for whatever reason, closes its mailboxes,
and so its neighbours end too; the first error comes out of `run()`.

Live, a mailbox holds what is newest and counts what it drops: the loop is never behind by more than the frame in hand.
Otherwise everybody waits and nothing is lost.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeseg.frame import Frame, Segmentation
from edgeseg.fusion import TemporalFusion
from edgeseg.health import Health
from edgeseg.mailbox import Mailbox
from edgeseg.metrics import Metrics, Summary
from edgeseg.sinks.sink import Draw, Result, Sink
from edgeseg.sources.source import Source

logger = logging.getLogger(__name__)

# Between the stages of a run that loses nothing: rides out one slow frame, stays small (2.8 MB each at 720p).
WAITING_FRAMES = 2
# Before a recording of a live run: rides out a disk that pauses for four frames, then drops the oldest. With their
# overlays they take 22 MB at 720p, and the whole program is to stay under 200.
RECORDING_RESULTS = 4
# How long `run()` sleeps at most. The system may hand a signal to any thread, but Python runs its handler in the main
# one only, and not while that sleeps: measured, one Ctrl-C in six was noticed only when the next line was logged.
SIGNAL_LIMIT_S = 0.2
# How long capture and segment may take to notice that they are to end, before the outputs are closed without them.
END_LIMIT_S = 1.5
# How long the sinks may take after that to complete their files.
CLOSE_LIMIT_S = 30.0


class Segments(Protocol):
    """The segmenter, as far as the loop knows it."""

    def __enter__(self) -> Segments: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def segment(self, picture: Frame, fusion: TemporalFusion | None = None, /) -> Segmentation: ...


@dataclass(frozen=True)
class Outlet:
    """A sink and the mailbox before it."""

    sink: Sink
    results: Mailbox[Result]


@dataclass(frozen=True)
class Stage:
    """What one thread does, and what it closes when it ends so that its neighbours end too."""

    name: str
    work: Callable[[], None]
    close: Callable[[], None]


@dataclass(frozen=True)
class Ended:
    """A stage has ended, by itself or by an error."""

    stage: str
    error: BaseException | None


class StopRequested:
    """Somebody has asked the run to stop."""


class Gate:
    """Holds every stage until all of them are open, or until one gives up."""

    def __init__(self, stages: int) -> None:
        self._missing = stages
        self._given_up = False
        self._changed = threading.Condition()

    def wait_until_all_are_open(self) -> bool:
        """Says that the caller is open and waits for the rest; False when the run ends before it has begun."""
        with self._changed:
            self._missing -= 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._missing == 0 or self._given_up)
            return self._missing == 0

    def give_up(self) -> None:
        """Lets those who still wait go; changes nothing once all are open."""
        with self._changed:
            self._given_up = True
            self._changed.notify_all()


class Pipeline:
    """One run from a source through a segmenter into sinks. Call `run()` once; `stop()` may come from anywhere."""

    def __init__(
        self,
        source: Source,
        segmenter: Segments,
        sinks: Sequence[Sink],
        *,
        draw: Draw,
        fusion: TemporalFusion | None = None,
        metrics: Metrics | None = None,
        health: Health | None = None,
    ) -> None:
        """`draw` makes the overlay picture of a result, at most once a result and only if a sink asks for it."""
        names = [sink.name for sink in sinks]
        if len(set(names)) < len(names):
            raise ValueError(f"two sinks have one name: {names}")
        self.source = source
        self.segmenter = segmenter
        self.fusion = fusion
        self.draw = draw
        self.metrics = metrics or Metrics(source=source.name, live=source.live)
        self.health = health or Health()
        self._frames: Mailbox[Frame] = Mailbox(1) if source.live else Mailbox(WAITING_FRAMES, lossless=True)
        self._outlets = [Outlet(sink, _mailbox_before(sink, live=source.live)) for sink in sinks]
        self._gate = Gate(2 + len(sinks))
        # A SimpleQueue and nothing else: its put() is safe inside a signal handler, where a lock could be ours already.
        self._events: queue.SimpleQueue[Ended | StopRequested] = queue.SimpleQueue()

    def stop(self) -> None:
        """Ends the run soon, as the end of the source would; may come from a signal handler, and more than once."""
        self._events.put(StopRequested())

    def run(self, duration_s: float | None = None, *, log_every_s: float | None = None) -> Summary:
        """Runs until the source ends, `duration_s` seconds have passed, `stop()` is called or a stage fails.

        Every sink is closed when it returns. Raises the first error that a stage met.
        """
        stages = [
            Stage("capture", self._capture, self._frames.close),
            Stage("segment", self._segment, self._end_results),
            *(
                Stage(outlet.sink.name, partial(self._deliver, outlet), partial(outlet.results.close, discard=True))
                for outlet in self._outlets
            ),
        ]
        running = {stage.name for stage in stages}
        for stage in stages:
            threading.Thread(target=self._run_stage, args=(stage,), name=stage.name, daemon=True).start()
        try:
            error = self._wait_for(running, duration_s, log_every_s)
        except BaseException:
            # A KeyboardInterrupt, where whoever embeds this handles no signals: the files are completed all the same.
            self._wind_up(running)
            raise
        late_error = self._wind_up(running)
        if (first_error := error or late_error) is not None:
            raise first_error
        return self.metrics.summary()

    def _capture(self) -> None:
        with self.source as source:
            if not self._gate.wait_until_all_are_open():
                return
            while True:
                asked_ns = time.monotonic_ns()
                frame = source.read()
                if frame is None or not self._frames.put(frame):
                    return
                # No stage holds a picture while it waits for the next one: they are most of the memory of a run.
                del frame
                self.metrics.count_captured(self._frames.dropped, _ms_since(asked_ns))

    def _segment(self) -> None:
        with self.segmenter as segmenter:
            if not self._gate.wait_until_all_are_open():
                return
            for frame in self._frames:
                result = Result(segmenter.segment(frame, self.fusion), self._draw)
                self.metrics.count_segmented(result.segmentation, result.finished_ns)
                self.health.progressed(result.captured_ns)
                for outlet in self._outlets:
                    outlet.results.put(result)
                del frame, result

    def _deliver(self, outlet: Outlet) -> None:
        with outlet.sink as sink:
            if not self._gate.wait_until_all_are_open():
                return
            for result in outlet.results:
                begun_ns = time.monotonic_ns()
                sink.write(result)
                self.metrics.count_written(sink.name, outlet.results.dropped, result.age_ms(), _ms_since(begun_ns))
                del result

    def _draw(self, segmentation: Segmentation) -> NDArray[np.uint8]:
        begun_ns = time.monotonic_ns()
        picture = self.draw(segmentation)
        self.metrics.count_stage("overlay", _ms_since(begun_ns))
        return picture

    def _run_stage(self, stage: Stage) -> None:
        error: BaseException | None = None
        try:
            stage.work()
        except BaseException as failure:  # noqa: BLE001 - it travels to run(), which raises it
            error = failure
        stage.close()
        # Those who wait for this stage to open would wait for ever.
        self._gate.give_up()
        self._events.put(Ended(stage.name, error))

    def _end_results(self) -> None:
        self._frames.close(discard=True)
        self.metrics.count_dropped(self._frames.dropped)
        for outlet in self._outlets:
            outlet.results.close()

    def _wait_for(
        self, running: set[str], duration_s: float | None = None, log_every_s: float | None = None
    ) -> BaseException | None:
        """Waits for every stage in `running` to end, and takes each out of it as it does.

        Returns early when a stage fails (with its error), when the run is to stop and when the time is up.
        """
        stop_at = math.inf if duration_s is None else time.monotonic() + duration_s
        log_at = math.inf if log_every_s is None else time.monotonic() + log_every_s
        while running:
            now = time.monotonic()
            if now >= stop_at:
                return None
            if now >= log_at:
                logger.info("%s", self.metrics.take_interval().line())
                log_at = now + (log_every_s or math.inf)
            try:
                event = self._events.get(timeout=min(stop_at - now, SIGNAL_LIMIT_S))
            except queue.Empty:
                continue
            if isinstance(event, StopRequested):
                return None
            running.discard(event.stage)
            if event.error is not None:
                return event.error
        return None

    def _wind_up(self, running: set[str]) -> BaseException | None:
        """Ends the stages in `running`, outputs last, and waits for them; returns the first error met on the way."""
        self.source.interrupt()
        self._frames.close()
        self._gate.give_up()
        first = {"capture", "segment"} & running
        error = self._await_end(running, first, END_LIMIT_S)
        for name in first & running:
            logger.warning("%s did not end within %.1f s; the outputs are closed without it", name, END_LIMIT_S)
        self._end_results()
        late_error = self._await_end(running, running - first, CLOSE_LIMIT_S)
        for outlet in self._outlets:
            if outlet.sink.name in running:
                logger.error("%s could not be completed within %.0f s", outlet.sink.name, CLOSE_LIMIT_S)
            self.metrics.count_sink_dropped(outlet.sink.name, outlet.results.dropped)
        self.health.stopped()
        return error or late_error

    def _await_end(self, running: set[str], stages: set[str], limit_s: float) -> BaseException | None:
        error: BaseException | None = None
        end_at = time.monotonic() + limit_s
        while running & stages:
            try:
                event = self._events.get(timeout=max(0.0, end_at - time.monotonic()))
            except queue.Empty:
                break
            # A second request to stop changes nothing.
            if isinstance(event, Ended):
                running.discard(event.stage)
                error = error or event.error
        return error


def _mailbox_before(sink: Sink, *, live: bool) -> Mailbox[Result]:
    if not live:
        return Mailbox(WAITING_FRAMES, lossless=True)
    return Mailbox(RECORDING_RESULTS if sink.lossless else 1)


def _ms_since(begun_ns: int) -> float:
    return (time.monotonic_ns() - begun_ns) / 1e6
