"""Assembly: a live run put together from its configuration, and changed when that changes.

The composition root of `edgeseg run`: here the parts are chosen, nowhere else. Nothing is opened yet but the model.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeseg.changes import AFTER_A_START, APPLIED_AT_ONCE, HTTP_AT_ONCE, Changes
from edgeseg.classes import SegmentClass
from edgeseg.config import Config, FusionConfig, NamedCamera, OverlayConfig
from edgeseg.corridor import PathConfig
from edgeseg.corridors import Corridors, find_state_folder
from edgeseg.errors import EdgesegError, UsageError
from edgeseg.events import Events
from edgeseg.exposition import Family, render
from edgeseg.frame import Segmentation
from edgeseg.fusion import TemporalFusion
from edgeseg.health import Health
from edgeseg.lane import AgeLimit, Lane
from edgeseg.metrics import Metrics
from edgeseg.outputs import choose_all_outputs, choose_pushes
from edgeseg.overlay import draw_overlay
from edgeseg.pipeline import Pipeline
from edgeseg.privacy import PeopleBlur, find_person
from edgeseg.recording.archive import Archive
from edgeseg.recording.recorder import Recorder
from edgeseg.segmenter import SMALL_BUNDLED_MODEL, Segmenter
from edgeseg.sinks import Sink
from edgeseg.sinks.path import PathSink
from edgeseg.sources import SOURCE_HELP, Source, is_endless, open_source
from edgeseg.sources.camera import CameraMode
from edgeseg.sources.orientation import Orientation
from edgeseg.summary import Summary
from edgeseg.telemetry.families import (
    board_families,
    event_family,
    health_families,
    lane_families,
    path_family,
    process_families,
    recorder_families,
)
from edgeseg.telemetry.parts import make_telemetry
from edgeseg.truth import CameraTruth
from edgeseg.upkeep import Upkeep

if TYPE_CHECKING:
    from edgeseg.server.access_config import Access
    from edgeseg.server.page import LivePage
    from edgeseg.server.view import View

logger = logging.getLogger(__name__)


class Assembly:
    """A run: its lanes, its segmenter and what goes on beside the loop. A context manager around `run()`.

    `wait_for_cameras` waits for a camera that is absent at the start; without it that is an error.
    Raises UsageError and ModelError for what cannot be put together.
    """

    def __init__(self, config: Config, *, wait_for_cameras: bool = False) -> None:
        self.config = config
        self.events = Events()
        self._wait_for_cameras = wait_for_cameras
        self.paths: dict[str, PathSink] = {}
        self.corridors = Corridors(self.paths, find_state_folder(config.state_folder), self.events)
        self.recorders: dict[str, Recorder] = {}
        recording = config.recording
        self._archive = None
        if recording.folder is not None:
            self._archive = Archive(recording.folder, recording.keep, events=self.events)
        self._views: list[View] = []
        self._ticks: list[Callable[[], None]] = []
        self._parts = contextlib.ExitStack()
        cameras = config.named_cameras()
        if not cameras:
            raise UsageError(f"no source; give {SOURCE_HELP}, or 'source:' in --config")
        outputs = choose_all_outputs(config)
        if config.http.webrtc and config.http.address is not None:
            # Before a runtime that may be TensorFlow: aiortc's libsrtp crashes when it is loaded after that.
            with contextlib.suppress(ImportError):
                import_module("edgeseg.server.webrtc")
        segmenter = open_segmenter(config)
        self.classes = segmenter.card.segment_classes
        check_privacy(config, self.classes)
        self.lanes = {
            name: self._make_lane(name, camera, [sink for _, sink in outputs[name]]) for name, camera in cameras.items()
        }
        self.pipeline = Pipeline(list(self.lanes.values()), segmenter)
        self.upkeep = self._look_after(config)
        self.every_tick(lambda: self.upkeep.tick())
        self.telemetry = make_telemetry(
            config,
            lanes=self.lanes,
            classes=[item.name for item in self.classes],
            events=self.events,
            board=lambda: self.upkeep.reading,
            person_in_path=lambda name: self.paths[name].person_in_path,
        )
        self.page = self._make_page(config)

    def __enter__(self) -> Assembly:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()

    def every_tick(self, work: Callable[[], None]) -> None:
        """Has `work` called about twice a second while it runs; it must be quick."""
        self._ticks.append(work)

    def families(self) -> Iterator[Family]:
        """Yields the numbers that Prometheus is told."""
        yield from process_families()
        yield from lane_families(self.lanes)
        yield from health_families(self.lanes)
        yield from board_families(self.upkeep.reading, self.upkeep.step)
        yield event_family(self.events.counts())
        yield path_family({name: path.person_in_path for name, path in self.paths.items()})
        yield from recorder_families(self.recorders)
        for part in self.telemetry:
            yield from part.families()

    def stop(self) -> None:
        """Ends the run soon; may come from a signal handler, and more than once."""
        self.pipeline.stop()

    def run(self) -> list[Summary]:
        """Runs to the end; returns the lanes' summaries. Raises the first error that a stage met."""
        self._warn_of_misses(None)
        for part in self.telemetry:
            self._parts.enter_context(part)
        if self.page is not None:
            self._parts.enter_context(self.page)
        return self.pipeline.run(self.config.duration, log_every_s=self.config.log.interval, tick=self._tick)

    def change(self, config: Config) -> Changes:
        """Takes over from another configuration what can change in mid-run, and tells what cannot.

        Raises EdgesegError, with everything as it was, when something in it cannot be had (a model, say).
        """
        before, changes = self.config, Changes()
        segmenter = None
        upkeep = None
        check_privacy(config, self.classes)
        if (config.model, config.heat) != (before.model, before.heat):
            segmenter = open_segmenter(config)
            upkeep = self._look_after(config)
            if segmenter.card.segment_classes != self.classes:
                raise UsageError("model: has other classes than the one that runs; start anew to use it")
        sources = dict(self._new_sources(config, changes))
        if self.page is not None:
            self._use_access(self.page, config.http)
            changes.note(before, config, HTTP_AT_ONCE, changes.applied)
        # From here on nothing can fail.
        self.config = config
        for name, source in sources.items():
            self.lanes[name].replace_source(source)
        if segmenter is not None:
            self.pipeline.replace_segmenter(segmenter)
        if upkeep is not None:
            # From the top of the ladder: what pressed under other limits may not press any more.
            self.pipeline.limit_rate(None)
            self.upkeep = upkeep
        for lane in self.lanes.values():
            self._settle(lane, before)
        self._warn_of_misses(before)
        changes.note(before, config, APPLIED_AT_ONCE, changes.applied)
        changes.applied += [
            f"cameras.{name}.person_in_path" for name in self.lanes if _path_differs(name, before, config)
        ]
        changes.note(before, config, AFTER_A_START, changes.later)
        logging.getLogger("edgeseg").setLevel(config.log.level.upper())
        return changes

    def _new_sources(self, config: Config, changes: Changes) -> Iterator[tuple[str, Source]]:
        """Yields the lanes that are to have another source, with it."""
        old, new = self.config.named_cameras(), config.named_cameras()
        if set(new) != set(self.lanes) and new != old:
            changes.later.append("cameras")
        for name in (name for name in self.lanes if name in old and name in new):
            place = f"cameras.{name}" if config.cameras else "source"
            if (_what_is_opened(new[name]), config.loop, config.pictures) == (
                _what_is_opened(old[name]),
                self.config.loop,
                self.config.pictures,
            ):
                continue
            source = self._open(new[name], self.lanes[name].health, config, wait_for_it=True)
            if not is_endless(new[name].source):
                # What is wrong with a file would end the run once it is too late to refuse it.
                with self._open(new[name], self.lanes[name].health, config, wait_for_it=True):
                    pass
            if source.live and self.lanes[name].source.live:
                changes.applied.append(place)
                yield name, source
            else:
                changes.later.append(place)

    def _make_lane(self, name: str, camera: NamedCamera, sinks: list[Sink]) -> Lane:
        self.paths[name] = PathSink(camera.person_in_path or PathConfig(), self.events, name)
        sinks = [*sinks, self.paths[name], *choose_pushes(self.config, name, self.events)]
        if self._archive is not None:
            recorder = Recorder(self.config.recording, self._archive, camera=name, events=self.events)
            self.recorders[name] = recorder
            sinks.append(recorder)
        health = Health(events=self.events, camera=name)
        source = self._open(camera, health, self.config, wait_for_it=self._wait_for_cameras)
        metrics = Metrics(source=source.name, live=source.live)
        if self.config.http.address is not None:
            from edgeseg.server.feed import PictureFeed
            from edgeseg.server.view import PageSink, View

            view = View(name, PictureFeed(), metrics, health, self.classes, self.config.overlay.opacity)
            self._views.append(view)
            sinks = [*sinks, PageSink(view)]
        lane = Lane(source, sinks, draw=_draw_with(self.config.overlay), name=name, metrics=metrics, health=health)
        self._settle(lane, None)
        return lane

    def _make_page(self, config: Config) -> LivePage | None:
        if config.http.address is None:
            return None
        from edgeseg.server.corridor_routes import corridor_routes
        from edgeseg.server.keys import TOKEN_VARIABLE
        from edgeseg.server.page import LivePage
        from edgeseg.telemetry.metrics_route import metrics_route

        # Taken out of the environment, which every program that this one starts would be given.
        token = os.environ.pop(TOKEN_VARIABLE, None)
        return LivePage(
            config.http.address,
            self._views,
            events=self.events,
            access=config.http,
            token=token,
            webrtc=config.http.webrtc,
            routes=[metrics_route(lambda: render(self.families())), *corridor_routes(self.corridors)],
        )

    def _settle(self, lane: Lane, before: Config | None) -> None:
        """Gives a lane what may change in mid-run; what has a memory only when it is another than `before`."""
        config = self.config
        lane.draw = _draw_with(config.overlay)
        for view in self._views:
            view.opacity = config.overlay.opacity
        lane.age_limit = None if config.max_age is None else AgeLimit(config.max_age * 1e3, config.too_old == "drop")
        if before is None or config.fusion != before.fusion:
            lane.fusion = _make_fusion(config.fusion)
        if before is None or config.picture_check != before.picture_check:
            lane.judge = CameraTruth(config.picture_check).look if lane.source.live else None
        if before is None or config.privacy != before.privacy:
            lane.treat = PeopleBlur().blur if config.privacy == "blur_people" else None
            for view in self._views:
                # With people in it that are to be seen no more; a lost camera has no other picture for long.
                view.feed.forget()
        if (camera := config.named_cameras().get(lane.name)) is not None:
            self.corridors.configure(lane.name, camera.person_in_path or PathConfig())

    def _use_access(self, page: LivePage, access: Access) -> None:
        """Takes over who may watch, whether or not it has changed: the files that it names may have.

        Raises EdgesegError where it has, and is no good. Where it has not, a file that is no good any more (a
        certificate that has run out) keeps nothing else from being taken over.
        """
        try:
            page.use_access(access)
        except EdgesegError as error:
            if access != self.config.http:
                raise
            self.events.add("config_refused", f"http: stays as it was: {error}", level="warning")

    def _warn_of_misses(self, before: Config | None) -> None:
        if self.config.privacy == "blur_people" and (before is None or before.privacy != "blur_people"):
            logger.warning("privacy: people are blurred where the model sees them; whoever it misses is not")

    def _look_after(self, config: Config) -> Upkeep:
        """Raises ModelError when the smaller model cannot be had."""
        small = config.heat.model or (SMALL_BUNDLED_MODEL if config.model.path is None else None)
        if (
            config.heat.enabled
            and small is not None
            and open_segmenter(config, 1, small).card.segment_classes != self.classes
        ):
            raise UsageError(f"heat.model {small}: has other classes than the model it is to stand in for")
        return Upkeep(
            config.heat,
            self.pipeline,
            [lane.metrics for lane in self.lanes.values() if lane.source.live],
            self.events,
            lambda threads, smaller: open_segmenter(config, threads, small if smaller else None),
            threads=config.model.threads,
            small_model=small is not None,
        )

    def _open(self, camera: NamedCamera, health: Health, config: Config, *, wait_for_it: bool) -> Source:
        flip = None if camera.flip == "none" else camera.flip
        return open_source(
            camera.source,
            live=True,
            loop=config.loop,
            camera=CameraMode(camera.size, camera.fps, camera.format),
            pictures_fps=config.pictures.fps,
            orientation=Orientation(camera.rotate, flip),
            signal=health,
            wait_for_it=wait_for_it,
        )

    def _tick(self) -> None:
        for lane in self.lanes.values():
            lane.health.temperature_c = self.upkeep.reading.temperature_c
            lane.health.remarks = tuple(self._remarks(lane.name))
        for work in self._ticks:
            work()

    def _remarks(self, name: str) -> Iterator[str]:
        """Yields what is not as it should be, beside the picture."""
        if self.upkeep.step.rung:
            yield f"does less: {self.upkeep.step.describe()}"
        recorder = self.recorders.get(name)
        if recorder is not None and (reason := recorder.status().reason) is not None:
            yield f"{name}: recording paused: {reason}" if len(self.lanes) > 1 else f"recording paused: {reason}"


def check_privacy(config: Config, classes: Sequence[SegmentClass]) -> None:
    """Raises ModelError when people are to be blurred and the model knows none."""
    if config.privacy == "blur_people":
        find_person(classes)


def open_segmenter(config: Config, threads: int | None = None, model: Path | None = None) -> Segmenter:
    """Returns the configured segmenter, with other threads or another model where they are given. Raises ModelError."""
    return Segmenter(model or config.model.path, threads or config.model.threads, config.model.runtime)


def _path_differs(name: str, before: Config, after: Config) -> bool:
    """Whether what a camera says of its own path has changed."""
    old, new = before.cameras.get(name), after.cameras.get(name)
    return old is not None and new is not None and old.person_in_path != new.person_in_path


def _what_is_opened(camera: NamedCamera) -> NamedCamera:
    """A camera without what is not its source's business."""
    return camera.model_copy(update={"person_in_path": None})


def _draw_with(look: OverlayConfig) -> Callable[[Segmentation], NDArray[np.uint8]]:
    return lambda it: draw_overlay(it.frame.image, it, opacity=look.opacity, legend=look.legend)


def _make_fusion(config: FusionConfig) -> TemporalFusion | None:
    if not config.enabled:
        return None
    return TemporalFusion() if config.half_life is None else TemporalFusion(config.half_life * 1e3)
