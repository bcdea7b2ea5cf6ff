from __future__ import annotations

from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from edgeseg.errors import DataError, SinkUnavailableError, UsageError
from edgeseg.model_card import ModelCard
from tests.train.conftest import write_teacher
from train.__main__ import main
from train.explain import draw_explanation, explain_class, find_layer, write_explanation
from train.network_file import TrainedNetwork, load_network

ROAD, PERSON = 1, 3


def build_known() -> TrainedNetwork:
    """Maps of 8x8 blocks: red, green, 1 - red. Person is scored by red, road by green; the third speaks for `other`."""
    inputs = keras.Input((64, 96, 3))
    maps = keras.layers.Conv2D(3, 8, strides=8, activation="relu", name="maps")
    scores = keras.layers.Conv2D(4, 1, name="scores")
    model = keras.Model(inputs, scores(keras.layers.UpSampling2D(2, interpolation="bilinear")(maps(inputs))))
    kernel = np.zeros((8, 8, 3, 3), np.float32)
    kernel[..., 0, 0], kernel[..., 1, 1], kernel[..., 0, 2] = 1 / 64, 1 / 64, -1 / 64
    maps.set_weights([kernel, np.zeros(3, np.float32)])
    mixed = np.zeros((1, 1, 3, 4), np.float32)
    mixed[..., 0, PERSON], mixed[..., 1, ROAD], mixed[..., 2, 0] = 5, 5, 1
    scores.set_weights([mixed, np.zeros(4, np.float32)])
    return TrainedNetwork(model, ModelCard(name="known", input_hw=(64, 96)), Path("known.keras"))


def picture() -> np.ndarray:
    """192x128, black; a red box on the left, a green one on the right (BGR)."""
    image = np.zeros((128, 192, 3), np.uint8)
    image[32:96, 32:80, 2] = 255
    image[32:96, 112:160, 1] = 255
    return image


def test_the_map_is_where_the_class_comes_from() -> None:
    heat, seen = explain_class(build_known(), picture(), "person")
    assert heat.shape == seen.shape == (128, 192)
    assert heat.max() == pytest.approx(1.0)
    assert seen[40:88, 40:72].all()
    assert heat[48:80, 48:64].min() > 0.9
    assert heat[:, 100:].max() < 0.01, "what speaks for road says nothing for person"
    other, _ = explain_class(build_known(), picture(), "road")
    assert other[48:80, 128:144].min() > 0.9
    assert other[:, :90].max() < 0.01


def test_the_map_follows_the_formula() -> None:
    network = build_known()
    heat, _ = explain_class(network, picture(), "person", "maps")
    layer = keras.Model(network.model.inputs[0], network.model.get_layer("maps").output)
    small = cv2.cvtColor(cv2.resize(picture(), (96, 64)), cv2.COLOR_BGR2RGB)
    maps = np.asarray(layer(((small.astype(np.float32) - 128) / 128)[None]))[0]
    # Person's score is 5 times the first map, resized: its gradient is positive there and zero elsewhere.
    expected = cv2.resize(maps[..., 0] / maps[..., 0].max(), (192, 128), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(heat, expected, atol=1e-4)


def test_the_deepest_maps_are_taken_by_default(tmp_path: Path) -> None:
    model = load_network(write_teacher(tmp_path / "run")).model
    layer = find_layer(model)
    assert layer.output.shape[1:3] == (12, 16), "at stride 8; not those of the global pool"
    assert layer.name == "context_depthwise_relu"
    assert find_layer(model, "stem_relu").output.shape[1:3] == (48, 64)
    with pytest.raises(UsageError, match="--layer nothing: the network has no such maps; some are"):
        find_layer(model, "nothing")


def test_what_is_not_seen_cannot_be_explained(tmp_path: Path) -> None:
    network = build_known()
    with pytest.raises(DataError, match="sees no vehicle in the picture"):
        explain_class(network, picture(), "vehicle")
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkUnavailableError, match=r"a-person\.png: cannot be written"):
        write_explanation(network, Path("a.jpg"), picture(), "person", tmp_path / "file", None)


def test_the_overlay_shows_picture_map_and_outline() -> None:
    image = np.full((90, 120, 3), 100, np.uint8)
    heat, seen = np.zeros((90, 120), np.float32), np.zeros((90, 120), bool)
    heat[20:40, 20:40], seen[50:70, 50:80] = 1, True
    drawn = draw_explanation(image, heat, seen, "person")
    assert drawn[80, 10].tolist() == [70, 70, 70]
    assert drawn[60, 65].tolist() == [70, 70, 70]
    assert drawn[50, 60].tolist() == [20, 150, 255]
    assert drawn[30, 30, 2] > 150


def test_the_command_writes_a_picture_for_each_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = build_known()
    network.model.save(tmp_path / "best.keras")
    (tmp_path / "card.json").write_text(network.card.model_dump_json())
    cv2.imwrite(str(tmp_path / "street.png"), picture())
    command = ["explain", str(tmp_path / "street.png"), "--model", str(tmp_path), "--out", str(tmp_path / "why")]
    assert main([*command, "--class", "person", "--class", "road"]) == 0
    paths = [tmp_path / "why" / f"street-{name}.png" for name in ("person", "road")]
    assert capsys.readouterr().out.splitlines() == [str(path) for path in paths]
    assert all(cv2.imread(str(path)).shape == (128, 192, 3) for path in paths)
