"""The loop: source -> segmenter -> fusion -> overlay -> sinks.

    capture  -- frames -->  segment  -- results -->  deliver (one thread for each sink)

Each stage is a thread that opens, uses and closes its own part. Nothing flows before every part is open, so that no
frame goes stale behind a sink that is still being opened. A stage that ends, for whatever reason, closes its mailboxes,
and so its neighbours end too; the first error comes out of `run()`.

Several cameras are several lanes (lane.py): each has its capture thread, its fusion and its sinks; the one segmenter
takes a frame from each in turn.

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
from typing import Literal, Protocol

from edgeseg.frame import Frame, Segmentation
from edgeseg.fusion import TemporalFusion
from edgeseg.lane import Lane, RateLimit
from edgeseg.mailbox import take_in_turn
from edgeseg.summary import Summary

logger = logging.getLogger(__name__)

# How long `run()` sleeps at most. The system may hand a signal to any thread, but Python runs its handler in the main
# one only, and not while that sleeps: measured, one Ctrl-C in six was noticed only when the next line was logged.
SIGNAL_LIMIT_S = 0.2
# How often `run()` calls what its caller wants done beside the loop.
TICK_S = 0.5
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


@dataclass(frozen=True, eq=False)
class Stage:
    """What one thread does, and what it closes when it ends so that its neighbours end too."""

    kind: Literal["capture", "segment", "sink"]
    name: str
    work: Callable[[], None]
    close: Callable[[], None]


@dataclass(frozen=True)
class Ended:
    """A stage has ended, by itself or by an error."""

    stage: Stage
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
    """One run of a segmenter over one or more lanes. Call `run()` once; `stop()` may come from anywhere."""

    def __init__(self, lanes: Sequence[Lane], segmenter: Segments) -> None:
        """Raises ValueError without a lane, and when two have one name."""
        names = [lane.name for lane in lanes]
        if not lanes or len(set(names)) < len(names):
            raise ValueError(f"a run needs lanes, each with a name of its own; got {names}")
        self.lanes = tuple(lanes)
        self.segmenter = segmenter
        self._next_segmenter: Segments | None = None
        self._gate = Gate(1 + sum(1 + len(lane.outlets) for lane in lanes))
        # A SimpleQueue and nothing else: its put() is safe inside a signal handler, where a lock could be ours already.
        self._events: queue.SimpleQueue[Ended | StopRequested] = queue.SimpleQueue()

    def stop(self) -> None:
        """Ends the run soon, as the end of the source would; may come from a signal handler, and more than once."""
        self._events.put(StopRequested())

    def replace_segmenter(self, segmenter: Segments) -> None:
        """Goes on with another segmenter from one of the next frames on; may come from any thread."""
        self._next_segmenter = segmenter

    def limit_rate(self, fps: float | None) -> None:
        """Segments at most `fps` frames a second of each live lane; None ends that."""
        for lane in self.lanes:
            lane.rate_limit = None if fps is None else RateLimit(fps)

    def run(
        self,
        duration_s: float | None = None,
        *,
        log_every_s: float | None = None,
        tick: Callable[[], None] | None = None,
    ) -> list[Summary]:
        """Runs until every source has ended, `duration_s` seconds have passed, `stop()` is called or a stage fails.

        `tick` is called about twice a second, in the thread that called this. Every sink is closed when it returns the
        lanes' summaries. Raises the first error that a stage met.
        """
        running = set(self._stages())
        for stage in running:
            threading.Thread(target=self._run_stage, args=(stage,), name=stage.name, daemon=True).start()
        try:
            error = self._wait_for(running, duration_s, log_every_s, tick)
        except BaseException:
            # A KeyboardInterrupt, where whoever embeds this handles no signals: the files are completed all the same.
            self._wind_up(running)
            raise
        late_error = self._wind_up(running)
        if (first_error := error or late_error) is not None:
            raise first_error
        return [lane.metrics.summary() for lane in self.lanes]

    def _stages(self) -> list[Stage]:
        ready = self._gate.wait_until_all_are_open
        stages = [Stage("segment", "segment", self._segment, self._end_results)]
        for lane in self.lanes:
            title = f"{lane.name}: " if lane.name else ""
            stages.append(Stage("capture", f"{title}capture", partial(lane.capture, ready), lane.frames.close))
            for outlet in lane.outlets:
                close = partial(outlet.results.close, discard=True)
                work = partial(lane.deliver, outlet, ready)
                stages.append(Stage("sink", f"{title}{outlet.sink.name}", work, close))
        return stages

    def _segment(self) -> None:
        taken = take_in_turn([lane.frames for lane in self.lanes])
        waiting = True
        while True:
            with self.segmenter as segmenter:
                if waiting and not self._gate.wait_until_all_are_open():
                    return
                waiting = False
                for index, frame in taken:
                    lane = self.lanes[index]
                    if frame is None:
                        # Its source has ended; the others go on.
                        lane.end_results()
                        lane.health.stopped()
                    elif lane.wants(frame):
                        lane.hand_on(segmenter.segment(frame, lane.fusion))
                    # No stage holds a picture while it waits for the next one.
                    del frame
                    if self._next_segmenter is not None:
                        break
                else:
                    return
            self.segmenter, self._next_segmenter = self._next_segmenter, None

    def _run_stage(self, stage: Stage) -> None:
        error: BaseException | None = None
        try:
            stage.work()
        except BaseException as failure:  # noqa: BLE001 - it travels to run(), which raises it
            error = failure
        stage.close()
        # Those who wait for this stage to open would wait for ever.
        self._gate.give_up()
        self._events.put(Ended(stage, error))

    def _end_results(self) -> None:
        for lane in self.lanes:
            lane.end_results()

    def _wait_for(
        self,
        running: set[Stage],
        duration_s: float | None,
        log_every_s: float | None,
        tick: Callable[[], None] | None,
    ) -> BaseException | None:
        """Waits for every stage in `running` to end, and takes each out of it as it does.

        Returns early when a stage fails (with its error), when the run is to stop and when the time is up.
        """
        began = time.monotonic()
        stop_at = math.inf if duration_s is None else began + duration_s
        log_at = math.inf if log_every_s is None else began + log_every_s
        tick_at = began
        while running:
            now = time.monotonic()
            if now >= stop_at:
                return None
            if now >= log_at:
                for lane in self.lanes:
                    title = f"{lane.name}: " if lane.name else ""
                    logger.info("%s%s", title, lane.metrics.take_interval().line())
                log_at = now + (log_every_s or math.inf)
            if tick is not None and now >= tick_at:
                tick()
                tick_at = now + TICK_S
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

    def _wind_up(self, running: set[Stage]) -> BaseException | None:
        """Ends the stages in `running`, outputs last, and waits for them; returns the first error met on the way."""
        for lane in self.lanes:
            lane.interrupt()
        self._gate.give_up()
        first = {stage for stage in running if stage.kind != "sink"}
        error = self._await_end(running, first, END_LIMIT_S)
        for stage in first & running:
            logger.warning("%s did not end within %.1f s; the outputs are closed without it", stage.name, END_LIMIT_S)
        self._end_results()
        late_error = self._await_end(running, running - first, CLOSE_LIMIT_S)
        for stage in running - first:
            logger.error("%s could not be completed within %.0f s", stage.name, CLOSE_LIMIT_S)
        for lane in self.lanes:
            for outlet in lane.outlets:
                lane.metrics.count_sink_dropped(outlet.sink.name, outlet.dropped)
            lane.health.stopped()
        return error or late_error

    def _await_end(self, running: set[Stage], stages: set[Stage], limit_s: float) -> BaseException | None:
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
