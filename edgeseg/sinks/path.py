"""PathSink: watches for people in the path of one camera and tells of them by events."""

from __future__ import annotations

from types import TracebackType

from edgeseg.corridor import Change, PathConfig, PersonInPath
from edgeseg.events import Events, Level
from edgeseg.sinks.sink import Result


class PathSink:
    """Gives every result to `PersonInPath`, and every change to the events, with what the camera is called.

    A thread of its own, as every sink: what it does takes a tenth of a millisecond.
    """

    name = "person in path"
    lossless = True

    def __init__(self, config: PathConfig, events: Events, camera: str) -> None:
        self._events, self._camera = events, camera
        self._path = PersonInPath(config)
        self._wanted = config

    @property
    def person_in_path(self) -> bool:
        """Whether somebody is in the path now."""
        return self._path.begun

    @property
    def config(self) -> PathConfig:
        """What it goes by."""
        return self._wanted

    def use(self, config: PathConfig) -> None:
        """Goes by another configuration from the next result on; may come from any thread."""
        self._wanted = config

    def __enter__(self) -> PathSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tell(self._path.end("the run has ended"))

    def write(self, result: Result) -> None:
        if (config := self._wanted) != self._path.config:
            self._tell(self._path.end("the path is another one now"))
            self._path = PersonInPath(config)
        self._tell(self._path.update(result.segmentation))

    def _tell(self, change: Change | None) -> None:
        if change is not None:
            level: Level = "warning" if change.kind == "begin" else "info"
            self._events.add("person_in_path", change.text, camera=self._camera, level=level, **change.details())
