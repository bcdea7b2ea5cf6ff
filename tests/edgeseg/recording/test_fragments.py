"""Fragmented mp4: players read it, and wherever it is cut off, what is whole is found."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgeseg.recording import fragments
from edgeseg.recording.fragments import complete_file, find_whole, read_access_unit, write_fragment, write_header
from tests.edgeseg.recording.samples import SIZE_WH, STEP, cut_up, encode, write_video


def _decode(path: Path) -> list[tuple[Fraction, int]]:
    """Returns the times and the grey levels of the pictures."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        return [
            (frame.pts * stream.time_base, round(float(frame.to_ndarray(format="gray").mean())))
            for frame in container.decode(stream)
        ]


def _complete(path: Path) -> fragments.Whole:
    with path.open("r+b") as file:
        return complete_file(file)


@pytest.mark.parametrize("completed", [False, True])
def test_every_picture_comes_back_at_its_time(tmp_path: Path, completed: bool) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, 20)
    if completed:
        _complete(path)
    pictures = _decode(path)
    assert [time for time, _ in pictures] == [Fraction(index, 25) for index in range(20)]
    assert all(abs(grey - (10 + 2 * index)) <= 3 for index, (_, grey) in enumerate(pictures))


def test_what_players_ask_for(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, 50)
    _complete(path)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context
        assert (codec.name, codec.codec_tag, codec.pix_fmt) == ("h264", "avc1", "yuv420p")
        assert (codec.width, codec.height) == SIZE_WH
        assert (codec.colorspace, codec.color_range) == (6, 1)
        assert stream.time_base == Fraction(1, 90_000)
        assert container.duration == 2_000_000
        assert stream.average_rate == 25


def test_a_player_finds_its_way_by_the_index(tmp_path: Path) -> None:
    """It comes to the keyframe before the moment it looks for, without reading what lies between."""
    path = tmp_path / "a.mp4"
    write_video(path, 50, per_fragment=5)
    _complete(path)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"sidx") < data.index(b"moof")
    # The fragment follows the index at once, which FFmpeg asks for.
    at = data.index(b"sidx") - 4
    assert data[at + int.from_bytes(data[at : at + 4], "big") + 4 :].startswith(b"moof")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for second in (1.5, 0.3, 1.9):
            container.seek(round(second * 90_000), stream=stream)
            frame = next(container.decode(stream))
            assert frame.time is not None
            assert second - 0.2 <= frame.time <= second


def test_an_index_has_room_for_so_many_only(tmp_path: Path) -> None:
    """With more keyframes than were thought of, some of them have to do."""
    path = tmp_path / "a.mp4"
    write_video(path, 50, references=3)
    _complete(path)
    assert len(_decode(path)) == 50
    data = path.read_bytes()
    at = data.index(b"sidx") - 4
    assert int.from_bytes(data[at + 38 : at + 40], "big") == 3


def test_uneven_times_and_pauses_are_kept(tmp_path: Path) -> None:
    samples, sets = encode(5)
    times = [0, 3000, 9000, 90_000, 91_000]
    moved = [type(it)(it.data, pts, it.keyframe) for it, pts in zip(samples, times, strict=True)]
    path = tmp_path / "a.mp4"
    # The first fragment's end is guessed, as when no next picture has come: the second one says when it really begins.
    parts = [write_fragment(1, moved[:3], 12_000), write_fragment(2, moved[3:], 95_000)]
    path.write_bytes(write_header(*SIZE_WH, sets, 5) + b"".join(parts))
    whole = _complete(path)
    assert whole.duration == 95_000
    assert [time * 90_000 for time, _ in _decode(path)] == times


def test_completing_changes_nothing_the_second_time(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path)
    _complete(path)
    once = path.read_bytes()
    _complete(path)
    assert path.read_bytes() == once


_SAMPLES, _SETS = encode(20)
_PARTS = [write_header(*SIZE_WH, _SETS, 8), *cut_up(_SAMPLES, 5)]
_ENDS = [sum(map(len, _PARTS[: index + 1])) for index in range(len(_PARTS))]
_DATA = b"".join(_PARTS)


@given(st.integers(0, len(_DATA)))
@example(0)
@example(_ENDS[0])
@example(_ENDS[1])
@example(_ENDS[1] - 1)
@example(_ENDS[-1])
def test_wherever_it_is_cut_off_the_whole_fragments_are_found(size: int) -> None:
    file = io.BytesIO(_DATA[:size])
    expected = sum(end <= size for end in _ENDS[1:])
    whole = find_whole(file)
    assert len(whole.fragments) == expected
    assert whole.pictures == 5 * expected
    assert whole.size == (_ENDS[expected] if expected else 0)
    assert whole.duration == 5 * expected * STEP
    assert complete_file(file) == whole
    assert len(file.getvalue()) == (whole.size or size)


@given(st.integers(0, len(_DATA) - 1), st.integers(1, 4096))
def test_blocks_that_never_reached_the_disk_are_not_taken_for_pictures(at: int, length: int) -> None:
    """A file system may keep the size of a file and not what was in it."""
    damaged = bytearray(_DATA)
    damaged[at : at + length] = bytes(len(damaged[at : at + length]))
    first = next((index for index, end in enumerate(_ENDS) if end > at), 0)
    whole = find_whole(io.BytesIO(damaged))
    if bytes(damaged) == _DATA:
        assert len(whole.fragments) == 4
    elif first > 0:
        assert len(whole.fragments) == first - 1
    assert len(whole.fragments) <= 4


@given(st.integers(_ENDS[0] - 8 * 12 - 40, _ENDS[0]))
def test_half_an_index_is_no_harm(at: int) -> None:
    """The power may go while a complete file gets its index."""
    file = io.BytesIO(_DATA)
    complete_file(file)
    torn = io.BytesIO(_DATA[:at] + file.getvalue()[at:])
    assert len(find_whole(torn).fragments) == 4
    complete_file(torn)
    assert torn.getvalue() == file.getvalue()


def test_a_fragment_of_another_file_is_not_taken() -> None:
    """Where a file ends, a disk may have kept the blocks of an older one."""
    stale = write_fragment(9, _SAMPLES[:5], 5 * STEP)
    assert len(find_whole(io.BytesIO(_DATA + stale)).fragments) == 4
    assert len(find_whole(io.BytesIO(_DATA + cut_up(_SAMPLES, 5)[0])).fragments) == 4


def test_what_is_no_video_holds_nothing() -> None:
    for content in (b"", b"not a video at all" * 10, bytes(5000)):
        file = io.BytesIO(content)
        assert not complete_file(file).fragments
        assert file.getvalue() == content


def test_parameter_sets_leave_the_picture() -> None:
    sample, sets = read_access_unit(
        b"\x00\x00\x00\x01\x09\xf0"
        + b"\x00\x00\x00\x01\x67abc"
        + b"\x00\x00\x01\x68de"
        + b"\x00\x00\x01\x65"
        + b"\x10\x80",
        7,
    )
    assert sets == fragments.ParameterSets(b"\x67abc", b"\x68de")
    assert sample == fragments.Sample(b"\x00\x00\x00\x03\x65\x10\x80", 7, keyframe=True)


def test_a_packet_of_parameter_sets_alone_is_no_picture() -> None:
    """Some hardware sends them ahead."""
    sample, sets = read_access_unit(b"\x00\x00\x00\x01\x67a\x00\x00\x00\x01\x68b", 0)
    assert sample is None
    assert sets is not None
