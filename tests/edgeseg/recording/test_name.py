"""Names sort in the order of recording, say what is known of the time, and are read back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.recording.name import FileName, SegmentName, Start

NOON = Start(1_795_262_400.9)
EARLY = Start(None, "1a2b3c4d", 12_345.6)


def test_what_a_name_says() -> None:
    assert str(FileName(SegmentName(42, NOON), ".mp4")) == "00000042_20261121T120000Z.mp4"
    assert str(FileName(SegmentName(43, EARLY), ".jsonl", part=True)) == (
        "00000043_boot-1a2b3c4d-000012345s.jsonl.part"
    )


starts = st.one_of(
    st.integers(0, 4_000_000_000).map(lambda seconds: Start(float(seconds))),
    st.integers(0, 10**9 - 1).map(lambda seconds: Start(None, "0f1e2d3c", float(seconds))),
)


@given(st.integers(0, 10**8 - 1), starts, st.sampled_from([".mp4", ".jsonl"]), st.booleans())
def test_names_are_read_back(number: int, start: Start, suffix: str, part: bool) -> None:
    name = FileName(SegmentName(number, start), suffix, part)
    assert FileName.parse(str(name)) == name


@given(st.lists(st.tuples(st.integers(1, 10**8 - 1), starts), min_size=2))
def test_names_sort_by_number_whatever_the_time(segments: list[tuple[int, Start]]) -> None:
    names = [str(SegmentName(number, start)) for number, start in segments]
    numbers = [int(name[:8]) for name in sorted(names)]
    assert numbers == sorted(numbers)


@given(st.integers(0, 10**8 - 1), starts)
def test_names_are_safe_on_fat(number: int, start: Start) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", str(FileName(SegmentName(number, start), ".mp4", part=True)))


@pytest.mark.parametrize(
    "name",
    [
        "holiday.mp4",
        "42_20261121T120000Z.mp4",
        "00000042_20261321T120000Z.mp4",
        "00000042_20261121T120000Z",
        "00000042_20261121T120000Z.mp4.part.bak",
        "00000042_boot-xyz-000012345s.mp4",
        "00000042.keep",
        ".edgeseg.lock",
    ],
)
def test_other_files_are_nobodys(name: str) -> None:
    assert FileName.parse(name) is None
