"""A segment takes fragments whole or not at all, and has its name when it is complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.recording.fragments import write_header
from edgeseg.recording.name import SegmentName, Start
from edgeseg.recording.open_segment import OpenSegment
from tests.edgeseg.program import count_frames, limit_file_size
from tests.edgeseg.recording.samples import SIZE_WH, cut_up, encode
from tests.edgeseg.results import list_names

EARLY = SegmentName(7, Start(None, "1a2b3c4d", 12.0))
LATER = SegmentName(7, Start(1_795_262_400.0))
SAMPLES, SETS = encode(20)
HEADER = write_header(*SIZE_WH, SETS, 10)
FRAGMENTS = cut_up(SAMPLES, 5)


def test_it_gets_the_name_that_is_known_at_its_end(tmp_path: Path) -> None:
    (tmp_path / "front").mkdir()
    segment = OpenSegment(tmp_path / "front", EARLY, HEADER, records=True)
    for number, fragment in enumerate(FRAGMENTS):
        segment.append(fragment, b'{"fragment": %d}\n' % number)
        segment.flush()
    assert list_names(tmp_path / "front") == [f"{EARLY}.jsonl.part", f"{EARLY}.mp4.part"]
    assert segment.size == sum(path.stat().st_size for path in (tmp_path / "front").iterdir())
    sizes = segment.complete(LATER)
    assert list_names(tmp_path / "front") == ["00000007_20261121T120000Z.jsonl", "00000007_20261121T120000Z.mp4"]
    assert sizes == {suffix: (tmp_path / "front" / f"{LATER}{suffix}").stat().st_size for suffix in sizes}
    assert count_frames(tmp_path / "front" / f"{LATER}.mp4") == 20


def test_a_refused_fragment_leaves_nothing_of_itself(tmp_path: Path) -> None:
    segment = OpenSegment(tmp_path, EARLY, HEADER, records=True)
    segment.append(FRAGMENTS[0], b"{}\n")
    size = segment.size
    with limit_file_size(size + 100), pytest.raises(OSError, match="File too large"):
        segment.append(FRAGMENTS[1], b"{}\n")
    with limit_file_size(len(HEADER) + sum(map(len, FRAGMENTS))), pytest.raises(OSError, match="File too large"):
        segment.append(FRAGMENTS[1], bytes(10**6))
    assert segment.size == size == sum(path.stat().st_size for path in tmp_path.iterdir())
    segment.append(FRAGMENTS[1], b"{}\n")
    segment.complete(LATER)
    assert count_frames(tmp_path / f"{LATER}.mp4") == 10
    assert (tmp_path / f"{LATER}.jsonl").read_bytes() == b"{}\n{}\n"


def test_one_that_cannot_begin_leaves_nothing(tmp_path: Path) -> None:
    with limit_file_size(len(HEADER) - 1), pytest.raises(OSError, match="File too large"):
        OpenSegment(tmp_path, EARLY, HEADER, records=True)
    assert list_names(tmp_path) == []


def test_it_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / f"{EARLY}.mp4.part").write_bytes(b"of another run")
    with pytest.raises(FileExistsError):
        OpenSegment(tmp_path, EARLY, HEADER, records=True)
    assert (tmp_path / f"{EARLY}.mp4.part").read_bytes() == b"of another run"
