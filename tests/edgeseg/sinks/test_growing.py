"""GrowingFile, through the sinks that use it: nothing that is there is destroyed, nothing is left for nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from edgeseg.errors import SinkUnavailableError
from edgeseg.sinks.jsonl import JsonlSink
from edgeseg.sinks.masks import MaskSink
from edgeseg.sinks.sink import Sink
from edgeseg.sinks.video import VideoSink
from tests.edgeseg.program import run_edgeseg
from tests.edgeseg.results import list_names, make_drive, write_all

recordings = pytest.mark.parametrize(("kind", "name"), [(VideoSink, "drive.mp4"), (JsonlSink, "drive.jsonl")])
Kind = Callable[[Path], Sink]


@recordings
def test_a_run_that_never_starts_changes_nothing(tmp_path: Path, kind: Kind, name: str) -> None:
    (tmp_path / name).write_bytes(b"of yesterday")
    (tmp_path / f"{name}.part").write_bytes(b"of a killed run")
    with kind(tmp_path / name):
        pass
    assert list_names(tmp_path) == [name, f"{name}.part"]
    assert (tmp_path / name).read_bytes() == b"of yesterday"
    assert (tmp_path / f"{name}.part").read_bytes() == b"of a killed run"


@pytest.mark.parametrize("make", [VideoSink, JsonlSink, MaskSink])
def test_a_run_that_never_starts_leaves_no_folder(tmp_path: Path, make: Kind) -> None:
    with make(tmp_path / "new" / "deeper" / "drive"):
        assert (tmp_path / "new" / "deeper").is_dir()
    assert list_names(tmp_path) == []


@recordings
def test_an_earlier_recording_stays_until_the_new_one_is_complete(tmp_path: Path, kind: Kind, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"of yesterday")
    with kind(path) as sink:
        for result in make_drive(3):
            sink.write(result)
        assert path.read_bytes() == b"of yesterday"
    assert path.read_bytes() != b"of yesterday"
    assert list_names(tmp_path) == [name]


@recordings
def test_what_a_killed_run_left_is_moved_aside(
    tmp_path: Path, kind: Kind, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="edgeseg")
    for content in (b"first", b"second"):
        (tmp_path / f"{name}.part").write_bytes(content)
        write_all(kind(tmp_path / name), make_drive(2))
    assert list_names(tmp_path) == [name, f"{name}.1.part", f"{name}.2.part"]
    assert (tmp_path / f"{name}.1.part").read_bytes() == b"first"
    assert (tmp_path / f"{name}.2.part").read_bytes() == b"second"
    assert f"what it left is now {name}.2.part" in caplog.text


@recordings
def test_two_runs_into_one_file_are_refused(tmp_path: Path, kind: Kind, name: str) -> None:
    drive = list(make_drive(3))
    with kind(tmp_path / name) as sink:
        sink.write(drive[0])
        with pytest.raises(SinkUnavailableError, match="another run is writing it"):
            write_all(kind(tmp_path / name), drive)
        sink.write(drive[1])
    assert list_names(tmp_path) == [name]


def test_a_disk_that_refuses_the_new_recording_does_not_cost_the_old_one(
    tmp_path: Path, file_size_limit: Callable[[int], AbstractContextManager[None]]
) -> None:
    path = tmp_path / "drive.jsonl"
    path.write_bytes(b"of yesterday")
    said = r"writing stopped: .*; the records before stay in .*drive\.jsonl\.part"
    with file_size_limit(1000), pytest.raises(SinkUnavailableError, match=said):
        write_all(JsonlSink(path), make_drive(100))
    assert path.read_bytes() == b"of yesterday"
    assert (tmp_path / "drive.jsonl.part").read_bytes().endswith(b"}\n")


@pytest.mark.parametrize("name", ["old.mp4", "old.jsonl"])
@pytest.mark.parametrize("refused", [("nowhere.mp4",), ("synthetic:64x64", "--http", "192.0.2.1:8080")])
def test_a_run_that_does_not_start_leaves_an_earlier_recording(
    tmp_path: Path, name: str, refused: tuple[str, ...]
) -> None:
    (tmp_path / name).write_text("of yesterday")
    assert run_edgeseg("run", *refused, "--save", tmp_path / name).returncode != 0
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "of yesterday")]
