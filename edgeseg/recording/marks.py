"""Marks: which segments events keep, noted beside them so that a restart changes nothing."""

from __future__ import annotations

import contextlib
import json
import re
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


class Marks:
    """Events keep the segment in which they happen, the one before and the one after, of the same camera.

    Only the segment in the middle is marked, by a file NUMBER.keep with its events as JSON: the one after is not there
    yet, and where the power goes first, what comes next is it.
    """

    def __init__(self) -> None:
        self._places: set[Place] = set()

    def add(self, place: Place, event: Event) -> None:
        """Marks a segment. Raises OSError when that cannot be noted; until the end of the run it holds all the same."""
        self._places.add(place)
        path = mark_path(place)
        events = []
        # None yet, or one that a failing disk has damaged.
        with contextlib.suppress(FileNotFoundError, ValueError):
            events = json.loads(path.read_text(encoding="utf-8"))
        if len(events) >= _MOST_EVENTS:
            return
        draft = path.with_name(path.name + PART)
        draft.write_text(json.dumps([*events, event.record()], ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        flush_to_disk(draft)
        draft.replace(path)
        flush_folder(path.parent)

    def take_over(self, places: Iterable[Place]) -> None:
        """Takes over the marks that earlier runs have left."""
        self._places.update(places)

    def drop(self, place: Place) -> None:
        """Forgets the mark of a segment that is gone, and removes its file. Raises OSError."""
        mark_path(place).unlink(missing_ok=True)
        self._places.discard(place)

    def choose_kept(self, places: Iterable[Place]) -> set[Place]:
        """Returns those of all closed segments that events keep."""
        if not self._places:
            return set()
        numbers: dict[Path, set[int]] = {}
        # A marked one may be open still.
        for folder, number in (*places, *self._places):
            numbers.setdefault(folder, set()).add(number)
        kept = set()
        for folder, those in numbers.items():
            row = sorted(those)
            for index, number in enumerate(row):
                if any((folder, near) in self._places for near in row[max(0, index - 1) : index + 2]):
                    kept.add((folder, number))
        return kept


def mark_path(place: Place) -> Path:
    """Returns the file that marks a segment."""
    folder, number = place
    return folder / f"{number:08}.keep"


def marked_number(name: str) -> int | None:
    """Returns which segment a file of this name marks, None when it is no mark."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None
