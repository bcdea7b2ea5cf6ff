"""An offline job goes on where it was stopped or killed, and does nothing twice."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.corridor import PathConfig
from edgeseg.offline import OfflineJob
from edgeseg.offline import parts as parts_module
from edgeseg.sinks.video import VideoSink
from tests.edgeseg.clips import write_clip
from tests.edgeseg.offline.jobs import Told, Workplace, numbers_of, read_video, write_picture
from tests.edgeseg.results import list_names, make_drive, write_all

ROOT = Path(__file__).resolve().parents[3]

EVERYWHERE = PathConfig.model_validate(
    {
        "corridor": [[0, 0], [1, 0], [1, 1], [0, 1]],
        "begin_area": 0.001,
        "end_area": 0.0005,
        "begin_after": "200ms",
    }
)


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
    work.run(clip, write_picture(work.out / "1.png", street), masks=True)
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
    assert len(read_video(work.out / "clip.partial" / "part-00000.mp4")[1]) == 10
    assert len(read_video(work.out / "clip.partial" / "part-00002.mp4")[1]) == done - 20

    report = work.run(clip)
    assert (report.finished, report.frames) == (["clip"], 60 - done)
    assert work.told.begun == [("clip", done, 60)]
    times, _ = read_video(work.out / "clip.overlay.mp4")
    assert times == pytest.approx([index / 25 for index in range(60)], abs=1e-3)
    assert numbers_of(work.out / "clip.overlay.mp4") == [index % 28 for index in range(60)]
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
    assert numbers_of(work.out / "clip.overlay.mp4") == [index % 28 for index in range(60)]


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
