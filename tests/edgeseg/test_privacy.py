"""People are blurred, all of them that the model sees, for good, and nothing else is touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeseg import Frame, Segmentation, Segmenter
from edgeseg.errors import ModelError, UsageError
from edgeseg.fusion import decide
from edgeseg.privacy import LIKELY, PeopleBlur, blur_people, people_mask

CARPARK = Path(__file__).parents[1] / "data" / "carpark" / "carpark.mp4"
ROAD, PERSON = 1, 3
CELL = 8
MAP_HW = (44, 60)


def noise(seed: int = 0, size_hw: tuple[int, int] = (MAP_HW[0] * CELL, MAP_HW[1] * CELL)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8)


def see(
    image: NDArray[np.uint8], people: list[tuple[int, int, int, int]], at_s: float = 0.0, sure: int = 255
) -> Segmentation:
    """People as (x, y, w, h) boxes of cells on a road."""
    class_ids = np.full(MAP_HW, ROAD, np.uint8)
    for x, y, w, h in people:
        class_ids[y : y + h, x : x + w] = PERSON
    return Segmentation(Frame(image, 7, round(at_s * 1e9), "camera"), class_ids, np.full(MAP_HW, sure, np.uint8))


def changed(before: NDArray[np.uint8], after: Segmentation) -> NDArray[np.bool_]:
    """Which pixels of a picture of noise are no longer what they were."""
    return (after.frame.image != before).any(axis=2)


def to_pixels(cells: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    return cv2.resize(cells, size_hw[::-1], interpolation=cv2.INTER_NEAREST) > 0  # type: ignore[no-any-return]


boxes = st.lists(
    st.tuples(st.integers(0, 58), st.integers(0, 42), st.integers(1, 30), st.integers(1, 40)), min_size=1, max_size=5
)


@settings(max_examples=60)
@given(boxes, st.sampled_from([(352, 480), (361, 487), (44, 60), (90, 333)]), st.floats(0, 0.1))
def test_every_person_pixel_is_blurred_and_nothing_beyond_the_margin(
    people: list[tuple[int, int, int, int]], size_hw: tuple[int, int], margin: float
) -> None:
    image = noise(size_hw=size_hw)
    segmentation = see(image, people)
    kept = image.copy()
    blurred = blur_people(segmentation, margin)
    assert np.array_equal(image, kept)
    assert blurred.frame.image.shape == image.shape
    person = to_pixels((segmentation.class_ids == PERSON).astype(np.uint8), size_hw)
    # Noise may by chance equal its blur in all three channels: 1 pixel in 256 ** 3.
    assert changed(image, blurred)[person].mean() > 0.99
    reach = max(1, int(np.ceil(margin * MAP_HW[0]))) + 1
    far = cv2.dilate((segmentation.class_ids == PERSON).astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8))
    assert not changed(image, blurred)[~to_pixels(far, size_hw)].any()
    assert (blurred.frame.index, blurred.frame.captured_ns, blurred.frame.source) == (7, 0, "camera")
    assert blurred.class_ids is segmentation.class_ids
    assert blurred.timings["blur"] > 0


def test_without_people_the_very_same_comes_back() -> None:
    segmentation = see(noise(), [], sure=0)
    assert blur_people(segmentation) is segmentation
    assert PeopleBlur().blur(segmentation) is segmentation
    assert people_mask(segmentation) is None


@given(st.integers(2, 40), st.integers(2, 50))
def test_no_detail_finer_than_a_square_is_left(height: int, width: int) -> None:
    """From pixel to pixel the blur changes by no more than a slope between two squares' averages, black and white."""
    blurred = blur_people(see(noise(), [(4, 2, width, height)]))
    inside = blurred.frame.image[2 * CELL : (2 + height) * CELL, 4 * CELL : (4 + width) * CELL].astype(int)
    square = max(height * CELL / 8, 352 / 32)
    assert np.abs(np.diff(inside, axis=0)).max(initial=0) <= 255 / square + 2
    assert np.abs(np.diff(inside, axis=1)).max(initial=0) <= 255 / square + 2


def test_what_the_squares_held_is_gone_for_good() -> None:
    """Two pictures whose squares hold the same pixels in another order come out as one: nothing tells them apart."""
    people = [(20, 0, 16, 44)]
    image = noise()
    turned = image.copy()
    columns = slice((20 - 2) * CELL, (20 + 16 + 2) * CELL)
    # The box is the whole height and 20 cells wide, so its squares are 44 pixels high and 160 / 4 wide.
    for top in range(0, 352, 44):
        part = turned[top : top + 44, columns]
        for left in range(0, 160, 40):
            part[:, left : left + 40] = part[:, left : left + 40][::-1, ::-1].copy()
    one, other = (blur_people(see(picture, people, sure=255), 0.04) for picture in (image, turned))
    assert changed(image, one)[:, columns].mean() > 0.99
    # Every second pixel is averaged, another half of them in each picture: the averages differ by chance alone.
    assert np.abs(one.frame.image.astype(int) - other.frame.image)[:, columns].max() < 30
    assert np.abs(image.astype(int) - turned)[:, columns].max() > 200


def test_what_the_model_is_unsure_of_is_person_beside_a_person_only() -> None:
    sure, unsure = see(noise(), [(30, 20, 3, 6)]), see(noise(), [(30, 20, 3, 6)], sure=100)
    far, near = people_mask(sure), people_mask(unsure)
    assert far is not None
    assert near is not None
    assert far.sum() < near.sum() < 4 * far.sum()
    assert not (far & ~near).any()


def test_a_place_stays_blurred_for_a_moment_and_then_no_longer() -> None:
    blur, image = PeopleBlur(hold_s=0.2), noise()
    first = changed(image, blur.blur(see(image, [(10, 10, 4, 10)], 0.0)))
    assert np.array_equal(changed(image, blur.blur(see(image, [], 0.2))), first)
    gone = see(image, [], 0.21)
    assert blur.blur(gone) is gone
    # Somebody moves on: both places, then the new one alone.
    blur.blur(see(image, [(10, 10, 4, 10)], 1.0))
    both = changed(image, blur.blur(see(image, [(40, 10, 4, 10)], 1.1)))
    later = changed(image, blur.blur(see(image, [(40, 10, 4, 10)], 1.25)))
    assert both[14 * CELL, 12 * CELL]
    assert both[14 * CELL, 42 * CELL]
    assert not later[14 * CELL, 12 * CELL]
    assert later[14 * CELL, 42 * CELL]


def test_after_a_step_back_in_time_nothing_is_held() -> None:
    blur, image = PeopleBlur(hold_s=10), noise()
    blur.blur(see(image, [(10, 10, 4, 10)], 5.0))
    back = see(image, [], 4.0)
    assert blur.blur(back) is back
    blur.blur(see(image, [(10, 10, 4, 10)], 5.0))
    assert not changed(image, blur.blur(see(image, [(40, 10, 4, 10)], 4.0)))[14 * CELL, 12 * CELL]


@pytest.mark.parametrize("people", [[], [(20, 10, 2, 4)]])
def test_what_is_held_stays_when_a_model_of_another_size_takes_over(people: list[tuple[int, int, int, int]]) -> None:
    blur, image = PeopleBlur(hold_s=1), noise()
    first = changed(image, blur.blur(see(image, [(10, 10, 4, 10)], 5.0)))
    smaller = see(image, people, 5.1)
    smaller = replace(smaller, class_ids=smaller.class_ids[:24, :40], confidence=smaller.confidence[:24, :40])
    now = changed(image, blur.blur(smaller))
    assert now[first].mean() > 0.8
    for x, y, _, _ in people:
        assert now[(y + 1) * 352 // 24, (x + 1) * 480 // 40]


def test_a_model_that_knows_no_people_is_refused_and_so_are_senseless_settings() -> None:
    segmentation = see(noise(), [])
    without = replace(segmentation, classes=segmentation.classes[:3])
    with pytest.raises(ModelError, match="other, road, vehicle, but no class 'person'"):
        blur_people(without)
    for margin, hold_s in ((-0.1, 0.0), (0.6, 0.0), (0.0, -1.0), (float("nan"), 0.0), (0.0, float("inf"))):
        with pytest.raises(UsageError, match="blurring needs"):
            PeopleBlur(hold_s, margin)


def _blur_frame(clip: Path, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A frame, and what the bundled model leaves of it."""
    capture = cv2.VideoCapture(str(clip))
    for _ in range(index + 1):
        ok, read = capture.read()
        assert ok
    image = np.asarray(read, np.uint8)
    with Segmenter() as segmenter:
        return image, blur_people(segmenter.segment(image)).frame.image


def test_a_real_walker_is_blurred_and_most_of_the_car_is_not() -> None:
    image, blurred = _blur_frame(CARPARK, 70)
    # Looked at: somebody walks at 258..290 x 0..48, a car stands at 120..285 x 225..360.
    before, after = (np.abs(cv2.Laplacian(picture[4:44, 264:284], cv2.CV_32F)).max() for picture in (image, blurred))
    assert after < before / 5
    # Seen from above, where no picture was learnt from, a few of its places might be a person by 5 to 9 %.
    assert (image != blurred).any(axis=2)[225:360, 120:285].mean() < 0.2


def test_cars_as_a_driver_sees_them_stay_for_the_most_part(bundled_clip: Path) -> None:
    image, blurred = _blur_frame(bundled_clip, 210)
    changed = (image != blurred).any(axis=2)
    # Looked at: between the two, at 150..208, one place of a third car behind them might be a person by 7 %.
    for left, top, right, bottom in ((110, 305, 150, 335), (210, 305, 265, 335)):
        assert changed[top:bottom, left:right].mean() < 0.01
    for left, top, right, bottom in ((110, 305, 170, 335), (200, 305, 265, 335)):
        assert changed[top:bottom, left:right].mean() < 0.2


def test_whoever_may_be_a_person_is_blurred_though_the_road_is_likelier() -> None:
    def segment(probability: float) -> Segmentation:
        rest = (1 - probability) / 3
        logs = np.log(np.full((20, 30, 4), (1 - 3e-6, 1e-6, 1e-6, 1e-6), np.float32))
        # Up to a number of its own in each cell, as the scores of a network are.
        logs += np.random.default_rng(0).normal(size=(20, 30, 1)).astype(np.float32) * 30
        logs[8:12, 10:14] = np.log([rest, rest, rest, probability])
        picture = np.random.default_rng(1).integers(0, 256, (80, 120, 3), np.uint8)
        return Segmentation(Frame.of(picture), *decide(logs), scores=logs)

    assert people_mask(segment(LIKELY * 0.9)) is None
    mask = people_mask(segment(LIKELY * 1.1), margin=0.05)
    assert mask is not None
    assert mask.sum() == mask[7:13, 9:15].sum() > 16
