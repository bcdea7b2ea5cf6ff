"""SyntheticSource: the same picture for the same number, another for the next."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgeseg.errors import DataError, UsageError
from edgeseg.frame import Frame
from edgeseg.sources.synthetic import SyntheticSource


def read(uri: str, count: int) -> list[Frame]:
    with SyntheticSource(uri) as source:
        return [frame for _ in range(count) if (frame := source.read()) is not None]


def test_it_moves_and_repeats_itself_exactly() -> None:
    first, second = (read("synthetic:160x90@200", 5) for _ in range(2))
    for ours, theirs in zip(first, second, strict=True):
        assert np.array_equal(ours.image, theirs.image)
    for earlier, later in itertools.pairwise(first):
        assert not np.array_equal(earlier.image, later.image)
        # More only where this machine stood still for half a second.
        assert later.captured_ns - earlier.captured_ns >= 5_000_000


@pytest.mark.parametrize(
    ("uri", "size_wh", "fps"),
    [
        ("synthetic:", (1280, 720), 30),
        ("synthetic:@60", (1280, 720), 60),
        ("synthetic:320x200", (320, 200), 30),
        ("synthetic:1x1@12.5", (1, 1), 12.5),
    ],
)
def test_size_and_rate_are_as_asked(uri: str, size_wh: tuple[int, int], fps: float) -> None:
    (frame,) = read(uri, 1)
    assert frame.size_wh == size_wh
    assert SyntheticSource(uri).fps == fps


@pytest.mark.parametrize("uri", ["synthetic:wide", "synthetic:0x10", "synthetic:10x10@0", "synthetic:10x10@fast"])
def test_what_it_cannot_read_it_names(uri: str) -> None:
    with pytest.raises(UsageError, match=uri):
        SyntheticSource(uri)


def test_a_size_beyond_memory_is_refused() -> None:
    with pytest.raises(DataError, match="too large"):
        SyntheticSource("synthetic:16000x9000")


def test_interrupting_ends_it() -> None:
    with SyntheticSource("synthetic:16x16@1") as source:
        assert source.read() is not None
        source.interrupt()
        assert source.read() is None
