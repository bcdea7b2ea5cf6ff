"""How far `edgeseg process` is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

#: Seconds between two plain lines: a log of an hour's work stays readable.
LINE_EVERY_S = 10.0


class Progress(Protocol):
    """Told of every input and every frame. `count()` may come from another thread than the rest."""

    def __enter__(self) -> Progress: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def begin(self, name: str, done: int, total: int | None) -> None:
        """An input begins, of whose `total` frames (None: unknown) `done` were done in earlier runs."""
        ...

    def count(self, done: int) -> None:
        """So many of its frames are done now."""
        ...

    def say(self, line: str) -> None:
        """Shows a line that stays."""
        ...


def show_progress(console: Console) -> Progress:
    """Returns what suits the console: a bar with the time that is left, or plain lines."""
    return BarProgress(console) if console.is_terminal else LineProgress(console)


class BarProgress:
    """A bar for the input in hand."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> BarProgress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()
        self._bars.stop()

    def begin(self, name: str, done: int, total: int | None) -> None:
        self._drop()
        self._task = self._bars.add_task(name, total=total, completed=done)

    def count(self, done: int) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=done)

    def say(self, line: str) -> None:
        self._drop()
        self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _drop(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None


class LineProgress:
    """A line now and then."""

    def __init__(self, console: Console, every_s: float = LINE_EVERY_S) -> None:
        self._console = console
        self._every_s = every_s
        self._name = ""
        self._total: int | None = None
        self._start = (0.0, 0)
        self._said_s = 0.0

    def __enter__(self) -> LineProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing to take off the screen."""

    def begin(self, name: str, done: int, total: int | None) -> None:
        self._name, self._total = name, total
        self._said_s = time.monotonic()
        self._start = (self._said_s, done)

    def count(self, done: int) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s < self._every_s:
            return
        self._said_s = now_s
        began_s, began_done = self._start
        rate = (done - began_done) / (now_s - began_s)
        line = f"{self._name}: {done}{f' of {self._total}' if self._total else ''} frames, {rate:.1f} frames/s"
        if self._total and rate > 0:
            line += f", {format_seconds((self._total - done) / rate)} left"
        self.say(line)

    def say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.speed
        return Text("" if speed is None else f"{speed:.1f} frames/s")


def format_seconds(seconds: float) -> str:
    """Returns 0:07, 12:34 or 1:02:03."""
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
