from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edgeseg.errors import DataError, InputNotFoundError
from tests.train.conftest import write_recipe, write_teacher
from tests.train.tiny_training import design_tiny
from train.architectures import build_network
from train.config import load_recipe
from train.fit import Trainer
from train.pretrained import load_encoder
from train.run_folder import RunFolder


def encoder_names(network: keras.Model) -> list[str]:
    return [
        layer.name for layer in network.layers
        if layer.name.startswith(("stem", "block")) and layer.name.endswith("_conv")
    ]  # fmt: skip


def write_weights(path: Path, network: keras.Model) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Random folded weights in the layout of the published files; returned by layer, kernels HWIO."""
    rng = np.random.default_rng(0)
    arrays, made = {}, {}
    for index, name in enumerate(encoder_names(network)):
        layer = network.get_layer(name)
        kernel = rng.normal(0, 0.3, layer.kernel.shape).astype(np.float32)
        bias = rng.normal(0, 0.3, kernel.shape[-1 if isinstance(layer, keras.layers.Conv2D) else 2]).astype(np.float32)
        op = "CONV_2D"
        arrays[f"{index:03}_{op}_w|{name}"] = np.transpose(kernel, (3, 0, 1, 2))
        arrays[f"{index:03}_{op}_b|{name}"] = bias
        made[name] = (kernel, bias)
    np.savez(path, **arrays)
    return made


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32) for _ in range(3)]


def test_the_unfolded_batch_norm_changes_nothing_in_inference(tmp_path: Path) -> None:
    network = build_network(design_tiny(), (64, 64), 4)
    made = write_weights(tmp_path / "w.npz", network)
    assert load_encoder(network, tmp_path / "w.npz", pictures()) == len(made)
    stem = keras.Model(network.inputs, network.get_layer("stem_bn").output)
    kernel, bias = made["stem_conv"]
    batch = pictures()[0]
    expected = np.asarray(keras.ops.conv(batch, kernel, strides=2, padding="same")) + bias
    assert np.allclose(stem.predict_on_batch(batch), expected, atol=1e-3)
    norm = network.get_layer("stem_bn")
    # ... and its statistics are those of the pictures, so training mode starts where inference is.
    activations = np.asarray(keras.ops.conv(np.concatenate(pictures()), kernel, strides=2, padding="same"))
    assert np.allclose(norm.moving_mean, activations.mean((0, 1, 2)), atol=1e-3)
    assert np.allclose(norm.moving_variance, activations.var((0, 1, 2)), rtol=1e-2)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    network = build_network(design_tiny(), (64, 64), 4)
    write_weights(tmp_path / "w.npz", network)
    with pytest.raises(DataError, match="has shape"):
        load_encoder(build_network(design_tiny().scaled(width=2.0), (64, 64), 4), tmp_path / "w.npz", pictures())
    with pytest.raises(DataError, match="layers, but the network's encoder has"):
        load_encoder(network, _cut(tmp_path / "w.npz"), pictures())
    with pytest.raises(InputNotFoundError):
        load_encoder(network, tmp_path / "none.npz", pictures())


def test_a_run_starts_from_all_weights_of_an_earlier_one(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    write_teacher(tmp_path / "wide")
    start = {"path": str(tmp_path / "tiny.keras"), "source": "an earlier run", "licence": "drawn by the test"}
    recipe = load_recipe(write_recipe(tmp_path / "recipe.yaml", {**recipe_fields, "pretrained": start}))
    trainer = Trainer(recipe, RunFolder.create(tmp_path / "run", recipe))
    with pytest.raises(InputNotFoundError, match=r"tiny\.keras: no such network to start from"):
        trainer.start()
    (tmp_path / "tiny.keras").write_bytes((tmp_path / "wide" / "best.keras").read_bytes())
    with pytest.raises(DataError, match=r"tiny\.keras: is of another architecture"):
        trainer.start()
    earlier = build_network(design_tiny(), (96, 128), 4)
    earlier.save(tmp_path / "tiny.keras")
    trainer.start()
    for one, other in zip(trainer.network.get_weights(), earlier.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def _cut(path: Path) -> Path:
    """The same file with only its first layer."""
    with np.load(path) as archive:
        kept = {key: archive[key] for key in archive.files[:2]}
    np.savez(path, **kept)
    return path
