"""Released models made trainable again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest

from convert.quantize import convert_float, convert_int8, resize_network
from edgeseg.errors import DataError, UsageError
from edgeseg.model_card import ModelCard, append_card
from edgeseg.preprocess import normalise_float, to_input
from tests.train.tiny_training import design_tiny
from train.__main__ import main
from train.architectures import ARCHITECTURES, build_network
from train.network_file import load_network
from train.unpack import read_convolutions, unpack_model

INPUT_HW = (96, 128)


@pytest.fixture(scope="module")
def pictures(streets: Path) -> np.ndarray:
    images = [cv2.imread(str(path)) for path in sorted((streets / "images").iterdir())]
    return normalise_float(np.stack([to_input(np.asarray(image, np.uint8), INPUT_HW) for image in images]))


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    """A network whose batch norms all do something."""
    keras.utils.set_random_seed(3)
    network = build_network(design_tiny(), INPUT_HW, 4)
    generator = np.random.default_rng(3)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (generator.uniform(0.7, 1.3, weight.shape) for weight in layer.weights)
            layer.set_weights([gamma, beta - 0.8, mean - 1.0, variance])
    return network


@pytest.fixture(scope="module", params=["float32", "int8"])
def released(
    request: pytest.FixtureRequest, trained: keras.Model, pictures: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    network = resize_network(trained, INPUT_HW)
    path = tmp_path_factory.mktemp("released") / f"{request.param}.tflite"
    if request.param == "float32":
        path.write_bytes(convert_float(network))
    else:
        ends = np.zeros_like(pictures[:1])
        ends.flat[:2] = -1, 127 / 128
        path.write_bytes(convert_int8(network, lambda: iter([*np.split(pictures, len(pictures)), ends])))
    append_card(
        path, _card(quantization=request.param, temperature=1.5, offsets=(0.0, 0.1, 0.2, 0.3), training_sha256="0" * 64)
    )
    return path


def _card(**more: Any) -> ModelCard:
    fields = {"name": "tiny", "architecture": "tiny", "input_hw": INPUT_HW, "licence": "drawn by the test"}
    return ModelCard.model_validate(fields | more)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "tiny", design_tiny())


def test_what_comes_out_says_what_went_in(
    released: Path, trained: keras.Model, pictures: np.ndarray, streets: Path, tmp_path: Path
) -> None:
    assert unpack_model(released, [streets / "images"], tmp_path / "out") > 0.9
    found = load_network(tmp_path / "out")
    assert found.card.licence == "drawn by the test"
    assert (found.card.quantization, found.card.temperature, found.card.offsets) == ("float32", 1.0, ())
    # Both were the released file's; conversion will find its own.
    assert (found.card.metrics, found.card.training_sha256) == ({}, None)
    wanted, said = trained.predict(pictures, verbose=0), found.model.predict(pictures, verbose=0)
    # Of INT8, the weights are rounded: 1 part in 127 of the largest of a channel.
    assert np.abs(wanted - said).max() < (1e-3 if released.stem == "float32" else 0.05) * np.ptp(wanted)

    # Training begins there too: it normalises by what it sees, which is what the statistics are of.
    before = keras.Model(found.model.input, found.model.get_layer("dropout").input)
    np.testing.assert_allclose(before(pictures, training=True), before(pictures), atol=0.02)


def test_the_whole_of_a_network_is_read(trained: keras.Model) -> None:
    found = read_convolutions(convert_float(resize_network(trained, INPUT_HW)), Path("tiny.tflite"))
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    assert len(found) == sum(isinstance(layer, kinds) for layer in trained.layers)


def test_a_network_of_another_width_and_depth(streets: Path, tmp_path: Path) -> None:
    keras.utils.set_random_seed(4)
    factors = {"width": 1.5, "depth": 2.0}
    network = build_network(design_tiny().scaled(**factors), INPUT_HW, 4)
    (path := tmp_path / "wide.tflite").write_bytes(convert_float(network))
    append_card(path, _card(**factors))
    assert unpack_model(path, [streets / "images"], tmp_path / "out") > 0.9
    found = load_network(tmp_path / "out")
    assert found.card.design == "tiny width 1.5 depth 2"
    assert found.model.count_params() == network.count_params()


def test_what_cannot_be_unpacked_is_told_and_leaves_nothing(
    released: Path, streets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy.tflite"
    copy.write_bytes(released.read_bytes())
    append_card(copy, _card(architecture="mega"))
    with pytest.raises(DataError, match=r"copy\.tflite: its network 'mega' is not one of nano"):
        unpack_model(copy, [streets / "images"], tmp_path / "out")
    append_card(copy, _card(architecture="nano"))
    with pytest.raises(DataError, match=r"copy\.tflite: holds no weights for stem_conv"):
        unpack_model(copy, [streets / "images"], tmp_path / "out")
    with pytest.raises(UsageError, match="not one picture was read"):
        unpack_model(released, [], tmp_path / "out")
    assert main(["unpack", str(released), "--out", str(tmp_path / "out"), "--pictures", str(tmp_path / "none")]) == 66
    assert "none: no such video or folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "best.keras").write_bytes(b"of somebody")
    with pytest.raises(UsageError, match="already holds a network"):
        unpack_model(released, [streets / "images"], tmp_path / "out")


def test_a_network_of_another_build_with_the_same_layers_is_found_out(
    trained: keras.Model, streets: Path, tmp_path: Path
) -> None:
    """As a version of ours could be that gave the classes in another order: names and shapes say nothing of that."""
    scores = trained.output
    twin = keras.Model(trained.input, keras.layers.Concatenate()([scores[..., 2:], scores[..., :2]]))
    path = tmp_path / "old.tflite"
    path.write_bytes(convert_float(resize_network(twin, INPUT_HW)))
    append_card(path, _card())
    with pytest.raises(DataError, match=r"old\.tflite: only .* % of the pixels keep their class"):
        unpack_model(path, [streets / "images"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
