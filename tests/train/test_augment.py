from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgeseg.classes import IGNORE_INDEX
from tests.scenes import COLORS, draw_street
from train import augment
from train.config import Augmentation
from train.corruptions import Image

PLAIN = Augmentation()


def street(seed: int = 0) -> tuple[Image, Image]:
    return draw_street(np.random.default_rng(seed), (180, 240))


@pytest.mark.parametrize("seed", range(6))
def test_a_view_moves_picture_and_label_together(seed: int) -> None:
    image, label = street(seed)
    view, mask = augment.random_view(image, label, (96, 128), (96, 128), PLAIN, np.random.default_rng(seed))
    assert view.shape == (96, 128, 3)
    assert mask.shape == (48, 64)
    # Each pixel's nearest class colour must be its label, but for the blurred edges between two classes.
    small = cv2.resize(view, (64, 48), interpolation=cv2.INTER_AREA).astype(np.float32)
    nearest = np.linalg.norm(small[:, :, None, ::-1] - COLORS, axis=-1).argmin(-1)
    inside = (mask != IGNORE_INDEX) & (cv2.erode(mask, np.ones((3, 3))) == cv2.dilate(mask, np.ones((3, 3))))
    assert inside.sum() > 300
    assert (nearest == mask)[inside].mean() > 0.97


def test_outside_of_the_picture_is_ignored_and_grey() -> None:
    image, label = street()
    zoomed_out = Augmentation(scale=(0.5, 0.5), aspect=1.0)
    view, mask = augment.random_view(image, label, (96, 128), (96, 128), zoomed_out, np.random.default_rng(1))
    outside = mask == IGNORE_INDEX
    assert outside.mean() == pytest.approx(0.75, abs=0.05)
    assert (view[::2, ::2][cv2.erode(outside.astype(np.uint8), np.ones((5, 5))) > 0] == 128).all()


@pytest.mark.parametrize(("stretch", "proportion"), [(None, 0.67), (2.0, 1.0)])
def test_squeezed_pictures_get_their_proportions_back(stretch: float | None, proportion: float) -> None:
    """A ball in a scene of 2:1 that was squeezed into a square, seen by a network of 4:3."""
    scene = np.zeros((240, 480), np.uint8)
    cv2.circle(scene, (240, 120), 30, 3, -1)
    label = np.asarray(cv2.resize(scene, (240, 240), interpolation=cv2.INTER_NEAREST), np.uint8)
    image = np.dstack([label] * 3)
    middle = Augmentation(scale=(1.0, 1.0), aspect=1.0, focus={"person": 1.0})
    for seed in range(20):
        rng = np.random.default_rng(seed)
        _, mask = augment.random_view(image, label, (240, 320), (240, 320), middle, rng, 1, stretch=stretch)
        rows, columns = np.nonzero(mask == 3)
        if columns.min() > 0 and columns.max() < 319:
            break
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx(proportion, abs=0.06)


def test_focus_brings_the_class_into_view() -> None:
    image, label = street()
    focused = Augmentation(scale=(2.0, 2.0), focus={"person": 1.0})
    for seed in range(20):
        _, mask = augment.random_view(image, label, (96, 128), (48, 64), focused, np.random.default_rng(seed), 1)
        assert (mask == 3).any()


def test_the_same_generator_gives_the_same_sample() -> None:
    image, label = street()
    everything = Augmentation(**dict.fromkeys(
        ("color_p", "blur_p", "noise_p", "low_light_p", "haze_p", "rain_p", "jpeg_p"), 1.0
    ))  # fmt: skip

    def sample() -> Image:
        rng = np.random.default_rng((1, 2, 3))
        view, _ = augment.random_view(image, label, (96, 128), (64, 96), everything, rng)
        return augment.random_look(view, everything, rng)

    assert np.array_equal(sample(), sample())


def test_without_chances_nothing_changes() -> None:
    rgb = street()[0]
    effects = ("color_p", "blur_p", "noise_p", "low_light_p", "haze_p", "rain_p", "jpeg_p")
    none = Augmentation(**dict.fromkeys(effects, 0.0))
    assert np.array_equal(augment.random_look(rgb, none, np.random.default_rng(0)), rgb)
    for effect in effects:
        certain = none.model_copy(update={effect: 1.0})
        assert not np.array_equal(augment.random_look(rgb, certain, np.random.default_rng(0)), rgb), effect


def test_each_effect_does_what_its_name_says() -> None:
    rgb = street()[0]
    rng = np.random.default_rng(0)

    def sharpness(picture: Image) -> float:
        return float(cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_32F).var())

    assert augment.darken(rgb, 1.0, rng).mean() < 0.5 * rgb.mean()
    assert sharpness(augment.blur(rgb, 1.0, rng)) < 0.5 * sharpness(rgb)
    hazy = augment.add_haze(rgb, 0.7, rng)
    assert hazy[:40].std() < 0.6 * rgb[:40].std()  # far away: little contrast is left
    assert abs(float(hazy[-10:].mean()) - float(rgb[-10:].mean())) < 25  # at the bumper: hardly any haze
    assert not np.array_equal(augment.add_rain(rgb, 1.0, rng), rgb)
    assert not np.array_equal(augment.vary_color(rgb, rng), rgb)
