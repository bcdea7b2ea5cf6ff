"""What a live run puts out: the sinks that its configuration names, and which of them would be in each other's way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from edgeseg.config import Config
from edgeseg.errors import UsageError
from edgeseg.events import Events
from edgeseg.sinks import Sink, open_sink
from edgeseg.sinks.growing import growing_path
from edgeseg.sources import PICTURE_SUFFIXES

#: What stands for the camera's name in the name of an output.
CAMERA_FIELD = "{camera}"


def choose_outputs(config: Config, camera: str, *, several: bool) -> list[tuple[str, Sink]]:
    """Returns what was written and the sink for it, for every output of a camera. Raises UsageError."""
    if several and config.output.window:
        raise UsageError("--window: shows a single camera; watch several with --http")
    if several and (nameless := [uri for uri in config.output.save if CAMERA_FIELD not in uri]):
        raise UsageError(f"--save {nameless[0]}: every camera needs its own; put {CAMERA_FIELD} into the name")
    uris = [uri.replace(CAMERA_FIELD, camera) for uri in config.output.save]
    return [(uri, open_sink(uri)) for uri in [*uris, *(["window:"] if config.output.window else [])]]


def choose_pushes(config: Config, camera: str, events: Events) -> Iterator[Sink]:
    """Yields the sinks that push a camera's overlay to servers. Raises UsageError."""
    if not config.push:
        return
    from edgeseg.sinks.push import PushSink

    names: Counter[str] = Counter()
    for address in (address.for_camera(camera) for address in config.push):
        names[address.shown] += 1
        # Two streams of one server, apart only in what is not shown.
        number = f" ({names[address.shown]})" if names[address.shown] > 1 else ""
        yield PushSink(address, events, camera=camera, name=address.shown + number)


def check_pushes(config: Config, *, several: bool) -> None:
    """Raises UsageError when several cameras would be pushed to one address, or one twice."""
    for index, address in enumerate(config.push):
        if several and CAMERA_FIELD not in address.url:
            raise UsageError(f"push {address.shown}: every camera needs its own; put {CAMERA_FIELD} into the address")
        if address in config.push[:index]:
            raise UsageError(f"push {address.shown}: is given twice; keep one")


def refuse_clashes(sources: Iterable[str], saves: Iterable[tuple[str, Sink]]) -> None:
    """Raises UsageError when two outputs are one file or folder, or would overwrite a source."""
    theirs = [Path(source).resolve() for source in sources]
    seen: set[Path] = set()
    for uri, sink in saves:
        place = Path(sink.name).resolve()
        for ours in theirs:
            # Beside a picture, a mask could get the very name that the picture has.
            if place == ours or (place == ours.parent and ours.suffix.lower() in PICTURE_SUFFIXES):
                what = "is the source itself" if place == ours else "is the folder of the source"
                raise UsageError(f"--save {uri}: {what}; choose another name")
            if ours == growing_path(place):
                raise UsageError(f"--save {uri}: would write over the source while it grows; choose another name")
        if place in seen:
            raise UsageError(f"--save {uri}: is given twice; choose another name")
        seen.add(place)
