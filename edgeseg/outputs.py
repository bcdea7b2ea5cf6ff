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


class ClashError(UsageError):
    """Outputs that are each in order and cannot be together. place: the keys of the configuration that name them."""

    def __init__(self, place: tuple[str, ...], shown: str, what: str) -> None:
        """shown: what was written, without secrets."""
        super().__init__(f"{FLAGS.get(place, place[-1])} {shown}: {what}" if shown else f"{FLAGS[place]}: {what}")
        self.place, self.what = place, f"{shown}: {what}" if shown else what


SAVE, WINDOW, PUSH = ("output", "save"), ("output", "window"), ("push",)
FLAGS: dict[tuple[str, ...], str] = {SAVE: "--save", WINDOW: "--window"}


def choose_all_outputs(config: Config) -> dict[str, list[tuple[str, Sink]]]:
    """Returns the outputs of every camera, see `choose_outputs`. Raises UsageError for what cannot be together."""
    cameras = config.named_cameras()
    several = len(cameras) > 1
    outputs = {name: choose_outputs(config, name, several=several) for name in cameras}
    check_pushes(config, several=several)
    refuse_clashes([camera.source for camera in cameras.values()], [pair for it in outputs.values() for pair in it])
    return outputs


def choose_outputs(config: Config, camera: str, *, several: bool) -> list[tuple[str, Sink]]:
    """Returns what was written and the sink for it, for every output of a camera. Raises UsageError."""
    if several and config.output.window:
        raise ClashError(WINDOW, "", "shows a single camera; watch several with --http")
    if several and (nameless := [uri for uri in config.output.save if CAMERA_FIELD not in uri]):
        raise ClashError(SAVE, nameless[0], f"every camera needs its own; put {CAMERA_FIELD} into the name")
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
            raise ClashError(PUSH, address.shown, f"every camera needs its own; put {CAMERA_FIELD} into the address")
        if address in config.push[:index]:
            raise ClashError(PUSH, address.shown, "is given twice; keep one")


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
                raise ClashError(SAVE, uri, f"{what}; choose another name")
            if ours == growing_path(place):
                raise ClashError(SAVE, uri, "would write over the source while it grows; choose another name")
        if place in seen:
            raise ClashError(SAVE, uri, "is given twice; choose another name")
        seen.add(place)
