"""Reloader: takes a changed configuration file over while the run goes on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol

from edgeseg.config import Config
from edgeseg.config_file import Flag, load_config
from edgeseg.errors import EdgesegError
from edgeseg.events import Events


class Applied(Protocol):
    """What became of a new configuration: keys that hold from now on, and keys that wait for a start."""

    applied: list[str]
    later: list[str]


class Changeable(Protocol):
    """The run, as far as this knows it."""

    config: Config
    events: Events

    def change(self, config: Config) -> Applied: ...


Stamp = tuple[int, int, int]


class Reloader:
    """Reads the file anew on SIGHUP and whenever it has changed; a bad one leaves everything as it is, and is told.

    A context manager, entered in the main thread: it takes SIGHUP for itself meanwhile. `look()` is to be called now
    and then.
    """

    def __init__(self, run: Changeable, path: Path, flags: Sequence[Flag] = (), *, stamp: Stamp | None = None) -> None:
        """`stamp` is the file's from before the run's own configuration was read; now's when it is left out."""
        self._run, self._path, self._flags = run, path, flags
        self._stamp = stamp or read_stamp(path)
        self._seen: Stamp | None = None
        self._asked = False
        self._before: Any = None

    def __enter__(self) -> Reloader:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGHUP, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGHUP, self._before)

    def look(self) -> None:
        """Takes the file over if there is reason to."""
        if self._asked or self._has_settled():
            self._asked = False
            self._stamp = read_stamp(self._path)
            self._take_over()

    def _has_settled(self) -> bool:
        """Whether the file has changed and is the same for the second time: an editor may be in the middle of it."""
        stamp = read_stamp(self._path)
        settled = stamp is not None and stamp != self._stamp and stamp == self._seen
        self._seen = stamp
        return settled

    def _take_over(self) -> None:
        events = self._run.events
        try:
            # Also when nothing has changed in it: a certificate or a token that it names may be another one.
            changes = self._run.change(load_config(self._path, self._flags))
        except EdgesegError as error:
            text = f"the configuration stays as it was: {error}"
            events.add("config_refused", text, level="warning")
            return
        parts = [f"changed {', '.join(changes.applied)}"] if changes.applied else []
        if changes.later:
            parts.append(f"{', '.join(changes.later)} will change at the next start")
        text = "; ".join(parts) or "nothing in it has changed"
        events.add("config_reloaded", f"{self._path}: {text}", applied=changes.applied, later=changes.later)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True


def read_stamp(path: Path) -> Stamp | None:
    """Returns what changes whenever the file does; None while it is not there, as in the middle of being replaced."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
