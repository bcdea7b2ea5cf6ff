"""OfflineJob with a real model and real files: lossless, and what was asked for."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.corridor import PathConfig
from tests.edgeseg.clips import turn_clip, write_clip
from tests.edgeseg.offline.jobs import Workplace, numbers_of, read_video, write_picture
from tests.edgeseg.results import list_names


@pytest.mark.parametrize("fps", [25, 12])
def test_a_video_loses_nothing(work: Workplace, fps: int) -> None:
    report = work.run(write_clip(work.folder / "a drive.mp4", 40, fps=fps))
    assert (report.finished, report.frames, report.exit_code) == (["a drive"], 40, 0)
    times, _ = read_video(work.out / "a drive.overlay.mp4")
    assert times == pytest.approx([index / fps for index in range(40)], abs=1e-3)
    assert numbers_of(work.out / "a drive.overlay.mp4") == [index % 28 for index in range(40)]
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
    times, _ = read_video(work.out / "vfr.overlay.mp4")
    assert times == pytest.approx([ms / 1000 for ms in times_ms], abs=1e-3)


def test_a_turned_video_comes_out_upright(work: Workplace) -> None:
    path = write_clip(work.folder / "phone.mp4", 3, width=64, height=48)
    turn_clip(path, 90)
    work.run(path, masks=True)
    _, pictures = read_video(work.out / "phone.overlay.mp4")
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
    work.run(write_picture(work.folder / "Straße 1.png", street), masks=True)
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
    write_picture(folder / "a.png", street)
    write_picture(folder / "b.jpg", street[:100])
    write_picture(folder / "c.png", street)
    write_picture(folder / "c.jpg", street)
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
    assert len(read_video(work.out / "clip.overlay.mp4")[1]) == 3
    assert len(read_video(work.out / "clip-2.overlay.mp4")[1]) == 5


def test_outputs_beside_the_inputs_leave_them_alone(work: Workplace) -> None:
    work.out.mkdir()
    clip = write_clip(work.out / "clip.mp4", 3)
    before = clip.read_bytes()
    work.run(clip)
    assert clip.read_bytes() == before
    assert "clip.overlay.mp4" in list_names(work.out)


def test_without_a_corridor_there_is_no_file_of_events(work: Workplace, drive: Path) -> None:
    work.run(drive, path=PathConfig())
    assert not (work.out / "drive.events.jsonl").exists()


def test_people_are_blurred_in_what_is_written(work: Workplace, drive: Path) -> None:
    work.run(drive, opacity=0.0)
    clear = read_video(work.out / "drive.overlay.mp4")[1][50]
    work.out = work.folder / "private"
    work.run(drive, opacity=0.0, blur_people=True)
    blurred = read_video(work.out / "drive.overlay.mp4")[1][50]
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
