"""A size means the same wherever it is written, and a key that nobody knows is never passed over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgeseg.fields import Part, parse_bytes, parse_duration, parse_size


@given(st.integers(1, 99_999), st.integers(1, 99_999))
def test_sizes(width: int, height: int) -> None:
    assert parse_size(f"{width}x{height}") == (width, height)


@pytest.mark.parametrize(
    "text", ["1280", "1280 x 720", "1280×720", "0x720", "1280x", "-1x1", "1x2x3", 1280, [1280, 720], "123456x1"]
)
def test_what_is_no_size(text: object) -> None:
    with pytest.raises(ValueError, match="is not a size; write for instance 1280x720"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("500MB", 500_000_000), ("20GB", 20 * 10**9), ("1.5 GiB", 3 * 2**29), ("1kB", 1000), ("2TB", 2 * 10**12)],
)
def test_sizes_of_data(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["500", "500mb", "0GB", "-1GB", "GB", "5 G", 500, None, "0.4B"])
def test_what_is_no_size_of_data(text: object) -> None:
    with pytest.raises(ValueError, match="is not a size of data; write for instance 500MB or 20GB"):
        parse_bytes(text)


def test_a_duration_in_days() -> None:
    assert parse_duration("7d") == 7 * 24 * 3600


def test_a_part_is_strict_and_read_only() -> None:
    class Wheel(Part):
        spokes: int = 32

    with pytest.raises(ValidationError, match="spokse"):
        Wheel.model_validate({"spokse": 36})
    with pytest.raises(ValidationError, match="frozen"):
        Wheel().spokes = 36
