"""The overlay tints what was found, where it was found, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgeseg import CLASSES, Frame, Segmentation, SegmentClass, draw_overlay
from edgeseg.errors import DataError, UsageError


def seen(class_ids: NDArray[np.uint8]) -> Segmentation:
    return Segmentation(Frame.of(np.zeros((8, 8, 3), np.uint8)), class_ids, np.full_like(class_ids, 255))


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_each_class_is_blended_with_its_colour_away_from_edges() -> None:
    ids = np.repeat(np.repeat(np.arange(4, dtype=np.uint8).reshape(2, 2), 44, 0), 60, 1)
    image = noise(720, 1280)
    drawn = draw_overlay(image, seen(ids), opacity=0.4)
    for index, item in enumerate(CLASSES):
        row, column = divmod(index, 2)
        window = np.s_[360 * row + 30 : 360 * row + 330, 640 * column + 30 : 640 * column + 610]
        colour = np.array(item.color_rgb[::-1])
        expected = image[window] * 0.6 + colour * 0.4 if index else image[window]
        assert np.abs(drawn[window] - expected).max() <= 1


def test_other_is_not_touched_and_edges_carry_no_dark_rim() -> None:
    ids = np.zeros((88, 120), np.uint8)
    ids[30:50, 40:80] = 2
    image = np.full((720, 1280, 3), 100, np.uint8)
    drawn = draw_overlay(image, seen(ids), opacity=0.5)
    tinted = (100 + np.array(CLASSES[2].color_rgb[::-1])) / 2
    untouched = (drawn == 100).all(axis=2)
    full = (np.abs(drawn - tinted) <= 1).all(axis=2)
    assert (untouched | full).all()
    # 20 x 40 cells of 88 x 120.
    assert full.mean() == pytest.approx(20 * 40 / (88 * 120), rel=0.03)
    ys, xs = np.nonzero(full)
    assert [ys.min(), ys.max()] == pytest.approx([30 * 720 / 88, 50 * 720 / 88], abs=3)
    assert [xs.min(), xs.max()] == pytest.approx([40 * 1280 / 120, 80 * 1280 / 120], abs=3)


def test_the_outline_runs_where_the_model_is_in_two_minds() -> None:
    """Two rows of cells, sure road below, and above it `other` with more or less confidence."""
    image = np.full((200, 40, 3), 100, np.uint8)
    ids = np.array([[0], [1]], np.uint8)

    def first_row_of_road(confidence: int) -> int:
        sure = np.array([[confidence], [255]], np.uint8)
        drawn = draw_overlay(image, Segmentation(Frame.of(image), ids, sure))
        return int(np.flatnonzero((drawn != 100).any(axis=(1, 2)))[0])

    assert first_row_of_road(255) == pytest.approx(100, abs=2)
    # However little it is sure, the cell's own half above its centre stays what the model says it is.
    assert first_row_of_road(130) == pytest.approx(52, abs=3)
    assert first_row_of_road(0) >= 50
    assert first_row_of_road(130) < first_row_of_road(190) < first_row_of_road(255)


def test_nothing_passed_in_is_changed_and_the_result_is_new() -> None:
    image = noise(90, 160)
    kept = image.copy()
    image.flags.writeable = False
    ids = np.ones((22, 30), np.uint8)
    segmentation = seen(ids)
    for opacity in (0.0, 0.5, 1.0):
        drawn = draw_overlay(image, segmentation, opacity, legend=True)
        assert not np.shares_memory(drawn, image)
        assert drawn.flags.writeable
    assert np.array_equal(image, kept)
    assert (ids == 1).all()


def test_the_opacity_goes_from_picture_to_colour() -> None:
    image = noise(90, 160)
    road = seen(np.ones((22, 30), np.uint8))
    assert np.array_equal(draw_overlay(image, road, 0.0), image)
    assert (draw_overlay(image, road, 1.0) == CLASSES[1].color_rgb[::-1]).all()
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(UsageError, match="opacity must lie between 0 and 1"):
            draw_overlay(image, road, wrong)


@settings(max_examples=60)
@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30)), elements=st.integers(0, 3)),
    st.integers(1, 120),
    st.integers(1, 120),
)
def test_every_size_of_picture_and_map_is_drawn_within_bounds(ids: NDArray[np.uint8], height: int, width: int) -> None:
    image = noise(height, width)
    drawn = draw_overlay(image, seen(ids), opacity=1.0)
    assert drawn.shape == image.shape
    if not ids.any():
        assert np.array_equal(drawn, image)
    if ids.all() and len(np.unique(ids)) == 1:
        assert (drawn == CLASSES[ids[0, 0]].color_rgb[::-1]).all()


def test_the_picture_may_be_of_another_size_than_the_frame() -> None:
    ids = np.zeros((22, 30), np.uint8)
    ids[11:] = 1
    drawn = draw_overlay(np.zeros((99, 51, 3), np.uint8), seen(ids), opacity=1.0)
    assert not drawn[:45].any()
    assert (drawn[54:] == CLASSES[1].color_rgb[::-1]).all()


def test_other_colours_can_be_asked_for() -> None:
    classes = (SegmentClass("other", (0, 0, 0)), SegmentClass("road", (1, 2, 3)))
    drawn = draw_overlay(np.zeros((8, 8, 3), np.uint8), seen(np.ones((2, 2), np.uint8)), 1.0, classes)
    assert (drawn == (3, 2, 1)).all()


def test_the_legend_shows_the_colours_of_the_tinted_classes() -> None:
    image = np.full((720, 1280, 3), 50, np.uint8)
    drawn = draw_overlay(image, seen(np.zeros((22, 30), np.uint8)), legend=True)
    colours = {tuple(colour) for colour in drawn[:140, :60].reshape(-1, 3).tolist()}
    assert {item.color_rgb[::-1] for item in CLASSES[1:]} <= colours
    assert (drawn[200:] == 50).all()
    draw_overlay(noise(3, 5), seen(np.zeros((1, 1), np.uint8)), legend=True)


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(DataError, match="uint8 BGR"):
        draw_overlay(np.zeros((8, 8), np.uint8), seen(np.ones((2, 2), np.uint8)))
