"""OfflineJob with a real model and real files: lossless, continued, and past what is broken."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.corridor import PathConfig
from edgeseg.errors import DataError, InputNotFoundError, ModelError, SinkUnavailableError
from edgeseg.offline import Choices, OfflineJob, Report
from edgeseg.offline import parts as parts_module
from edgeseg.sinks.video import VideoSink
from tests.edgeseg.clips import turn_clip, write_clip
from tests.edgeseg.results import list_names, make_drive, write_all

ROOT = Path(__file__).resolve().parents[3]


class Told:
    """Takes the progress down; `on_count` may do something at a frame."""

    def __init__(self, on_count: Callable[[int], None] = lambda done: None) -> None:
        self.begun: list[tuple[str, int, int | None]] = []
        self.counts: list[int] = []
        self.lines: list[str] = []
        self._on_count = on_count

    def __enter__(self) -> Told:
        return self

    def __exit__(self, *_: object) -> None: ...

    def begin(self, name: str, done: int, total: int | None) -> None:
        self.begun.append((name, done, total))

    def count(self, done: int) -> None:
        self.counts.append(done)
        self._on_count(done)

    def say(self, line: str) -> None:
        self.lines.append(line)


class Workplace:
    """A model, a folder for outputs, and jobs."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.model = model
        self.folder = folder
        self.out = folder / "out"
        self.told = Told()

    def run(self, *inputs: Path, stop_at: int | None = None, **choices: Any) -> Report:
        job = OfflineJob(
            inputs,
            self.out,
            model=self.model,
            choices=Choices(**choices),
            progress=Told(lambda done: job.stop() if done == stop_at else None),
        )
        self.told = job._progress  # type: ignore[assignment]
        return job.run()

    def records(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.out / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def work(tiny_model: Path, tmp_path: Path) -> Workplace:
    return Workplace(tiny_model, tmp_path)


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """A video of 100 frames in which the tiny model sees road, a vehicle that moves and a person."""
    path = tmp_path / "drive.mp4"
    write_all(VideoSink(path), make_drive(100, width=192, height=128))
    return path


def _video(path: Path) -> tuple[list[float], list[NDArray[np.uint8]]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        frames = [(float(f.pts * stream.time_base), f.to_ndarray(format="bgr24")) for f in container.decode(stream)]
    return [round(time, 4) for time, _ in frames], [picture for _, picture in frames]


def _numbers(path: Path) -> list[int]:
    """The numbers that the pictures of a video show. Encoding it twice costs up to five grey levels of eight."""
    return [round(float(picture[24:36, 32:48].mean()) / 8 - 1.7) for picture in _video(path)[1]]


def _picture(path: Path, street: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), street)
    return path


@pytest.mark.parametrize("fps", [25, 12])
def test_a_video_loses_nothing(work: Workplace, fps: int) -> None:
    report = work.run(write_clip(work.folder / "a drive.mp4", 40, fps=fps))
    assert (report.finished, report.frames, report.exit_code) == (["a drive"], 40, 0)
    times, _ = _video(work.out / "a drive.overlay.mp4")
    assert times == pytest.approx([index / fps for index in range(40)], abs=1e-3)
    assert _numbers(work.out / "a drive.overlay.mp4") == [index % 28 for index in range(40)]
    records = work.records("a drive")
    assert [record["index"] for record in records] == list(range(40))
    assert [record["time_s"] for record in records] == pytest.approx(times, abs=1e-3)
    assert set(records[0]["timings_ms"]) >= {"preprocess", "inference", "fusion", "decide"}
    assert work.told.begun == [("a drive", 0, 40)]
    assert work.told.counts == list(range(1, 41))
    assert list_names(work.out) == [".edgeseg", "a drive.jsonl", "a drive.overlay.mp4"]


def test_a_video_with_a_variable_rate_keeps_its_times(work: Workplace) -> None:
    times_ms = [0, 40, 80, 240, 280, 1000]
    work.run(write_clip(work.folder / "vfr.mp4", 6, times_ms=times_ms))
    times, _ = _video(work.out / "vfr.overlay.mp4")
    assert times == pytest.approx([ms / 1000 for ms in times_ms], abs=1e-3)


def test_a_turned_video_comes_out_upright(work: Workplace) -> None:
    path = write_clip(work.folder / "phone.mp4", 3, width=64, height=48)
    turn_clip(path, 90)
    work.run(path, masks=True)
    _, pictures = _video(work.out / "phone.overlay.mp4")
    assert pictures[0].shape == (64, 48, 3)
    mask = cv2.imread(str(work.out / "phone.masks" / "000000.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    assert mask.shape == (64, 48)


def test_what_is_asked_for_is_made_and_nothing_else(work: Workplace) -> None:
    clip = write_clip(work.folder / "clip.mp4", 3)
    work.run(clip, masks=True, overlay=False, records=False)
    assert list_names(work.out) == [".edgeseg", "clip.masks"]
    assert list_names(work.out / "clip.masks") == ["000000.png", "000001.png", "000002.png"]


def test_the_overlay_shows_what_the_model_saw(work: Workplace, street: NDArray[np.uint8]) -> None:
    work.run(_picture(work.folder / "Straße 1.png", street), masks=True)
    mask = cv2.imread(str(work.out / "Straße 1.mask.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    assert (mask[180, 20], mask[90, 80], mask[90, 220], mask[20, 20]) == (1, 2, 3, 0)
    overlay = cv2.imread(str(work.out / "Straße 1.overlay.jpg"))
    assert overlay is not None
    assert overlay.shape == street.shape
    road, seen = overlay[180, 20].astype(int), street[180, 20].astype(int)
    assert np.abs(road - (seen + np.array([120, 190, 38])) // 2).max() < 12
    [record] = work.records("Straße 1")
    assert "time_s" not in record
    assert list_names(work.out) == [".edgeseg", "Straße 1.jsonl", "Straße 1.mask.png", "Straße 1.overlay.jpg"]


def test_a_folder_of_pictures_of_many_sizes_comes_out_as_pictures(work: Workplace, street: NDArray[np.uint8]) -> None:
    folder = work.folder / "tour"
    _picture(folder / "a.png", street)
    _picture(folder / "b.jpg", street[:100])
    _picture(folder / "c.png", street)
    _picture(folder / "c.jpg", street)
    report = work.run(folder, masks=True)
    assert (report.finished, report.frames) == (["tour"], 4)
    assert list_names(work.out / "tour.overlay") == ["a.jpg", "b.jpg", "c.jpg.jpg", "c.png.jpg"]
    assert list_names(work.out / "tour.masks") == ["a.png", "b.png", "c.jpg.png", "c.png.png"]
    small = cv2.imread(str(work.out / "tour.masks" / "b.png"), cv2.IMREAD_UNCHANGED)
    assert small is not None
    assert small.shape == (100, 320)
    assert [Path(record["source"]).name for record in work.records("tour")] == ["a.png", "b.jpg", "c.jpg", "c.png"]


def test_two_inputs_with_one_name_do_not_overwrite_each_other(work: Workplace) -> None:
    for folder, frames in (("a", 3), ("b", 5)):
        (work.folder / folder).mkdir()
        write_clip(work.folder / folder / "clip.mp4", frames)
    work.run(work.folder / "a/clip.mp4", work.folder / "b/clip.mp4")
    assert len(_video(work.out / "clip.overlay.mp4")[1]) == 3
    assert len(_video(work.out / "clip-2.overlay.mp4")[1]) == 5


def test_outputs_beside_the_inputs_leave_them_alone(work: Workplace) -> None:
    work.out.mkdir()
    clip = write_clip(work.out / "clip.mp4", 3)
    before = clip.read_bytes()
    work.run(clip)
    assert clip.read_bytes() == before
    assert "clip.overlay.mp4" in list_names(work.out)


def test_what_is_done_is_not_done_again(work: Workplace) -> None:
    clip = write_clip(work.folder / "clip.mp4", 3)
    work.run(clip)
    stamp = (work.out / "clip.overlay.mp4").stat().st_mtime_ns
    report = work.run(clip)
    assert (report.finished, report.skipped, report.frames) == ([], ["clip"], 0)
    assert (work.out / "clip.overlay.mp4").stat().st_mtime_ns == stamp
    (work.out / "clip.jsonl").unlink()
    assert work.run(clip).finished == ["clip"]
    assert work.run(clip, masks=True).finished == ["clip"]
    write_clip(clip, 4)
    assert work.run(clip, masks=True).frames == 4


def test_what_is_done_is_known_from_another_folder(work: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(work.folder / "clip.mp4", 3)
    (work.folder / "elsewhere").mkdir()
    for folder, out in ((work.folder, "out"), (work.folder / "elsewhere", "../out")):
        monkeypatch.chdir(folder)
        work.out = Path(out)
        report = work.run(clip, masks=True)
    assert (report.finished, report.skipped) == ([], ["clip"])
    assert work.told.lines == [f"{clip}: done already, ../out/clip.overlay.mp4, ../out/clip.masks, ../out/clip.jsonl"]


def test_a_folder_whose_outputs_lie_in_it_may_be_processed_again(work: Workplace, street: NDArray[np.uint8]) -> None:
    work.out.mkdir()
    clip = write_clip(work.out / "clip.mp4", 3)
    work.run(clip, _picture(work.out / "1.png", street), masks=True)
    before = list_names(work.out)
    report = work.run(*sorted(work.out.glob("*.mp4")), work.out / "1.png", masks=True)
    assert (report.finished, report.skipped, report.errors) == ([], ["clip", "1"], [])
    assert list_names(work.out) == before
    assert f"{work.out / 'clip.overlay.mp4'}: left out, an earlier run made it" in work.told.lines


def test_another_model_does_the_work_again(work: Workplace, tiny_float_model: Path) -> None:
    clip = write_clip(work.folder / "clip.mp4", 3)
    work.run(clip)
    work.model = tiny_float_model
    assert work.run(clip).finished == ["clip"]


def test_a_stopped_job_goes_on_where_it_was_stopped(work: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "PART_FRAMES", 10)
    clip = write_clip(work.folder / "clip.mp4", 60)
    report = work.run(clip, stop_at=23)
    assert (report.finished, report.interrupted, report.exit_code) == ([], True, 0)
    done = work.told.counts[-1]
    assert 23 <= done < 60
    assert work.told.lines == [f"{clip}: stopped after {done} frames; the same command goes on there"]
    # What there is can be played.
    assert len(_video(work.out / "clip.partial" / "part-00000.mp4")[1]) == 10
    assert len(_video(work.out / "clip.partial" / "part-00002.mp4")[1]) == done - 20

    report = work.run(clip)
    assert (report.finished, report.frames) == (["clip"], 60 - done)
    assert work.told.begun == [("clip", done, 60)]
    times, _ = _video(work.out / "clip.overlay.mp4")
    assert times == pytest.approx([index / 25 for index in range(60)], abs=1e-3)
    assert _numbers(work.out / "clip.overlay.mp4") == [index % 28 for index in range(60)]
    assert [record["index"] for record in work.records("clip")] == list(range(60))
    assert list_names(work.out) == [".edgeseg", "clip.jsonl", "clip.overlay.mp4"]


@pytest.mark.parametrize("fps", [25, 100])
def test_an_interrupted_job_gives_what_an_uninterrupted_one_gives(
    work: Workplace, monkeypatch: pytest.MonkeyPatch, fps: int
) -> None:
    """With fusion, whose memory reaches back over the place of the interruption: in time, whatever the rate."""
    monkeypatch.setattr(parts_module, "PART_FRAMES", 20)
    drive = work.folder / "drive.mp4"
    write_all(VideoSink(drive), make_drive(100, fps=fps, width=192, height=128))
    work.run(drive, stop_at=50, overlay=False)
    work.run(drive, overlay=False)
    halves = [record["shares"] for record in work.records("drive")]
    shutil.rmtree(work.out)
    work.run(drive, overlay=False)
    whole = [record["shares"] for record in work.records("drive")]
    assert len(halves) == 100
    assert halves == whole
    assert len({json.dumps(shares) for shares in whole}) > 15


def test_a_killed_job_goes_on_at_the_last_complete_part(work: Workplace) -> None:
    clip = write_clip(work.folder / "clip.mp4", 60)
    script = f"""
        import os, signal
        from pathlib import Path
        from edgeseg.offline import OfflineJob, parts
        from edgeseg.offline.progress import LineProgress
        class Kill(LineProgress):
            def count(self, done):
                if done == 37:
                    os.kill(os.getpid(), signal.SIGKILL)
        parts.PART_FRAMES = 10
        inputs, out, model = [Path({str(clip)!r})], Path({str(work.out)!r}), Path({str(work.model)!r})
        OfflineJob(inputs, out, model=model, progress=Kill(None)).run()
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    report = work.run(clip)
    assert work.told.begun == [("clip", 30, 60)]
    assert (report.finished, report.frames) == (["clip"], 30)
    assert _numbers(work.out / "clip.overlay.mp4") == [index % 28 for index in range(60)]


def test_other_choices_do_not_go_on_with_what_the_old_ones_left(work: Workplace) -> None:
    clip = write_clip(work.folder / "clip.mp4", 40)
    work.run(clip, stop_at=20)
    report = work.run(clip, fusion=0.0)
    assert work.told.begun == [("clip", 0, 40)]
    assert report.frames == 40


def test_a_job_that_is_stopped_before_it_begins_does_nothing(work: Workplace) -> None:
    clip = write_clip(work.folder / "clip.mp4", 5)
    job = OfflineJob([clip], work.out, model=work.model, progress=Told())
    job.stop()
    report = job.run()
    assert (report.frames, report.interrupted) == (0, True)
    assert list_names(work.out) == []


def test_a_broken_file_among_many_is_named_and_the_others_are_done(work: Workplace, street: NDArray[np.uint8]) -> None:
    text = work.folder / "text.mp4"
    text.write_text("no video")
    inputs = [
        write_clip(work.folder / "a.mp4", 3),
        text,
        work.folder / "gone.mp4",
        _picture(work.folder / "b.png", street),
    ]
    report = work.run(*inputs)
    assert report.finished == ["a", "b"]
    assert {type(error) for error in report.errors} == {InputNotFoundError, DataError}
    assert report.exit_code == report.errors[0].exit_code
    assert any(str(text) in line and line.startswith("edgeseg: error: ") for line in work.told.lines)
    assert "text.partial" not in list_names(work.out)


def test_a_broken_picture_in_a_folder_is_named_and_the_others_are_done(
    work: Workplace, street: NDArray[np.uint8]
) -> None:
    folder = work.folder / "tour"
    for name in ("1.png", "2.png", "3.png"):
        _picture(folder / name, street)
    (folder / "2.png").write_bytes(b"\x89PNG not at all")
    report = work.run(folder)
    assert list_names(work.out / "tour.overlay") == ["1.jpg", "3.jpg"]
    assert report.exit_code == 65
    assert [str(folder / "2.png") in str(error) for error in report.errors] == [True]
    # It is still broken in the next run, which does nothing else.
    again = work.run(folder)
    assert (again.skipped, again.exit_code) == (["tour"], 65)
    _picture(folder / "2.png", street)
    assert work.run(folder).exit_code == 0
    assert list_names(work.out / "tour.overlay") == ["1.jpg", "2.jpg", "3.jpg"]


def test_a_picture_that_is_broken_leaves_nothing_behind(work: Workplace, street: NDArray[np.uint8]) -> None:
    path = work.folder / "1.png"
    path.write_bytes(b"\x89PNG not at all")
    report = work.run(path, masks=True)
    assert (report.finished, report.exit_code, len(report.errors)) == ([], 65, 1)
    assert list_names(work.out) == []
    _picture(path, street)
    assert work.run(path, masks=True).finished == ["1"]


def test_files_of_a_longer_input_do_not_stay(work: Workplace) -> None:
    clip = write_clip(work.folder / "clip.mp4", 5)
    work.run(clip, masks=True)
    work.run(write_clip(clip, 3), masks=True)
    assert list_names(work.out / "clip.masks") == ["000000.png", "000001.png", "000002.png"]


def test_files_of_somebody_else_stay(work: Workplace) -> None:
    (work.out / "clip.masks").mkdir(parents=True)
    (work.out / "clip.masks" / "mine.txt").write_text("notes")
    work.run(write_clip(work.folder / "clip.mp4", 1), masks=True)
    assert list_names(work.out / "clip.masks") == ["000000.png", "mine.txt"]


def test_a_video_that_is_cut_off_gives_what_it_holds_and_an_error(work: Workplace, drive: Path) -> None:
    # Its index is in front, so that a part of it can be read up to the cut.
    cut = work.folder / "cut.mp4"
    cut.write_bytes(drive.read_bytes()[: drive.stat().st_size * 2 // 3])
    report = work.run(cut)
    assert report.exit_code == 65
    assert str(cut) in str(report.errors[0])
    times, _ = _video(work.out / "cut.overlay.mp4")
    assert 10 < len(times) < 100
    assert len(work.records("cut")) == len(times)
    assert work.run(cut).exit_code == 65


def test_an_output_folder_that_cannot_be_made_is_told_at_once(work: Workplace) -> None:
    (work.folder / "out").write_text("in the way")
    clip = write_clip(work.folder / "clip.mp4", 3)
    with pytest.raises(SinkUnavailableError, match="out: cannot be written: ") as caught:
        work.run(clip)
    assert "\n" not in str(caught.value)


def test_a_model_that_is_none_is_told_before_anything_is_made(work: Workplace) -> None:
    work.model = work.folder / "model.tflite"
    work.model.write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"model\.tflite"):
        work.run(write_clip(work.folder / "clip.mp4", 3))
    assert not work.out.exists()


EVERYWHERE = PathConfig.model_validate(
    {
        "corridor": [[0, 0], [1, 0], [1, 1], [0, 1]],
        "begin_area": 0.001,
        "end_area": 0.0005,
        "begin_after": "200ms",
    }
)


def test_who_is_in_the_path_is_told_the_same_however_often_the_work_was_interrupted(
    work: Workplace, drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.offline.parts.PART_FRAMES", 20)
    work.run(drive, path=EVERYWHERE)
    whole = (work.out / "drive.events.jsonl").read_text(encoding="utf-8")
    begin, end = (json.loads(line) for line in whole.splitlines())
    assert (begin["kind"], begin["details"]["change"]) == ("person_in_path", "begin")
    assert end["details"]["reason"] == "the video has ended"
    assert end["details"]["began_s"] == begin["details"]["began_s"]
    work.out = work.folder / "again"
    for frame in (3, 30, 65):
        assert work.run(drive, stop_at=frame, path=EVERYWHERE).interrupted
    assert not work.run(drive, path=EVERYWHERE).interrupted
    assert (work.out / "drive.events.jsonl").read_text(encoding="utf-8") == whole
    assert list_names(work.out) == [".edgeseg", "drive.events.jsonl", "drive.jsonl", "drive.overlay.mp4"]


def test_without_a_corridor_there_is_no_file_of_events(work: Workplace, drive: Path) -> None:
    work.run(drive, path=PathConfig())
    assert not (work.out / "drive.events.jsonl").exists()


def test_people_are_blurred_in_what_is_written(work: Workplace, drive: Path) -> None:
    work.run(drive, opacity=0.0)
    clear = _video(work.out / "drive.overlay.mp4")[1][50]
    work.out = work.folder / "private"
    work.run(drive, opacity=0.0, blur_people=True)
    blurred = _video(work.out / "drive.overlay.mp4")[1][50]
    changed = np.abs(clear.astype(int) - blurred).max(axis=2) > 40
    assert 0 < changed.mean() < 0.5


def test_explained_shows_below_the_overlay_how_sure_the_model_is(work: Workplace) -> None:
    path = work.folder / "street.png"
    cv2.imwrite(str(path), np.full((40, 60, 3), 100, np.uint8))
    work.run(path)
    plain = cv2.imread(str(work.out / "street.overlay.jpg"))
    work.run(path, explain=True)
    explained = cv2.imread(str(work.out / "street.overlay.jpg"))
    assert (plain.shape, explained.shape) == ((40, 60, 3), (60, 60, 3))
    assert np.abs(explained[:40].astype(int) - plain).mean() < 4
