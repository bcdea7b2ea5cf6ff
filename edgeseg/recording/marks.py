"""Marks: which segments events keep, noted beside them so that a restart changes nothing."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from edgeseg.events import Event
from edgeseg.recording.name import PART
from edgeseg.sinks.files import flush_folder, flush_to_disk

#: A segment by the folder of its camera and its number.
Place = tuple[Path, int]

_NAME = re.compile(r"(\d{8})\.keep")
#: Events that are noted beside one segment; more keep it no better.
_MOST_EVENTS = 100
#: Events that wait for a disk that hangs; what they mark is kept all the same until the end of the run.
_MOST_WAITING = 1000


class Marks:
    """Events keep the segment in which they happen, the one before and the one after, of the same camera.

    Only the segment in the middle is marked, by a file NUMBER.keep with its events as JSON: the one after is not there
    yet, and where the power goes first, what comes next is it. Any thread may call `want`; the rest is for whoever has
    the disk.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: set[Place] = set()
        self._waiting: deque[tuple[Place, Event]] = deque(maxlen=_MOST_WAITING)

    def want(self, place: Place, event: Event) -> None:
        """Marks a segment at once, and on the disk with the next `note()`."""
        with self._lock:
            self._places.add(place)
            self._waiting.append((place, event))

    def note(self) -> None:
        """Notes on the disk what waits for that. Raises OSError; then the one that could not be noted waits first."""
        while True:
            with self._lock:
                if not self._waiting:
                    return
                place, event = self._waiting[0]
            _append(mark_path(place), event)
            self.skip()

    def skip(self) -> None:
        """Does without noting the one that waits first, for it is noted or cannot be."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft()

    def take_over(self, places: Iterable[Place]) -> None:
        """Takes over the marks that earlier runs have left."""
        with self._lock:
            self._places.update(places)

    def drop(self, place: Place) -> None:
        """Forgets the mark of a segment that is gone, and removes its file. Raises OSError."""
        with self._lock:
            for waiting in [it for it in self._waiting if it[0] == place]:
                self._waiting.remove(waiting)
        mark_path(place).unlink(missing_ok=True)
        with self._lock:
            self._places.discard(place)

    def choose_kept(self, places: Iterable[Place]) -> set[Place]:
        """Returns those of all closed segments that events keep, and what is marked and still open."""
        marked: dict[Path, list[int]] = {}
        with self._lock:
            for folder, number in self._places:
                marked.setdefault(folder, []).append(number)
        if not marked:
            return set()
        rows: dict[Path, list[int]] = {folder: [] for folder in marked}
        for folder, number in places:
            if (row := rows.get(folder)) is not None:
                row.append(number)
        kept = set()
        for folder, numbers in marked.items():
            # A marked one may be open still.
            row = sorted({*rows[folder], *numbers})
            for at in (bisect_left(row, number) for number in numbers):
                kept |= {(folder, near) for near in row[max(0, at - 1) : at + 2]}
        return kept


def _append(path: Path, event: Event) -> None:
    """Adds an event to the file that marks a segment. Raises OSError."""
    events = []
    # None yet, or one that a failing disk has damaged.
    with contextlib.suppress(FileNotFoundError, ValueError):
        events = json.loads(path.read_text(encoding="utf-8"))
    events = events if isinstance(events, list) else []
    if len(events) >= _MOST_EVENTS:
        return
    draft = path.with_name(path.name + PART)
    text = json.dumps([*events, event.record()], ensure_ascii=False, indent=1) + "\n"
    # A name that is no UTF-8 holds surrogates, which JSON can only write escaped.
    draft.write_bytes(text.encode(errors="backslashreplace"))
    flush_to_disk(draft)
    draft.replace(path)
    flush_folder(path.parent)


def mark_path(place: Place) -> Path:
    """Returns the file that marks a segment."""
    folder, number = place
    return folder / f"{number:08}.keep"


def marked_number(name: str) -> int | None:
    """Returns which segment a file of this name marks, None when it is no mark."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None
