"""Joining and rewriting of mp4 files: packets untouched, times right."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path

import av
import pytest

from edgeseg.sinks import mp4
from edgeseg.sinks.mp4 import index_at_front, join_mp4
from edgeseg.sinks.video import VideoSink
from tests.edgeseg.results import list_names, make_drive, write_all


def _record(path: Path, first: int, last: int) -> Path:
    write_all(VideoSink(path), islice(make_drive(last), first, None))
    return path


def _times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        return [float(frame.pts * stream.time_base) for frame in container.decode(stream)]


def test_joined_parts_are_one_video_without_a_seam(tmp_path: Path) -> None:
    ends = [(0, 30), (30, 45), (45, 100)]
    parts = [(_record(tmp_path / f"{first}.mp4", first, last), first * 40_000_000) for first, last in ends]
    assert join_mp4(parts, tmp_path / "whole.mp4", lambda: False)
    assert _times(tmp_path / "whole.mp4") == pytest.approx([i / 25 for i in range(100)], abs=1e-5)
    with av.open(str(tmp_path / "whole.mp4")) as container:
        assert container.duration == pytest.approx(4_000_000, abs=100)


def test_a_long_join_is_an_ordinary_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mp4, "LARGEST_INDEX_FIRST", 1000)
    parts = [(_record(tmp_path / f"{first}.mp4", first, first + 10), first * 40_000_000) for first in (0, 10)]
    assert join_mp4(parts, tmp_path / "whole.mp4", lambda: False)
    assert len(_times(tmp_path / "whole.mp4")) == 20
    assert b"moof" not in (tmp_path / "whole.mp4").read_bytes()


def test_a_join_can_be_stopped_and_leaves_nothing(tmp_path: Path) -> None:
    part = _record(tmp_path / "a.mp4", 0, 30)
    asked = iter([False] * 10)
    assert not join_mp4([(part, 0)], tmp_path / "whole.mp4", lambda: next(asked, True))
    assert list_names(tmp_path) == ["a.mp4"]


def test_a_join_that_a_disk_refuses_leaves_nothing(
    tmp_path: Path, file_size_limit: Callable[[int], AbstractContextManager[None]]
) -> None:
    part = _record(tmp_path / "a.mp4", 0, 60)
    with file_size_limit(part.stat().st_size), pytest.raises(OSError, match="File too large"):
        join_mp4([(part, 0), (part, 3_000_000_000)], tmp_path / "whole.mp4", lambda: False)
    assert list_names(tmp_path) == ["a.mp4"]


def test_without_room_for_a_second_copy_the_file_stays_as_it_is(small_disk: Path) -> None:
    path = _record(small_disk / "a.mp4", 0, 30)
    whole = path.read_bytes()
    room = shutil.disk_usage(small_disk).free
    (small_disk / "filler").write_bytes(b"x" * (room - len(whole) // 2))
    index_at_front(path, 30)
    assert path.read_bytes() == whole
    assert list_names(small_disk) == ["a.mp4", "filler"]


def test_a_rewrite_that_fails_half_way_leaves_the_file_as_it_was(
    tmp_path: Path, file_size_limit: Callable[[int], AbstractContextManager[None]]
) -> None:
    path = _record(tmp_path / "a.mp4", 0, 60)
    whole = path.read_bytes()
    with file_size_limit(len(whole) // 2):
        index_at_front(path, 60)
    assert path.read_bytes() == whole
    assert list_names(tmp_path) == ["a.mp4"]
