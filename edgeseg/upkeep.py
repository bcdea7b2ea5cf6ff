"""Upkeep: looks after the device while it runs, and does less when it is hot or late."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from edgeseg.board import Board, BoardReading
from edgeseg.errors import ModelError
from edgeseg.events import Events
from edgeseg.heat_config import HeatConfig
from edgeseg.ladder import Ladder, Step
from edgeseg.metrics import Metrics
from edgeseg.pipeline import Segments

#: How often the board is read and the ladder asked.
EVERY_S = 1.0


class Adjustable(Protocol):
    """The run, as far as this knows it."""

    def limit_rate(self, fps: float | None) -> None: ...

    def replace_segmenter(self, segmenter: Segments) -> None: ...


class Upkeep:
    """Reads the board once a second, asks the ladder (ladder.py) what to do, and has the run do it.

    open_segmenter: gives the segmenter with so many threads, of the configured model (False) or the smaller (True).
    `reading` is the last look at the board, `step` the rung of the ladder the run is on.
    """

    def __init__(
        self,
        config: HeatConfig,
        run: Adjustable,
        metrics: Iterable[Metrics],
        events: Events,
        open_segmenter: Callable[[int, bool], Segments],
        *,
        threads: int = 1,
        small_model: bool = False,
        board: Board | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run, self._metrics, self._events = run, tuple(metrics), events
        self._open_segmenter = open_segmenter
        self._board = board or Board()
        self._clock = clock
        self._due_s = clock()
        self._ladder = Ladder(config, threads=threads, small_model=small_model)
        self.reading = BoardReading()
        self.step: Step = self._ladder.step

    def tick(self) -> None:
        """Does what is due; takes some milliseconds, more when another model has to be loaded."""
        now_s = self._clock()
        if now_s < self._due_s:
            return
        self._due_s = now_s + EVERY_S
        before, self.reading = self.reading, self._board.read()
        if self.reading.under_voltage and not before.under_voltage:
            self._events.add("under_voltage", "the board gets too little voltage; use a better supply", level="warning")
        ages = [age for metrics in self._metrics if (age := metrics.recent_age_ms()) is not None]
        rates = [rate for metrics in self._metrics if (rate := metrics.recent_fps()) > 0]
        step = self._ladder.update(
            now_s,
            self.reading.temperature_c,
            max(ages, default=None),
            self.reading.throttled,
            fps=max(rates, default=None),
        )
        if step is not self.step:
            self._take(step)

    def _take(self, step: Step) -> None:
        before, self.step = self.step, step
        self._run.limit_rate(step.rate_limit_fps)
        if (step.threads, step.model) != (before.threads, before.model):
            try:
                self._run.replace_segmenter(self._open_segmenter(step.threads, step.model == 1))
            except ModelError as error:
                # It was there at the start. The run goes on with what it has.
                self._events.add("model_refused", str(error), level="warning")
        down = step.rung > before.rung
        self._events.add(
            "heat_step",
            step.describe(),
            level="warning" if down else "info",
            rung=step.rung,
            rungs=step.rungs,
            rate_limit_fps=step.rate_limit_fps,
            threads=step.threads,
            small_model=step.model == 1,
            temperature_c=self.reading.temperature_c,
        )
