"""PartRecorder: parts that are complete in themselves, whatever ended the run."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import av
import pytest

from edgeseg.errors import DataError, SinkUnavailableError
from edgeseg.offline import parts as parts_module
from edgeseg.offline.parts import PartRecorder, find_parts, join_records, join_videos
from edgeseg.sinks.masks import MaskSink
from tests.edgeseg.results import list_names, make_drive, write_all


@pytest.fixture(autouse=True)
def _short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "PART_FRAMES", 10)


def _recorder(folder: Path, counts: list[int] | None = None, **options: object) -> PartRecorder:
    done = find_parts(folder, video=True, records=True)
    count = (counts if counts is not None else []).append
    return PartRecorder(folder, done, video=True, clock="file", count=count, **options)  # type: ignore[arg-type]


def _indices(path: Path) -> list[int]:
    return [json.loads(line)["index"] for line in path.read_text().splitlines()]


def _times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        return [round(float(frame.pts * stream.time_base), 3) for frame in container.decode(stream)]


def _whole(folder: Path) -> tuple[list[float], list[int]]:
    """The times of the joined video and the indices of the joined records."""
    parts = find_parts(folder, video=True, records=True)
    join_records(parts, folder / "whole.jsonl")
    assert join_videos(parts, folder / "whole.mp4", lambda: False)
    return _times(folder / "whole.mp4"), _indices(folder / "whole.jsonl")


def test_parts_are_joined_to_one_whole(tmp_path: Path) -> None:
    counts: list[int] = []
    write_all(_recorder(tmp_path, counts), make_drive(25))
    assert [part.frames for part in find_parts(tmp_path, video=True, records=True)] == [10, 10, 5]
    assert counts == list(range(1, 26))
    assert _whole(tmp_path) == ([index / 25 for index in range(25)], list(range(25)))


def test_an_interrupted_run_goes_on_where_it_ended(tmp_path: Path) -> None:
    write_all(_recorder(tmp_path), make_drive(13))
    counts: list[int] = []
    recorder = _recorder(tmp_path, counts)
    assert recorder.following == 13
    # Frames 8 to 12 come again, to remind the fusion.
    write_all(recorder, islice(make_drive(25), 8, None))
    assert counts == list(range(14, 26))
    assert [part.frames for part in recorder.parts] == [10, 3, 10, 2]
    assert _whole(tmp_path) == ([index / 25 for index in range(25)], list(range(25)))


def test_a_part_that_is_not_complete_is_made_again(tmp_path: Path) -> None:
    write_all(_recorder(tmp_path), make_drive(25))
    (tmp_path / "part-00001.json").unlink()
    assert [part.frames for part in find_parts(tmp_path, video=True, records=True)] == [10]
    write_all(_recorder(tmp_path), make_drive(25))
    assert _whole(tmp_path) == ([index / 25 for index in range(25)], list(range(25)))


@pytest.mark.parametrize("missing", ["part-00001.mp4", "part-00001.jsonl"])
def test_a_part_whose_files_are_gone_does_not_count(tmp_path: Path, missing: str) -> None:
    write_all(_recorder(tmp_path), make_drive(25))
    (tmp_path / missing).unlink()
    assert len(find_parts(tmp_path, video=True, records=True)) == 1


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("part-00001.mp4", "empty"),
        ("part-00001.mp4", "cut"),
        ("part-00001.mp4", "zeros"),
        ("part-00001.jsonl", "empty"),
        ("part-00001.jsonl", "cut"),
    ],
)
def test_a_damaged_part_is_made_again(tmp_path: Path, name: str, damage: str) -> None:
    """As a power cut leaves it: the note has reached the disk and the content has not."""
    write_all(_recorder(tmp_path), make_drive(35))
    whole = (tmp_path / name).read_bytes()
    content = {"empty": b"", "cut": whole[: len(whole) // 2], "zeros": bytes(len(whole))}[damage]
    (tmp_path / name).write_bytes(content)
    recorder = _recorder(tmp_path)
    assert recorder.following == 10
    # Stopped again, at another place than the parts behind the damaged one begin at.
    write_all(recorder, make_drive(17))
    assert [part.frames for part in find_parts(tmp_path, video=True, records=True)] == [10, 7]
    write_all(_recorder(tmp_path), make_drive(35))
    assert _whole(tmp_path) == ([index / 25 for index in range(35)], list(range(35)))


def test_what_a_kill_left_of_a_part_does_not_pile_up(tmp_path: Path) -> None:
    for name in ("part-00000.mp4.part", "part-00000.jsonl.part"):
        (tmp_path / name).write_bytes(b"half")
    write_all(_recorder(tmp_path), make_drive(3))
    assert list_names(tmp_path) == ["part-00000.json", "part-00000.jsonl", "part-00000.mp4"]


def test_numbers_may_have_gaps(tmp_path: Path) -> None:
    """Of pictures some may be broken; the place to go on at is a number, not a count."""
    drive = [result for result in make_drive(30) if result.segmentation.frame.index % 3]
    write_all(_recorder(tmp_path), drive[:13])
    recorder = _recorder(tmp_path)
    assert recorder.following == drive[12].segmentation.frame.index + 1
    write_all(recorder, drive)
    assert _whole(tmp_path)[1] == [index for index in range(30) if index % 3]


def test_what_was_said_of_broken_pieces_is_remembered_once(tmp_path: Path) -> None:
    recorder = _recorder(tmp_path)
    recorder.leave_out(DataError("3.png: is damaged"))
    write_all(recorder, make_drive(15))
    later = _recorder(tmp_path)
    later.leave_out(DataError("3.png: is damaged"))
    later.leave_out(DataError("17.png: is damaged"))
    write_all(later, make_drive(20))
    assert later.broken == ["3.png: is damaged", "17.png: is damaged"]


def test_other_sinks_get_every_new_frame_once(tmp_path: Path) -> None:
    write_all(_recorder(tmp_path, others=[MaskSink(tmp_path / "masks")]), make_drive(13))
    for path in (tmp_path / "masks").iterdir():
        path.unlink()
    write_all(_recorder(tmp_path, others=[MaskSink(tmp_path / "masks")]), make_drive(15))
    assert list_names(tmp_path / "masks") == ["000013.png", "000014.png"]


def test_a_part_that_a_disk_refused_is_not_complete(tmp_path: Path) -> None:
    recorder = _recorder(tmp_path)
    (tmp_path / "part-00001.mp4").mkdir()
    with pytest.raises(SinkUnavailableError, match=r"part-00001\.mp4: cannot be written"):
        write_all(recorder, make_drive(25))
    assert [part.frames for part in recorder.parts] == [10]
    assert len(find_parts(tmp_path, video=True, records=True)) == 1
