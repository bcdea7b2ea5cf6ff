"""The palette is one that people can tell apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from edgeseg.classes import CLASS_NAMES, CLASSES, IGNORE_INDEX, SegmentClass


def test_the_classes_and_their_order_are_the_products() -> None:
    assert CLASS_NAMES == ("other", "road", "vehicle", "person")
    assert len(CLASSES) <= IGNORE_INDEX


def test_a_colour_is_written_as_web_pages_write_it() -> None:
    assert SegmentClass("sky", (0, 10, 255)).color_hex == "#000aff"


def test_the_foreground_colours_stay_apart_in_colour_and_without_red_against_green() -> None:
    for one, other in combinations(CLASSES[1:], 2):
        first, second = np.array(one.color_rgb, float), np.array(other.color_rgb, float)
        assert np.linalg.norm(first - second) > 80
        # Deuteranopia, roughly: red and green merge into their mean.
        blind = [np.array([(c[0] + c[1]) / 2, c[2]]) for c in (first, second)]
        assert np.linalg.norm(blind[0] - blind[1]) > 50
