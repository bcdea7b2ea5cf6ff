"""The models of the checkout are what their cards say, and on the bundled drive the road is where the road is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg import Frame, Segmentation, Segmenter, TemporalFusion, read_card
from edgeseg.classes import CLASS_NAMES
from edgeseg.segmenter import BUNDLED_MODEL, SMALL_BUNDLED_MODEL

OTHER, ROAD, VEHICLE, PERSON = range(4)
CHECKED = (0, 70, 140, 210)
FAMILY = [f"{network}-{size}" for network in ("nano", "small") for size in ("320x192", "480x352", "512x288")]


def find_model(name: str) -> Path:
    return BUNDLED_MODEL.with_name(f"edgeseg-{name}-int8.tflite")


@pytest.fixture(scope="module")
def seen(bundled_clip: Path) -> dict[int, Segmentation]:
    """The checked frames of the drive, segmented as the device does it, fusion on."""
    capture = cv2.VideoCapture(str(bundled_clip))
    fusion = TemporalFusion()
    found = {}
    with Segmenter() as segmenter:
        for index in range(max(CHECKED) + 1):
            ok, image = capture.read()
            assert ok
            segmentation = segmenter.segment(Frame(image, index, index * 40_000_000, "drive"), fusion)
            if index in CHECKED:
                found[index] = segmentation
    return found


def share(segmentation: Segmentation, index: int, left: float, top: float, right: float, bottom: float) -> float:
    """The share of a class in a window given in pixels of the 960x540 picture."""
    ids: NDArray[np.uint8] = cv2.resize(segmentation.class_ids, (960, 540), interpolation=cv2.INTER_NEAREST)
    return float((ids[int(top) : int(bottom), int(left) : int(right)] == index).mean())


def test_the_card_says_where_the_weights_come_from_and_what_they_may_be_used_for() -> None:
    card = read_card(BUNDLED_MODEL)
    assert card.class_names == CLASS_NAMES
    assert card.quantization == "int8"
    assert card.input_hw == (352, 480)
    assert "non-commercial" in card.licence
    assert {item.name for item in card.trained_on} >= {"camvid"}
    assert all(item.licence and item.images for item in card.trained_on)
    assert card.training_sha256


def test_the_smaller_bundled_model_may_take_the_place_of_the_bundled_one() -> None:
    """The ladder puts it there."""
    large, small = read_card(BUNDLED_MODEL), read_card(SMALL_BUNDLED_MODEL)
    assert small.classes == large.classes
    assert small.training_sha256 == large.training_sha256
    assert small.licence == large.licence
    assert small.quantization == "int8"
    assert small.input_hw == (192, 320)


@pytest.mark.parametrize(
    ("name", "camvid", "person", "idd_lite"),
    [
        ("nano-320x192", 0.78, 0.67, 0.66),
        ("nano-480x352", 0.835, 0.73, 0.725),
        ("nano-512x288", 0.83, 0.725, 0.71),
        ("small-320x192", 0.825, 0.74, 0.71),
        ("small-480x352", 0.87, 0.795, 0.76),
        ("small-512x288", 0.855, 0.79, 0.75),
    ],
)
def test_the_card_keeps_to_what_was_reached(name: str, camvid: float, person: float, idd_lite: float) -> None:
    figures = read_card(find_model(name)).metrics
    held_out = "idd_lite train, held out drives"
    for dataset, bar in (("camvid val", camvid), (held_out, idd_lite)):
        int8, exact = figures[dataset], figures[f"{dataset}, float32"]
        means = [sum(found.iou[item] or 0.0 for item in CLASS_NAMES[1:]) / 3 for found in (int8, exact)]
        assert means[0] >= bar
        assert means[1] - means[0] <= 0.003
        for item in CLASS_NAMES:
            assert (exact.iou[item] or 0.0) - (int8.iou[item] or 0.0) <= 0.006
    assert (figures["camvid val"].iou["person"] or 0.0) >= person


def test_the_checkout_holds_the_family_and_nothing_else() -> None:
    assert {path.name for path in BUNDLED_MODEL.parent.glob("*.tflite")} == {find_model(name).name for name in FAMILY}


@pytest.mark.parametrize("name", sorted(set(FAMILY) - {"nano-480x352"}))
def test_every_model_sees_what_the_bundled_one_sees(
    name: str, seen: dict[int, Segmentation], bundled_clip: Path
) -> None:
    capture = cv2.VideoCapture(str(bundled_clip))
    ok, image = capture.read()
    assert ok
    with Segmenter(find_model(name)) as segmenter:
        found = segmenter.segment(image)
    assert share(found, ROAD, 240, 420, 720, 530) > 0.97
    same = [cv2.resize(item.class_ids, (960, 540), interpolation=cv2.INTER_NEAREST) for item in (found, seen[0])]
    assert (same[0] == same[1]).mean() > 0.95


def test_the_road_is_where_the_road_is(seen: dict[int, Segmentation]) -> None:
    for index, segmentation in seen.items():
        assert share(segmentation, ROAD, 240, 420, 720, 530) > 0.97, index
        assert share(segmentation, ROAD, 400, 340, 560, 400) > 0.9, index


def test_the_sky_is_no_road_and_holds_nothing(seen: dict[int, Segmentation]) -> None:
    for index, segmentation in seen.items():
        assert share(segmentation, OTHER, 100, 5, 600, 200) > 0.99, index
        assert segmentation.shares["person"] < 0.005, index


@pytest.mark.parametrize(
    ("index", "window"), [(140, (70, 300, 180, 360)), (210, (110, 305, 170, 335)), (210, (200, 305, 265, 335))]
)
def test_the_cars_beside_are_vehicles(
    seen: dict[int, Segmentation], index: int, window: tuple[float, float, float, float]
) -> None:
    assert share(seen[index], VEHICLE, *window) > 0.6
