"""Corridors: which corridor each camera goes by, the configured one or one drawn on the live page, which is kept."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeseg.corridor import PathConfig, Polygon, parse_polygon
from edgeseg.events import Events
from edgeseg.sinks.files import flush_folder, flush_to_disk, make_folder, say_why
from edgeseg.sinks.path import PathSink

logger = logging.getLogger(__name__)

FILE_NAME = "corridors.json"


def find_state_folder(configured: Path | None) -> Path | None:
    """Returns where what is set on the page is kept: as configured, else systemd's StateDirectory=, else nowhere."""
    if configured is not None:
        return configured
    # Several are separated by colons (systemd.exec); ours has one.
    first = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(first) if first else None


@dataclass(frozen=True, slots=True)
class CorridorInUse:
    """What a camera goes by. drawn: on the page, and not as configured. person_in_path: somebody is in it now."""

    corridor: Polygon | None
    drawn: bool
    person_in_path: bool


class Corridors:
    """The corridors of all cameras. What was drawn goes before what is configured, until it is taken back.

    Drawn ones are kept in a file of the state folder, which the next run reads; without such a folder they last as long
    as the run. Any thread may call anything; only `draw` waits for the disk.
    """

    def __init__(self, paths: Mapping[str, PathSink], folder: Path | None, events: Events) -> None:
        """`paths` by the names of their cameras. Reads what was drawn in earlier runs; what is no good is set aside."""
        self._paths, self._events = paths, events
        self._file = None if folder is None else folder / FILE_NAME
        # One draws at a time and may wait for the disk; what is known changes at once, under a lock that is held for
        # no longer than that.
        self._drawing, self._lock = threading.Lock(), threading.Lock()
        self._configured: dict[str, PathConfig] = {}
        self._drawn: dict[str, Polygon] = {} if self._file is None else _load(self._file)

    @property
    def kept(self) -> bool:
        """Whether the next run will know what is drawn in this one."""
        return self._file is not None

    def configure(self, camera: str, config: PathConfig) -> None:
        """Takes what is configured for a camera; holds at once, but for a corridor that was drawn."""
        with self._lock:
            self._configured[camera] = config
            self._use(camera)

    def draw(self, camera: str, corridor: Polygon | None) -> None:
        """Goes by another corridor, one that `parse_polygon` has returned; by the configured one again for None.

        Raises OSError, with everything as it was, when it cannot be kept.
        """
        with self._drawing:
            drawn = {name: polygon for name, polygon in self._drawn.items() if name != camera}
            if corridor is not None:
                drawn[camera] = corridor
            if drawn == self._drawn:
                return
            if self._file is not None:
                _save(self._file, drawn)
            with self._lock:
                self._drawn = drawn
                self._use(camera)
        if corridor is None:
            self._events.add("corridor_reset", "what was drawn as the path is gone; it is as configured", camera=camera)
        else:
            points = [list(point) for point in corridor]
            self._events.add("corridor_drawn", "the path was drawn anew", camera=camera, corridor=points)

    def snapshot(self) -> dict[str, CorridorInUse]:
        """Returns what each camera goes by, in the order of the cameras."""
        with self._lock:
            drawn = set(self._drawn)
        return {
            name: CorridorInUse(path.config.corridor, name in drawn, path.person_in_path)
            for name, path in self._paths.items()
        }

    def _use(self, camera: str) -> None:
        config = self._configured[camera]
        if camera in self._drawn:
            config = config.model_copy(update={"corridor": self._drawn[camera]})
        self._paths[camera].use(config)


def _load(file: Path) -> dict[str, Polygon]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {str(name): parse_polygon(points) for name, points in content["corridors"].items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        logger.warning("%s: cannot be read, so the paths are the configured ones: %s", file, say_why(error))
    except (ValueError, KeyError, TypeError, AttributeError):
        logger.warning("%s: is damaged, so the paths are the configured ones; draw them anew", file)
    return {}


def _save(file: Path, drawn: Mapping[str, Polygon]) -> None:
    """Writes the file whole, safe from a power cut, or leaves it as it was. Raises OSError."""
    make_folder(file.parent)
    draft = file.with_name(f"{file.name}.part")
    content = {"corridors": {name: [list(point) for point in points] for name, points in drawn.items()}}
    try:
        draft.write_text(json.dumps(content) + "\n", encoding="utf-8")
        flush_to_disk(draft)
        draft.replace(file)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    flush_folder(file.parent)
