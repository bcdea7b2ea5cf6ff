"""What comes out of the encoder is written soon, in pieces that begin with a keyframe, and lasts until the next."""

from __future__ import annotations

import pytest

from edgeseg.recording.fragments import Sample
from edgeseg.recording.take import HOLD_S, Batch, Coded, Take


def _coded(pts: int, *, keyframe: bool = False, arrived_s: float = 0.0) -> Coded:
    return Coded(Sample(b"12345678", pts, keyframe), b"{}\n", pts, arrived_s)


def _shape(batches: list[Batch]) -> list[tuple[list[int], int]]:
    return [([it.sample.pts for it in batch.pictures], batch.end) for batch in batches]


@pytest.fixture
def take() -> Take:
    return Take((160, 96), 0)


def test_the_newest_waits_for_the_next(take: Take) -> None:
    for pts in (0, 3000, 7000):
        take.put(_coded(pts))
    assert _shape(take.take_out(HOLD_S / 2)) == [([0, 3000], 7000)]
    assert take.take_out(HOLD_S / 2) == []
    take.put(_coded(10_000, arrived_s=HOLD_S))
    assert _shape(take.take_out(HOLD_S)) == [([7000], 10_000)]


def test_a_camera_that_stalls_costs_nothing(take: Take) -> None:
    """The last picture is written without the next one; how long it lasts is guessed."""
    take.put(_coded(0))
    take.put(_coded(5000))
    assert _shape(take.take_out(HOLD_S)) == [([0, 5000], 10_000)]
    take.put(_coded(90_000, arrived_s=9.0))
    assert take.take_out(9.0) == []
    assert _shape(take.take_out(9.01 + HOLD_S)) == [([90_000], 95_000)]


def test_a_single_picture_lasts_as_long_as_usual(take: Take) -> None:
    take.put(_coded(0))
    take.end()
    assert _shape(take.take_out(0.0)) == [([0], 3600)]


def test_a_keyframe_begins_a_piece(take: Take) -> None:
    for pts in range(5):
        take.put(_coded(pts, keyframe=pts in (0, 3)))
    take.end()
    assert _shape(take.take_out(0.0)) == [([0, 1, 2], 3), ([3, 4], 5)]


def test_nothing_is_put_in_after_the_end(take: Take) -> None:
    take.put(_coded(0))
    take.end()
    assert not take.put(_coded(1))
    assert _shape(take.take_out(0.0)) == [([0], 3600)]


def test_what_waits_is_counted(take: Take) -> None:
    take.put(_coded(0))
    take.put(_coded(1))
    assert (take.waiting_bytes, take.bytes) == (16, 16)
    take.take_out(0.0)
    assert (take.waiting_bytes, take.bytes) == (8, 16)
    assert take.discard() == 1
    assert take.waiting_bytes == 0
    assert take.ended
