"""The palette is one that people can tell apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from edgeseg.classes import CLASS_NAMES, CLASSES, FOREGROUND_NAMES, IGNORE_INDEX


def test_the_classes_and_their_order_are_the_products() -> None:
    assert CLASS_NAMES == ("other", "road", "vehicle", "person")
    assert FOREGROUND_NAMES == ("road", "vehicle", "person")
    assert len(CLASSES) <= IGNORE_INDEX


def test_the_foreground_colours_stay_apart_in_colour_and_without_red_against_green() -> None:
    for one, other in combinations(CLASSES[1:], 2):
        first, second = np.array(one.color_rgb, float), np.array(other.color_rgb, float)
        assert np.linalg.norm(first - second) > 80
        # Deuteranopia, roughly: red and green merge into their mean.
        blind = [np.array([(c[0] + c[1]) / 2, c[2]]) for c in (first, second)]
        assert np.linalg.norm(blind[0] - blind[1]) > 50
