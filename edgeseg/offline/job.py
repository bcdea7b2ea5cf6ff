"""OfflineJob: every input through the same loop as a camera, but losing nothing, and only what is not done yet."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from edgeseg.corridor import Corridor, PathConfig
from edgeseg.errors import DataError, EdgesegError, InputNotFoundError, SinkUnavailableError
from edgeseg.frame import Frame, Segmentation
from edgeseg.fusion import TemporalFusion
from edgeseg.lane import Lane
from edgeseg.offline.inputs import PictureList, RestOfVideo
from edgeseg.offline.parts import PartRecorder, find_parts, join_records, join_videos, write_events
from edgeseg.offline.plan import JOB, Item, identify, plan_items, read_record, write_record
from edgeseg.offline.progress import Progress, format_seconds, show_progress
from edgeseg.overlay import DEFAULT_OPACITY, draw_overlay
from edgeseg.pipeline import Pipeline
from edgeseg.privacy import DEFAULT_HOLD_S, PeopleBlur
from edgeseg.segmenter import Segmenter
from edgeseg.sinks.files import prepare_folder, say_why
from edgeseg.sinks.masks import MaskSink
from edgeseg.sinks.pictures import PictureSink
from edgeseg.sinks.sink import Sink
from edgeseg.uncertainty import draw_explained

#: How much of what comes before the place where work goes on is segmented again, in half-lives of the fusion: it
#: remembers a thousandth of what was before that.
WARM_UP_HALF_LIVES = 10


@dataclass(frozen=True, slots=True)
class Choices:
    """What is made of every input; another choice makes it anew.

    fusion: the half life of a picture in milliseconds, 0 to decide every picture by itself, None for fusion.py's own.
    path: of videos, who is in it and when; None where that is not asked for. explain: the overlay has how sure the
    model is of it below.
    """

    overlay: bool = True
    masks: bool = False
    records: bool = True
    fusion: float | None = None
    opacity: float = DEFAULT_OPACITY
    legend: bool = False
    blur_people: bool = False
    path: PathConfig | None = None
    explain: bool = False

    def describe(self) -> dict[str, Any]:
        """Returns the choices as JSON-ready values."""
        return {**asdict(replace(self, path=None)), "path": self.path and self.path.model_dump(mode="json")}


@dataclass(slots=True)
class Report:
    """What came of a job: names of inputs, and the errors of those that failed as a whole or in part."""

    finished: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    errors: list[EdgesegError] = field(default_factory=list)
    frames: int = 0
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """That of the first error; 0 without one, also when the job was interrupted."""
        return self.errors[0].exit_code if self.errors else 0


class OfflineJob:
    """Processes recorded videos, pictures and folders of either. Call `run()` once; `stop()` may come from anywhere."""

    def __init__(
        self,
        inputs: Sequence[Path],
        out: Path,
        *,
        model: Path | None = None,
        threads: int = 1,
        choices: Choices | None = None,
        progress: Progress | None = None,
    ) -> None:
        """`threads` are the interpreter's. Progress goes to stderr unless it is given."""
        self._inputs = inputs
        self._out = out
        self._model = model
        self._threads = threads
        self._choices = choices or Choices()
        self._progress = progress or show_progress(Console(stderr=True))
        self._stopped = False
        self._pipeline: Pipeline | None = None

    def stop(self) -> None:
        """Ends the job soon, what was done stays; may come from a signal handler, and more than once."""
        self._stopped = True
        if self._pipeline is not None:
            self._pipeline.stop()

    def run(self) -> Report:
        """Does the work. An input that fails is reported and the others are done.

        Raises ModelError, and SinkUnavailableError when the outputs cannot be written: then nothing else can be done.
        """
        report = Report()
        with self._progress as progress, Segmenter(self._model, self._threads) as segmenter:
            model_sha256 = hashlib.sha256(segmenter.path.read_bytes()).hexdigest()
            plan = plan_items(self._inputs, self._out)
            if plan.items:
                prepare_folder(self._out)
            for path in plan.left_out:
                progress.say(f"{path}: left out, an earlier run made it")
            for error in plan.errors:
                _fail(report, progress, error)
            for item in plan.items:
                if self._stopped:
                    break
                self._do(item, model_sha256, segmenter, report)
            report.interrupted = self._stopped
        return report

    def _do(self, item: Item, model_sha256: str, segmenter: Segmenter, report: Report) -> None:
        try:
            identity = identify(item, model_sha256, self._choices.describe())
            done = read_record(item.record(self._out))
            if (
                done is not None
                and done["identity"] == identity
                and all((self._out / name).exists() for name in done["outputs"])
            ):
                report.skipped.append(item.name)
                places = ", ".join(str(self._out / name) for name in done["outputs"])
                self._progress.say(f"{item.path}: done already, {places}")
                broken = done["broken"]
            else:
                broken = self._make(item, identity, segmenter, report)
        except (DataError, InputNotFoundError) as error:
            _fail(report, self._progress, error)
        else:
            for message in broken:
                _fail(report, self._progress, DataError(message))

    def _make(self, item: Item, identity: dict[str, object], segmenter: Segmenter, report: Report) -> list[str]:
        """Processes one input; returns what was said of the pieces of it that could not be read."""
        began_s = time.monotonic()
        partial = item.partial(self._out)
        job = read_record(partial / JOB)
        if job is None or job["identity"] != identity:
            # Of another model, other choices or an input that has changed since.
            shutil.rmtree(partial, ignore_errors=True)
            with _outputs_of(self._out):
                write_record(partial / JOB, {"identity": identity})
        recorder = self._recorder(item, partial)
        before = recorder.following
        try:
            self._segment(item, recorder, segmenter)
        except (DataError, InputNotFoundError) as error:
            if not recorder.parts:
                shutil.rmtree(partial, ignore_errors=True)
                raise
            # Cut off on the way: what could be read is worth having.
            recorder.leave_out(error)
        if not recorder.parts and not self._stopped:
            # Not one of its pictures could be read.
            shutil.rmtree(partial, ignore_errors=True)
            return recorder.broken
        frames = recorder.following - before
        report.frames += frames
        with _outputs_of(self._out):
            complete = not self._stopped and self._finish(item, recorder, identity)
        if not complete:
            self._progress.say(
                f"{item.path}: stopped after {recorder.following} frames; the same command goes on there"
            )
            return []
        report.finished.append(item.name)
        spent_s = time.monotonic() - began_s
        self._progress.say(
            f"{item.path}: {recorder.following} frames"
            + (f" ({before} of them earlier)" if before else "")
            + f" in {format_seconds(spent_s)}, {frames / spent_s:.1f} frames/s"
        )
        return recorder.broken

    def _recorder(self, item: Item, partial: Path) -> PartRecorder:
        choices = self._choices
        of_video = item.kind == "video"
        name_file = _by_number if of_video else _by_picture(item.pictures)
        others: list[Sink] = []
        if choices.masks:
            others.append(MaskSink(partial / "masks", name_file))
        if choices.overlay and not of_video:
            others.append(PictureSink(partial / "overlay", name_file))
        video = choices.overlay and of_video
        return PartRecorder(
            partial,
            find_parts(partial, video=video, records=choices.records),
            video=video,
            clock=None if not choices.records else "file" if of_video else "none",
            others=others,
            count=self._progress.count,
            corridor=self._corridor(item),
        )

    def _corridor(self, item: Item) -> Corridor | None:
        """Where to look for people in the path; None for pictures, which need not follow each other."""
        path = self._choices.path
        return None if path is None or path.corridor is None or item.kind != "video" else Corridor(path.corridor)

    def _segment(self, item: Item, recorder: PartRecorder, segmenter: Segmenter) -> None:
        first = recorder.following

        def opened(total: int | None) -> None:
            self._progress.begin(item.name, first, total)

        source: RestOfVideo | PictureList
        if item.kind == "video":
            fusion = _make_fusion(self._choices.fusion)
            begin_ns = recorder.following_ns
            if fusion is not None:
                begin_ns -= round(WARM_UP_HALF_LIVES * fusion.half_life_ms * 1e6)
            source = RestOfVideo(item.path, begin_ns, opened)
        else:
            # Pictures of a folder need not follow each other.
            fusion = None
            source = PictureList(str(item.path), item.pictures, first, recorder.leave_out, opened)
        treat = PeopleBlur(hold_s=DEFAULT_HOLD_S if item.kind == "video" else 0.0).blur
        lane = Lane(
            source,
            [recorder],
            draw=self._draw,
            fusion=fusion,
            treat=treat if self._choices.blur_people else None,
        )
        self._pipeline = Pipeline([lane], _KeptOpen(segmenter))
        if self._stopped:
            self._pipeline.stop()
        self._pipeline.run()

    def _draw(self, segmentation: Segmentation) -> NDArray[np.uint8]:
        choices = self._choices
        draw = draw_explained if choices.explain else draw_overlay
        return draw(segmentation.frame.image, segmentation, choices.opacity, legend=choices.legend)

    def _finish(self, item: Item, recorder: PartRecorder, identity: dict[str, object]) -> bool:
        """Gives the outputs their names; returns False when it was stopped. Raises OSError."""
        partial = item.partial(self._out)
        before = read_record(item.record(self._out))
        ours = before["outputs"] if before else []
        outputs: list[Path] = []
        if self._choices.overlay:
            outputs.append(item.overlay(self._out))
            if item.kind != "video":
                _move(partial / "overlay", outputs[-1], item, ours)
            elif not join_videos(recorder.parts, outputs[-1], lambda: self._stopped):
                return False
        if self._choices.masks:
            outputs.append(item.masks(self._out))
            _move(partial / "masks", outputs[-1], item, ours)
        if self._choices.records:
            outputs.append(item.records(self._out))
            join_records(recorder.parts, outputs[-1])
        if self._choices.path is not None and self._corridor(item) is not None:
            outputs.append(item.events(self._out))
            write_events(recorder.parts, self._choices.path, outputs[-1])
        # By their names in the folder, so that the same job is known wherever it is run from.
        names = [path.name for path in outputs]
        done = {"identity": identity, "outputs": names, "broken": recorder.broken}
        write_record(item.record(self._out), done)
        shutil.rmtree(partial)
        return True


class _KeptOpen:
    """The segmenter for one loop after the other, none of which closes it."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

    def __enter__(self) -> _KeptOpen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The job closes it."""

    def segment(self, picture: Frame, fusion: TemporalFusion | None = None, /) -> Segmentation:
        return self._segmenter.segment(picture, fusion)


@contextlib.contextmanager
def _outputs_of(out: Path) -> Iterator[None]:
    """Tells of a disk that fails while files get their names. What is done stays, the same command goes on there."""
    try:
        yield
    except OSError as error:
        raise SinkUnavailableError(f"{out}: cannot be written: {say_why(error)}") from error


def _fail(report: Report, progress: Progress, error: EdgesegError) -> None:
    report.errors.append(error)
    progress.say(f"edgeseg: error: {error}")


def _make_fusion(half_life_ms: float | None) -> TemporalFusion | None:
    if half_life_ms == 0:
        return None
    return TemporalFusion() if half_life_ms is None else TemporalFusion(half_life_ms)


def _by_number(frame: Frame) -> str:
    return f"{frame.index:06d}"


def _by_picture(paths: Sequence[Path]) -> Callable[[Frame], str]:
    """Names a file after its picture: the stem, with the suffix where two pictures share it (a.png, a.jpg)."""
    stems = Counter(path.stem for path in paths)
    names = {str(path): path.name if stems[path.stem] > 1 else path.stem for path in paths}
    return lambda frame: names[frame.source]


def _move(made: Path, target: Path, item: Item, ours: Sequence[str]) -> None:
    """Gives files their place: instead of what an earlier run made there (`ours`), beside what somebody else did."""
    files = sorted(made.iterdir())
    if item.kind == "picture":
        for path in files:
            path.replace(target)
        return
    # Nothing is left to move when a run was killed after this and before it was noted.
    if files and target.name in ours:
        shutil.rmtree(target, ignore_errors=True)
    target.mkdir(exist_ok=True)
    for path in files:
        path.replace(target / path.name)
