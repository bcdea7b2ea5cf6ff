"""Fusion does what the formula says, recursively, and calms a flickering picture without lagging behind it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgeseg.errors import DataError, UsageError
from edgeseg.fusion import MAX_GAP_NS, MotionMap, TemporalFusion, decide, flicker, fuse_views, log_softmax

FRAME_NS = 40_000_000
Scores = NDArray[np.float32]

scores_maps = hnp.arrays(np.float32, (3, 5, 4), elements=st.floats(-30, 30, width=32))


def plain_log_softmax(scores: Scores) -> NDArray[np.float64]:
    wide = scores.astype(np.float64)
    shifted = wide - wide.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def still_picture(value: int = 100) -> NDArray[np.uint8]:
    return np.full((352, 480, 3), value, np.uint8)


@given(scores_maps)
def test_log_softmax_is_the_logarithm_of_the_softmax(scores: Scores) -> None:
    np.testing.assert_allclose(log_softmax(scores), plain_log_softmax(scores), atol=2e-4)


@given(scores_maps)
def test_the_decision_is_the_argmax_and_its_probability(scores: Scores) -> None:
    class_ids, confidence = decide(scores)
    assert class_ids.dtype == confidence.dtype == np.uint8
    assert np.array_equal(class_ids, scores.argmax(-1))
    expected = 255 * np.exp(plain_log_softmax(scores).max(-1))
    assert np.abs(confidence - expected).max() <= 0.51


def test_any_number_of_classes_can_be_decided() -> None:
    for classes in (1, 2, 21):
        scores = np.random.default_rng(0).normal(size=(4, 6, classes)).astype(np.float32)
        assert np.array_equal(decide(scores)[0], scores.argmax(-1))


@given(st.lists(scores_maps, min_size=1, max_size=4), st.data())
def test_views_are_fused_as_the_formula_says(views: list[Scores], data: st.DataObject) -> None:
    weights = [data.draw(st.floats(0.1, 5)) for _ in views]
    total = sum(weights)
    expected = sum(w / total * plain_log_softmax(v) for w, v in zip(weights, views, strict=True))
    # Scores and log-probabilities alike: what differs is one number per pixel, which the softmax does not see.
    for given_views in (views, [log_softmax(view) for view in views]):
        fused = plain_log_softmax(fuse_views(given_views, weights))
        np.testing.assert_allclose(fused, plain_log_softmax(expected.astype(np.float32)), atol=1e-3)


def test_a_view_of_weight_zero_says_nothing_and_equal_weights_are_the_default() -> None:
    generator = np.random.default_rng(0)
    one, two = generator.normal(size=(2, 3, 5, 4)).astype(np.float32)
    np.testing.assert_allclose(fuse_views([one, two], [1, 0]), one)
    np.testing.assert_allclose(fuse_views([one, two]), (one + two) / 2, rtol=1e-6)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, math.inf], [1.0, math.nan]])
def test_senseless_weights_are_refused(weights: list[float]) -> None:
    view = np.zeros((2, 2, 4), np.float32)
    with pytest.raises(UsageError, match="weights"):
        fuse_views([view, view], weights)


def test_views_of_different_shapes_are_refused() -> None:
    with pytest.raises(DataError, match="one shape"):
        fuse_views([np.zeros((2, 2, 4), np.float32), np.zeros((2, 3, 4), np.float32)])
    with pytest.raises(UsageError, match="0 views"):
        fuse_views([])


@settings(max_examples=20)
@given(st.lists(scores_maps, min_size=1, max_size=6), st.floats(5, 500))
def test_in_a_still_picture_weights_halve_every_half_life(frames: list[Scores], half_life_ms: float) -> None:
    """The recursion gives what the sum over all frames, written out, gives."""
    fusion = TemporalFusion(half_life_ms=half_life_ms)
    for index, scores in enumerate(frames):
        fused = fusion.update(scores, still_picture(), index * FRAME_NS)
    ages_ms = [(len(frames) - 1 - index) * FRAME_NS / 1e6 for index in range(len(frames))]
    expected = fuse_views(frames, [0.5 ** (age / half_life_ms) for age in ages_ms])
    np.testing.assert_allclose(fused, expected, atol=1e-3)


def test_where_the_picture_moved_only_the_newest_counts() -> None:
    fusion = TemporalFusion(half_life_ms=1000)
    old, new = np.full((88, 120, 4), -1, np.float32), np.full((88, 120, 4), 3, np.float32)
    before = still_picture()
    after = before.copy()
    after[:, :240] = 200
    fusion.update(old, before, 0)
    fused = fusion.update(new, after, FRAME_NS)
    np.testing.assert_allclose(fused[:, :59], 3)
    assert (fused[:, 62:] < 1.5).all()


def test_a_slight_change_lowers_the_weight_of_the_past_in_part() -> None:
    def weight_of_the_past(change: int) -> float:
        fusion = TemporalFusion(half_life_ms=1e9, still=4, moved=20)
        fusion.update(np.ones((8, 8, 2), np.float32), still_picture(100), 0)
        fused = fusion.update(np.zeros((8, 8, 2), np.float32), still_picture(100 + change), FRAME_NS)
        return float(fused[0, 0, 0])

    weights = [weight_of_the_past(change) for change in (0, 4, 8, 12, 16, 20, 40)]
    assert weights == sorted(weights, reverse=True)
    assert weights[:2] == pytest.approx([0.5, 0.5])
    assert weights[3] == pytest.approx(0.5 / 1.5)
    assert weights[-2:] == [0, 0]


@pytest.mark.parametrize("step_ns", [MAX_GAP_NS + 1, -1])
def test_after_a_gap_or_a_step_back_it_starts_anew(step_ns: int) -> None:
    fusion = TemporalFusion(half_life_ms=1e9)
    fusion.update(np.ones((8, 8, 2), np.float32), still_picture(), 10**12)
    fused = fusion.update(np.zeros((8, 8, 2), np.float32), still_picture(), 10**12 + step_ns)
    assert not fused.any()


def test_it_starts_anew_after_reset_and_when_shapes_change() -> None:
    fusion = TemporalFusion(half_life_ms=1e9)
    fusion.update(np.ones((8, 8, 2), np.float32), still_picture(), 0)
    assert not fusion.update(np.zeros((8, 8, 3), np.float32), still_picture(), 1).any()
    assert not fusion.update(np.zeros((4, 8, 3), np.float32), still_picture(), 2).any()
    fusion.update(np.ones((4, 8, 3), np.float32), still_picture(), 3)
    fusion.reset()
    assert not fusion.update(np.zeros((4, 8, 3), np.float32), still_picture(), 4).any()


def test_what_goes_in_is_left_alone() -> None:
    fusion = TemporalFusion()
    frames = np.random.default_rng(0).normal(size=(4, 8, 8, 4)).astype(np.float32)
    kept = frames.copy()
    results = [fusion.update(scores, still_picture(), index * FRAME_NS) for index, scores in enumerate(frames)]
    snapshot = [result.copy() for result in results]
    fusion.update(frames[0], still_picture(), 5 * FRAME_NS)
    assert np.array_equal(frames, kept)
    assert all(np.array_equal(a, b) for a, b in zip(results, snapshot, strict=True))


def test_it_calms_noise_and_follows_a_moving_thing_at_once() -> None:
    """A box crosses a noisy street: fusion takes most of the flicker away and the box stays where it is now."""
    generator = np.random.default_rng(0)
    fusion = TemporalFusion()
    motion = MotionMap()
    raw_flicker, fused_flicker, on_box = [], [], []
    last_raw: NDArray[np.uint8] | None = None
    last_fused: NDArray[np.uint8] | None = None
    for index in range(20):
        truth = np.zeros((88, 120), int)
        truth[44:] = 1
        left = 5 + 4 * index
        truth[40:60, left : left + 12] = 2
        picture = np.array([90, 60, 200], np.uint8)[truth].repeat(4, 0).repeat(4, 1)
        picture = np.dstack([picture] * 3)
        scores = (np.eye(4)[truth] * 2 + generator.normal(0, 1, (88, 120, 4))).astype(np.float32)
        change = motion.update(picture, (88, 120))
        raw, _ = decide(scores)
        fused, _ = decide(fusion.update(scores, picture, index * FRAME_NS))
        if index >= 5:
            assert change is not None
            assert last_raw is not None
            assert last_fused is not None
            raw_flicker.append(flicker(last_raw, raw, change > 3))
            fused_flicker.append(flicker(last_fused, fused, change > 3))
            inside = fused[42:58, left + 2 : left + 10]
            on_box.append(float((inside == 2).mean()) - float((raw[42:58, left + 2 : left + 10] == 2).mean()))
        last_raw, last_fused = raw, fused
    assert np.mean(fused_flicker) < 0.6 * np.mean(raw_flicker)
    assert np.mean(on_box) > -0.02


def test_the_motion_map_is_quiet_until_something_changes() -> None:
    motion = MotionMap()
    assert motion.update(still_picture(), (88, 120)) is None
    quiet = motion.update(still_picture(), (88, 120))
    assert quiet is not None
    assert not quiet.any()
    moved = still_picture()
    moved[100:140, 200:240] = 250
    change = motion.update(moved, (88, 120))
    assert change is not None
    assert (change[26:34, 51:59] > 100).all()
    assert not change[:20].any()
    assert motion.update(moved, (44, 60)) is None


def test_flicker_is_the_share_of_still_pixels_that_changed() -> None:
    before = np.array([[0, 0, 1, 1]], np.uint8)
    after = np.array([[0, 1, 1, 2]], np.uint8)
    assert flicker(before, after, np.array([[False, False, False, True]])) == pytest.approx(1 / 3)
    assert flicker(before, before, np.zeros((1, 4), bool)) == 0
    assert math.isnan(flicker(before, after, np.ones((1, 4), bool)))


@pytest.mark.parametrize("wrong", [{"half_life_ms": 0}, {"still": 5, "moved": 5}, {"still": -1}])
def test_senseless_parameters_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="fusion needs"):
        TemporalFusion(**wrong)
