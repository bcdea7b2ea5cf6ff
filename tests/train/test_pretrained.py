from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edgeseg.errors import ConfigError, DataError, InputNotFoundError, UsageError
from tests.train.conftest import write_recipe, write_teacher
from tests.train.tiny_training import design_tiny
from train.architectures import build_network, freeze_encoder
from train.config import load_recipe
from train.fit import Trainer, fit_recipe
from train.pretrained import load_earlier, load_encoder
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


def test_what_is_no_file_of_weights_is_refused(tmp_path: Path) -> None:
    network = build_network(design_tiny(), (64, 64), 4)
    write_weights(tmp_path / "w.npz", network)
    with np.load(tmp_path / "w.npz") as archive:
        arrays = dict(archive.items())
    np.savez(tmp_path / "bare.npz", **{key: array for key, array in arrays.items() if "_w|" in key})
    with pytest.raises(DataError, match=r"bare\.npz: .* has no bias that fits"):
        load_encoder(network, tmp_path / "bare.npz", pictures())
    content = bytearray((tmp_path / "w.npz").read_bytes())
    content[len(content) // 2] ^= 0xFF
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    for wrong in (b"", b"version https://git-lfs.github.com/spec/v1\n", bytes(content), array.getvalue()):
        (tmp_path / "wrong.npz").write_bytes(wrong)
        with pytest.raises(DataError, match=r"wrong\.npz: cannot be read as a \.npz of weights"):
            load_encoder(network, tmp_path / "wrong.npz", pictures())


def test_a_run_without_its_start_leaves_no_folder(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    for name, says in (
        ("tiny.keras", "no such network to start from"),
        ("w.npz", "no such file of pretrained weights"),
    ):
        start = {"path": str(tmp_path / name), "source": "an earlier run", "licence": "drawn by the test"}
        recipe = load_recipe(write_recipe(tmp_path / "recipe.yaml", {**recipe_fields, "pretrained": start}))
        with pytest.raises(InputNotFoundError, match=says):
            fit_recipe(recipe, tmp_path / "run")
        assert not (tmp_path / "run").exists()


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


def test_what_fits_of_another_architecture_is_taken_when_asked_for(
    tmp_path: Path, recipe_fields: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    earlier = build_network(replace(design_tiny(), decoder=(16, 24, 16, 16), context=8), (96, 128), 4)
    earlier.save(tmp_path / "earlier.keras")
    start = {"path": str(tmp_path / "earlier.keras"), "source": "an earlier run", "licence": "drawn by the test"}
    fields = {**recipe_fields, "pretrained": {**start, "partial": True}}
    recipe = load_recipe(write_recipe(tmp_path / "recipe.yaml", fields))
    trainer = Trainer(recipe, RunFolder.create(tmp_path / "run", recipe))
    before = {layer.name: layer.get_weights() for layer in trainer.network.layers}
    with caplog.at_level("INFO"):
        trainer.start()
    anew = {"context_local_conv", "context_global_conv", "context_global_project", "context_local_bn"}
    anew |= {"context_depthwise_conv", "context_depthwise_bn", "decoder4_reduce_conv"}
    assert {name for name in before if name in caplog.text} == anew
    for layer in trainer.network.layers:
        wanted = before[layer.name] if layer.name in anew else earlier.get_layer(layer.name).get_weights()
        for one, other in zip(layer.get_weights(), wanted, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_network_of_which_nothing_fits_is_refused_even_then(tmp_path: Path) -> None:
    inputs = keras.Input((96, 128, 3))
    keras.Model(inputs, keras.layers.Conv2D(4, 1, name="alone")(inputs)).save(tmp_path / "foreign.keras")
    with pytest.raises(DataError, match=r"foreign\.keras: no layer of it fits"):
        load_earlier(build_network(design_tiny(), (96, 128), 4), tmp_path / "foreign.keras", partial=True)


def test_partial_is_refused_where_it_would_do_nothing(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    start = {"path": "w.npz", "source": "somewhere", "licence": "drawn by the test", "partial": True}
    with pytest.raises(ConfigError, match=r"`partial` is for the best\.keras of a run, and w\.npz is none"):
        load_recipe(write_recipe(tmp_path / "recipe.yaml", {**recipe_fields, "pretrained": start}))


def test_a_frozen_encoder_stays_as_it_started_and_the_rest_learns(
    tmp_path: Path, recipe_fields: dict[str, Any]
) -> None:
    earlier = build_network(design_tiny(), (96, 128), 4)
    earlier.save(tmp_path / "earlier.keras")
    start = {"path": str(tmp_path / "earlier.keras"), "source": "an earlier run", "licence": "drawn by the test"}
    fields = {**recipe_fields, "pretrained": start, "freeze": 4, "epochs": 1}
    recipe = load_recipe(write_recipe(tmp_path / "recipe.yaml", fields))
    fit_recipe(recipe, tmp_path / "run")
    network = keras.saving.load_model(tmp_path / "run" / "best.keras", compile=False)
    same = {
        layer.name
        for layer in network.layers
        if layer.weights and all(map(np.array_equal, layer.get_weights(), earlier.get_layer(layer.name).get_weights()))
    }
    # Of the block that goes down to stride 8, what comes before works at stride 4.
    blocks = ("stem", "block0_depthwise", "block0_project", "block1_expand")
    assert same == {f"{name}_{kind}" for name in blocks for kind in ("conv", "bn")}


def test_what_starts_anew_is_not_frozen(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    """A random stem that is kept as it was drawn would spoil a whole run."""
    build_network(replace(design_tiny(), stem=16), (96, 128), 4).save(tmp_path / "earlier.keras")
    start = {"path": str(tmp_path / "earlier.keras"), "source": "an earlier run", "licence": "drawn by the test"}
    fields = {**recipe_fields, "pretrained": {**start, "partial": True}, "freeze": 4}
    with pytest.raises(DataError, match=r"earlier\.keras: nothing in it fits stem_conv, .* which `freeze` would keep"):
        fit_recipe(load_recipe(write_recipe(tmp_path / "recipe.yaml", fields)), tmp_path / "run")


def test_fused_blocks_start_from_what_fits_of_the_unfused_network_and_freeze_with_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "best.keras"
    build_network("nano_lean", (64, 96), 4).save(path)
    network = build_network("nano_fused", (64, 96), 4)
    anew = load_earlier(network, path, partial=True)
    assert {name.rsplit("_", 1)[0] for name in anew} == {"block1_fused", "block2_fused", "block2_project"}
    freeze_encoder(network, 4)
    frozen = {layer.name for layer in network.layers if layer.weights and not layer.trainable}
    assert {"stem_conv", "block1_fused_conv", "block1_project_conv", "block2_fused_conv", "block2_project_bn"} < frozen
    assert "block3_depthwise_conv" not in frozen


def test_what_cannot_be_frozen_is_told(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="`freeze` keeps what a network starts with: name it under `pretrained`"):
        load_recipe(write_recipe(tmp_path / "recipe.yaml", {**recipe_fields, "freeze": 4}))
    with pytest.raises(UsageError, match="freeze: the encoder has no stride 16 but at most 8"):
        freeze_encoder(build_network(design_tiny(), (96, 128), 4), 16)


def _cut(path: Path) -> Path:
    """The same file with only its first layer."""
    with np.load(path) as archive:
        kept = {key: archive[key] for key in archive.files[:2]}
    np.savez(path, **kept)
    return path
