"""The Segmenter says what is in a picture, times it, and refuses every graph that breaks the contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg import CLASSES, Frame, Segmenter, TemporalFusion
from edgeseg.classes import SegmentClass
from edgeseg.errors import DataError, InputNotFoundError, ModelError, UsageError
from edgeseg.model_card import CardClass, InputContract

OTHER, ROAD, VEHICLE, PERSON = range(4)
MakeModel = Callable[..., Path]


def nearest(class_ids: NDArray[np.uint8], image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.resize(class_ids, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_NEAREST)


def assert_street(full: NDArray[np.uint8]) -> None:
    """The things of the `street` fixture are where they were painted; edges may be a cell off."""
    assert (full[5:50] == OTHER).all()
    assert (full[150:195] == ROAD).all()
    assert (full[70:130, 50:110] == VEHICLE).all()
    assert (full[70:130, 208:232] == PERSON).all()


def test_things_are_found_where_they_are(tiny_model: Path, street: NDArray[np.uint8]) -> None:
    with Segmenter(tiny_model) as segmenter:
        segmentation = segmenter.segment(street)
    assert segmentation.class_ids.shape == segmentation.confidence.shape == (16, 24)
    assert_street(nearest(segmentation.class_ids, street))
    assert segmentation.shares["road"] == pytest.approx(0.44, abs=0.08)
    assert set(segmentation.timings) == {"preprocess", "inference", "decide"}
    assert all(value > 0 for value in segmentation.timings.values())
    assert segmentation.classes == CLASSES


def test_a_letterboxed_model_finds_them_in_the_same_places(
    make_model: MakeModel, tmp_path: Path, street: NDArray[np.uint8]
) -> None:
    path = make_model(tmp_path / "m.tflite", input=InputContract(fit="letterbox"))
    tall = np.vstack([street, street])
    with Segmenter(path) as segmenter:
        assert segmenter.logits(tall).shape == (16, 24, 4)
        segmentation = segmenter.segment(tall)
    # 320x400 in 96x64: 51.2 pixels wide, 52 on the cells of 4.
    assert segmentation.class_ids.shape == (16, 13)
    full = nearest(segmentation.class_ids, tall)
    assert (full[210:240] == OTHER).all()
    assert (full[360:390] == ROAD).all()
    assert (full[275:320, 60:90] == VEHICLE).all()


def test_int8_and_float32_agree(tiny_model: Path, tiny_float_model: Path, street: NDArray[np.uint8]) -> None:
    with Segmenter(tiny_model) as quantised, Segmenter(tiny_float_model) as exact:
        ours, theirs = quantised.logits(street), exact.logits(street)
        step = quantised.interpreter.get_output_details()[0]["quantization"][0]
    assert ours.dtype == theirs.dtype == np.float32
    assert np.abs(ours - theirs).max() <= 2 * step


def test_a_picture_is_not_remembered(tiny_model: Path, street: NDArray[np.uint8]) -> None:
    with Segmenter(tiny_model) as segmenter:
        first = segmenter.logits(street)
        kept = first.copy()
        segmenter.logits(np.zeros_like(street))
        assert np.array_equal(first, kept)
        assert np.array_equal(segmenter.logits(street), kept)


def test_fusion_carries_earlier_pictures_over(tiny_model: Path, street: NDArray[np.uint8]) -> None:
    """A slight flash turns the grey above into road for one frame; fused, it stays what it was."""
    flash = street.copy()
    flash[:100] = (60, 102, 60)
    with Segmenter(tiny_model) as segmenter:
        fusion = TemporalFusion(half_life_ms=200, still=60, moved=80)
        for index in range(5):
            segmenter.segment(Frame(street, index, index * 40_000_000, "test"), fusion)
        fused = segmenter.segment(Frame(flash, 5, 200_000_000, "test"), fusion)
        alone = segmenter.segment(flash)
    assert "fusion" in fused.timings
    assert (alone.class_ids[:5] == ROAD).mean() > 0.5
    assert_street(nearest(fused.class_ids, street))


def test_the_temperature_of_the_card_is_in_the_scores_already(
    make_model: MakeModel, tmp_path: Path, street: NDArray[np.uint8]
) -> None:
    with (
        Segmenter(make_model(tmp_path / "a.tflite")) as plain,
        Segmenter(make_model(tmp_path / "b.tflite", temperature=4.0)) as told,
    ):
        one, other = plain.segment(street), told.segment(street)
    assert np.array_equal(one.class_ids, other.class_ids)
    assert np.array_equal(one.confidence, other.confidence)


@pytest.mark.parametrize("size", [(1, 1), (9000, 16000)])
def test_extreme_pictures_are_segmented(tiny_model: Path, size: tuple[int, int]) -> None:
    green = np.zeros((*size, 3), np.uint8)
    green[..., 1] = 255
    with Segmenter(tiny_model) as segmenter:
        assert (segmenter.segment(green).class_ids == ROAD).all()


def test_what_is_no_bgr_picture_is_refused(tiny_model: Path) -> None:
    with Segmenter(tiny_model) as segmenter:
        for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.uint16), None):
            with pytest.raises(DataError, match=r"\(H, W, 3\) uint8 BGR"):
                segmenter.segment(wrong)  # type: ignore[arg-type]
            with pytest.raises(DataError, match=r"\(H, W, 3\) uint8 BGR"):
                segmenter.logits(wrong)  # type: ignore[arg-type]


def test_closing_twice_is_fine_and_using_it_afterwards_is_our_bug(tiny_model: Path, street: NDArray[np.uint8]) -> None:
    segmenter = Segmenter(tiny_model)
    segmenter.close()
    segmenter.close()
    with pytest.raises(RuntimeError, match="closed"):
        segmenter.segment(street)


THREE = tuple(CardClass.of(item) for item in CLASSES[:3])
FIVE = tuple(CardClass.of(item) for item in (*CLASSES, SegmentClass("sky", (9, 9, 9))))


@pytest.mark.parametrize(
    ("kind", "card", "message"),
    [
        ("classifier", {}, "gives 1x4: a classifier, not a segmenter"),
        ("other-input-range", {}, "scale 0.00392157 and zero point -128, not with 1/128 and 0"),
        ("three-classes", {}, r"scores 3 classes, but its card names 4 \(other, road, vehicle, person\)"),
        ("int8", {"classes": THREE}, "scores 4 classes, but its card names 3"),
        ("int8", {"classes": FIVE}, "scores 4 classes, but its card names 5"),
        ("int8", {"input_hw": (64, 64)}, "takes 1x64x96x3, but its card says 1x64x64x3"),
        ("int8", {"output_stride": 8}, "gives 1x16x24x4, but at stride 8 its card says 1x8x12x4"),
        ("int8", {"quantization": "float32"}, "takes int8 and gives int8, but its card says float32"),
        ("float32", {"quantization": "int8"}, "takes float32 and gives float32, but its card says int8"),
    ],
)
def test_graphs_that_break_the_contract_are_refused(
    make_model: MakeModel, tmp_path: Path, kind: str, card: dict[str, object], message: str
) -> None:
    path = make_model(tmp_path / "wrong.tflite", kind, **card)
    with pytest.raises(ModelError, match=rf"wrong\.tflite: .*{message}") as caught:
        Segmenter(path)
    assert "\n" not in str(caught.value)


def test_a_model_of_three_classes_works_with_its_own_card(
    make_model: MakeModel, tmp_path: Path, street: NDArray[np.uint8]
) -> None:
    path = make_model(tmp_path / "three.tflite", "three-classes", classes=THREE)
    with Segmenter(path) as segmenter:
        assert list(segmenter.segment(street).shares) == ["other", "road", "vehicle"]


def test_damaged_missing_and_foreign_files_are_refused(tiny_model: Path, bare_models: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.tflite"
    content = bytearray(tiny_model.read_bytes())
    content[300] ^= 0xFF
    damaged.write_bytes(content)
    for path, kind, message in (
        (damaged, ModelError, "damaged, its checksum"),
        (bare_models / "int8.tflite", ModelError, "no readable model card"),
        (tmp_path / "none.tflite", InputNotFoundError, "no such model file"),
    ):
        with pytest.raises(kind, match=message):
            Segmenter(path)


def test_senseless_threads_are_refused(tiny_model: Path) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        Segmenter(tiny_model, threads=0)
