"""Indexed PNG: other programs read the indices and the colours back."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from edgeseg.classes import CLASSES
from edgeseg.server.look import color_table
from edgeseg.server.png import encode_indexed_png


def test_a_reader_sees_the_colours_of_the_classes() -> None:
    indices = np.random.default_rng(1).integers(0, 4, (37, 51), dtype=np.uint8)
    png = encode_indexed_png(indices, color_table(CLASSES))
    read = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    colors = np.array([item.color_rgb[::-1] for item in CLASSES], np.uint8)
    np.testing.assert_array_equal(read, colors[indices])
    # Colour type 3: the file holds indices, not colours.
    assert struct.unpack(">IIBB", png[16:26]) == (51, 37, 8, 3)


def test_an_index_without_a_colour_is_refused() -> None:
    with pytest.raises(ValueError, match="colour"):
        encode_indexed_png(np.full((2, 2), 4, np.uint8), color_table(CLASSES))
