"""What lies in an archive is found, oldest first, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgeseg.recording.name import SegmentName, Start
from edgeseg.recording.segment import list_archive

WALL, EARLY = "00000002_20261121T120000Z", "00000001_boot-1a2b3c4d-000000005s"


def test_segments_are_gathered_by_number(tmp_path: Path) -> None:
    (tmp_path / "front").mkdir()
    (tmp_path / "front" / "deeper").mkdir()
    for name, size in (
        (f"{WALL}.mp4", 7),
        (f"{WALL}.jsonl", 3),
        (f"front/{EARLY}.mp4", 5),
        (f"front/deeper/{WALL}.mp4", 1),
    ):
        (tmp_path / name).write_bytes(bytes(size))
    for name in ("00000002.keep", "00000003_20261121T120000Z.mp4.part", "holiday.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "front")
    listing = list_archive(tmp_path)
    first, second = listing.gather()
    assert (first.place, first.sizes, first.size) == ((tmp_path / "front", 1), {".mp4": 5}, 5)
    assert (second.place, second.sizes, second.size) == ((tmp_path, 2), {".jsonl": 3, ".mp4": 7}, 10)
    assert [path.exists() for path in (*first.paths(), *second.paths())] == [True] * 3
    assert listing.marks == [(tmp_path, 2)]
    assert [file.path for file in listing.parts] == [str(tmp_path / "00000003_20261121T120000Z.mp4.part")]


def test_what_goes_while_it_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / f"{WALL}.mp4").touch()
    listing = list_archive(tmp_path)
    (tmp_path / f"{WALL}.mp4").unlink()
    assert listing.gather() == []


def test_a_folder_that_is_not_ours_is_passed_over(tmp_path: Path) -> None:
    """Every disk of ext4 has a lost+found that only root may look into."""
    (tmp_path / "lost+found").mkdir(mode=0)
    (tmp_path / f"{WALL}.mp4").touch()
    script = (
        "import pathlib, sys; from edgeseg.recording.segment import list_archive;"
        "print([file.name.suffix for file in list_archive(pathlib.Path(sys.argv[1])).files])"
    )
    # Root may look everywhere, unless it does without that right.
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    command = [*prefix, sys.executable, "-c", script, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "['.mp4']\n"


def test_files_that_a_kill_left_under_two_names_are_brought_together(tmp_path: Path) -> None:
    """The time became known while the segment was open; the power went between the two renames."""
    for name, content in (("00000001_20261121T120000Z.mp4", b"video"), (f"{EARLY}.jsonl", b"records")):
        (tmp_path / name).write_bytes(content)
    assert list_archive(tmp_path).bring_home()
    assert (tmp_path / "00000001_20261121T120000Z.jsonl").read_bytes() == b"records"
    assert not list_archive(tmp_path).bring_home()


def test_nothing_is_overwritten_by_bringing_files_together(tmp_path: Path) -> None:
    for name in ("00000001_20261121T120000Z.mp4", f"{EARLY}.mp4"):
        (tmp_path / name).write_text(name)
    assert not list_archive(tmp_path).bring_home()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_segment_gets_another_name_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / f"{EARLY}.jsonl").touch()
    (tmp_path / f"{EARLY}.mp4").touch()
    [segment] = list_archive(tmp_path).gather()
    name = SegmentName(1, Start(1_795_262_400.0))
    (tmp_path / f"{name}.mp4" / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match="irectory"):
        segment.rename(name)
    assert sorted(path.name for path in segment.paths() if path.exists()) == [f"{EARLY}.jsonl", f"{EARLY}.mp4"]
    shutil.rmtree(tmp_path / f"{name}.mp4")
    assert all(path.exists() for path in segment.rename(name).paths())
