"""Look: what may be asked for, what is one and the same, and what it does to the picture."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.server.look import LARGEST_WIDTH, Look, draw_notice, encode_jpeg, reduce_width
from edgeseg.uncertainty import draw_uncertainty
from tests.edgeseg.results import make_result
from tests.edgeseg.server.live import Camera, decode

VIEW = Camera().view


@pytest.mark.parametrize(
    ("query", "look"),
    [
        ({}, Look()),
        ({"hide": "", "opacity": "50"}, Look()),
        ({"opacity": "60"}, Look((), 60)),
        ({"hide": "person"}, Look(("person",))),
        ({"hide": "person,road"}, Look(("road", "person"))),
        ({"hide": "road,person", "opacity": "50"}, Look(("road", "person"))),
        # All the same picture: nothing is tinted.
        ({"opacity": "0"}, Look((), 0)),
        ({"opacity": "0", "hide": "person"}, Look((), 0)),
        ({"hide": "road,vehicle,person", "opacity": "70"}, Look((), 0)),
        ({"show": "classes"}, Look()),
        ({"show": "entropy"}, Look((), None, "entropy")),
        ({"show": "confidence", "opacity": "80"}, Look((), 80, "confidence")),
        # There are no classes to hide.
        ({"show": "entropy", "hide": "person", "opacity": "50"}, Look((), None, "entropy")),
    ],
)
def test_what_draws_one_picture_is_one_look(query: dict[str, str], look: Look) -> None:
    assert Look.parse(query, VIEW) == look


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"hide": "<script>"}, "hide: unknown class; there is road, vehicle, person"),
        ({"hide": "other"}, "hide: unknown class"),
        ({"opacity": "55"}, "opacity: must be 0, 10, 20"),
        ({"opacity": "110"}, "opacity: must be"),
        ({"opacity": "１０"}, "opacity: must be"),
        ({"opacity": "<b>"}, "opacity: must be"),
        ({"show": "<b>"}, "show: must be classes, confidence or entropy"),
    ],
)
def test_what_is_refused_is_not_repeated(query: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Look.parse(query, VIEW)
    assert str(caught.value).startswith(message)
    assert "<" not in str(caught.value)


def test_the_runs_own_look_is_the_picture_that_recordings_share() -> None:
    result = make_result()
    assert Look().draw(result, VIEW) is result.overlay()


def test_a_hidden_class_is_untinted_and_the_others_stay() -> None:
    result = make_result()
    image, ids = result.segmentation.frame.image, result.segmentation.class_ids
    hidden = Look(("road",)).draw(result, VIEW)
    road, cars = (tuple(4 * axis + 2 for axis in np.nonzero(ids == index)) for index in (1, 2))
    # Along the edges colours run into each other.
    assert (hidden[road] == image[road]).mean() > 0.95
    assert (result.overlay()[road] != image[road]).any(axis=1).mean() > 0.95
    assert (hidden[cars] == result.overlay()[cars]).mean() > 0.95


def test_opacity_is_that_of_the_viewer_and_not_of_the_run() -> None:
    result = make_result()
    image = result.segmentation.frame.image
    np.testing.assert_array_equal(Look((), 0).draw(result, VIEW), image)
    full = Look((), 100).draw(result, VIEW)
    half = result.overlay()
    assert np.abs(full.astype(int) - image).sum() > 1.8 * np.abs(half.astype(int) - image).sum()


@pytest.mark.parametrize(
    ("size", "expected"),
    [((720, 1280), (720, 1280)), ((1080, 1920), (720, 1280)), ((1, 4000), (1, 1280)), ((4000, 100), (4000, 100))],
)
def test_wide_pictures_are_reduced_for_the_page(size: tuple[int, int], expected: tuple[int, int]) -> None:
    picture = reduce_width(np.full((*size, 3), 90, np.uint8), LARGEST_WIDTH)
    assert decode(encode_jpeg(picture)).shape == (*expected, 3)


@pytest.mark.parametrize("size", [None, (180, 320), (1080, 1920), (40, 30)])
def test_a_notice_is_grey_dim_and_not_empty(size: tuple[int, int] | None) -> None:
    picture = None if size is None else np.full((*size, 3), (200, 60, 30), np.uint8)
    notice = draw_notice(picture, ["No signal for 12 s"])
    assert notice.shape[2] == 3
    assert (notice.max(axis=2) == notice.min(axis=2)).all()
    assert 0 < (notice > 200).mean() < 0.2
    assert np.median(notice) < 60


def test_how_sure_the_model_is_is_drawn_in_place_of_the_classes() -> None:
    result = make_result(width=LARGEST_WIDTH + 200, height=200)
    drawn = Look((), 100, "entropy").draw(result, VIEW)
    assert drawn.shape[1] == LARGEST_WIDTH, "reduced before anything is drawn"
    # The same scores everywhere but for their order: one heat over all of the picture.
    assert np.ptp(drawn.reshape(-1, 3), axis=0).max() == 0
    assert np.array_equal(
        drawn[0, 0], draw_uncertainty(result.segmentation.frame.image, result.segmentation, "entropy", 1.0)[0, 0]
    )
