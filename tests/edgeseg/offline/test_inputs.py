"""RestOfVideo and PictureList: from some place on, and past what is broken."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.errors import EdgesegError
from edgeseg.offline.inputs import PictureList, RestOfVideo
from edgeseg.sources.source import Source
from tests.edgeseg.clips import number_of, write_clip


def _read(source: Source) -> list[tuple[int, int, int]]:
    """(index, number that the picture shows, milliseconds) of every frame."""
    frames = []
    with source:
        while (frame := source.read()) is not None:
            frames.append((frame.index, number_of(frame.image), round(frame.captured_ns / 1e6)))
    return frames


@pytest.mark.parametrize("first", [0, 1, 7, 20])
def test_a_video_from_a_frame_on_keeps_numbers_and_times(tmp_path: Path, first: int) -> None:
    totals: list[int | None] = []
    source = RestOfVideo(write_clip(tmp_path / "clip.mp4", 20), first * 40_000_000, totals.append)
    assert _read(source) == [(index, index, 40 * index) for index in range(first, 20)]
    assert totals == [20]
    assert source.fps == 25


def test_an_interrupted_video_ends(tmp_path: Path) -> None:
    with RestOfVideo(write_clip(tmp_path / "clip.mp4", 20), 200_000_000, lambda total: None) as source:
        assert source.read() is not None
        source.interrupt()
        assert source.read() is None


def _pictures(folder: Path, count: int, broken: set[int]) -> list[Path]:
    paths = [folder / f"{index}.png" for index in range(count)]
    for index, path in enumerate(paths):
        if index in broken:
            path.write_bytes(b"\x89PNG not at all")
        else:
            cv2.imwrite(str(path), np.full((32, 32, 3), 16 + 8 * index, np.uint8))
    return paths


def test_broken_pictures_are_told_and_left_out(tmp_path: Path) -> None:
    paths = _pictures(tmp_path, 6, broken={0, 3})
    paths.append(tmp_path / "gone.png")
    told: list[EdgesegError] = []
    source = PictureList("pictures", paths, 0, told.append, lambda total: None)
    assert [(index, number) for index, number, _ in _read(source)] == [(1, 1), (2, 2), (4, 4), (5, 5)]
    assert [str(error).split(":")[0] for error in told] == [str(paths[0]), str(paths[3]), str(paths[6])]


def test_pictures_from_a_place_on(tmp_path: Path) -> None:
    totals: list[int | None] = []
    source = PictureList("pictures", _pictures(tmp_path, 5, broken=set()), 3, lambda error: None, totals.append)
    with source:
        frame = source.read()
        assert frame is not None
        assert (frame.index, frame.source) == (3, str(tmp_path / "3.png"))
        source.interrupt()
        assert source.read() is None
    assert totals == [5]
