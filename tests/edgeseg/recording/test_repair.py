"""What was cut off becomes a segment, with all that is whole in it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from edgeseg.recording.repair import repair_file, repair_files
from tests.edgeseg.program import count_frames
from tests.edgeseg.recording.samples import write_video
from tests.edgeseg.results import list_names

STEM = "00000007_20261121T120000Z"


def test_a_video_is_cut_after_its_last_whole_fragment(tmp_path: Path) -> None:
    part = tmp_path / f"{STEM}.mp4.part"
    ends = write_video(part, 20)
    os.truncate(part, ends[3] + 100)
    repair = repair_file(part)
    assert (repair.path, repair.dropped, repair.seconds) == (tmp_path / f"{STEM}.mp4", 100, 0.6)
    assert list_names(tmp_path) == [f"{STEM}.mp4"]
    assert count_frames(tmp_path / f"{STEM}.mp4") == 15
    assert (tmp_path / f"{STEM}.mp4").stat().st_size == ends[3]


@pytest.mark.parametrize(
    ("tail", "kept"),
    [
        (b"", 2),
        (b'{"index": 2', 2),
        (b'{"index": 2, "sha\n', 2),
        (bytes(500), 2),
        (bytes(100) + b'\n{"index": 9}\n', 2),
        (b'{"index": 2}\n\xff\xfe', 3),
    ],
)
def test_records_are_cut_after_the_last_whole_line(tmp_path: Path, tail: bytes, kept: int) -> None:
    part = tmp_path / f"{STEM}.jsonl.part"
    part.write_bytes(b'{"index": 0}\n{"index": 1}\n' + tail)
    repair_file(part)
    assert (tmp_path / f"{STEM}.jsonl").read_bytes() == b"".join(b'{"index": %d}\n' % it for it in range(kept))


@pytest.mark.parametrize(("suffix", "content"), [(".mp4", b""), (".mp4", bytes(4096)), (".jsonl", b'{"ind')])
def test_what_holds_nothing_whole_goes(tmp_path: Path, suffix: str, content: bytes) -> None:
    part = tmp_path / f"{STEM}{suffix}.part"
    part.write_bytes(content)
    repair = repair_file(part)
    assert (repair.path, repair.dropped) == (None, len(content))
    assert list_names(tmp_path) == []


def test_a_header_without_pictures_goes(tmp_path: Path) -> None:
    part = tmp_path / f"{STEM}.mp4.part"
    ends = write_video(part)
    os.truncate(part, ends[0] + 50)
    assert repair_file(part).path is None


def test_one_that_cannot_be_repaired_does_not_stop_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="edgeseg")
    bad, good = tmp_path / f"{STEM}.jsonl.part", tmp_path / "00000008_20261121T120000Z.jsonl.part"
    bad.mkdir()
    good.write_bytes(b"{}\n")
    assert [it.path for it in repair_files([bad, good])] == [good.with_suffix("")]
    assert f"{bad}: cannot be repaired, stays as it is: is a directory" in caplog.text
