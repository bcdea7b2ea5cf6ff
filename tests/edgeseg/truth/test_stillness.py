"""Stillness counts time in which nothing changed, and a sensor's noise is a change."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeseg.truth.stillness import Stillness

STEP_NS = 200_000_000


def blocks_of(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return cv2.resize(grey, (40, 22), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def noise(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (180, 320, 3), np.uint8)


def still_for(pictures: list[NDArray[np.uint8]], stillness: Stillness | None = None) -> list[tuple[float, float]]:
    stillness = stillness or Stillness()
    return [stillness.update(picture, blocks_of(picture), i * STEP_NS) for i, picture in enumerate(pictures)]


@settings(max_examples=30)
@given(st.lists(st.integers(0, 1), min_size=1, max_size=30))
def test_the_time_of_equal_pictures_is_that_since_the_last_change(changes: list[int]) -> None:
    pictures, seed, run, expected = [noise(0)], 0, 0, [0.0]
    for change in changes:
        seed += change
        run = 0 if change else run + 1
        pictures.append(noise(seed))
        expected.append(run * 0.2)
    assert np.allclose([same for same, _ in still_for(pictures)], expected)


def test_a_picture_that_an_encoder_touches_up_is_still_and_not_the_same() -> None:
    pictures = []
    for index in range(40):
        picture = noise(0)
        picture[index * 4 : index * 4 + 1] ^= 3
        pictures.append(picture)
    times = still_for(pictures)
    assert max(same for same, _ in times) == 0
    assert times[-1][1] == pytest.approx(7.8)


def test_key_pictures_of_a_still_scene_do_not_end_its_stillness() -> None:
    first = np.full((180, 320, 3), 100, np.uint8)
    # As coarse as encoders get: every value off by up to five, every tenth picture.
    pictures = [
        np.clip(first + np.random.default_rng(index // 10).integers(-5, 6, first.shape), 0, 255).astype(np.uint8)
        for index in range(60)
    ]
    times = still_for(pictures)
    assert max(same for same, _ in times) < 2
    assert times[-1][1] == pytest.approx(11.8)


def test_noise_and_motion_end_it() -> None:
    generator = np.random.default_rng(0)
    noisy = [np.clip(100 + generator.normal(0, 1.5, (180, 320, 3)), 0, 255).astype(np.uint8) for _ in range(60)]
    assert max(still for _, still in still_for(noisy)) < 2
    walking = []
    for index in range(60):
        picture = np.full((180, 320, 3), 100, np.uint8)
        picture[80:100, 4 * index : 4 * index + 8] = 30
        walking.append(picture)
    assert max(still for _, still in still_for(walking)) < 2


def test_a_picture_of_another_size_and_a_reset_begin_anew() -> None:
    stillness = Stillness()
    still_for([noise(0)] * 5, stillness)
    other = np.zeros((120, 320, 3), np.uint8)
    assert stillness.update(other, np.zeros((15, 40), np.float32), 5 * STEP_NS) == (0.0, 0.0)
    assert not stillness.repeated
    assert stillness.update(other, np.zeros((15, 40), np.float32), 6 * STEP_NS) == (0.2, 0.2)
    assert stillness.repeated
    stillness.reset()
    assert stillness.update(other, np.zeros((15, 40), np.float32), 7 * STEP_NS) == (0.0, 0.0)
