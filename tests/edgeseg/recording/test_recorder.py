"""The recorder: what its segments hold, what they are called, when they begin and end."""

from __future__ import annotations

import errno
import json
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from edgeseg.errors import SinkUnavailableError
from edgeseg.frame import Frame, Segmentation
from edgeseg.recording import archive as archive_module
from edgeseg.recording import recorder as recorder_module
from edgeseg.recording import writer
from edgeseg.recording.fragments import find_whole
from edgeseg.recording.name import RECORDS, VIDEO
from edgeseg.recording.recorder import RecorderStatus
from edgeseg.recording.segment import Listing, list_archive
from edgeseg.sinks.sink import Result
from tests.edgeseg.recording.clocks import SECOND, FakeClock
from tests.edgeseg.recording.conftest import Open, Running
from tests.edgeseg.recording.waiting import wait_until
from tests.edgeseg.results import list_names, make_result

NOON = 1_795_262_400.0


def _write(running: Running, count: int, *, first: int = 0, width: int = 160, height: int = 96) -> None:
    """Writes pictures of 25 a second, from number `first` on, that were captured after second 1000 of this start."""
    for index in range(first, first + count):
        captured_ns = 1000 * SECOND + index * SECOND // 25
        running.recorder.write(make_result(index, width=width, height=height, captured_ns=captured_ns))


def _times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        return [frame.pts * stream.time_base for frame in container.decode(stream)]


def _records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_segments_follow_on_each_other(open_recorder: Open, tmp_path: Path) -> None:
    with open_recorder() as running:
        _write(running, 130)
    segments = running.archive.segments()
    assert [it.name.number for it in segments] == [1, 2, 3]
    indexes: list[object] = []
    for segment, pictures in zip(segments, (50, 50, 30), strict=True):
        video, records = segment.path(VIDEO), segment.path(RECORDS)
        assert _times(video) == [Fraction(index, 25) for index in range(pictures)]
        lines = _records(records)
        assert [line["time_s"] for line in lines] == [index / 25 for index in range(pictures)]
        indexes += [line["index"] for line in lines]
        with av.open(str(video)) as container:
            assert container.duration == pictures * 40_000
    assert indexes == list(range(130))
    assert [path.suffix for path in sorted((tmp_path / "recordings").iterdir()) if path.name[0] != "."] == [
        ".jsonl",
        ".mp4",
    ] * 3


def test_what_a_record_says(open_recorder: Open) -> None:
    clock = FakeClock(since_boot_s=1000.5, wall_s=NOON + 0.5)
    with open_recorder(clock=clock) as running:
        _write(running, 1)
        clock.set_wall(NOON + 0.5, right=True)
        running.archive.tidy()
        _write(running, 1, first=1)
    before, after = _records(running.archive.segments()[0].path(RECORDS))
    assert list(before) == ["index", "source", "time_s", "since_boot_s", "age_ms", "shares", "timings_ms"]
    assert (before["index"], before["source"], before["since_boot_s"]) == (0, "drive", 1000.0)
    assert after["captured"] == "2026-11-21T12:00:00.040Z"


def test_records_can_be_left_out(open_recorder: Open, tmp_path: Path) -> None:
    with open_recorder(records=False) as running:
        _write(running, 3)
    assert list_names(tmp_path / "recordings") == [".edgeseg.lock", "00000001_boot-1a2b3c4d-000001000s.mp4"]


@pytest.mark.parametrize(("picture", "grey"), [("raw", 60), ("overlay", 200)])
def test_the_picture_is_the_one_asked_for(open_recorder: Open, picture: str, grey: int) -> None:
    cells = np.zeros((2, 2), np.uint8)
    frame = Frame(np.full((96, 160, 3), 60, np.uint8), 0, 1000 * SECOND, "plain")
    with open_recorder(picture=picture) as running:
        running.recorder.write(Result(Segmentation(frame, cells, cells), lambda it: np.full_like(it.frame.image, 200)))
    with av.open(str(running.archive.segments()[0].path(VIDEO))) as container:
        [back] = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert abs(int(back[48, 80, 1]) - grey) <= 3


def test_another_size_begins_another_segment(open_recorder: Open) -> None:
    with open_recorder() as running:
        _write(running, 5)
        _write(running, 5, first=5, width=321, height=181)
        _write(running, 5, first=10)
    sizes = []
    for segment in running.archive.segments():
        with av.open(str(segment.path(VIDEO))) as container:
            codec = container.streams.video[0].codec_context
            sizes.append((codec.width, codec.height, sum(1 for _ in container.decode(video=0))))
    assert sizes == [(160, 96, 5), (322, 182, 5), (160, 96, 5)]


def test_a_gap_is_a_gap_and_a_longer_one_another_segment(open_recorder: Open) -> None:
    with open_recorder() as running:
        for second in (0, 0.5, 1.75, 30, 30.5):
            captured_ns = 1000 * SECOND + round(second * SECOND)
            running.recorder.write(make_result(0, width=160, height=96, captured_ns=captured_ns))
    first, second_one = running.archive.segments()
    assert [float(time) for time in _times(first.path(VIDEO))] == [0, 0.5, 1.75]
    assert [float(time) for time in _times(second_one.path(VIDEO))] == [0, 0.5]
    assert str(second_one.name).endswith("-000001030s")


def test_a_clock_that_stands_still_or_steps_back(open_recorder: Open) -> None:
    """A little is a decoder's trouble, much is another source."""
    with open_recorder() as running:
        for second in (10, 10, 9.9, 10.1, 1):
            captured_ns = 1000 * SECOND + round(second * SECOND)
            running.recorder.write(make_result(0, width=160, height=96, captured_ns=captured_ns))
    first, second_one = running.archive.segments()
    assert _times(first.path(VIDEO)) == sorted(set(_times(first.path(VIDEO))))
    assert len(_times(first.path(VIDEO))) == 4
    assert len(_times(second_one.path(VIDEO))) == 1


def test_names_say_the_time_when_it_is_known(open_recorder: Open, tmp_path: Path) -> None:
    clock = FakeClock(since_boot_s=1000, wall_s=5.0)
    with open_recorder(clock=clock, records=False) as running:
        _write(running, 60)
        wait_until(lambda: any(name.endswith("-000001000s.mp4") for name in list_names(tmp_path / "recordings")))
        clock.set_wall(NOON, right=True)
        wait_until(lambda: "segments_named" in running.kinds())
        clock.set_wall(NOON - 10**8)
        _write(running, 60, first=60)
    assert list_names(tmp_path / "recordings")[1:] == [
        "00000001_20261121T120000Z.mp4",
        "00000002_20261121T120002Z.mp4",
        "00000003_20261121T120004Z.mp4",
    ]


def test_cameras_have_folders_of_their_own(open_recorder: Open, tmp_path: Path) -> None:
    with open_recorder(camera="front") as running:
        _write(running, 3)
    assert len(list_names(tmp_path / "recordings" / "front")) == 2
    assert running.recorder.name == str(tmp_path / "recordings" / "front")


def _open_pictures(folder: Path) -> int:
    """How many pictures are on the disk of the segment that is open."""
    for path in folder.glob("*.mp4.part"):
        with path.open("rb") as file:
            return find_whole(file).pictures
    return 0


def test_what_is_written_is_on_the_disk_soon(open_recorder: Open, tmp_path: Path) -> None:
    """Without a further picture too: a camera may stall before the power goes."""
    with open_recorder(segment="60s") as running:
        _write(running, 7)
        wait_until(lambda: _open_pictures(tmp_path / "recordings") == 7)
        _write(running, 1, first=7)
        wait_until(lambda: _open_pictures(tmp_path / "recordings") == 8)
        [records] = (tmp_path / "recordings").glob("*.jsonl.part")
        assert [line["index"] for line in _records(records)] == list(range(8))
        assert running.recorder.status().pictures == 8


def test_a_segment_ends_without_a_picture_to_end_it(
    open_recorder: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "GRACE_S", 0.0)
    with open_recorder(segment="1s") as running:
        _write(running, 3)
        wait_until(running.archive.segments)
        assert not list((tmp_path / "recordings").glob("*.part"))
        _write(running, 3, first=3)
    assert [len(_times(it.path(VIDEO))) for it in running.archive.segments()] == [3, 3]


def test_events_keep_their_minutes(open_recorder: Open, tmp_path: Path) -> None:
    folder = tmp_path / "recordings" / "front"
    with open_recorder(camera="front", keep={"events": ["person_in_path"]}) as running:
        running.events.add("camera_lost", "no picture", camera="front")
        running.events.add("person_in_path", "somebody", camera="rear")
        _write(running, 20)
        wait_until(lambda: _open_pictures(folder))
        assert not list(folder.glob("*.keep"))
        running.events.add("person_in_path", "somebody", camera="front")
        wait_until(lambda: list(folder.glob("*.keep")))
    assert [path.name for path in folder.glob("*.keep")] == ["00000001.keep"]


def test_an_event_keeps_the_segment_of_its_time(open_recorder: Open, tmp_path: Path) -> None:
    """It may be told of when the next one is open already."""
    with open_recorder() as running:
        _write(running, 120)
        wait_until(lambda: running.recorder.status().segments == 2)
        event = running.events.add("test", "in second 3")
        running.recorder.keep(type(event)(1, "test", None, "then", "info", 1003 * SECOND, event.at))
        wait_until(lambda: list((tmp_path / "recordings").glob("*.keep")))
    assert [path.name for path in (tmp_path / "recordings").glob("*.keep")] == ["00000002.keep"]


def test_what_it_says_of_itself(open_recorder: Open, tmp_path: Path) -> None:
    with open_recorder() as running:
        assert running.recorder.status() == RecorderStatus(
            "recording", None, None, 0, 0, 0, 0, 0, 0, 0, recovery_s=0.0, flush_s=0.0
        )
        _write(running, 60)
    status = running.recorder.status()
    assert (status.state, status.encoder, status.segments, status.pictures, status.lost) == (
        "recording",
        "libx264",
        2,
        60,
        0,
    )
    files = [path for path in (tmp_path / "recordings").iterdir() if path.name[0] != "."]
    assert status.bytes == sum(path.stat().st_size for path in files)
    assert status.flush_s > 0


def test_what_is_at_risk_for_too_long_is_told_of_once(open_recorder: Open) -> None:
    clock = FakeClock(since_boot_s=1010)
    with open_recorder(clock=clock) as running:
        _write(running, 120)
    [event] = [event for event in running.events.recent() if event.kind == "recording_late"]
    assert event.text.startswith("a power cut would have cost 10.0 s, more than 1 s: pictures were ")
    assert running.recorder.status().recovery_s == 10.0


def test_hardware_that_fails_is_replaced(open_recorder: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "choose_encoder", lambda *_: "h264_v4l2m2m")
    with open_recorder() as running:
        _write(running, 60)
    assert running.kinds().count("encoder_failed") == 1
    assert running.recorder.status().encoder == "libx264"
    assert [len(_times(it.path(VIDEO))) for it in running.archive.segments()] == [50, 10]


def test_without_a_picture_there_is_nothing(open_recorder: Open, tmp_path: Path) -> None:
    with open_recorder():
        pass
    assert list_names(tmp_path / "recordings") == [".edgeseg.lock"]


def test_a_folder_that_can_never_be_one_is_refused(open_recorder: Open, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(SinkUnavailableError, match=r"file/recordings: cannot be written: not a directory"),
        open_recorder(tmp_path / "file" / "recordings"),
    ):
        pass
    with (
        pytest.raises(SinkUnavailableError, match=r"file: cannot be written: file exists"),
        open_recorder(tmp_path / "file"),
    ):
        pass


class SlowDisk:
    """Tells what lies there only when it is told to, or refuses then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answer = threading.Event()
        self.refusal: OSError | None = None
        monkeypatch.setattr(writer, "OPEN_LIMIT_S", 0.01)
        monkeypatch.setattr(archive_module, "list_archive", self._list)

    def _list(self, folder: Path) -> Listing:
        self.answer.wait()
        if self.refusal is not None:
            raise self.refusal
        return list_archive(folder)


def test_a_disk_that_takes_its_time_at_the_start_holds_up_nobody_and_costs_no_picture(
    open_recorder: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the files of years, or while it spins up: the live view begins with the recorder, not after the disk."""
    disk = SlowDisk(monkeypatch)
    with open_recorder() as running:
        _write(running, 10)
        assert running.recorder.status().pictures == 0
        disk.answer.set()
        wait_until(lambda: running.recorder.status().pictures >= 9)
    assert (running.recorder.status().pictures, running.recorder.status().lost) == (10, 0)


def test_a_disk_that_refuses_late_pauses_the_recording(open_recorder: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = SlowDisk(monkeypatch)
    disk.refusal = PermissionError(errno.EACCES, "Permission denied")
    with open_recorder() as running:
        _write(running, 10)
        disk.answer.set()
        wait_until(lambda: running.recorder.status().lost == 10)
        assert running.recorder.status().reason == "permission denied; choose a folder that you may write to"
        disk.refusal = None
        wait_until(lambda: running.recorder.status().state == "recording")
        _write(running, 10, first=10)
    assert running.recorder.status().pictures == 10
    assert [str(it.name)[:8] for it in running.archive.segments()] == ["00000001"]


def test_two_runs_into_one_folder_are_refused(open_recorder: Open) -> None:
    with open_recorder(), pytest.raises(SinkUnavailableError, match="another run records there"), open_recorder():
        pass


def test_a_bug_beside_the_loop_comes_out_of_it(open_recorder: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "write_fragment", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError), open_recorder() as running:  # noqa: PT012 - the thread meets it later
        for first in range(0, 10**6, 10):
            _write(running, 10, first=first)
