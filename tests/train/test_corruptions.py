from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from tests.scenes import draw_street
from train.augment import random_look
from train.config import Augmentation
from train.corruptions import CORRUPTIONS, STRENGTHS, Image, add_noise, corrupt_randomly


def street() -> Image:
    """A drawn street without the noise of the drawing."""
    return np.asarray(cv2.medianBlur(draw_street(np.random.default_rng(0), (180, 240))[0], 5))


def apply(kind: str, strength: float, seed: int = 1, image: Image | None = None) -> Image:
    return CORRUPTIONS[kind](street() if image is None else image, strength, np.random.default_rng(seed))


def distance(one: Image, other: Image) -> float:
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_stronger_is_worse_and_the_same_generator_gives_the_same(kind: str) -> None:
    clean = street()
    costs = [distance(apply(kind, strength), clean) for strength in STRENGTHS.values()]
    assert costs == sorted(costs)
    assert costs[2] > 1.3 * costs[0] > 0
    # Nothing to see at 0: at most the rounding of a codec or a grain of noise.
    assert distance(apply(kind, 0.0), clean) < 0.6 * costs[0]
    assert apply(kind, 2.0).shape == clean.shape
    assert apply(kind, 2.0).dtype == np.uint8
    np.testing.assert_array_equal(apply(kind, 2.0), apply(kind, 2.0))
    assert np.array_equal(street(), clean), "the picture that was given stays as it was"


@pytest.mark.parametrize("kind", sorted(set(CORRUPTIONS) - {"jpeg"}))
def test_another_generator_gives_another_picture(kind: str) -> None:
    assert not np.array_equal(apply(kind, 2.0, seed=1), apply(kind, 2.0, seed=2))


def test_low_light_is_darker_and_its_noise_follows_the_light() -> None:
    image = np.repeat(np.repeat(np.array([[30, 200]], np.uint8), 100, 0), 100, 1)
    image = np.dstack([image] * 3)
    levels = np.array([30, 200]) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    seen = apply("low_light", 1.0, image=np.ascontiguousarray(image)).astype(float) / 255
    back = np.where(seen <= 0.04045, seen / 12.92, ((seen + 0.055) / 1.055) ** 2.4)
    for columns, light in ((slice(0, 100), linear[0]), (slice(100, 200), linear[1])):
        # Exposure a quarter, half of the stops brought back: half the light, with the noise of a quarter.
        assert back[:, columns].mean() == pytest.approx(0.5 * light, rel=0.03)
        electrons = light * 3000 * 0.25
        assert back[:, columns].std() == pytest.approx(0.5 / 750 * np.sqrt(electrons + 9), rel=0.1)


def test_motion_blur_is_a_mean_along_a_line() -> None:
    image = np.zeros((201, 400, 3), np.uint8)
    image[100, 200] = 255
    image = cv2.GaussianBlur(image, (0, 0), 1.0)
    spread = apply("motion_blur", 3.0, image=np.asarray(image * 6, np.uint8))[..., 0].astype(float)
    rows, columns = np.nonzero(spread > 0.3 * spread.max())
    reach = np.hypot(np.ptp(rows), np.ptp(columns))
    assert 0.04 * 400 - 3 < reach < 0.04 * 400 + 5
    flat = np.full((60, 80, 3), 77, np.uint8)
    np.testing.assert_array_equal(apply("motion_blur", 3.0, image=flat), flat)


@pytest.mark.parametrize(("strength", "share"), [(1.0, 0.049), (2.0, 0.112), (3.0, 0.218)])
def test_rain_drops_cover_what_they_should_and_leave_the_rest(strength: float, share: float) -> None:
    """Over a chessboard of pixels, which out of focus is grey: behind a drop each pixel moves by half of the range."""
    rows, columns = np.indices((180, 240))
    board = np.dstack([np.asarray(255 * ((rows + columns) % 2), np.uint8)] * 3)
    moved = np.array([np.abs(apply("rain_drops", strength, seed, board).astype(int) - board) for seed in range(20)])
    assert moved.mean() / 127.5 == pytest.approx(share, rel=0.04)
    # The rest stays as it is, but for the drops' blurred edges, which take as much again where drops are few.
    assert (moved > 0).mean() < 2.2 * share


def test_fog_hides_the_distance_first() -> None:
    clean, foggy = street().astype(float), apply("fog", 3.0).astype(float)
    far, near = slice(70, 95), slice(170, 180)
    assert foggy[far].std() < 0.4 * clean[far].std()
    assert np.abs(foggy[near] - clean[near]).mean() < 0.5 * np.abs(foggy[far] - clean[far]).mean()


def test_fog_swallows_as_koschmieder_says() -> None:
    """Over a black road in fog of 75 m the air between makes 1 - exp(-3.912 d / 75): 5 m away, and 80 m at most."""
    black = np.zeros((200, 320, 3), np.uint8)
    ratios = []
    for seed in range(40):
        seen = apply("fog", 3.0, seed, black).astype(float)
        ratios.append(seen[-2:].mean() / seen[:40].mean())
    near, far = (1 - np.exp(-3.912 * metres / 75) for metres in (5.0, 80.0))
    assert np.mean(ratios) == pytest.approx(near / far, rel=0.06)


def test_noise_has_its_sigma() -> None:
    flat = np.full((100, 100, 3), 128, np.uint8)
    assert apply("noise", 2.0, image=flat).std() == pytest.approx(20, rel=0.05)
    # Rounded, not cut off, which would make every picture darker.
    assert add_noise(flat, 4.0, np.random.default_rng(0)).mean() == pytest.approx(128, abs=0.1)


def test_training_draws_every_kind_within_the_strengths_of_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, float]] = []

    def note(kind: str) -> Any:
        def corrupt(image: Image, strength: float, rng: np.random.Generator) -> Image:
            drawn.append((kind, strength))
            return image

        return corrupt

    for kind in CORRUPTIONS:
        monkeypatch.setitem(CORRUPTIONS, kind, note(kind))
    rng = np.random.default_rng(0)
    for _ in range(120):
        corrupt_randomly(street(), (0.5, 2.0), rng)
    assert {kind for kind, _ in drawn} == set(CORRUPTIONS)
    assert 0.5 <= min(strength for _, strength in drawn) < 0.7
    assert 1.8 < max(strength for _, strength in drawn) <= 2.0

    drawn.clear()
    always, never = Augmentation(corruption_p=1.0, color_p=0), Augmentation(corruption_p=0.0, color_p=0)
    random_look(street(), always, rng)
    assert len(drawn) == 1
    random_look(street(), never, rng)
    assert len(drawn) == 1
