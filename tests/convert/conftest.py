"""A small network that keeps the graph's contract, and the ways in which one can break it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from convert.quantize import keras
from edgeseg.model_card import ModelCard, TrainingSet

ROOT = Path(__file__).resolve().parents[2]
SMALL_HW = (64, 96)


def build_small_network(spoil: Callable[[Any], Any] | None = None) -> Any:
    """Two strided convolutions, a dilated one, a decoder step: logits at 1/4. `spoil` puts an op in the middle."""
    layers = keras.layers
    keras.utils.set_random_seed(7)
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6.0)(x)
    x = layers.DepthwiseConv2D(3, strides=2, padding="same")(x)
    skip = x = layers.Conv2D(16, 1, activation="relu6")(x)
    x = layers.DepthwiseConv2D(3, padding="same", dilation_rate=2)(x)
    if spoil is not None:
        x = spoil(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.Add()([x, skip])
    return keras.Model(inputs, layers.Conv2D(4, 1)(x), name="small")


@pytest.fixture(scope="session")
def small_network() -> Any:
    return build_small_network()


def iterate_noise(count: int = 8, hw: tuple[int, int] = SMALL_HW) -> Iterator[NDArray[np.float32]]:
    """Calibration samples of noise that span exactly [-1, 127/128]."""
    generator = np.random.default_rng(1)
    for _ in range(count):
        pixels = generator.integers(0, 256, (1, *hw, 3))
        pixels[0, 0, 0], pixels[0, 0, 1] = 0, 255
        yield ((pixels - 128) / 128).astype(np.float32)


#: Scores of other, road, vehicle, person for red, green, blue in [-1, 1]: green is road, blue vehicle, red person.
COLOR_WEIGHTS = np.array([[0, -2, -2, 4], [0, 4, -2, -2], [0, -2, 4, -2]], np.float32)
COLOR_BIAS = np.array([1, 0, 0, 0], np.float32)


def build_color_network() -> Any:
    """A network whose answers are known: it scores the mean colour of each 4x4 block."""
    inputs = keras.Input((*SMALL_HW, 3))
    scores = keras.layers.Conv2D(4, 4, strides=4)
    network = keras.Model(inputs, scores(inputs), name="colors")
    scores.set_weights([np.broadcast_to(COLOR_WEIGHTS / 16, (4, 4, 3, 4)), COLOR_BIAS])
    return network


def draw_dataset(folder: Path, count: int = 6) -> Path:
    """Drawn streets that the color network reads, in images/, with their true classes in labels/."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    generator = np.random.default_rng(5)
    for index in range(count):
        image = generator.integers(0, 90, (100, 150, 3), dtype=np.uint8)
        label = np.zeros((100, 150), np.uint8)
        left = int(generator.integers(5, 60))
        for class_id, channel, box in (
            (1, 1, (slice(50, 100), slice(0, 150))),
            (2, 0, (slice(30, 70), slice(left, left + 40))),
            (3, 2, (slice(20, 80), slice(left + 50, left + 70))),
        ):
            image[box] = 0
            image[(*box, channel)] = generator.integers(200, 256)
            label[box] = class_id
        cv2.imwrite(str(folder / "images" / f"{index:03}.png"), image)
        cv2.imwrite(str(folder / "labels" / f"{index:03}.png"), label)
    return folder


def write_run(folder: Path, network: Any, **fields: Any) -> Path:
    """A run folder as training leaves it: best.keras, card.json, recipe.yaml with two drawn datasets beside it."""
    folder.mkdir(parents=True)
    network.save(folder / "best.keras")
    card = ModelCard(
        name="edgeseg-test",
        architecture="colors",
        params=network.count_params(),
        input_hw=SMALL_HW,
        licence="CC0-1.0",
        trained_on=(TrainingSet(name="drawn", licence="CC0-1.0", images=6),),
        **fields,
    )
    (folder / "card.json").write_text(card.model_dump_json())
    entries = {
        part: [{"name": part, "root": str(draw_dataset(folder / part)), "mapping": "edgeseg"}]
        for part in ("train", "val")
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump({"datasets": entries["train"], "validation": entries["val"]}))
    return folder


@pytest.fixture(scope="session")
def color_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the color network."""
    return write_run(tmp_path_factory.mktemp("runs") / "colors", build_color_network())
