"""A small recipe over drawn streets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml

from convert.quantize import convert_float, resize_network
from edgeseg.classes import CLASS_NAMES
from edgeseg.model_card import ModelCard, append_card
from tests.scenes import COLORS, write_streets
from tests.train.tiny_training import design_tiny
from train.architectures import ARCHITECTURES, build_network


@pytest.fixture(scope="session")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve drawn streets of three drives, in streets/images and streets/labels."""
    return write_streets(tmp_path_factory.mktemp("data") / "streets", 12)


def nearest_color_network(input_hw: tuple[int | None, int | None] = (None, None)) -> keras.Model:
    """Scores minus the squared distance to each class's drawn colour, so that its answers are known to be right."""
    inputs = keras.Input((*input_hw, 3))
    x = keras.layers.AveragePooling2D(4)(inputs)
    layer = keras.layers.Conv2D(4, 1)
    network = keras.Model(inputs, layer(x))
    rgb = (COLORS[:, ::-1] - 128) / 128
    # -|x - c|^2 = 2 c x - |c|^2 up to a constant a pixel.
    layer.set_weights([(40 * rgb.T)[None, None].astype(np.float32), (-20 * (rgb**2).sum(-1)).astype(np.float32)])
    return network


@pytest.fixture(scope="session")
def street_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float32 .tflite for 128x96 that knows the colours of the drawn streets."""
    path = tmp_path_factory.mktemp("model") / "streets.tflite"
    path.write_bytes(convert_float(resize_network(nearest_color_network(), (96, 128))))
    append_card(path, ModelCard(name="streets", input_hw=(96, 128)))
    return path


def recipe_of(streets: Path) -> dict[str, Any]:
    """The fields of a recipe that trains in seconds; change some and write it with `write_recipe`."""
    entry = {"name": "streets", "root": str(streets), "mapping": "edgeseg", "licence": "drawn by the test"}
    return {
        "name": "tiny",
        "architecture": "tiny",
        "input_size": "128x96",
        "crop_size": "96x64",
        "epochs": 2,
        "steps_per_epoch": 3,
        "batch_size": 2,
        "workers": 1,
        "datasets": [entry],
        "validation": [entry],
        "licence": "drawn by the test",
    }


@pytest.fixture
def recipe_fields(streets: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `recipe_of` gives, in a process that knows its network."""
    monkeypatch.setitem(ARCHITECTURES, "tiny", design_tiny())
    return recipe_of(streets)


def write_teacher(folder: Path) -> Path:
    """An untrained network, wider than `tiny`, as a run leaves it: best.keras and card.json; its best.keras."""
    folder.mkdir(parents=True)
    keras.utils.set_random_seed(5)
    network = build_network(design_tiny().scaled(width=2.0), (96, 128), len(CLASS_NAMES))
    network.save(folder / "best.keras")
    card = ModelCard(name="edgeseg-wide", input_hw=(96, 128), licence="drawn by the test")
    (folder / "card.json").write_text(card.model_dump_json(), "utf-8")
    return folder / "best.keras"


def write_color_network(folder: Path) -> Path:
    """A run folder of the network that knows the colours of the drawn streets, for 128x96."""
    folder.mkdir(parents=True)
    network = nearest_color_network((96, 128))
    network.save(folder / "best.keras")
    card = ModelCard(name="edgeseg-colors", input_hw=(96, 128), licence="drawn by the test")
    (folder / "card.json").write_text(card.model_dump_json(), "utf-8")
    return folder


def write_recipe(path: Path, fields: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(fields), "utf-8")
    return path
