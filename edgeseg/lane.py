"""Lane: one camera's way through the loop, from its source to its sinks. The segmenter in the middle is shared."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgeseg.frame import Frame, Segmentation
from edgeseg.fusion import TemporalFusion
from edgeseg.health import Health
from edgeseg.mailbox import Mailbox
from edgeseg.metrics import Metrics
from edgeseg.sinks.sink import Draw, PassedOver, Result, Sink
from edgeseg.sources.source import Source

# Between the stages of a run that loses nothing: rides out one slow frame, stays small (2.8 MB each at 720p).
WAITING_FRAMES = 2
# Before a recording of a live run: rides out a disk that pauses for four frames, then drops the oldest. With their
# overlays they take 22 MB at 720p, and the whole program is to stay under 200.
RECORDING_RESULTS = 4


@dataclass
class Outlet:
    """A sink, the mailbox before it, and how many results the sink has passed over."""

    sink: Sink
    results: Mailbox[Result]
    passed_over: int = 0

    @property
    def dropped(self) -> int:
        """How many results the sink was not given or did not take."""
        return self.results.dropped + self.passed_over


@dataclass(frozen=True, slots=True)
class AgeLimit:
    """How old a result of a live source may be. Older ones are marked as stale or, with `drop`, go nowhere."""

    max_age_ms: float
    drop: bool = False


class RateLimit:
    """Lets frames through so that on average `fps` a second come, evenly."""

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self._due_ns: float | None = None

    def allows(self, captured_ns: int) -> bool:
        """Whether the frame captured at `captured_ns` (monotonic) is one of those that go on."""
        step_ns = 1e9 / self.fps
        # Half a frame of a 60 Hz camera early is on time: waiting for the next one would be later than that.
        if self._due_ns is not None and captured_ns < self._due_ns - 8e6:
            return False
        if self._due_ns is None or captured_ns - self._due_ns > step_ns:
            # After a gap the count begins anew: nothing is made up for.
            self._due_ns = captured_ns
        self._due_ns += step_ns
        return True


class Lane:
    """A source, what is done to its frames and results, and the sinks they go to.

    draw: makes the overlay picture of a result, at most once a result and only if a sink asks for it. treat: changes a
    segmentation before anybody sees it. judge: tells from a frame what is wrong with the picture ("ok" if nothing).
    `draw`, `treat`, `judge`, `fusion`, `age_limit` and `rate_limit` may be set anew while it runs: each frame takes
    what is there. Raises ValueError when two sinks have one name.
    """

    def __init__(
        self,
        source: Source,
        sinks: Sequence[Sink] = (),
        *,
        draw: Draw,
        name: str = "",
        fusion: TemporalFusion | None = None,
        metrics: Metrics | None = None,
        health: Health | None = None,
        treat: Callable[[Segmentation], Segmentation] | None = None,
        judge: Callable[[Frame], str] | None = None,
        age_limit: AgeLimit | None = None,
    ) -> None:
        names = [sink.name for sink in sinks]
        if len(set(names)) < len(names):
            raise ValueError(f"two sinks have one name: {names}")
        self.name = name
        self.source = source
        self.draw, self.treat, self.judge = draw, treat, judge
        self.fusion = fusion
        self.age_limit = age_limit
        self.rate_limit: RateLimit | None = None
        self.metrics = metrics or Metrics(source=source.name, live=source.live)
        self.health = health or Health()
        self.frames: Mailbox[Frame] = Mailbox(1) if source.live else Mailbox(WAITING_FRAMES, lossless=True)
        self.outlets = [Outlet(sink, _mailbox_before(sink, live=source.live)) for sink in sinks]
        self._lock = threading.Lock()
        self._next_source: Source | None = None
        self._ended = False
        # The index of the next frame: files are named by it, so it goes on from one source to the next.
        self._index = 0

    def replace_source(self, source: Source) -> None:
        """Goes on with another source, of the same kind (live or not), without disturbing the sinks."""
        if source.live != self.source.live:
            raise ValueError("a live source cannot take the place of a file, nor a file that of a live source")
        with self._lock:
            self._next_source = source
            self.source.interrupt()

    def interrupt(self) -> None:
        """Ends the frames soon; what is on its way still reaches the sinks."""
        with self._lock:
            self._ended = True
            self.source.interrupt()
        self.frames.close()

    def capture(self, ready: Callable[[], bool]) -> None:
        """Opens the source and reads it to its end; `ready` waits until every part of the run is open."""
        waiting = True
        while True:
            with self.source as source:
                if waiting and not ready():
                    return
                self._read(source, replaced=not waiting)
                waiting = False
            with self._lock:
                if self._next_source is None or self._ended:
                    return
                self.source, self._next_source = self._next_source, None
                self.metrics.source = self.source.name

    def wants(self, frame: Frame) -> bool:
        """Whether a frame is worth segmenting: not when its result would only be dropped for its age."""
        limit = self.age_limit
        if limit is None or not limit.drop or not self.source.live:
            return True
        if _ms_since(frame.captured_ns) <= limit.max_age_ms:
            return True
        self.metrics.count_too_old()
        return False

    def hand_on(self, segmentation: Segmentation) -> None:
        """Gives a segmentation to every sink."""
        if (treat := self.treat) is not None:
            begun_ns = time.monotonic_ns()
            segmentation = treat(segmentation)
            self.metrics.count_stage("treat", _ms_since(begun_ns))
        limit = self.age_limit if self.source.live else None
        max_age_ms = None if limit is None else limit.max_age_ms
        result = Result(segmentation, self._draw, max_age_ms=max_age_ms)
        self.metrics.count_segmented(segmentation, result.finished_ns)
        self.health.progressed(result.captured_ns)
        for outlet in self.outlets:
            outlet.results.put(result)

    def deliver(self, outlet: Outlet, ready: Callable[[], bool]) -> None:
        """Opens a sink, gives it what comes and closes it."""
        with outlet.sink as sink:
            if not ready():
                return
            for result in outlet.results:
                stale = result.stale
                if stale and (limit := self.age_limit) is not None and limit.drop:
                    self.metrics.count_stale(sink.name)
                    continue
                begun_ns = time.monotonic_ns()
                try:
                    sink.write(result)
                except PassedOver:
                    outlet.passed_over += 1
                    self.metrics.count_sink_dropped(sink.name, outlet.dropped)
                else:
                    spent_ms = _ms_since(begun_ns)
                    self.metrics.count_written(sink.name, outlet.dropped, result.age_ms(), spent_ms, stale=stale)
                del result

    def end_results(self) -> None:
        """Tells the sinks that nothing more will come."""
        self.frames.close(discard=True)
        self.metrics.count_dropped(self.frames.dropped)
        for outlet in self.outlets:
            outlet.results.close()

    def _read(self, source: Source, *, replaced: bool) -> None:
        base = 0
        while True:
            asked_ns = time.monotonic_ns()
            frame = source.read()
            if frame is None:
                return
            if replaced:
                # One that cannot be lost says nothing of itself, and the one before may have been lost.
                self.health.back()
                replaced, base = False, self._index - frame.index
            if base:
                frame = replace(frame, index=base + frame.index)
            self._index = frame.index + 1
            if (judge := self.judge) is not None:
                self.health.judged(judge(frame))
            limit = self.rate_limit
            if limit is not None and source.live and not limit.allows(frame.captured_ns):
                self.metrics.count_rate_limited(_ms_since(asked_ns))
                continue
            if not self.frames.put(frame):
                return
            # No stage holds a picture while it waits for the next one: they are most of the memory of a run.
            del frame
            self.metrics.count_captured(self.frames.dropped, _ms_since(asked_ns))

    def _draw(self, segmentation: Segmentation) -> NDArray[np.uint8]:
        begun_ns = time.monotonic_ns()
        picture = self.draw(segmentation)
        self.metrics.count_stage("overlay", _ms_since(begun_ns))
        return picture


def _mailbox_before(sink: Sink, *, live: bool) -> Mailbox[Result]:
    if not live:
        return Mailbox(WAITING_FRAMES, lossless=True)
    return Mailbox(RECORDING_RESULTS if sink.lossless else 1)


def _ms_since(begun_ns: int) -> float:
    return (time.monotonic_ns() - begun_ns) / 1e6
