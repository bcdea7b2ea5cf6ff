"""Orientation: what a turned camera sees comes out upright, from any source."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.frame import Frame
from edgeseg.sources import open_source
from edgeseg.sources.orientation import Orientation, OrientedSource
from tests.fakes import FakeSource

# Left to right and top to bottom.
LETTERS = "ab\ncd"


def draw(letters: str) -> Any:
    rows = [[[ord(letter)] * 3 for letter in row] for row in letters.split("\n")]
    return np.array(rows, np.uint8)


def read(image: Any) -> str:
    return "\n".join("".join(chr(pixel[0]) for pixel in row) for row in image)


@pytest.mark.parametrize(
    ("orientation", "seen"),
    [
        (Orientation(), "ab\ncd"),
        (Orientation(rotate=90), "ca\ndb"),
        (Orientation(rotate=180), "dc\nba"),
        (Orientation(rotate=270), "bd\nac"),
        (Orientation(flip="horizontal"), "ba\ndc"),
        (Orientation(flip="vertical"), "cd\nab"),
        # Turned first, mirrored then.
        (Orientation(rotate=90, flip="horizontal"), "ac\nbd"),
    ],
)
def test_every_way_to_mount_a_camera(orientation: Orientation, seen: str) -> None:
    frame = Frame(draw(LETTERS), 7, 123, "cam")
    turned = orientation.apply(frame)
    assert read(turned.image) == seen
    assert (turned.index, turned.captured_ns, turned.source) == (7, 123, "cam")
    assert not turned.image.flags.writeable
    assert orientation.is_upright == (turned is frame)


def test_a_turned_source_is_still_that_source() -> None:
    inner = FakeSource(2, live=True, size_wh=(64, 48))
    source = OrientedSource(inner, Orientation(rotate=90))
    with source:
        sizes = [frame.size_wh for frame in iter(source.read, None)]
        source.interrupt()
    assert sizes == [(48, 64)] * 2
    assert (source.name, source.live, source.fps, source.frame_count) == ("fake", True, 25.0, 2)
    assert (inner.opened, inner.closed, inner.interrupted.is_set()) == (1, 1, True)


def test_any_kind_of_source_is_turned(tmp_path: Any) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 6, 3), np.uint8))
    for uri, size_wh in ((str(tmp_path / "a.png"), (4, 6)), ("synthetic:64x48@100", (48, 64))):
        with open_source(uri, live=True, orientation=Orientation(rotate=270)) as source:
            frame = source.read()
            assert frame is not None
            assert frame.size_wh == size_wh
    assert not isinstance(open_source("synthetic:", live=True, orientation=Orientation()), OrientedSource)
