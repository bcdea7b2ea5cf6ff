"""An offline job names what is broken and does the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.errors import DataError, InputNotFoundError, ModelError, SinkUnavailableError
from tests.edgeseg.clips import write_clip
from tests.edgeseg.offline.jobs import Workplace, read_video, write_picture
from tests.edgeseg.results import list_names


def test_a_broken_file_among_many_is_named_and_the_others_are_done(work: Workplace, street: NDArray[np.uint8]) -> None:
    text = work.folder / "text.mp4"
    text.write_text("no video")
    inputs = [
        write_clip(work.folder / "a.mp4", 3),
        text,
        work.folder / "gone.mp4",
        write_picture(work.folder / "b.png", street),
    ]
    report = work.run(*inputs)
    assert report.finished == ["a", "b"]
    assert {type(error) for error in report.errors} == {InputNotFoundError, DataError}
    assert report.exit_code == report.errors[0].exit_code
    assert any(str(text) in line and line.startswith("edgeseg: error: ") for line in work.told.lines)
    assert "text.partial" not in list_names(work.out)


def test_an_input_that_is_not_there_makes_no_folder(work: Workplace) -> None:
    assert work.run(work.folder / "gone.mp4").exit_code == InputNotFoundError.exit_code
    assert not work.out.exists()


def test_a_broken_picture_in_a_folder_is_named_and_the_others_are_done(
    work: Workplace, street: NDArray[np.uint8]
) -> None:
    folder = work.folder / "tour"
    for name in ("1.png", "2.png", "3.png"):
        write_picture(folder / name, street)
    (folder / "2.png").write_bytes(b"\x89PNG not at all")
    report = work.run(folder)
    assert list_names(work.out / "tour.overlay") == ["1.jpg", "3.jpg"]
    assert report.exit_code == 65
    assert [str(folder / "2.png") in str(error) for error in report.errors] == [True]
    # It is still broken in the next run, which does nothing else.
    again = work.run(folder)
    assert (again.skipped, again.exit_code) == (["tour"], 65)
    write_picture(folder / "2.png", street)
    assert work.run(folder).exit_code == 0
    assert list_names(work.out / "tour.overlay") == ["1.jpg", "2.jpg", "3.jpg"]


def test_a_picture_that_is_broken_leaves_nothing_behind(work: Workplace, street: NDArray[np.uint8]) -> None:
    path = work.folder / "1.png"
    path.write_bytes(b"\x89PNG not at all")
    report = work.run(path, masks=True)
    assert (report.finished, report.exit_code, len(report.errors)) == ([], 65, 1)
    assert list_names(work.out) == []
    write_picture(path, street)
    assert work.run(path, masks=True).finished == ["1"]


def test_a_video_that_is_cut_off_gives_what_it_holds_and_an_error(work: Workplace, drive: Path) -> None:
    # Its index is in front, so that a part of it can be read up to the cut.
    cut = work.folder / "cut.mp4"
    cut.write_bytes(drive.read_bytes()[: drive.stat().st_size * 2 // 3])
    report = work.run(cut)
    assert report.exit_code == 65
    assert str(cut) in str(report.errors[0])
    times, _ = read_video(work.out / "cut.overlay.mp4")
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
