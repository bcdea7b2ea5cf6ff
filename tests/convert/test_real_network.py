"""The gate on the network that the bundled model was made from, really trained, on the bundled drive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from convert.calibrate import iterate_samples
from convert.card import Quantization, describe, write_model
from convert.gate import GateFailedError, enforce, judge_loss
from convert.quantize import convert_float, convert_int8, fold_scaling, load_network, resize_network
from convert.trained import Trained, read_trained
from edgeseg.classes import IGNORE_INDEX
from edgeseg.evaluate import evaluate
from edgeseg.fusion import decide
from edgeseg.labels import LabelMapping
from edgeseg.model_card import read_card
from edgeseg.segmenter import BUNDLED_MODEL, Segmenter
from tests.convert.conftest import ROOT

pytestmark = pytest.mark.slow

#: The run that the bundled model was converted from.
RUN = ROOT / "tests" / "data" / "nano"
SIZE = (352, 480)
#: Of 255: where the float model is surer than this, INT8 has no excuse for another answer.
SURE = 180


@pytest.fixture(scope="module")
def trained() -> Trained:
    return read_trained(RUN)


@pytest.fixture(scope="module")
def network(trained: Trained) -> Any:
    network = resize_network(load_network(trained.network), SIZE)
    # As it was when the bundled model was calibrated.
    card = read_card(BUNDLED_MODEL)
    fold_scaling(network, card.temperature, card.offsets)
    return network


def _write(path: Path, flatbuffer: bytes, quantization: Quantization, trained: Trained) -> Path:
    card = describe(
        trained.card,
        input_hw=SIZE,
        output_hw=(SIZE[0] // 4, SIZE[1] // 4),
        quantization=quantization,
        metrics={},
    )
    write_model(path, flatbuffer, card)
    return path


@pytest.fixture(scope="module")
def float_model(tmp_path_factory: pytest.TempPathFactory, network: Any, trained: Trained) -> Path:
    path = tmp_path_factory.mktemp("float") / "float.tflite"
    return _write(path, convert_float(network), "float32", trained)


def _read_frames(clip: Path, step: int) -> Iterator[NDArray[np.uint8]]:
    video = cv2.VideoCapture(str(clip))
    index = 0
    while (read := video.read())[0]:
        if index % step == 0:
            yield np.asarray(read[1], np.uint8)
        index += 1


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory, float_model: Path, bundled_clip: Path) -> Path:
    """Frames of the bundled drive, labelled with what the float model is sure of; the rest is ignored."""
    folder = tmp_path_factory.mktemp("drive")
    for name in ("images", "labels"):
        (folder / name).mkdir()
    seen = np.zeros(256, np.int64)
    with Segmenter(float_model) as segmenter:
        for index, image in enumerate(_read_frames(bundled_clip, step=36)):
            scores = segmenter.scores(image)
            class_ids, confidence = decide(scores)
            label = np.where(confidence > SURE, class_ids, IGNORE_INDEX).astype(np.uint8)
            seen += np.bincount(label.ravel(), minlength=256)
            cv2.imwrite(str(folder / "images" / f"{index}.png"), image)
            cv2.imwrite(str(folder / "labels" / f"{index}.png"), label)
    assert (seen[:3] > 1000).all(), f"the drive must show road and vehicles to judge by, got {seen[:4]}"
    return folder


def _measure(model: Path, drive: Path) -> Mapping[str, float]:
    with Segmenter(model) as segmenter:
        return evaluate(drive, LabelMapping.load("edgeseg"), segmenter).iou


@pytest.fixture(scope="module")
def float_iou(float_model: Path, drive: Path) -> Mapping[str, float]:
    return _measure(float_model, drive)


def test_bundled_model_comes_from_this_run(trained: Trained) -> None:
    assert read_card(BUNDLED_MODEL).training_sha256 == trained.card.training_sha256


def test_bundled_model_passes(float_iou: Mapping[str, float], drive: Path) -> None:
    """What the next test is to be read against: the same network, calibrated on real drives."""
    enforce(judge_loss(float_iou, _measure(BUNDLED_MODEL, drive)), BUNDLED_MODEL.name)


def test_random_calibration_fails(
    float_iou: Mapping[str, float], drive: Path, network: Any, trained: Trained, tmp_path: Path
) -> None:
    """Grey noise, as of a covered lens. (Noise of full contrast costs vehicle half a point, just within the gate.)"""
    generator = np.random.default_rng(0)
    images = [tmp_path / f"{index}.png" for index in range(4)]
    for image in images:
        cv2.imwrite(str(image), generator.integers(108, 148, (*SIZE, 3), dtype=np.uint8))
    flatbuffer = convert_int8(network, lambda: iterate_samples(images, SIZE, trained.card.input.fit))
    noise = _write(tmp_path / "noise.tflite", flatbuffer, "int8", trained)
    with pytest.raises(GateFailedError) as caught:
        enforce(judge_loss(float_iou, _measure(noise, drive)), noise.name)
    assert "class vehicle" in {finding.subject for finding in caught.value.findings if not finding.passed}
